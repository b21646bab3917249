"""The last scan of an image as its record has it, and when ECR must be asked instead."""

from datetime import datetime, timedelta

from ledger.image_records import ImageRecord, RecordedScan
from registry.images import Image, LastScan, unsupported_status
from rescan_registry.staleness import UNSUPPORTED, ScanDates, newest, newest_ended
from runtime.clock import CLOCK_SKEW

# A scan takes minutes and its event seconds. Without a result for this long, ECR is asked for it.
RESULT_EXPECTED_WITHIN = timedelta(hours=6)
BASIC = "BASIC"
# ECR has nothing to add to these statuses. After a failure, it may have scanned the image again.
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


def scan_dates(image: Image, record: ImageRecord) -> ScanDates:
    """Return what the listing and the ledger know of when an image was scanned, or was to be."""
    scan, attempt = record.last_scan, record.last_attempt
    hinted_at = image.last_scan.completed_at if image.last_scan else None
    scanned_at = scan.scanned_at if scan else None
    accepted_at = newest(
        record.started_at, hinted_at, scanned_at if scan and scan.scan_type == BASIC else None
    )
    if attempt and (ended_at := newest(hinted_at, scanned_at)) and ended_at > attempt.attempted_at:
        attempt = None  # ECR has scanned the image since
    attempted_at = attempt.attempted_at if attempt else None
    return ScanDates(
        since=newest(image.pushed_at, accepted_at, scanned_at, attempted_at),
        accepted_at=accepted_at,
        last_attempt=attempt,
        pushed_at=image.pushed_at,
        ended=newest_ended(
            LastScan(scan.status, scan.scanned_at, severities=scan.severities) if scan else None,
            image.last_scan,
        ),
    )


def missing_since(record: ImageRecord, now: datetime) -> datetime | None:
    """Return when a run started the scan whose result is overdue, or None."""
    started_at = _awaited_since(record)
    return started_at if started_at and now - started_at >= RESULT_EXPECTED_WITHIN else None


def newer(one: LastScan | None, other: LastScan | None) -> LastScan | None:
    """Return the newer of two scans of the same image.

    A scan without a date is in progress and counts as the newer one.
    """
    if one is None or other is None:
        return one or other
    if one.completed_at is None or other.completed_at is None:
        return one if one.completed_at is None else other
    return one if one.completed_at >= other.completed_at else other


def scan_to_store(scan: LastScan | None, now: datetime) -> RecordedScan | None:
    """Return the scan to store from ECR's answer, or None if ECR must be asked again.

    A result whose event may still arrive is left to NotifyScan, which would otherwise treat that
    event as outdated. An image that ECR cannot scan is stored with the current time if ECR returns
    no date, so that UnsupportedRetryAfter counts from now.
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
    """Return when a run started the scan whose result has not arrived, or None."""
    scan, started_at = record.last_scan, record.started_at
    if started_at and scan and scan.scanned_at >= started_at - CLOCK_SKEW:
        return None
    return started_at
