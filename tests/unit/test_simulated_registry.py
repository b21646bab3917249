"""Every rule of ECR that the simulated registry keeps."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel, Shape
from hypothesis import given, settings
from hypothesis import strategies as st

from local.registry.ecr_errors import EcrError
from local.registry.registry_contents import (
    IMAGE_INDEX,
    Image,
    RegistrySettings,
    Repository,
    Scan,
    ScanResult,
    Throttle,
    digest_of,
)
from local.registry.registry_file import parse
from local.registry.simulated_registry import SimulatedRegistry
from local.registry.token_bucket import TokenBucket
from tests.support.events import sample

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
MULTI = "repositories: [{name: team/multi, images: [{tags: [v1, v0], kind: index, platforms: 3}]}]"
PER_IMAGE = "The scan quota per image has been exceeded. Wait and try again."


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)


@cache
def ecr() -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model("ecr", "service-2"), "ecr")


class Bench:
    """A registry made from a few lines of its file, whose answers are held against AWS's model."""

    def __init__(self, repositories: str, top: str = "") -> None:
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        self.registry = parse(f"{top}\nrepositories:\n{repositories}", now=self.clock)
        self.registry.on_event = self.events.append

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        answer = self.registry.call(operation, request)
        output = ecr().operation_model(operation).output_shape
        assert output is not None
        assert_fits(output, answer, operation)
        return answer

    def refusal(self, operation: str, **request: Any) -> EcrError:
        with pytest.raises(EcrError) as refused:
            self.call(operation, **request)
        error = refused.value
        model = ecr().operation_model(operation)
        assert error.code in {shape.name for shape in model.error_shapes}
        return error

    def start(self, tag: str, repository: str = "team/api") -> str:
        answer = self.call("StartImageScan", repositoryName=repository, imageId={"imageTag": tag})
        return str(answer["imageScanStatus"]["status"])

    def findings(self, tag: str, **request: Any) -> dict[str, Any]:
        return self.call(
            "DescribeImageScanFindings",
            repositoryName="team/api",
            imageId={"imageTag": tag},
            **request,
        )

    def tags(self, **request: Any) -> set[str]:
        details = self.call("DescribeImages", repositoryName="team/api", **request)["imageDetails"]
        return {tag for detail in details for tag in detail.get("imageTags", ["untagged"])}


def assert_fits(shape: Shape, value: Any, where: str) -> None:
    """Hold a value against botocore's model of it: members, types and enumerations."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "structure": dict,
        "map": dict,
        "list": list,
        "string": str,
        "integer": int,
        "long": int,
        "double": float,
        "boolean": bool,
        "timestamp": datetime,
    }
    assert isinstance(value, kinds[shape.type_name]), where
    match shape.type_name:
        case "structure":
            members: Mapping[str, Shape] = shape.members
            for member, item in value.items():
                assert member in members, f"{where}.{member} is not a member of {shape.name}"
                assert_fits(members[member], item, f"{where}.{member}")
        case "list":
            for item in value:
                assert_fits(shape.member, item, where)
        case "map":
            for key, item in value.items():
                assert_fits(shape.key, key, where)
                assert_fits(shape.value, item, where)
        case "string":
            assert value in (getattr(shape, "enum", None) or [value]), where
        case "timestamp":
            assert value.tzinfo is not None, where


def api(images: str, **members: str) -> str:
    lines = [f"  {name}: {value}" for name, value in members.items()]
    return "\n".join(["- name: team/api", *lines, f"  images: [{images}]"])


# Listing


@settings(deadline=None)
@given(count=st.integers(0, 60), size=st.integers(1, 80))
def test_pages_hold_every_repository_once(count: int, size: int) -> None:
    registry = SimulatedRegistry(Repository(f"team/{n}", START) for n in range(count))
    names = []
    request: dict[str, Any] = {"maxResults": size}
    while True:
        answer = registry.call("DescribeRepositories", request)
        assert len(answer["repositories"]) <= size
        names += [repository["repositoryName"] for repository in answer["repositories"]]
        if "nextToken" not in answer:
            break
        request["nextToken"] = answer["nextToken"]
    assert sorted(names) == sorted(f"team/{n}" for n in range(count))


@settings(deadline=None)
@given(st.data())
def test_pages_hold_every_image_once_while_others_are_deleted(data: st.DataObject) -> None:
    digests = [digest_of("team/api", str(n)) for n in range(data.draw(st.integers(0, 60)))]
    images = {digest: Image(digest, START) for digest in digests}
    registry = SimulatedRegistry([Repository("team/api", START, images)])
    deleted: set[str] = set()
    seen: list[str] = []
    request: dict[str, Any] = {"repositoryName": "team/api"}
    while True:
        request["maxResults"] = data.draw(st.integers(1, 20))
        answer = registry.call("DescribeImages", request)
        seen += [image["imageDigest"] for image in answer["imageDetails"]]
        if "nextToken" not in answer:
            break
        request["nextToken"] = answer["nextToken"]
        digest = data.draw(st.sampled_from(sorted(images)))
        del images[digest]
        deleted.add(digest)
    assert len(seen) == len(set(seen))
    assert set(digests) - deleted <= set(seen)


def test_a_page_holds_a_hundred_unless_asked_otherwise() -> None:
    bench = Bench("- {name: 'team/{n}', count: 101, images: [{count: 101}]}")
    assert len(bench.call("DescribeRepositories")["repositories"]) == 100
    images = bench.call("DescribeImages", repositoryName="team/1")["imageDetails"]
    assert len(images) == 100


@pytest.mark.parametrize("size", [0, 1001])
@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("DescribeRepositories", {}),
        ("DescribeImages", {"repositoryName": "team/api"}),
        (
            "DescribeImageScanFindings",
            {"repositoryName": "team/api", "imageId": {"imageTag": "old"}},
        ),
    ],
)
def test_a_page_size_out_of_bounds_is_refused(
    size: int, operation: str, request_: dict[str, Any]
) -> None:
    refusal = Bench(api("{tags: old, scanned: 10d}")).refusal(
        operation, maxResults=size, **request_
    )
    assert refusal.code == "InvalidParameterException"
    assert "maxResults" in refusal.message


@given(st.one_of(st.text(), st.binary().map(repr), st.just("WzFd"), st.just("bnVsbA==")))
def test_an_invented_page_token_is_refused(token: str) -> None:
    registry = SimulatedRegistry([Repository("team/api", START)])
    with pytest.raises(EcrError) as refused:
        registry.call("DescribeImages", {"repositoryName": "team/api", "nextToken": token})
    assert refused.value.code == "InvalidParameterException"


def test_a_page_token_of_another_listing_is_refused() -> None:
    bench = Bench("- {name: 'team/{n}', count: 2, images: [{count: 2}]}")
    token = bench.call("DescribeImages", repositoryName="team/1", maxResults=1)["nextToken"]
    refusal = bench.refusal("DescribeImages", repositoryName="team/2", nextToken=token)
    assert refusal.code == "InvalidParameterException"


def pages(bench: Bench, operation: str, **request: Any) -> list[dict[str, Any]]:
    """Turn all pages of a listing."""
    found = [bench.call(operation, maxResults=1000, **request)]
    while token := found[-1].get("nextToken"):
        found.append(bench.call(operation, maxResults=1000, nextToken=token, **request))
    return found


def test_a_page_may_be_smaller_than_asked() -> None:
    bench = Bench("- {name: 'team/{n}', count: 5, images: [{count: 3}]}", top="page_size: 2")
    listed = pages(bench, "DescribeRepositories")
    assert [len(page["repositories"]) for page in listed] == [2, 2, 1]
    listed = pages(bench, "DescribeImages", repositoryName="team/1")
    assert [len(page["imageDetails"]) for page in listed] == [2, 1]


def test_a_listing_may_shift_by_one_image_from_page_to_page() -> None:
    bench = Bench("- {name: team/api, shifts: true, images: [{count: 6}]}", top="page_size: 3")
    listed = pages(bench, "DescribeImages", repositoryName="team/api")
    digests = [[image["imageDigest"] for image in page["imageDetails"]] for page in listed]
    assert [len(page) for page in digests] == [3, 3, 2]
    assert [page[-1] for page in digests[:-1]] == [page[0] for page in digests[1:]]
    assert len({digest for page in digests for digest in page}) == 6


def test_pages_of_one_image_do_not_shift() -> None:
    bench = Bench("- {name: team/api, shifts: true, images: [{count: 2}]}", top="page_size: 1")
    assert len(pages(bench, "DescribeImages", repositoryName="team/api")) == 2


def test_repositories_are_found_by_name_in_the_order_asked() -> None:
    bench = Bench("- {name: 'team/{n}', count: 3}")
    found = bench.call("DescribeRepositories", repositoryNames=["team/3", "team/1"])
    assert [it["repositoryName"] for it in found["repositories"]] == ["team/3", "team/1"]
    assert found["repositories"][0]["repositoryUri"].endswith(".amazonaws.com/team/3")


def test_a_repository_that_is_not_there_is_named() -> None:
    bench = Bench("- {name: team/api}")
    refusal = bench.refusal("DescribeRepositories", repositoryNames=["team/api", "team/none"])
    assert refusal.code == "RepositoryNotFoundException"
    assert refusal.message == (
        "The repository with name 'team/none' does not exist in the registry with id '123456789012'"
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"repositoryNames": ["team/api"], "nextToken": "any"},
        {"repositoryNames": ["team/api"], "maxResults": 10},
        {"repositoryNames": ["team/api"] * 101},
    ],
)
def test_names_are_few_and_come_without_pages(request_: dict[str, Any]) -> None:
    refusal = Bench("- {name: team/api}").refusal("DescribeRepositories", **request_)
    assert refusal.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("region", "partition", "host"),
    [
        ("eu-central-1", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
    ],
)
def test_arns_and_addresses_are_those_of_the_partition(
    region: str, partition: str, host: str
) -> None:
    bench = Bench("- {name: team/api}", top=f"region: {region}")
    (found,) = bench.call("DescribeRepositories")["repositories"]
    assert (
        found["repositoryArn"] == f"arn:{partition}:ecr:{region}:123456789012:repository/team/api"
    )
    assert found["repositoryUri"] == f"123456789012.dkr.ecr.{region}.{host}/team/api"


def test_only_active_images_are_listed_unless_asked_otherwise() -> None:
    bench = Bench(api("{tags: active}, {tags: archived, archived: 5d}"))
    assert bench.tags() == {"active"}
    assert bench.tags(filter={"imageStatus": "ARCHIVED"}) == {"archived"}
    assert bench.tags(filter={"imageStatus": "ANY"}) == {"active", "archived"}


def test_images_are_filtered_by_having_tags() -> None:
    bench = Bench(api("{tags: [one, two]}, {}"))
    assert bench.tags(filter={"tagStatus": "TAGGED"}) == {"one", "two"}
    assert bench.tags(filter={"tagStatus": "UNTAGGED"}) == {"untagged"}
    assert bench.tags(filter={"tagStatus": "ANY"}) == {"one", "two", "untagged"}


def test_images_are_found_by_tag_and_by_digest() -> None:
    bench = Bench(api("{tags: one}, {tags: two}"))
    digest = digest_of("team/api", "two")
    assert bench.tags(imageIds=[{"imageTag": "one"}, {"imageDigest": digest}]) == {"one", "two"}
    for wrong in ({"imageTag": "none"}, {"imageDigest": digest, "imageTag": "one"}):
        refusal = bench.refusal("DescribeImages", repositoryName="team/api", imageIds=[wrong])
        assert refusal.code == "ImageNotFoundException"
    for unusable in ([{"imageTag": "one"}] * 101, [{}]):
        refusal = bench.refusal("DescribeImages", repositoryName="team/api", imageIds=unusable)
        assert refusal.code == "InvalidParameterException"


def test_the_listing_says_nothing_of_scans_as_under_todays_basic_scanning() -> None:
    bench = Bench(api("{tags: old, scanned: 10d, pulled: 2h}"))
    (image,) = bench.call("DescribeImages", repositoryName="team/api")["imageDetails"]
    assert image["lastRecordedPullTime"] == START - timedelta(hours=2)
    assert "imageScanStatus" not in image
    assert "imageScanFindingsSummary" not in image


def test_the_listing_hints_at_scans_when_the_file_says_so() -> None:
    bench = Bench(
        api(
            "{tags: old, scanned: 10d, findings: {high: 2}},"
            "{tags: bad, scanned: 2d, result: failed}"
        ),
        top="scan_hints: true",
    )
    details = bench.call("DescribeImages", repositoryName="team/api")["imageDetails"]
    old, bad = sorted(details, key=lambda image: image["imageTags"], reverse=True)
    assert old["imageScanFindingsSummary"]["findingSeverityCounts"] == {"HIGH": 2}
    assert bad["imageScanStatus"]["status"] == "FAILED"
    assert "imageScanFindingsSummary" not in bad


# Findings


def test_an_image_never_scanned_has_no_scan() -> None:
    bench = Bench(api("{tags: new}"))
    refusal = bench.refusal(
        "DescribeImageScanFindings", repositoryName="team/api", imageId={"imageTag": "new"}
    )
    assert refusal.code == "ScanNotFoundException"
    assert "imageTag:'new'" in refusal.message


def test_the_last_scan_tells_when_it_ended_and_what_it_found() -> None:
    findings = "{critical: 1, cves: [{name: CVE-1, severity: low, package: zlib, version: 1.10}]}"
    found = Bench(api(f"{{tags: old, scanned: 10d, findings: {findings}}}")).findings("old")
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["imageScanCompletedAt"] == START - timedelta(days=10)
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1, "LOW": 1}
    named = found["imageScanFindings"]["findings"][0]
    assert named["name"] == "CVE-1"
    assert {"key": "package_version", "value": "1.10"} in named["attributes"]


def test_pages_hold_every_finding_once() -> None:
    bench = Bench(api("{tags: old, scanned: 10d, findings: {high: 130, low: 120}}"))
    names: list[str] = []
    request: dict[str, Any] = {}
    while True:
        answer = bench.findings("old", **request)
        assert answer["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 130, "LOW": 120}
        names += [finding["name"] for finding in answer["imageScanFindings"]["findings"]]
        if "nextToken" not in answer:
            break
        request = {"nextToken": answer["nextToken"], "maxResults": 70}
    assert len(names) == len(set(names)) == 250


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("failed", "FAILED"),
        ("unsupported", "UNSUPPORTED_IMAGE"),
        ("too_large", "IMAGE_SIZE_EXCEEDED"),
        ("pending", "PENDING"),
    ],
)
def test_a_scan_without_result_has_a_reason_and_no_findings(result: str, status: str) -> None:
    found = Bench(api(f"{{tags: bad, scanned: 10d, result: {result}, reason: Because.}}")).findings(
        "bad"
    )
    assert found["imageScanStatus"] == {"status": status, "description": "Because."}
    assert "imageScanFindings" not in found


# Starting scans


def test_a_scan_runs_for_its_time_and_then_shows_what_it_found() -> None:
    bench = Bench(api("{tags: new, findings: {high: 3}}"), top="scan_duration: 60s")
    assert bench.start("new") == "IN_PROGRESS"
    bench.clock.advance(seconds=59)
    assert bench.findings("new")["imageScanStatus"] == {"status": "IN_PROGRESS"}
    assert bench.registry.scans_under_way == 1
    bench.clock.advance(seconds=1)
    found = bench.findings("new")
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 3}
    assert bench.registry.scans_under_way == 0


def test_a_scan_may_never_end() -> None:
    bench = Bench(api("{tags: stuck, scanned: 30d, result: pending}"))
    assert bench.start("stuck") == "IN_PROGRESS"
    bench.clock.advance(days=1000)
    pending = {"status": "PENDING", "description": "Pending start of the image scan."}
    assert bench.findings("stuck")["imageScanStatus"] == pending
    assert (bench.events, bench.registry.scans_under_way) == ([], 0)


@pytest.mark.parametrize(("part", "hours"), [("start", 24), ("end", 25)])
def test_the_24_hours_count_from_the_start_of_a_scan_or_from_its_end(part: str, hours: int) -> None:
    top = f"scan_duration: 1h\nscan_limit_from: {part}"
    bench = Bench(api("{tags: new}"), top=top)
    bench.start("new")
    for minutes in (30, 60 * hours - 31):  # while it runs, and a minute too early
        bench.clock.advance(minutes=minutes)
        image = {"repositoryName": "team/api", "imageId": {"imageTag": "new"}}
        assert bench.refusal("StartImageScan", **image).message == PER_IMAGE
    bench.clock.advance(minutes=1)
    bench.start("new")


@pytest.mark.parametrize("part", ["start", "end"])
def test_a_scan_that_never_ends_prevents_another_one_for_24_hours(part: str) -> None:
    top = f"scan_limit_from: {part}"
    bench = Bench(api("{tags: stuck, scanned: 23h, result: pending}"), top=top)
    image = {"repositoryName": "team/api", "imageId": {"imageTag": "stuck"}}
    assert bench.refusal("StartImageScan", **image).message == PER_IMAGE
    bench.clock.advance(hours=1)
    bench.start("stuck")


def scanned(ago: timedelta) -> SimulatedRegistry:
    at = START - ago
    image = Image(digest_of("team/api", "any"), at, ("any",), last_scan=Scan(at, at, ScanResult()))
    repository = Repository("team/api", at, {image.digest: image})
    return SimulatedRegistry([repository], now=lambda: START)


@given(st.timedeltas(timedelta(0), 2 * DAY))
def test_an_image_is_scanned_again_after_24_hours_and_no_sooner(ago: timedelta) -> None:
    registry = scanned(ago)
    request = {"repositoryName": "team/api", "imageId": {"imageTag": "any"}}
    if ago >= DAY:
        registry.call("StartImageScan", request)
        assert registry.started.total() == 1
    else:
        with pytest.raises(EcrError, match=PER_IMAGE) as refused:
            registry.call("StartImageScan", request)
        assert refused.value.code == "LimitExceededException"


@pytest.mark.parametrize("short", [timedelta(microseconds=1), timedelta(0)])
def test_the_24_hours_end_on_the_microsecond(short: timedelta) -> None:
    registry = scanned(DAY - short)
    request = {"repositoryName": "team/api", "imageId": {"imageTag": "any"}}
    if short:
        with pytest.raises(EcrError, match=PER_IMAGE):
            registry.call("StartImageScan", request)
    else:
        registry.call("StartImageScan", request)


def test_a_failed_scan_counts_as_a_scan_though_it_has_no_date() -> None:
    bench = Bench(api("{tags: bad, scanned: 3h, last_result: failed}"))
    assert "imageScanFindings" not in bench.findings("bad")
    refusal = bench.refusal(
        "StartImageScan", repositoryName="team/api", imageId={"imageTag": "bad"}
    )
    assert (refusal.code, refusal.message) == ("LimitExceededException", PER_IMAGE)


def test_the_registrys_quota_holds_over_any_24_hours() -> None:
    images = "{tags: 'new-{n}', count: 3}, {tags: pushed, scanned: 23h}"
    bench = Bench(api(images), top="scans_per_day: 2")
    bench.start("new-1")
    refusal = bench.refusal(
        "StartImageScan", repositoryName="team/api", imageId={"imageTag": "new-2"}
    )
    assert refusal.code == "LimitExceededException"
    assert refusal.message != PER_IMAGE
    bench.clock.advance(hours=1)
    bench.start("new-2")
    refusal = bench.refusal(
        "StartImageScan", repositoryName="team/api", imageId={"imageTag": "new-3"}
    )
    assert refusal.message != PER_IMAGE


@pytest.mark.parametrize(
    ("image", "code", "words"),
    [
        (
            "kind: index",
            "UnsupportedImageTypeException",
            "An artifact with media type 'application/vnd.oci.image.index.v1+json' "
            "cannot be scanned. For more information, see the Amazon ECR documentation.",
        ),
        ("kind: helm", "UnsupportedImageTypeException", "application/vnd.cncf.helm.config.v1+json"),
        ("archived: 5d", "ImageArchivedException", "archived and cannot be scanned"),
        ("vanishes: true", "ImageNotFoundException", "does not exist within the repository"),
    ],
)
def test_what_cannot_be_scanned_is_refused(image: str, code: str, words: str) -> None:
    bench = Bench(api(f"{{tags: any, {image}}}"))
    refusal = bench.refusal(
        "StartImageScan", repositoryName="team/api", imageId={"imageTag": "any"}
    )
    assert refusal.code == code
    assert words in refusal.message
    assert not bench.registry.started


def test_an_attestation_is_refused_and_its_image_scanned() -> None:
    bench = Bench(api("{tags: any, attested: true}"))
    details = bench.call("DescribeImages", repositoryName="team/api")["imageDetails"]
    (referrer,) = (image for image in details if "subjectManifestDigest" in image)
    assert referrer["subjectManifestDigest"] == digest_of("team/api", "any")
    refusal = bench.refusal(
        "StartImageScan",
        repositoryName="team/api",
        imageId={"imageDigest": referrer["imageDigest"]},
    )
    assert refusal.code == "UnsupportedImageTypeException"
    assert bench.start("any") == "IN_PROGRESS"


def test_docker_images_and_the_platforms_of_an_index_are_scanned() -> None:
    bench = Bench(api("{tags: docker, kind: docker}, {kind: index, platforms: 2}"))
    for image in bench.call("DescribeImages", repositoryName="team/api")["imageDetails"]:
        if image["imageManifestMediaType"].endswith("index.v1+json"):
            continue
        bench.call(
            "StartImageScan",
            repositoryName="team/api",
            imageId={"imageDigest": image["imageDigest"]},
        )
    assert bench.registry.started.total() == 3


def test_an_image_vanishes_between_listing_and_scan() -> None:
    bench = Bench(api("{tags: gone, vanishes: true}, {tags: there}"))
    assert bench.tags() == {"gone", "there"}
    bench.refusal("StartImageScan", repositoryName="team/api", imageId={"imageTag": "gone"})
    assert bench.tags() == {"there"}


def test_a_repository_vanishes_between_listing_and_opening() -> None:
    bench = Bench("- {name: team/gone, vanishes: true}")
    assert len(bench.call("DescribeRepositories")["repositories"]) == 1
    refusal = bench.refusal("DescribeImages", repositoryName="team/gone")
    assert refusal.code == "RepositoryNotFoundException"
    assert bench.call("DescribeRepositories")["repositories"] == []


def test_an_enhanced_registry_says_so_and_starts_nothing() -> None:
    bench = Bench(api("{tags: any, scanned: 10d}"), top="scanning: ENHANCED")
    configuration = bench.call("GetRegistryScanningConfiguration")["scanningConfiguration"]
    assert configuration["scanType"] == "ENHANCED"
    any_image = {"repositoryName": "team/api", "imageId": {"imageTag": "any"}}
    refusal = bench.refusal("StartImageScan", **any_image)
    assert (refusal.code, refusal.message) == ("ValidationException", "This feature is disabled")
    refusal = bench.refusal("DescribeImageScanFindings", **any_image)
    assert refusal.code == "ScanNotFoundException"


ENHANCED = "scanning: ENHANCED"
TWO_PACKAGES = """
  {cves: [{name: CVE-1, severity: high, package: libssl3, version: "3.0", fixed_in: "3.1"},
          {name: CVE-1, severity: high, package: openssl, version: "3.0"},
          {name: CVE-2, severity: low, package: zlib, version: "1.2"}]}
"""


def test_shows_what_inspector_found_one_finding_per_vulnerability() -> None:
    image = f"{{tags: v1, inspector: active, scanned: 2d, findings: {TWO_PACKAGES}}}"
    bench = Bench(api(image), top=ENHANCED)
    found = bench.findings("v1")
    assert found["imageScanStatus"]["status"] == "ACTIVE"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1, "LOW": 1}
    assert found["imageScanFindings"]["imageScanCompletedAt"] == START - 2 * DAY
    first, _ = found["imageScanFindings"]["enhancedFindings"]
    assert first["title"] == "CVE-1 - libssl3, openssl"
    assert (first["status"], first["severity"], first["fixAvailable"]) == (
        "ACTIVE",
        "HIGH",
        "PARTIAL",
    )
    packages = first["packageVulnerabilityDetails"]["vulnerablePackages"]
    assert [(each["name"], each["fixedInVersion"]) for each in packages] == [
        ("libssl3", "3.1"),
        ("openssl", "NotAvailable"),
    ]


def test_lists_enhanced_findings_in_pages() -> None:
    image = "{tags: v1, inspector: active, scanned: 2d, findings: {low: 5}}"
    bench = Bench(api(image), top=ENHANCED)
    names = list[str]()
    request: dict[str, Any] = {"maxResults": 2}
    while True:
        found = bench.findings("v1", **request)
        names += [each["title"] for each in found["imageScanFindings"]["enhancedFindings"]]
        if "nextToken" not in found:
            break
        request["nextToken"] = found["nextToken"]
    assert len(set(names)) == len(names) == 5


def test_an_enhanced_scan_without_findings_has_an_empty_list_of_basic_ones() -> None:
    """As in the field: https://github.com/aws/aws-cli/issues/6759."""
    bench = Bench(api("{tags: v1, inspector: active, scanned: 2d}"), top=ENHANCED)
    found = bench.findings("v1")["imageScanFindings"]
    assert found["findings"] == []
    assert "enhancedFindings" not in found


def test_inspector_sends_an_event_per_finding_that_appears_or_is_closed() -> None:
    image = "{tags: v1, inspector: active, scanned: 2d, last_findings: {high: 2}, findings: %s}"
    bench = Bench(api(image % "{high: 1, low: 3}"), top=ENHANCED)
    assert bench.registry.inspect() == 4
    statuses = [event["detail"]["status"] for event in bench.events]
    assert sorted(statuses) == ["ACTIVE", "ACTIVE", "ACTIVE", "CLOSED"]
    assert {event["detail-type"] for event in bench.events} == {"Inspector2 Finding"}
    counts = bench.findings("v1")["imageScanFindings"]["findingSeverityCounts"]
    assert counts == {"HIGH": 1, "LOW": 3}
    assert bench.registry.inspect() == 0


def test_the_first_scan_of_inspector_has_an_event_of_its_own() -> None:
    bench = Bench(api("{tags: v1, inspector: active, findings: {high: 1, low: 2}}"), top=ENHANCED)
    assert bench.registry.inspect() == 4
    first, *others = bench.events
    assert first["detail-type"] == "Inspector2 Scan"
    assert first["detail"]["finding-severity-counts"] == {
        "CRITICAL": 0,
        "HIGH": 1,
        "MEDIUM": 0,
        "TOTAL": 3,
    }
    assert first["detail"]["repository-name"].endswith(":repository/team/api")
    assert len(others) == 3


def test_inspector_closes_the_findings_of_an_image_that_it_no_longer_monitors() -> None:
    image = "{tags: v1, inspector: expires, scanned: 20d, findings: {high: 2}}"
    bench = Bench(api(image), top=ENHANCED)
    assert bench.findings("v1")["imageScanStatus"]["status"] == "ACTIVE"
    assert bench.registry.inspect() == 2
    assert [event["detail"]["status"] for event in bench.events] == ["CLOSED", "CLOSED"]
    found = bench.findings("v1")
    assert found["imageScanStatus"]["status"] == "SCAN_ELIGIBILITY_EXPIRED"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {}
    assert bench.registry.inspect() == 0


def test_inspector_reopens_the_findings_of_an_image_that_it_monitors_again() -> None:
    image = "{tags: v1, inspector: returns, scanned: 20d, findings: {high: 2}}"
    bench = Bench(api(image), top=ENHANCED)
    assert bench.findings("v1")["imageScanStatus"]["status"] == "SCAN_ELIGIBILITY_EXPIRED"
    assert bench.registry.inspect() == 2
    assert [event["detail"]["status"] for event in bench.events] == ["ACTIVE", "ACTIVE"]
    assert bench.findings("v1")["imageScanStatus"]["status"] == "ACTIVE"


def test_inspector_looks_at_its_own_images_alone() -> None:
    bench = Bench(api("{tags: v1, scanned: 2d, findings: {high: 1}}"))
    assert (bench.registry.inspect(), bench.events) == (0, [])


def test_an_event_of_a_finding_is_like_the_sample() -> None:
    """The sample is made after AWS's documentation; members that nothing reads are left out."""
    bench = Bench(api("{tags: v1, inspector: active, findings: {high: 1}}"), top=ENHANCED)
    bench.registry.inspect()
    event, documented = bench.events[-1], sample("inspector2_finding")
    assert event.keys() == documented.keys()
    assert event["detail"].keys() >= documented["detail"].keys()
    (resource,), (known,) = event["detail"]["resources"], documented["detail"]["resources"]
    assert resource.keys() >= known.keys() - {"partition", "region"}
    container, image = (each["details"]["awsEcrContainerImage"] for each in (resource, known))
    assert container.keys() == image.keys()
    assert container["pushedAt"] == "Jan 30, 2026, 12:00:00 PM"
    assert event["resources"] == [resource["id"]]


def test_a_basic_registry_says_so() -> None:
    configuration = Bench("- {name: team/api}").call("GetRegistryScanningConfiguration")
    assert configuration["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}


def test_basic_scanning_is_that_of_aws() -> None:
    setting = Bench("- {name: team/api}").call("GetAccountSetting", name="BASIC_SCAN_TYPE_VERSION")
    assert setting == {"name": "BASIC_SCAN_TYPE_VERSION", "value": "AWS_NATIVE"}
    with pytest.raises(EcrError, match="only BASIC_SCAN_TYPE_VERSION is simulated"):
        SimulatedRegistry().call("GetAccountSetting", {"name": "REGISTRY_POLICY_SCOPE"})


def test_an_operation_that_is_not_simulated_is_named_with_those_that_are() -> None:
    with pytest.raises(EcrError, match=r"not support PutImage\. It supports .*StartImageScan"):
        SimulatedRegistry().call("PutImage", {})


def test_two_threads_start_an_image_once() -> None:
    bench = Bench(api("{tags: any}"))

    def start(_: int) -> str:
        try:
            return bench.start("any")
        except EcrError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(start, range(40)))
    assert answers.count("IN_PROGRESS") == 1
    assert answers.count("LimitExceededException") == 39
    assert bench.registry.started == {("team/api", digest_of("team/api", "any")): 1}


# Events


def test_the_end_of_a_scan_is_an_event_as_eventbridge_puts_it() -> None:
    bench = Bench(api("{tags: [v1, latest], findings: {critical: 10, medium: 9}}"))
    bench.start("v1")
    bench.registry.settle()
    assert bench.events == []
    bench.clock.advance(seconds=5)
    bench.registry.settle()
    bench.registry.settle()
    (event,) = bench.events
    assert event.pop("id")
    assert json.loads(json.dumps(event)) == {
        "version": "0",
        "detail-type": "ECR Image Scan",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2026-03-01T12:00:05Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:ecr:eu-central-1:123456789012:repository/team/api"],
        "detail": {
            "scan-status": "COMPLETE",
            "repository-name": "team/api",
            "finding-severity-counts": {"CRITICAL": 10, "MEDIUM": 9},
            "image-digest": digest_of("team/api", "v1"),
            "image-tags": ["v1", "latest"],
        },
    }


@pytest.mark.parametrize(
    ("image", "status"),
    [
        ("", "COMPLETE"),
        (", result: failed, findings: {high: 1}", "FAILED"),
        (", result: unsupported", "UNSUPPORTED_IMAGE"),
    ],
)
def test_an_event_without_findings_has_no_counts(image: str, status: str) -> None:
    bench = Bench(api(f"{{tags: any{image}}}"))
    bench.start("any")
    bench.clock.advance(seconds=5)
    bench.call("DescribeRepositories")
    (event,) = bench.events
    assert event["detail"]["scan-status"] == status
    assert "finding-severity-counts" not in event["detail"]


def test_whoever_receives_an_event_may_call_the_registry() -> None:
    bench = Bench(api("{tags: any}"))
    statuses: list[str] = []
    bench.registry.on_event = lambda _: statuses.append(
        bench.findings("any")["imageScanStatus"]["status"]
    )
    bench.start("any")
    bench.clock.advance(seconds=5)
    bench.registry.settle()
    assert statuses == ["COMPLETE"]


def test_events_come_in_the_order_in_which_scans_were_started() -> None:
    bench = Bench(api("{tags: 'any-{n}', count: 5}"))
    for n in (3, 1, 5, 2, 4):
        bench.start(f"any-{n}")
    bench.clock.advance(seconds=5)
    bench.registry.settle()
    tags = [event["detail"]["image-tags"][0] for event in bench.events]
    assert tags == ["any-3", "any-1", "any-5", "any-2", "any-4"]


# Trouble


def test_calls_above_the_rate_are_throttled_and_counted() -> None:
    bench = Bench(
        "- {name: team/api}", top="throttling: {DescribeRepositories: {rate: 2, burst: 3}}"
    )
    for _ in range(3):
        bench.call("DescribeRepositories")
    with pytest.raises(EcrError) as refused:
        bench.call("DescribeRepositories")
    assert str(refused.value) == "ThrottlingException: Rate exceeded"
    bench.clock.advance(seconds=0.5)
    bench.call("DescribeRepositories")
    bench.call("GetRegistryScanningConfiguration")
    assert bench.registry.calls["DescribeRepositories"] == 5
    assert bench.registry.throttled == {"DescribeRepositories": 1}


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    waits=st.lists(st.floats(0, 5), max_size=100),
)
def test_a_bucket_gives_its_burst_and_never_more_than_its_rate(
    rate: float, burst: int, waits: list[float]
) -> None:
    bucket = TokenBucket(Throttle(rate, burst), START)
    now, given_out = START, 0
    for position, wait in enumerate(waits):
        now += timedelta(seconds=wait)
        taken = bucket.take(now)
        given_out += taken
        assert taken or position >= burst
        assert given_out <= burst + (now - START).total_seconds() * rate + 1e-6
        assert taken or given_out > 0


def test_other_callers_take_a_part_of_the_rate() -> None:
    limit = "{rate: 4, burst: 2, others: 3}"
    bench = Bench("- {name: team/api}", top=f"throttling: {{DescribeRepositories: {limit}}}")
    for _ in range(2):
        bench.call("DescribeRepositories")
    bench.clock.advance(seconds=0.9)
    with pytest.raises(EcrError, match="Rate exceeded"):
        bench.call("DescribeRepositories")
    bench.clock.advance(seconds=0.1)
    bench.call("DescribeRepositories")


def test_other_callers_may_take_all() -> None:
    bucket = TokenBucket(Throttle(2, 3, others=5), START)
    assert bucket.take(START)
    assert not bucket.take(START + timedelta(seconds=1))
    assert not bucket.take(START + timedelta(days=1))


def test_a_bucket_is_not_filled_by_a_clock_that_goes_back() -> None:
    bucket = TokenBucket(Throttle(1, 1), START)
    assert bucket.take(START)
    assert not bucket.take(START - timedelta(hours=1))
    assert not bucket.take(START)
    assert bucket.take(START + timedelta(seconds=1))


def test_a_fault_answers_as_often_as_scripted() -> None:
    fault = "{operation: DescribeImages, error: ServerException, message: Try later, times: 2}"
    bench = Bench(f"- {{name: team/api, faults: [{fault}]}}\n- {{name: team/web}}")
    for _ in range(2):
        refusal = bench.refusal("DescribeImages", repositoryName="team/api")
        assert (refusal.code, refusal.message, refusal.status) == (
            "ServerException",
            "Try later",
            500,
        )
        bench.call("DescribeImages", repositoryName="team/web")
    bench.call("DescribeImages", repositoryName="team/api")


def test_a_fault_of_later_pages_leaves_the_first_one_alone() -> None:
    fault = (
        "{operation: DescribeImages, error: InvalidParameterException, times: 1, later_pages: true}"
    )
    bench = Bench(f"- {{name: team/api, images: [{{count: 2}}], faults: [{fault}]}}")
    for _ in range(2):
        token = bench.call("DescribeImages", repositoryName="team/api", maxResults=1)["nextToken"]
    late = {"repositoryName": "team/api", "nextToken": token}
    assert bench.refusal("DescribeImages", **late).code == "InvalidParameterException"
    bench.call("DescribeImages", **late)


def test_a_fault_of_one_image_leaves_the_others_alone() -> None:
    fault = "{operation: StartImageScan, error: InvalidParameterException}"
    bench = Bench(api(f"{{tags: bad, faults: [{fault}]}}, {{tags: good}}"))
    for _ in range(3):
        refusal = bench.refusal(
            "StartImageScan", repositoryName="team/api", imageId={"imageTag": "bad"}
        )
        assert refusal.code == "InvalidParameterException"
    bench.start("good")


def test_a_fault_of_the_registry_meets_every_repository() -> None:
    bench = Bench(
        "- {name: 'team/{n}', count: 2}",
        top="faults: [{operation: DescribeImages, error: AccessDeniedException}]",
    )
    for n in (1, 2):
        with pytest.raises(EcrError, match="AccessDeniedException"):
            bench.call("DescribeImages", repositoryName=f"team/{n}")


def test_a_scripted_throttling_counts_as_throttled() -> None:
    bench = Bench(
        "- {name: team/api}",
        top="faults: [{operation: DescribeRepositories, error: ThrottlingException, times: 1}]",
    )
    with pytest.raises(EcrError, match="ThrottlingException"):
        bench.call("DescribeRepositories")
    bench.call("DescribeRepositories")
    assert bench.registry.throttled == {"DescribeRepositories": 1}


def test_faults_end_when_they_are_cleared() -> None:
    fault = "faults: [{operation: DescribeImages, error: ServerException}]"
    bench = Bench(f"- {{name: 'team/{{n}}', count: 3, {fault}}}")
    bench.registry.clear_faults("team/1")
    bench.call("DescribeImages", repositoryName="team/1")
    bench.refusal("DescribeImages", repositoryName="team/2")
    bench.registry.clear_faults()
    bench.call("DescribeImages", repositoryName="team/2")
    bench.call("DescribeImages", repositoryName="team/3")


def test_a_registry_of_python_objects_needs_no_file() -> None:
    registry = SimulatedRegistry(
        [Repository("team/api", START)], RegistrySettings(account="000000000000")
    )
    (found,) = registry.call("DescribeRepositories", {})["repositories"]
    assert found["registryId"] == "000000000000"


# Pushes and deletions


def test_a_push_sends_an_event_per_tag_and_moves_the_tags() -> None:
    registry, events = parse(MULTI, now=Clock()), []
    registry.on_event = events.append
    old = registry.repositories["team/multi"].images[digest_of("team/multi", "v1")]
    new = Image("sha256:" + "b" * 64, START, ("v1", "latest"), manifest_media_type=IMAGE_INDEX)
    registry.push("team/multi", new)
    assert old.tags == ("v0",)
    pushed = sample("ecr_image_action_push_index")
    for event, tag in zip(events, ("v1", "latest"), strict=True):
        assert event.keys() == pushed.keys()
        assert event["detail"] == pushed["detail"] | {"image-digest": new.digest, "image-tag": tag}


def test_a_deletion_sends_an_event() -> None:
    registry, events = parse(MULTI, now=Clock()), []
    registry.on_event = events.append
    digest = digest_of("team/multi", "v1 platform 0")
    registry.delete("team/multi", digest)
    (event,) = events
    deleted = sample("ecr_image_action_delete")
    assert event.keys() == deleted.keys()
    assert (event["detail"]["action-type"], event["detail"]["image-digest"]) == ("DELETE", digest)
    assert "image-tag" not in event["detail"]
    assert digest not in registry.repositories["team/multi"].images


def test_reading_an_image_counts_as_a_pull() -> None:
    clock = Clock()
    registry = parse(MULTI, now=clock)
    asked = [{"imageTag": "v1"}, {"imageTag": "v9"}]
    answer = registry.call("BatchGetImage", {"repositoryName": "team/multi", "imageIds": asked})
    (image,) = answer["images"]
    assert image["imageManifestMediaType"] == IMAGE_INDEX
    *listed, attestation = json.loads(image["imageManifest"])["manifests"]
    assert [each["digest"] for each in listed] == [
        digest_of("team/multi", f"v1 platform {number}") for number in range(3)
    ]
    assert listed[2]["platform"] == {"os": "linux", "architecture": "arm", "variant": "v7"}
    assert attestation["platform"] == {"os": "unknown", "architecture": "unknown"}
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageNotFound"]
    index = registry.repositories["team/multi"].images[digest_of("team/multi", "v1")]
    assert index.pulled_at == clock.time
