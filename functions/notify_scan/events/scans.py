"""Scan-complete events, of basic scanning and of enhanced scanning, read into reports."""

import re
from datetime import datetime

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent
from registry.findings import SEVERITIES
from reporting import console_links
from reporting.reports import Interpretation, Reason, ScanReport, ScanType
from reporting.text import first

# ECR names only the severities that it has found, so one that is absent is 0.
# Inspector tells three severities and a total; LOW and below are only in what the total has more.
_TOLD = {ScanType.BASIC: SEVERITIES, ScanType.ENHANCED: SEVERITIES[:3]}
_REPOSITORY_ARN = re.compile(
    rf"arn:[a-z-]+:ecr:([a-z0-9-]{{1,{LONGEST_REGION}}}):([0-9]+):repository/(.+)", re.DOTALL
)
MOST_TAGS = 2_000  # characters: an image can have more tags than a message has room
MOST_UNKNOWN = 10  # severities that AWS does not document
LONGEST_UNKNOWN = 50  # characters of such a name


def basic_scan(event: Fields) -> Interpretation:
    """Read an ECR Image Scan event."""
    return Interpretation(scan=_report(event, ScanType.BASIC))


def enhanced_scan(event: Fields) -> Interpretation:
    """Read an Inspector2 Scan event, which may also be about an instance, a function or an AMI."""
    if event.part("detail").optional_text("repository-name") is None:
        return Interpretation(silence=Reason.NOT_AN_IMAGE)
    return Interpretation(scan=_report(event, ScanType.ENHANCED))


def found_scan(event: Fields) -> Interpretation:
    """Read a Scan Result Found event: FindStaleImages has found a result that never arrived."""
    scanned_at = event.part("detail").time("scanned-at")
    return Interpretation(scan=_report(event, ScanType.BASIC, scanned_at))


def _report(event: Fields, scan_type: ScanType, scanned_at: datetime | None = None) -> ScanReport:
    detail = event.part("detail")
    region, account, repository = _repository(event, detail)
    digest = detail.optional_text("image-digest")
    tags = tuple(filter(None, detail.texts("image-tags")))
    shown = first(tags, len, MOST_TAGS)
    severities, other = _counts(detail.part("finding-severity-counts"), scan_type)
    return ScanReport(
        account=account,
        region=region,
        repository=repository,
        scan_type=scan_type,
        status=detail.text("scan-status"),
        scanned_at=scanned_at or event.time("time"),
        link=console_links.image_page(region, account, repository, digest),
        digest=digest or None,
        tags=shown,
        tags_omitted=len(tags) - len(shown),
        severities=severities,
        other=other,
    )


def _repository(event: Fields, detail: Fields) -> tuple[str, str, str]:
    """Tell region, account and name. An ARN says better whose it is than the event around it.

    A delegated administrator of Inspector gets the events of its members as events of its own.
    """
    name = detail.text("repository-name")
    if not name.startswith("arn:"):
        return event.text("region", most=LONGEST_REGION), event.text("account"), name
    match = _REPOSITORY_ARN.fullmatch(name)
    if match is None:
        raise UnreadableScanEvent(
            f"{detail.where}.repository-name must be a name or the ARN of a repository, "
            f"not {name!a}"
        )
    return match[1], match[2], match[3]


def _counts(told: Fields, scan_type: ScanType) -> tuple[dict[str, int], int]:
    counts = told.numbers()
    total = counts.pop("TOTAL", 0)
    other = max(0, total - sum(counts.values()))
    known = {
        name: counts.pop(name, 0)
        for name in SEVERITIES
        if name in counts or name in _TOLD[scan_type]
    }
    unknown = sorted(name for name in counts if len(name) <= LONGEST_UNKNOWN)[:MOST_UNKNOWN]
    kept = {name: counts.pop(name) for name in unknown}
    return {**known, **kept}, other + sum(counts.values())
