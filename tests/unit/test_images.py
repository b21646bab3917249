from typing import Any

import pytest

from registry.images import (
    HELM_CHART_TYPE,
    UNSUPPORTED_STATUSES,
    LastScan,
    unsupported_status,
    why_unscannable,
)
from rescan_registry.staleness import UNSUPPORTED
from tests.support.builders import any_digest, any_image
from tests.support.cases import case

COSIGN = "sha256-" + "0" * 64
OCI_IMAGE = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def listed(shown: dict[str, Any]) -> str | None:
    """Decide on an image that a listing shows."""
    return why_unscannable(
        any_image(
            tags=tuple(shown.get("imageTags", ())),
            media_type=shown.get("imageManifestMediaType"),
            artifact_type=shown.get("artifactMediaType"),
            subject=shown.get("subjectManifestDigest"),
        )
    )


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({"media_type": "application/vnd.oci.image.index.v1+json"}, "image index"),
        (
            {"media_type": "application/vnd.docker.distribution.manifest.list.v2+json"},
            "image index",
        ),
        ({"media_type": "application/vnd.docker.distribution.manifest.v1+json"}, "artifact type"),
        ({"media_type": "application/vnd.cncf.oras.artifact.manifest.v1+json"}, "artifact type"),
        ({"artifact_type": HELM_CHART_TYPE}, "Helm chart"),
        ({"subject": any_digest()}, "signature or attestation"),
        ({"tags": (f"{COSIGN}.sig",)}, "signature or attestation"),
        ({"tags": (f"{COSIGN}.att", f"{COSIGN}.sig")}, "signature or attestation"),
        ({"tags": (f"{COSIGN}.sbom",)}, "signature or attestation"),
        (
            {"tags": (f"{COSIGN}.sig",), "artifact_type": OCI_IMAGE},
            "signature or attestation",
        ),
        (
            {"artifact_type": "application/vnd.dev.cosign.artifact.sig.v1+json"},
            "signature or attestation",
        ),
        ({"artifact_type": "application/vnd.in-toto+json"}, "signature or attestation"),
        ({"artifact_type": "application/vnd.cyclonedx+json"}, "signature or attestation"),
        ({"artifact_type": "application/spdx+json"}, "signature or attestation"),
    ],
)
def test_tells_what_is_known_to_be_no_image(shown: dict[str, object], reason: str) -> None:
    assert why_unscannable(any_image(**shown)) == reason


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"tags": ()},
        {"tags": (COSIGN,)},
        {"tags": (f"{COSIGN}.txt",)},
        {"tags": (f"x{COSIGN}.sig",)},
        {"tags": (f"{COSIGN}.att", "v1")},
        {"tags": (f"{COSIGN}.sig",), "media_type": DOCKER_MANIFEST},
        {"artifact_type": "application/vnd.type-of-tomorrow.v1+json"},
    ],
)
def test_leaves_everything_else_to_ecr(shown: dict[str, object]) -> None:
    assert why_unscannable(any_image(**shown)) is None


@pytest.mark.parametrize(
    "media_type",
    [
        "APPLICATION/VND.OCI.IMAGE.INDEX.V1+JSON",
        "application/vnd.oci.image.index.v1+json; charset=utf-8",
        " application/vnd.OCI.image.index.v1+json ;q=1",
    ],
)
def test_compares_media_types_without_case_and_parameters(media_type: str) -> None:
    assert why_unscannable(any_image(media_type=media_type)) == "image index"


def test_case_04_a_tag_makes_no_signature_of_an_image() -> None:
    mirrored, released, signature = case("04-real-image-tagged-by-digest.json")["answer"][
        "imageDetails"
    ]
    assert listed(mirrored) is None
    assert listed(released) is None
    assert listed(signature) == "signature or attestation"


@pytest.mark.parametrize(
    "shown", case("06-media-types.json")["images"], ids=lambda shown: shown["what"]
)
def test_case_06_kinds_of_artifacts(shown: dict[str, Any]) -> None:
    assert (listed(shown) is None) == (shown["expected"] is None)


@pytest.mark.parametrize(
    ("scan", "status"),
    [
        (LastScan("UNSUPPORTED_IMAGE"), "UNSUPPORTED_IMAGE"),
        (LastScan("IMAGE_SIZE_EXCEEDED"), "IMAGE_SIZE_EXCEEDED"),
        (LastScan("FAILED", None, "UnsupportedImageError: The operating …"), "UNSUPPORTED_IMAGE"),
        (LastScan("FAILED", None, "It broke: UnsupportedImageError"), None),
        (LastScan("COMPLETE", None, "UnsupportedImageError: The operating …"), None),
    ],
)
def test_tells_what_ecr_cannot_scan(scan: LastScan, status: str | None) -> None:
    assert unsupported_status(scan) == status


def test_every_status_of_what_ecr_cannot_scan_has_a_reason() -> None:
    assert UNSUPPORTED.keys() == UNSUPPORTED_STATUSES
