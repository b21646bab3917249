"""The event Scan Result Found: ECR was asked for the result of a scan, and has returned it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from runtime.messages import Json, encode

BASIC = "BASIC"
MOST_TAGS = 100  # per event, so that ten events fit the 256 KiB of one call


@dataclass(frozen=True)
class ScanResultFound:
    """The result of a scan, as ECR returned it.

    NotifyScan believes only the names of repository and image digest, and asks ECR for the rest.

    The detail has the keys of ECR's own event, and `scanned-at`, `run`,
    `scan-type`, and `tagged-at`.

    image_tags: 100 at most are written.
    scanned_at: when the scan ended; for a failure without a date, when it was started. For enhanced
        scanning, which never ends, when ECR was asked.
    tagged_at: when the image had the tags, where that is not when ECR was asked.
    run: the run whose scan it is.
    scan_type: BASIC or ENHANCED.
    """

    DETAIL_TYPE: ClassVar[str] = "Scan Result Found"

    repository: str
    image_digest: str
    image_tags: tuple[str, ...]
    scan_status: str
    severities: dict[str, int]
    scanned_at: datetime
    run: str | None = None
    scan_type: str = BASIC
    tagged_at: datetime | None = None

    def detail(self) -> Json:
        """Write the detail of the event."""
        return {
            "repository-name": self.repository,
            "image-digest": self.image_digest,
            "image-tags": list(self.image_tags[:MOST_TAGS]),
            "scan-status": self.scan_status,
            "finding-severity-counts": encode(self.severities),
            "scanned-at": encode(self.scanned_at.astimezone(UTC)),
            "run": self.run,
            "scan-type": self.scan_type,
            "tagged-at": encode(self.tagged_at.astimezone(UTC)) if self.tagged_at else None,
        }
