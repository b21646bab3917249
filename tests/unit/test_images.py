import pytest

from registry.images import HELM_CHART_TYPE, INDEX_TYPES, SCANNABLE_TYPES, why_unscannable
from tests.support.builders import any_digest, any_image

COSIGN = "sha256-" + "0" * 64


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        *(({"media_type": kind}, "image index") for kind in INDEX_TYPES),
        ({"artifact_type": HELM_CHART_TYPE}, "Helm chart"),
        ({"subject": any_digest()}, "signature or attestation"),
        ({"tags": (COSIGN,)}, "signature or attestation"),
        ({"tags": (f"{COSIGN}.sig",)}, "signature or attestation"),
        ({"tags": (f"{COSIGN}.att", "v1")}, "signature or attestation"),
        ({"tags": (f"{COSIGN}.sbom",)}, "signature or attestation"),
        ({"artifact_type": "application/vnd.in-toto+json"}, "artifact type"),
    ],
)
def test_tells_what_ecr_would_refuse(shown: dict[str, object], reason: str) -> None:
    assert why_unscannable(any_image(**shown)) == reason


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"tags": ()},
        {"tags": ("sha256-abc", f"{COSIGN}.txt", f"x{COSIGN}")},
        *({"artifact_type": kind} for kind in SCANNABLE_TYPES),
    ],
)
def test_leaves_container_images_to_ecr(shown: dict[str, object]) -> None:
    assert why_unscannable(any_image(**shown)) is None
