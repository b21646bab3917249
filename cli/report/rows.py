"""The report as JSON objects and as rows of a spreadsheet: docs/cli.md names their members."""

from collections.abc import Iterable, Mapping
from datetime import date

from cli.report.document import AgeBin, Report, ReportedFinding, ReportedImage
from cli.report.totals import open_counts, open_since
from registry.findings import SEVERITIES
from runtime.durations import iso

type Row = dict[str, object]

_COLUMNS = SEVERITIES[:4]


def report_document(report: Report) -> Row:
    """Return what is true of the report as a whole: all but its images."""
    return {
        "version": report.version,
        "scan_type": report.scan_type,
        "rescan_after": iso(report.rescan_after),
        "interval_hours": round(report.interval.total_seconds() / 3_600, 2),
        "lowest": report.lowest,
        "as_of_run": report.as_of_run,
        "missing": list(report.missing),
        "read_units": report.read_units,
        "subscribers": dict(report.subscribers),
        "totals": dict(vars(report.totals)),
        "histogram": [_bin(each) for each in report.histogram],
        "runs": [dict(vars(run)) for run in report.runs],
    }


def image_document(image: ReportedImage) -> Row:
    """Return everything that the report has of an image."""
    notified = {channel: dict(vars(each)) for channel, each in image.notified.items()}
    findings = [finding_document(each) for each in image.findings]
    return {**vars(image), "notified": notified, "findings": findings}


def finding_document(finding: ReportedFinding) -> Row:
    """Return everything that the report has of a finding."""
    accepted, details = finding.accepted, finding.details
    return {
        **vars(finding),
        "first_seen": finding.first_seen.isoformat(),
        "notified_before": sorted(finding.notified_before),
        "accepted": {**vars(accepted), "until": _day(accepted.until)} if accepted else None,
        "details": dict(vars(details)) if details else None,
    }


def image_row(image: ReportedImage) -> Row:
    """Return an image as one row; findings are those that are not accepted."""
    counts = open_counts(image)
    others = sum(count for severity, count in counts.items() if severity not in _COLUMNS)
    return {
        "repository": image.repository,
        "image_digest": image.image_digest,
        "tags": list(image.tags),
        "platform": image.platform,
        "pushed_at": image.pushed_at,
        "pulled_at": image.pulled_at,
        "scanned_at": image.scanned_at,
        "age_hours": image.age_hours,
        "freshness": image.freshness,
        "scan_type": image.scan_type,
        "status": image.status,
        "outcome": image.outcome,
        "reason": image.reason,
        **{severity.lower(): counts.get(severity, 0) for severity in _COLUMNS},
        "other": others,
        "accepted": sum(image.accepted_counts.values()),
        "open_since": _day(open_since(image)),
        "notified": sorted(image.notified),
        "has_incident": image.has_incident,
    }


def finding_rows(images: Iterable[ReportedImage]) -> Iterable[Row]:
    """Return the findings of images, each as one row."""
    for image in images:
        for finding in image.findings:
            yield _finding_row(image, finding)


def _finding_row(image: ReportedImage, finding: ReportedFinding) -> Row:
    accepted, details = finding.accepted, finding.details
    return {
        "repository": image.repository,
        "image_digest": image.image_digest,
        "tags": list(image.tags),
        "name": finding.name,
        "package": finding.package,
        "version": finding.version,
        "severity": finding.severity,
        "first_seen": _day(finding.first_seen),
        "is_seen_later": finding.is_seen_later,
        "accepted_until": _day(accepted.until) if accepted else None,
        "accepted_by": accepted.by if accepted else None,
        "accepted_reason": accepted.reason if accepted else None,
        "notified": sorted(finding.notified),
        "notified_at": min(finding.notified.values(), default=None),
        "fixed_in": details.fixed_in if details else None,
        "score": details.score if details else None,
        "is_exploited": details.is_exploited if details else None,
        "link": details.link if details else None,
    }


def _bin(each: AgeBin) -> Mapping[str, object]:
    return dict(vars(each))


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
