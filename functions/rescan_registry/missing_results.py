"""Results of scans whose event never arrived, found by asking ECR."""

from dataclasses import dataclass
from datetime import UTC, datetime

from registry.images import Image, LastScan
from rescan_registry.last_scans import CLOCK_SKEW
from rescan_registry.staleness import unsupported_status
from runtime.messages import Json, encode

SCAN_RESULT_FOUND = "Scan Result Found"  # the detail type, which NotifyScan matches
MOST_TAGS = 100  # per event, so that ten events fit the 256 KiB of one call
_ENDED = frozenset({"COMPLETE", "FAILED"})


@dataclass(frozen=True)
class FoundResult:
    """The result of a scan that a run started, as ECR returned it.

    scanned_at: when the scan ended; for a failure without a date, when it was started.
    """

    repository: str
    image_digest: str
    image_tags: tuple[str, ...]
    scan_status: str
    severities: dict[str, int]
    scanned_at: datetime
    run: str | None

    def detail(self) -> Json:
        """Return the detail of the event Scan Result Found, with the keys of ECR's own event."""
        return {
            "repository-name": self.repository,
            "image-digest": self.image_digest,
            "image-tags": list(self.image_tags[:MOST_TAGS]),
            "scan-status": self.scan_status,
            "finding-severity-counts": encode(self.severities),
            "scanned-at": encode(self.scanned_at.astimezone(UTC)),
            "run": self.run,
        }


@dataclass(frozen=True)
class MissingResult:
    """A scan that a run started and whose result is overdue."""

    image: Image
    started_at: datetime
    run: str | None

    def found_in(self, scan: LastScan | None, repository: str) -> FoundResult | None:
        """Return the missing result from ECR's answer, or None if the answer is of another scan."""
        if scan is None or scan.status not in _ENDED or unsupported_status(scan):
            return None
        undated = self.started_at if scan.status == "FAILED" else None
        scanned_at = scan.completed_at or undated
        if scanned_at is None or scanned_at < self.started_at - CLOCK_SKEW:
            return None
        return FoundResult(
            repository=repository,
            image_digest=self.image.digest,
            image_tags=self.image.tags,
            scan_status=scan.status,
            severities=scan.severities,
            scanned_at=scanned_at,
            run=self.run,
        )
