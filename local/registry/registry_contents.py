"""Contents of a simulated registry: repositories, images, scans and scripted faults."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
IN_TOTO = "application/vnd.in-toto+json"

type Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"]
type ScanStatus = Literal[
    "PENDING", "IN_PROGRESS", "COMPLETE", "FAILED", "UNSUPPORTED_IMAGE", "IMAGE_SIZE_EXCEEDED"
]
type ScanType = Literal["BASIC", "ENHANCED"]
type InspectorState = Literal["active", "expires", "expired", "returns"]
type ScanPart = Literal["start", "end"]

NEVER = datetime.max.replace(tzinfo=UTC)


def digest_of(repository: str, label: str) -> str:
    """Return an image digest that is the same in every run."""
    return "sha256:" + hashlib.sha256(f"{repository}@{label}".encode()).hexdigest()


@dataclass(frozen=True)
class Finding:
    """One vulnerability in one package. `fixed_in`: the version that fixes it, if there is one."""

    name: str
    severity: Severity
    package: str
    version: str
    fixed_in: str = ""


@dataclass(frozen=True)
class ScanResult:
    """The result of a scan; the description says why it failed or is unsupported."""

    status: ScanStatus = "COMPLETE"
    description: str = "The scan was completed successfully."
    findings: tuple[Finding, ...] = ()

    @property
    def severity_counts(self) -> dict[str, int]:
        """Return the number of findings by severity, without zeros."""
        return dict(Counter(finding.severity for finding in self.findings))


@dataclass(frozen=True)
class Scan:
    """A scan of an image, running or ended; a scan with the result PENDING never ends."""

    started_at: datetime
    ends_at: datetime
    result: ScanResult

    def begin_of_limit(self, part: ScanPart, now: datetime) -> datetime:
        """Return from when ECR's 24 hours count, in which it accepts no other scan."""
        return self.ends_at if part == "end" and self.ends_at <= now else self.started_at


@dataclass
class Image:
    """One manifest of a repository.

    `vanishes`: it is listed, but the first StartImageScan finds it deleted.
    `inspector`: whether Amazon Inspector monitors it; None if it never has.
    `lists`: platforms such as linux/arm64 by digest, of an index.
    """

    digest: str
    pushed_at: datetime
    tags: tuple[str, ...] = ()
    size_in_bytes: int = 50_000_000
    manifest_media_type: str = IMAGE_MANIFEST
    artifact_media_type: str | None = IMAGE_CONFIG
    pulled_at: datetime | None = None
    archived_at: datetime | None = None
    subject_digest: str | None = None
    last_scan: Scan | None = None
    next_result: ScanResult = field(default_factory=ScanResult)
    vanishes: bool = False
    inspector: InspectorState | None = None
    lists: Mapping[str, str] = MappingProxyType({})


@dataclass
class Repository:
    """A repository with its images by digest.

    `vanishes`: it is listed, but the first call for it finds it deleted.
    `shifts`: its listing shifts by one image from page to page, as if one were pushed meanwhile.
    """

    name: str
    created_at: datetime
    images: dict[str, Image] = field(default_factory=dict)
    vanishes: bool = False
    shifts: bool = False


@dataclass
class Fault:
    """A scripted error of an operation.

    Without a repository or digest it applies to all. `times` counts down; None never ends.
    `later_pages`: it applies to calls with a page token only.
    """

    operation: str
    code: str
    message: str
    repository: str | None = None
    digest: str | None = None
    times: int | None = None
    later_pages: bool = False


@dataclass(frozen=True)
class Throttle:
    """The call rate of an operation: `burst` calls immediately, then `rate` calls per second.

    `others`: the calls per second that other callers in the account make of it.
    """

    rate: float
    burst: int
    others: float = 0


@dataclass(frozen=True)
class RegistrySettings:
    """Settings of a registry.

    `scans_per_day` counts the last 24 hours and includes scans on push.
    `scan_limit_from`: ECR accepts one scan per image in 24 hours, and it is not documented whether
    they count from the start or the end of the scan.
    `page_size`: the most that a page contains, regardless of what the caller asks for.
    `scan_hints` shows scans in DescribeImages, as Clair-based scanning did.
    `latency` is for the caller of the registry, which itself never waits.
    """

    account: str = "123456789012"
    region: str = "eu-central-1"
    scan_type: ScanType = "BASIC"
    scan_duration: timedelta = timedelta(seconds=5)
    scans_per_day: int = 100_000
    scan_limit_from: ScanPart = "start"
    page_size: int = 1000
    throttling: Mapping[str, Throttle] = MappingProxyType({})
    scan_hints: bool = False
    latency: timedelta = timedelta()

    @property
    def partition(self) -> str:
        """Return the partition of the Region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"
