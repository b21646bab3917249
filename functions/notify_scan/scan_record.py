"""The record of a scan in the ledger."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.attributes import attribute, key_attributes
from ledger.image_records import RecordedScan, image_key
from ledger.notified_images import first_of, notified_key, slot_of
from registry.images import could_exist, is_tag
from reporting.reports import ScanReport
from runtime.clock import CLOCK_SKEW
from runtime.messages import encode

MOST_TAGS = 10  # for which the ledger stores which image has them


@dataclass(frozen=True)
class ScanRecord:
    """What RecordScan writes, with DynamoDB's attribute types.

    repository, image_digest, tags: of the image, as the ledger names them.
    key: of its item. expires_at: seconds since 1970, when DynamoDB may delete it.
    latest: a scan that the ledger has dated later is of the future, and counts as unknown.
    """

    repository: str
    image_digest: str
    tags: tuple[str, ...]
    key: object
    scanned_at: str
    latest: str
    last_scan: object
    image_tags: object
    expires_at: str


@dataclass(frozen=True)
class DeliveryRecord:
    """What RecordDelivery writes about an image, with DynamoDB's attribute types.

    key: of its item. first, slot: the attributes that hold the delivery.
    revision: of the baseline of the image. expires_at: seconds since 1970.
    """

    key: object
    first: str
    slot: str
    revision: str
    expires_at: str


def recorded_scan(report: ScanReport) -> RecordedScan:
    """Return what the ledger keeps of a scan."""
    return RecordedScan(
        report.scanned_at, report.status, report.scan_type, report.severities, report.other
    )


def recorded_tags(report: ScanReport) -> tuple[str, ...]:
    """Return the tags that the ledger keeps of an image."""
    return tuple(filter(is_tag, report.tags))[:MOST_TAGS]


def delivery_record(asked: ScanRecord, channel: str, revision: int) -> DeliveryRecord:
    """Return the record of a delivery about a revision of the baseline of an image."""
    return DeliveryRecord(
        key=key_attributes(notified_key(asked.repository, asked.image_digest)),
        first=first_of(channel),
        slot=slot_of(channel, revision),
        revision=str(revision),
        expires_at=asked.expires_at,
    )


def record_of(report: ScanReport, *, kept_for: timedelta, now: datetime) -> ScanRecord | None:
    """Return the record of a scan.

    None if the report names no image that could exist in ECR. kept_for: time to live of the record,
    from now on: a date from outside would delete it early, or never.
    """
    image_digest = report.image_digest or ""
    if not could_exist(report.repository, image_digest):
        return None
    repository = report.repository
    if report.is_elsewhere:
        # No repository name contains a colon.
        repository = f"{report.account}:{report.region}:{repository}"
    tags = recorded_tags(report)
    return ScanRecord(
        repository=repository,
        image_digest=image_digest,
        tags=tags,
        key=key_attributes(image_key(repository, image_digest)),
        scanned_at=str(encode(report.scanned_at)),
        latest=str(encode(now + CLOCK_SKEW)),
        last_scan=attribute(recorded_scan(report)),
        image_tags=attribute(tags),
        expires_at=str(int((now + kept_for).timestamp())),
    )
