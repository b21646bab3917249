"""Scan-complete events, of basic scanning and of enhanced scanning, read into reports."""

import re
from collections.abc import Mapping, Sequence

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent
from registry.findings import SEVERITIES
from reporting import console_links
from reporting.reports import Interpretation, Reason, ScanReport, ScanType
from reporting.text import first

# ECR names only the severities that it has found, so one that is absent is 0.
# The event of Inspector counts three severities and a total; LOW and below are only in the total.
_COUNTED_BY_INSPECTOR = SEVERITIES[:3]
_REPOSITORY_ARN = re.compile(
    rf"arn:[a-z-]+:ecr:([a-z0-9-]{{1,{LONGEST_REGION}}}):([0-9]+):repository/(.+)", re.DOTALL
)
# Of ECR's ScanStatus: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanStatus.html
SILENT = {
    "PENDING": Reason.NOT_ENDED,
    "IN_PROGRESS": Reason.NOT_ENDED,
    "FINDINGS_UNAVAILABLE": Reason.NO_RESULT,
    "LIMIT_EXCEEDED": Reason.NO_RESULT,
    "IMAGE_ARCHIVED": Reason.NO_RESULT,
}
MOST_TAGS = 2_000  # characters: an image can have more tags than a message has room
MOST_UNKNOWN = 10  # severities that AWS does not document
LONGEST_UNKNOWN = 50  # characters of such a name


def basic_scan(event: Fields) -> Interpretation:
    """Read an ECR Image Scan event."""
    return _read(event, ScanType.BASIC, SEVERITIES)


def enhanced_scan(event: Fields) -> Interpretation:
    """Read an Inspector2 Scan event, which may also be about an instance, a function or an AMI."""
    if event.part("detail").optional_text("repository-name") is None:
        return Interpretation(silence=Reason.NOT_AN_IMAGE)
    return _read(event, ScanType.ENHANCED, _COUNTED_BY_INSPECTOR)


def _read(event: Fields, scan_type: ScanType, counted: Sequence[str]) -> Interpretation:
    """Read a scan; one without a result says nothing about the image, and is not recorded."""
    detail, scanned_at = event.part("detail"), event.time("time")
    name, image_digest = detail.text("repository-name"), detail.optional_text("image-digest")
    tags, status = tuple(filter(None, detail.texts("image-tags"))), detail.text("scan-status")
    found = detail.part("finding-severity-counts").numbers()
    if silence := SILENT.get(status):
        return Interpretation(silence=silence)
    region, account, repository = _repository(event, name)
    shown = first(tags, len, MOST_TAGS)
    severities, other = severity_counts(found, counted)
    return Interpretation(
        scan=ScanReport(
            account=account,
            region=region,
            repository=repository,
            scan_type=scan_type,
            status=status,
            scanned_at=scanned_at,
            link=console_links.image_page(region, account, repository, image_digest or None),
            image_digest=image_digest or None,
            tags=shown,
            tags_omitted=len(tags) - len(shown),
            severities=severities,
            other=other,
        )
    )


def severity_counts(
    found: Mapping[str, int], counted: Sequence[str] = SEVERITIES
) -> tuple[dict[str, int], int]:
    """Return findings by severity, and how many are in the total alone.

    counted: the severities that are 0 if they are absent.
    """
    counts = dict(found)
    total = counts.pop("TOTAL", 0)
    other = max(0, total - sum(counts.values()))
    known = {name: counts.pop(name, 0) for name in SEVERITIES if name in counts or name in counted}
    unknown = sorted(name for name in counts if len(name) <= LONGEST_UNKNOWN)[:MOST_UNKNOWN]
    kept = {name: counts.pop(name) for name in unknown}
    return {**known, **kept}, other + sum(counts.values())


def _repository(event: Fields, name: str) -> tuple[str, str, str]:
    """Return Region, account and name; those of an ARN win over those of the event.

    A delegated administrator of Inspector receives its members' events with its own account.
    """
    if not name.startswith("arn:"):
        return event.text("region", most=LONGEST_REGION), event.text("account"), name
    match = _REPOSITORY_ARN.fullmatch(name)
    if match is None:
        raise UnreadableScanEvent(
            f"{event.where}.detail.repository-name must be a name or the ARN of a repository, "
            f"not {name!a}"
        )
    return match[1], match[2], match[3]
