"""Results that are reported by a run: their event never arrived, or ECR did not list findings."""

from dataclasses import dataclass
from datetime import datetime

from ledger.image_records import RecordedScan
from own_events.scan_result_found import MOST_TAGS, ScanResultFound
from registry.images import Image, LastScan, unsupported_status
from runtime.clock import CLOCK_SKEW

_ENDED = frozenset({"COMPLETE", "FAILED"})


@dataclass(frozen=True)
class MissingResult:
    """A scan that a run started and whose result is overdue."""

    image: Image
    started_at: datetime
    run: str | None

    def found_in(self, scan: LastScan | None, repository: str) -> ScanResultFound | None:
        """Return the missing result from ECR's answer, or None if the answer is of another scan."""
        if scan is None or scan.status not in _ENDED or unsupported_status(scan):
            return None
        undated = self.started_at if scan.status == "FAILED" else None
        scanned_at = scan.completed_at or undated
        if scanned_at is None or scanned_at < self.started_at - CLOCK_SKEW:
            return None
        return ScanResultFound(
            repository=repository,
            image_digest=self.image.digest,
            image_tags=self.image.tags[:MOST_TAGS],
            scan_status=scan.status,
            severities=scan.severities,
            scanned_at=scanned_at,
            run=self.run,
        )


@dataclass(frozen=True)
class UnnamedResult:
    """A known scan whose findings ECR did not list when it was reported.

    run: the run that started it, if one did.
    """

    image: Image
    scan: RecordedScan
    run: str | None

    def again(self, repository: str) -> ScanResultFound:
        """Return the result as it is known: NotifyScan asks ECR for the findings again."""
        return ScanResultFound(
            repository=repository,
            image_digest=self.image.digest,
            image_tags=self.image.tags[:MOST_TAGS],
            scan_status=self.scan.status,
            severities=self.scan.severities,
            scanned_at=self.scan.scanned_at,
            run=self.run,
            scan_type=self.scan.scan_type,
        )
