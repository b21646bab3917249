"""What the ledger's record of an image says of its last scan, and what ECR must be asked for."""

from datetime import datetime, timedelta

from ledger.image_records import ImageRecord, RecordedScan
from registry.images import LastScan
from rescan_registry.staleness import UNSUPPORTED, unsupported_status

CLOCK_SKEW = timedelta(minutes=5)  # between our clock and ECR's, generously
# A scan takes minutes and its event seconds. Without a result for this long, ECR is asked for it.
RESULT_EXPECTED_WITHIN = timedelta(hours=6)
BASIC = "BASIC"
# After these nothing is to be found out by asking ECR; after a failure, how it goes on may be.
KNOWN_STATUSES = frozenset({"COMPLETE", *UNSUPPORTED})


def known_scan(record: ImageRecord, now: datetime) -> LastScan | None:
    """Return the last scan of an image by its record, or None if ECR must be asked."""
    if _awaited_since(record):
        missing = missing_since(record, now)
        return None if missing else LastScan("IN_PROGRESS")
    scan = record.last_scan
    if scan is None or scan.scan_type != BASIC or scan.status not in KNOWN_STATUSES:
        return None
    return LastScan(scan.status, completed_at=scan.scanned_at, severities=scan.severities)


def missing_since(record: ImageRecord, now: datetime) -> datetime | None:
    """Tell when a run has started the scan whose result should have arrived by now, if any."""
    started_at = _awaited_since(record)
    return started_at if started_at and now - started_at >= RESULT_EXPECTED_WITHIN else None


def newer(one: LastScan | None, other: LastScan | None) -> LastScan | None:
    """Choose the newer of two scans of one image; without a date it is under way, or all we have.

    Never to be asked of scans of two images.
    """
    if one is None or other is None:
        return one or other
    if one.completed_at is None or other.completed_at is None:
        return one if one.completed_at is None else other
    return one if one.completed_at >= other.completed_at else other


def worth_remembering(scan: LastScan | None, now: datetime) -> RecordedScan | None:
    """Choose what to write of ECR's answer: what counts as known when it is read again.

    A result so young that its event may be on its way is left to NotifyScan, which would take that
    event for an old one. An image that ECR cannot read is remembered from now on where ECR tells
    no date, so that it is tried again some time.
    """
    if scan is None:
        return None
    if unsupported := unsupported_status(scan):
        return RecordedScan(scan.completed_at or now, unsupported, BASIC)
    if scan.status != "COMPLETE" or scan.completed_at is None:
        return None
    if now - scan.completed_at < RESULT_EXPECTED_WITHIN:
        return None
    return RecordedScan(scan.completed_at, scan.status, BASIC, severities=scan.severities)


def _awaited_since(record: ImageRecord) -> datetime | None:
    """Tell when a run has started the scan whose result has not arrived, if any."""
    scan, started_at = record.last_scan, record.started_at
    if started_at and scan and scan.scanned_at >= started_at - CLOCK_SKEW:
        return None
    return started_at
