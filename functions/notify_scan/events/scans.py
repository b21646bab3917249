"""Scan-complete events, of basic scanning and of enhanced scanning, read into reports."""

import re
from collections.abc import Mapping, Sequence

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent
from own_events.scan_result_found import ScanResultFound
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
_SILENT = {
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
    return _read(event, _scan(event), ScanType.BASIC, SEVERITIES)


def enhanced_scan(event: Fields) -> Interpretation:
    """Read an Inspector2 Scan event, which may also be about an instance, a function or an AMI."""
    if event.part("detail").optional_text("repository-name") is None:
        return Interpretation(silence=Reason.NOT_AN_IMAGE)
    return _read(event, _scan(event), ScanType.ENHANCED, _COUNTED_BY_INSPECTOR)


def found_scan(event: Fields) -> Interpretation:
    """Read a Scan Result Found event: a result that ECR was asked for."""
    detail = event.part("detail")
    found = ScanResultFound.read(detail)
    if found.scan_type not in ScanType:
        known = " or ".join(ScanType)
        raise UnreadableScanEvent(
            f"{detail.where}.scan-type must be {known}, not {found.scan_type!a}"
        )
    return _read(event, found, ScanType(found.scan_type), SEVERITIES)


def _scan(event: Fields) -> ScanResultFound:
    """Read an event of ECR or Inspector, whose detail has the keys of our own."""
    detail = event.part("detail")
    return ScanResultFound.read_at(event.time("time"), detail)


def _read(
    event: Fields, scan: ScanResultFound, scan_type: ScanType, counted: Sequence[str]
) -> Interpretation:
    """Read a scan; one without a result says nothing about the image, and is not recorded."""
    if silence := _SILENT.get(scan.scan_status):
        return Interpretation(silence=silence)
    return Interpretation(scan=_report(event, scan, scan_type, counted))


def _report(
    event: Fields, scan: ScanResultFound, scan_type: ScanType, counted: Sequence[str]
) -> ScanReport:
    region, account, repository = _repository(event, scan.repository)
    image_digest = scan.image_digest or None
    shown = first(scan.image_tags, len, MOST_TAGS)
    severities, other = _counts(scan.severities, counted)
    return ScanReport(
        account=account,
        region=region,
        repository=repository,
        scan_type=scan_type,
        status=scan.scan_status,
        scanned_at=scan.scanned_at,
        tagged_at=scan.tagged_at,
        link=console_links.image_page(region, account, repository, image_digest),
        image_digest=image_digest,
        tags=shown,
        tags_omitted=len(scan.image_tags) - len(shown),
        severities=severities,
        other=other,
    )


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


def _counts(told: Mapping[str, int], counted: Sequence[str]) -> tuple[dict[str, int], int]:
    counts = dict(told)
    total = counts.pop("TOTAL", 0)
    other = max(0, total - sum(counts.values()))
    known = {name: counts.pop(name, 0) for name in SEVERITIES if name in counts or name in counted}
    unknown = sorted(name for name in counts if len(name) <= LONGEST_UNKNOWN)[:MOST_UNKNOWN]
    kept = {name: counts.pop(name) for name in unknown}
    return {**known, **kept}, other + sum(counts.values())
