"""Images as DescribeImages returns them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

# "A basic image scan can only be started once per 24 hours on an individual image."
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-basic.html
ECR_DAY = timedelta(hours=24)

# Names as ECR defines them.
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._/-]{0,255}")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,128}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")

HELM_CHART_TYPE = "application/vnd.cncf.helm.config.v1+json"
# Manifests and artifacts that are known to be no image, by the start of their media type. Others
# are left to ECR, which refuses what it does not scan: a list of what it does scan would be out of
# date with the next compression of layers.
_MANIFESTS = {
    "application/vnd.oci.image.index.": "image index",
    "application/vnd.docker.distribution.manifest.list.": "image index",
    "application/vnd.docker.distribution.manifest.v1+": "artifact type",  # schema 1
    "application/vnd.oci.artifact.manifest.": "artifact type",
    "application/vnd.cncf.oras.artifact.manifest.": "artifact type",
}
_ARTIFACTS = {
    "application/vnd.cncf.helm.": "Helm chart",
    "application/vnd.dev.cosign.": "signature or attestation",
    "application/vnd.dev.sigstore.": "signature or attestation",
    "application/vnd.cncf.notary.": "signature or attestation",
    "application/vnd.docker.attestation.": "signature or attestation",
    "application/vnd.in-toto": "signature or attestation",
    "application/vnd.cyclonedx": "signature or attestation",  # SBOM
    "application/spdx": "signature or attestation",
    "application/vnd.amazon.soci.": "artifact type",
    "application/vnd.buildkit.cacheconfig.": "artifact type",
    "application/vnd.wasm.": "artifact type",
    "application/vnd.sylabs.sif.": "artifact type",
    "application/vnd.unknown.": "artifact type",  # ORAS, where no type is given
    "application/vnd.oci.empty.": "artifact type",
}
# How cosign tags what belongs to an image: by the digest of that image, in an OCI manifest.
_COMPANION_TAG = re.compile(r"sha256-[0-9a-f]{64}\.(sig|att|sbom)")
_DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class LastScan:
    """The newest scan of an image that ECR knows.

    status: as ECR names it (COMPLETE, FAILED, IN_PROGRESS, UNSUPPORTED_IMAGE …).
    completed_at: absent while the scan runs, and for scans that ended without findings.
    description: of the status, by ECR; often empty.
    severities: findings by severity; empty if there are none, or if ECR did not return counts.
    """

    status: str
    completed_at: datetime | None = None
    description: str = ""
    severities: dict[str, int] = field(default_factory=dict)


# ECR reports an image that it cannot scan by a status, or by a failure with this description:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-troubleshooting.html
UNSUPPORTED_STATUSES = frozenset({"UNSUPPORTED_IMAGE", "IMAGE_SIZE_EXCEEDED"})
_UNSUPPORTED_ERROR = "UnsupportedImageError"


@dataclass(frozen=True)
class Image:
    """One image of a repository, with what ECR shows of it.

    pushed_at: absent when ECR does not show it, such as of an image that is being restored.
    pulled_at: refreshed by ECR at least once in 24 hours; absent when never pulled.
    subject: the digest that a referrer (signature, attestation, SBOM) speaks of.
    status: ACTIVE, ARCHIVED or ACTIVATING.
    last_scan: from the listing; absent with AWS native basic scanning.
    """

    digest: str
    pushed_at: datetime | None = None
    tags: tuple[str, ...] = ()
    pulled_at: datetime | None = None
    media_type: str | None = None
    artifact_type: str | None = None
    subject: str | None = None
    status: str = "ACTIVE"
    last_scan: LastScan | None = None


def could_exist(repository: str, image_digest: str) -> bool:
    """Return whether ECR could have an image of these names."""
    return bool(_REPOSITORY.fullmatch(repository) and _DIGEST.fullmatch(image_digest))


def is_digest(text: str) -> bool:
    """Return whether a text has the form of an image digest."""
    return bool(_DIGEST.fullmatch(text))


def is_tag(text: str) -> bool:
    """Return whether ECR would accept a text as a tag."""
    return bool(_TAG.fullmatch(text))


def unsupported_status(scan: LastScan) -> str | None:
    """Return the status of a scan that ended because ECR cannot scan the image, else None."""
    if scan.status == "FAILED" and scan.description.startswith(_UNSUPPORTED_ERROR):
        return "UNSUPPORTED_IMAGE"
    return scan.status if scan.status in UNSUPPORTED_STATUSES else None


def why_unscannable(image: Image) -> str | None:
    """Return why the artifact is known to be no image, or None if that is left to ECR."""
    if reason := _known(image.media_type, _MANIFESTS) or _known(image.artifact_type, _ARTIFACTS):
        return reason
    if image.subject or _is_companion(image):
        return "signature or attestation"
    return None


def _known(media_type: str | None, reasons: Mapping[str, str]) -> str | None:
    """Look a media type up, without its case and parameters (RFC 6838, RFC 9110)."""
    essence = _essence(media_type)
    return next((why for start, why in reasons.items() if essence.startswith(start)), None)


def _is_companion(image: Image) -> bool:
    """Return whether all tags are cosign's; one tag of another kind shows that it is an image."""
    is_cosign = bool(image.tags) and all(map(_COMPANION_TAG.fullmatch, image.tags))
    return is_cosign and _essence(image.media_type) != _DOCKER_IMAGE


def _essence(media_type: str | None) -> str:
    return (media_type or "").partition(";")[0].strip().lower()
