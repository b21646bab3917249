"""A registry file says what it means, and a wrong one says what is wrong."""

import re
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.cloud.stack_parameters import of_registry_file
from local.registry.ecr_errors import EcrError
from local.registry.registry_contents import IMAGE_CONFIG, Image
from local.registry.registry_file import (
    FAULT_KEYS,
    IMAGE_KEYS,
    REGISTRY_KEYS,
    REPOSITORY_KEYS,
    RESULTS,
    RegistryFileError,
    load,
    parse,
)
from local.registry.simulated_registry import SimulatedRegistry

LOCAL = Path(__file__).parents[2] / "local"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def read(text: str) -> SimulatedRegistry:
    return parse(text, now=lambda: NOW)


def images(entries: str) -> list[Image]:
    registry = read(f"repositories: [{{name: team/api, images: [{entries}]}}]")
    return list(registry.repositories["team/api"].images.values())


def refusal(text: str) -> str:
    with pytest.raises(RegistryFileError) as refused:
        read(text)
    return str(refused.value)


# What a file means


def test_ages_count_back_from_now() -> None:
    (image,) = images("{tags: v1, pushed: 2w, pulled: 36h, scanned: 1d12h, archived: 90min}")
    assert image.pushed_at == NOW - timedelta(days=14)
    assert image.pulled_at == NOW - timedelta(hours=36)
    assert image.archived_at == NOW - timedelta(minutes=90)
    assert image.last_scan is not None
    assert image.last_scan.ends_at == NOW - timedelta(hours=36)


def test_an_image_is_never_scanned_pulled_or_archived_unless_said() -> None:
    (image,) = images("{}")
    assert image.last_scan is None
    assert image.pulled_at is None
    assert image.archived_at is None
    (image,) = images("{scanned: never, pulled: never}")
    assert image.last_scan is None
    assert image.pulled_at is None


def test_an_image_is_pushed_before_it_is_scanned() -> None:
    (image,) = images("{scanned: 90d}")
    assert image.pushed_at == NOW - timedelta(days=90)


def test_alike_images_are_numbered_and_their_ages_spread() -> None:
    made = images("{tags: 'build-{n}', count: 3, pushed: 10d..30d}")
    assert [image.tags for image in made] == [("build-1",), ("build-2",), ("build-3",)]
    assert [(NOW - image.pushed_at).days for image in made] == [10, 20, 30]


def test_one_entry_makes_many_repositories_with_images_of_their_own() -> None:
    registry = read("repositories: [{name: 'team/{n}', count: 3, images: [{tags: latest}]}]")
    assert sorted(registry.repositories) == ["team/1", "team/2", "team/3"]
    digests = {digest for it in registry.repositories.values() for digest in it.images}
    assert len(digests) == 3


def test_digests_look_real_and_are_the_same_on_every_reading() -> None:
    text = "{count: 5}, {tags: '0.0'}, {tags: v1, signed: true}, {kind: index, attested: true}"
    first, second = images(text), images(text)
    assert [image.digest for image in first] == [image.digest for image in second]
    assert len({image.digest for image in first}) == 5 + 1 + 2 + 4
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", image.digest) for image in first)


def test_an_index_has_untagged_platforms_that_were_scanned() -> None:
    index, *platforms = images("{tags: v1, kind: index, platforms: 3, scanned: 9d}")
    assert index.tags == ("v1",)
    assert index.last_scan is None
    assert [platform.tags for platform in platforms] == [(), (), ()]
    assert all(platform.last_scan for platform in platforms)
    assert {platform.artifact_media_type for platform in platforms} == {IMAGE_CONFIG}


def test_a_signature_is_tagged_with_the_digest_it_signs() -> None:
    image, signature = images("{tags: v1, signed: true}")
    assert signature.tags == (image.digest.replace(":", "-") + ".sig",)


def test_the_last_scan_is_like_the_next_one_unless_said() -> None:
    (alike,) = images("{scanned: 9d, findings: {high: 2}}")
    (other,) = images("{scanned: 9d, findings: {high: 2}, last_findings: {}, last_result: failed}")
    assert alike.last_scan is not None
    assert alike.last_scan.result == alike.next_result
    assert alike.next_result.severity_counts == {"HIGH": 2}
    assert other.last_scan is not None
    assert other.last_scan.result.status == "FAILED"
    assert other.next_result.status == "COMPLETE"


def test_a_scan_that_never_ends_has_a_start() -> None:
    (stuck,) = images("{scanned: 30d, last_result: pending}")
    assert stuck.last_scan is not None
    assert stuck.last_scan.started_at == NOW - timedelta(days=30)
    assert stuck.last_scan.ends_at > NOW + timedelta(days=100_000)
    assert stuck.next_result.status == "COMPLETE"
    (new,) = images("{result: pending}")
    assert (new.last_scan, new.next_result.status) == (None, "PENDING")


def test_a_tag_stays_as_it_is_written() -> None:
    (image,) = images("{tags: [1.10, 007, yes, 2026-01-01]}")
    assert image.tags == ("1.10", "007", "yes", "2026-01-01")


def test_a_fault_of_an_entry_meets_each_of_its_images() -> None:
    fault = "{operation: StartImageScan, error: ServerException, times: 1}"
    registry = read(
        "repositories: [{name: team/api, images: "
        f"[{{tags: 'v{{n}}', count: 2, faults: [{fault}]}}]}}]"
    )
    for tag in ("v1", "v2"):
        request = {"repositoryName": "team/api", "imageId": {"imageTag": tag}}
        with pytest.raises(EcrError, match="ServerException"):
            registry.call("StartImageScan", request)
        registry.call("StartImageScan", request)


# What a wrong file gets


def in_image(members: str) -> str:
    return f"repositories:\n  - name: team/api\n    images:\n      - tags: v1\n        {members}"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("account: 12\nrepositories: []", 1, "an account id of 12 digits"),
        ("region: Frankfurt\nrepositories: []", 1, "a region such as eu-central-1"),
        ("scanning: basic\nrepositories: []", 1, "must be one of BASIC, ENHANCED"),
        ("scan_hints: maybe\nrepositories: []", 1, "must be one of true, false"),
        ("scan_duration: 5\nrepositories: []", 1, "a length of time such as 10d"),
        ("scan_limit_from: push\nrepositories: []", 1, "must be one of start, end"),
        ("page_size: 1001\nrepositories: []", 1, "must be a whole number from 1 to 1000"),
        ("scans_per_day: many\nrepositories: []", 1, "must be a whole number from 0 to"),
        ("repositories: []\nrepositories: []", 2, "`repositories` stands twice here"),
        ("repositories: []\nregistry: x", 2, "Known keys: account, region, scanning"),
        ("account: '123456789012'", 1, "has no `repositories`"),
        ("repositories: team/api", 1, "`repositories` must be a list"),
        ("- team/api", 1, "must be a mapping with keys of a registry: account"),
        ("repositories:\n  - count: 3", 2, "has no `name`"),
        ("repositories:\n  - team/api", 2, "must be a mapping with keys of a repository: name"),
        ("repositories:\n  - {name: Team}", 2, "a repository name such as team/api"),
        ("repositories:\n  - {name: x}", 2, "a repository name such as team/api"),
        ("repositories:\n  - {name: 'a/{m}'}", 2, "a repository name such as team/api"),
        ("repositories:\n- {name: aa}\n- {name: aa}", 3, "makes a second repository 'aa'"),
        ("repositories:\n- {name: aa, count: 2}", 2, "makes a second repository 'aa'"),
        ("repositories:\n- {name: aa, count: 0}", 2, "must be a whole number from 1 to 100000"),
        (in_image("tag: v1"), 5, "`tag` is not a key of an image. Did you mean `tags`?"),
        (in_image("pushed: yesterday"), 5, "`pushed` is 'yesterday', but must be a length of time"),
        (in_image("pushed: 3d..soon"), 5, "`pushed` is '3d..soon'"),
        (in_image("pushed: 99999w"), 5, "which is more than 100 years"),
        (in_image("count: 2"), 4, "puts the tag 'v1' on a second image of team/api"),
        (in_image("kind: tarball"), 5, "must be one of image, docker, index, helm"),
        (in_image("result: bad"), 5, "must be one of complete, failed, unsupported, too_large"),
        (in_image("findings: {serious: 1}"), 5, "Known keys: critical, high, medium"),
        (in_image("findings: {high: -1}"), 5, "must be a whole number from 0"),
        (
            in_image("findings: {cves: [{name: CVE-1}]}"),
            5,
            "has no `severity`. The keys of a CVE are name",
        ),
        (in_image("faults: [{error: X}]"), 5, "has no `operation`"),
        (
            in_image("faults: [{operation: DescribeImages, error: X}]"),
            5,
            "must be one of DescribeImageScanFindings, StartImageScan",
        ),
        (
            in_image("faults: [{operation: StartImageScan, error: '500'}]"),
            5,
            "an error code such as ServerException",
        ),
        (in_image("pulled: [1d]"), 5, "`pulled` must be a text"),
        (in_image("pulled:"), 5, "`pulled` must be a text"),
        (in_image("? [1, 2]\n        : 3"), 5, "is not a key of an image"),
        (
            "repositories:\n- name: aa\n  images:\n  - tags: a b",
            4,
            "`tags` is 'a b', but must be a tag",
        ),
        ("throttling:\n  PutImage: {}\nrepositories: []", 2, "`PutImage` is not a key"),
        ("throttling:\n  StartImageScan: {rate: 5}\nrepositories: []", 2, "has no `burst`"),
        (
            "throttling:\n  StartImageScan: {rate: 0, burst: 1}\nrepositories: []",
            2,
            "must be a number above 0",
        ),
        (
            "throttling:\n  StartImageScan: {rate: 1, burst: 1, others: -1}\nrepositories: []",
            2,
            "must be a number above 0",
        ),
        ("repositories:\n  - {name: team/api", 2, "not YAML"),
        ("repositories:\n\t- x", 2, "not YAML"),
        ("repositories: *gone", 1, "not YAML: found undefined alias"),
        ("repositories: []\n---\nrepositories: []", 2, "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_what_is_accepted(
    text: str, line: int, words: str
) -> None:
    message = refusal(text)
    assert message.startswith(f"registry.yaml, line {line}: ")
    assert words in message


@pytest.mark.parametrize("text", ["", "# nothing\n", "\0", "[" * 1_000 + "]" * 1_000, "'\ud800'"])
def test_what_is_no_file_at_all_is_refused_by_name(text: str) -> None:
    assert refusal(text).startswith("registry.yaml")


def test_a_file_makes_no_more_images_than_a_machine_holds() -> None:
    text = "repositories: [{name: 'a{n}', count: 100000, images: [{count: 100000}]}]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local.registry.registry_file.MOST_IMAGES", 50)
        assert "more than 50 images in one file" in refusal(text)


KEYS = st.sampled_from([*REGISTRY_KEYS, *REPOSITORY_KEYS, *IMAGE_KEYS, "StartImageScan", "rate"])
WORDS = st.sampled_from(["10d", "never", "v{n}", "team/api", "3d..9d", "true", "2", "BASIC", "&a"])


def as_yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    return str(value)


@settings(deadline=None)
@given(
    st.recursive(
        WORDS | st.integers(-5, 5).map(str),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    ).map(as_yaml)
    | st.text(max_size=60)
)
def test_any_text_is_a_registry_or_one_clear_error(text: str) -> None:
    for whole in (text, f"repositories: [{{name: team/api, images: [{text}]}}]"):
        with suppress(RegistryFileError):
            read(whole)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RegistryFileError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(RegistryFileError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RegistryFileError, match="not a text file"):
        load(tmp_path / "binary.yaml")


# The files that are shipped


def shipped(name: str) -> SimulatedRegistry:
    return load(LOCAL / "demo" / "registries" / f"{name}.yaml", now=lambda: NOW)


def all_images(registry: SimulatedRegistry) -> list[Image]:
    return [image for it in registry.repositories.values() for image in it.images.values()]


def test_the_example_of_the_readme_is_a_registry() -> None:
    section = (LOCAL / "README.md").read_text("utf-8").partition("## The registry file")[2]
    (example,) = re.findall(r"```yaml\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    registry = read(example)
    assert len(registry.repositories) == 42


def test_the_readme_explains_every_key() -> None:
    section = (LOCAL / "README.md").read_text("utf-8").partition("## The registry file")[2]
    for key in (*REGISTRY_KEYS, *REPOSITORY_KEYS, *IMAGE_KEYS, *FAULT_KEYS, "others", *RESULTS):
        assert re.search(rf"\b{key}\b", section), key


def test_the_demo_holds_everything_that_a_run_can_meet() -> None:
    registry = shipped("demo")
    found = all_images(registry)
    assert len(registry.repositories) >= 8
    assert len(found) >= 120
    assert {"FAILED", "UNSUPPORTED_IMAGE", "COMPLETE"} <= {
        image.last_scan.result.status for image in found if image.last_scan
    }
    assert any(image.archived_at for image in found)
    assert any(image.subject_digest for image in found)
    assert any(tag.startswith("cache-") for image in found for tag in image.tags)
    assert any(image.vanishes for image in found)
    assert any(repository.vanishes for repository in registry.repositories.values())
    assert registry.settings.throttling["StartImageScan"].rate >= 10


def start_everything(registry: SimulatedRegistry, repository: str) -> Counter[str]:
    """Try to scan every listed image, and count the answers."""
    answers: Counter[str] = Counter()
    listed = registry.call("DescribeImages", {"repositoryName": repository, "maxResults": 1000})
    for detail in listed["imageDetails"]:
        request = {
            "repositoryName": repository,
            "imageId": {"imageDigest": detail["imageDigest"]},
        }
        try:
            registry.call("StartImageScan", request)
            answers["started"] += 1
        except EcrError as error:
            answers[error.code] += 1
    return answers


def test_the_demos_scans_are_refused_for_every_reason() -> None:
    clock = [NOW]
    registry = load(LOCAL / "demo" / "registries" / "demo.yaml", now=lambda: clock[0])
    answers: Counter[str] = Counter()
    for name in sorted(registry.repositories):
        clock[0] += timedelta(minutes=1)
        if name == "payments/prototype":
            with pytest.raises(EcrError):
                start_everything(registry, name)
        else:
            answers += start_everything(registry, name)
    assert set(answers) == {
        "started",
        "LimitExceededException",
        "UnsupportedImageTypeException",
        "ImageNotFoundException",
        "KmsException",
        "ThrottlingException",
    }
    again = start_everything(registry, "payments/ledger")
    assert again == {"started": 1, "LimitExceededException": 7}


def test_the_filter_of_nothing_matches_no_repository() -> None:
    path = LOCAL / "demo" / "registries" / "nothing.yaml"
    asked = of_registry_file(path.read_text("utf-8"), name="nothing.yaml")["RepositoryFilter"]
    names = shipped("nothing").repositories
    assert names
    assert not any(re.match(asked, name) for name in names)


def test_the_fleet_is_large_and_mixed() -> None:
    registry = shipped("fleet")
    assert len(registry.repositories) == 300
    assert 2000 <= len(all_images(registry)) <= 5000
