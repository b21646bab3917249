"""Images as a listing shows them, and what can be known from that alone."""

import re
from dataclasses import dataclass, field
from datetime import datetime

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
HELM_CHART_TYPE = "application/vnd.cncf.helm.config.v1+json"
# Artifact types that basic scanning takes; an absent type is left to ECR to judge.
SCANNABLE_TYPES = frozenset(
    {
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    }
)
# How cosign tags signatures, attestations and SBOMs of an image: by the digest of that image.
_COMPANION_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.(sig|att|sbom))?")


@dataclass(frozen=True)
class LastScan:
    """The newest scan of an image that ECR knows.

    status: as ECR names it (COMPLETE, FAILED, IN_PROGRESS, UNSUPPORTED_IMAGE …).
    completed_at: absent while the scan runs, and for scans that ended without findings.
    description: ECR's own words on the status, often empty.
    severities: findings by severity; empty where there are none or nobody has counted.
    """

    status: str
    completed_at: datetime | None = None
    description: str = ""
    severities: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """One image of a repository.

    pulled_at: refreshed by ECR at least once in 24 hours; absent when never pulled.
    subject: the digest that a referrer (signature, attestation, SBOM) speaks of.
    status: ACTIVE, ARCHIVED or ACTIVATING.
    last_scan: what the listing happened to show; empty under today's basic scanning.
    """

    digest: str
    pushed_at: datetime
    tags: tuple[str, ...] = ()
    pulled_at: datetime | None = None
    media_type: str | None = None
    artifact_type: str | None = None
    subject: str | None = None
    status: str = "ACTIVE"
    last_scan: LastScan | None = None


def why_unscannable(image: Image) -> str | None:
    """Say why ECR would refuse to scan the artifact, if the listing shows it."""
    if image.media_type in INDEX_TYPES:
        return "image index"
    if image.artifact_type == HELM_CHART_TYPE:
        return "Helm chart"
    if image.subject or any(_COMPANION_TAG.fullmatch(tag) for tag in image.tags):
        return "signature or attestation"
    if image.artifact_type and image.artifact_type not in SCANNABLE_TYPES:
        return "artifact type"
    return None
