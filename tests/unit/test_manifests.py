import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.manifests import INDEXES, MOST_CHILDREN, UnreadableIndex, platforms_of
from tests.support.builders import any_digest

IMAGE = "application/vnd.oci.image.manifest.v1+json"


def listed(digest: str, platform: Any = None, **more: Any) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": "amd64"} if platform is None else platform
    return {"mediaType": IMAGE, "digest": digest, "size": 1, "platform": platform, **more}


def index(*manifests: object) -> str:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": manifests})


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        ({"os": "linux", "architecture": "arm64"}, "linux/arm64"),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64"),
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"os": "linux", "architecture": "arm", "variant": "v8"}, "linux/arm/v8"),
        ({"os": "linux", "architecture": "amd64", "variant": "v1"}, "linux/amd64"),
        ({"os": "linux", "architecture": "amd64", "variant": "v3"}, "linux/amd64/v3"),
        ({"os": "linux", "architecture": "386", "variant": ""}, "linux/386"),
        (
            {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2340"},
            "windows/amd64 10.0.20348",
        ),
        ({"os": "linux", "architecture": "arm64", "os.version": "<b>"}, "linux/arm64"),
    ],
)
def test_names_a_platform(platform: dict[str, str], name: str) -> None:
    digest = any_digest()
    assert platforms_of(index(listed(digest, platform))) == {digest: name}


@pytest.mark.parametrize(
    "other",
    [
        listed(any_digest(), {"os": "unknown", "architecture": "unknown"}),
        listed(any_digest(), {"os": "linux", "architecture": "unknown"}),
        listed(any_digest(), {"os": "linux"}),
        listed(any_digest(), {"os": "linux", "architecture": "<!channel>"}),
        listed(any_digest(), {"os": "linux", "architecture": "x" * 41}),
        listed(any_digest(), {"os": 7, "architecture": "amd64"}),
        listed(any_digest(), {"os": "linux", "architecture": "arm", "variant": "\n"}),
        listed(any_digest(), {"os": "linux", "architecture": "arm", "variant": 7}),
        listed(any_digest(), "linux/amd64"),
        listed("sha256:short"),
        listed(any_digest(), mediaType=INDEXES[1]),
        {"digest": any_digest()},
        {"digest": 7, "platform": {"os": "linux", "architecture": "amd64"}},
        "no object",
    ],
)
def test_leaves_out_what_is_no_image_with_a_platform(other: object) -> None:
    digest = any_digest()
    assert platforms_of(index(other, listed(digest))) == {digest: "linux/amd64"}


def test_looks_at_a_hundred_images() -> None:
    digests = [any_digest() for _ in range(MOST_CHILDREN + 1)]
    assert list(platforms_of(index(*map(listed, digests)))) == digests[:MOST_CHILDREN]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"manifests": 7}', "[" * 100_000])
def test_refuses_what_is_no_index(text: str) -> None:
    with pytest.raises(UnreadableIndex):
        platforms_of(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["digest", "platform", "os", "architecture", "variant", "os.version"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(anything, max_size=4))
def test_reads_any_list_or_refuses_it(manifests: list[object]) -> None:
    for digest, platform in platforms_of(index(*manifests)).items():
        assert digest.startswith("sha256:")
        assert platform.isprintable()
