"""What the ledger is to know of a scan."""

import re
from dataclasses import dataclass
from datetime import timedelta

from ledger.image_records import RecordedScan, image_key
from ledger.table import attribute, key_attributes
from reporting.reports import ScanReport
from runtime.messages import encode

# As ECR has them. Anything else in an event is not an image that can be recorded.
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._/-]{0,255}")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,128}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
MOST_TAGS = 10  # that are followed from image to image


@dataclass(frozen=True)
class ScanRecord:
    """What RecordScan writes, in the types of DynamoDB.

    repository, image_digest, tags: of the image, as the ledger names them.
    key: of its item. expires_at: seconds since 1970, when DynamoDB may delete it.
    """

    repository: str
    image_digest: str
    tags: tuple[str, ...]
    key: object
    scanned_at: str
    last_scan: object
    image_tags: object
    expires_at: str


def record_of(report: ScanReport, *, kept_for: timedelta) -> ScanRecord | None:
    """Return the record of a scan, or None if the report names no image that ECR could have."""
    image_digest = report.image_digest or ""
    if not _REPOSITORY.fullmatch(report.repository) or not _DIGEST.fullmatch(image_digest):
        return None
    repository = report.repository
    if report.is_elsewhere:
        # No repository name contains a colon.
        repository = f"{report.account}:{report.region}:{repository}"
    tags = tuple(filter(_TAG.fullmatch, report.tags))[:MOST_TAGS]
    scan = RecordedScan(
        report.scanned_at, report.status, report.scan_type, report.severities, report.other
    )
    return ScanRecord(
        repository=repository,
        image_digest=image_digest,
        tags=tags,
        key=key_attributes(image_key(repository, image_digest)),
        scanned_at=str(encode(report.scanned_at)),
        last_scan=attribute(scan),
        image_tags=attribute(tags),
        expires_at=str(int(report.scanned_at.timestamp() + kept_for.total_seconds())),
    )
