"""Images as DescribeImages returns them."""

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
# Artifact types that basic scanning accepts. Without a type, ECR decides.
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
    description: of the status, by ECR; often empty.
    severities: findings by severity; empty if there are none, or if ECR did not return counts.
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
    last_scan: from the listing; absent with AWS native basic scanning.
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
    """Return why ECR would refuse to scan the artifact, or None if the listing does not show it."""
    if image.media_type in INDEX_TYPES:
        return "image index"
    if image.artifact_type == HELM_CHART_TYPE:
        return "Helm chart"
    if image.subject or any(_COMPANION_TAG.fullmatch(tag) for tag in image.tags):
        return "signature or attestation"
    if image.artifact_type and image.artifact_type not in SCANNABLE_TYPES:
        return "artifact type"
    return None
