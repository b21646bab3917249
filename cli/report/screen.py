"""The report on a terminal."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.text import Text

from cli.output import add_row, age, number, table
from cli.report.document import (
    Details,
    Freshness,
    Report,
    ReportedFinding,
    ReportedImage,
)
from cli.report.images import ENHANCED
from cli.report.names import channel_name, image_name
from cli.report.read import Affected
from cli.report.totals import (
    CRITICAL,
    notified_of,
    open_counts,
    open_findings,
    open_since,
    share_inside,
    worst_severity,
)
from cli.report.wording import ago, how_ended, which_run
from registry.findings import severity_rank
from reporting.text import visible
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 110  # columns, from which on there is room for more
_WHOLE = 32  # characters of a name that are not folded for the sake of other columns
_SHORT = {"CRITICAL": "crit", "HIGH": "high", "MEDIUM": "med", "LOW": "low"}


def show_report(report: Report, images: Sequence[ReportedImage], console: "Console") -> None:
    """Print the verdict, some images, and the totals."""
    _say(console, verdict(report))
    _say(console, _heading(report))
    if images:
        console.print()
        console.print(_images(images, is_wide=console.width >= WIDE))
    if detailed := [image for image in images if _has_details(image)]:
        console.print()
        console.print(_details(detailed))
    console.print()
    for line in _totals(report, console.width):
        console.print(Text(visible(line)))


def show_affected(affected: Affected, console: "Console") -> None:
    """Print which images have a vulnerability, and since when."""
    if affected.images:
        console.print(_findings(affected.images, is_wide=console.width >= WIDE))
        console.print()
    repositories = len({image.repository for image in affected.images})
    gone = f" {counted(affected.gone, 'image')} that had it no longer exist." * bool(affected.gone)
    sentence = (
        f"{affected.vulnerability} is in {counted(len(affected.images), 'image')} of "
        f"{counted(repositories, 'repository')}.{gone} "
        f"{affected.searched:,} searched, with {affected.read_units:,.1f} read request units."
    )
    console.print(Text(visible(sentence)))


def verdict(report: Report) -> str:
    """Return the state of the registry in one sentence."""
    totals = report.totals
    if not totals.images:
        return "There is no image in the repositories that ecr-rescan covers."
    critical = totals.images_with.get(CRITICAL, 0)
    have = "has" if critical == 1 else "have"
    first = (
        f"{critical:,} of {counted(totals.images, 'image')} {have} open critical vulnerabilities"
        if critical
        else f"None of {counted(totals.images, 'image')} has open critical vulnerabilities"
    )
    if report.scan_type == ENHANCED:
        return f"{first}. Amazon Inspector rescans them."
    if not totals.overdue:
        return f"{first}; none is overdue for a scan."
    return f"{first}; {_were(totals.overdue)} not scanned in time."


def _were(number: int) -> str:
    return f"{number:,} {'was' if number == 1 else 'were'}"


def _heading(report: Report) -> str:
    """Say what the report is about, and how its last run has ended."""
    parts = [report.account, report.region, report.stack]
    if report.as_of_run:
        ended = [how_ended(run) for run in report.runs if run.run == report.as_of_run]
        return " · ".join([*parts, f"as run {report.as_of_run} has found the images", *ended])
    run = report.last_run
    if run is None:
        return " · ".join([*parts, "only dry runs are kept" if report.runs else "no run is kept"])
    when = f"{which_run(report, run)} {age(run.ended_at, report.made_at)} ago"
    return " · ".join([*parts, when, how_ended(run)])


def _images(images: Iterable[ReportedImage], *, is_wide: bool) -> "Table":
    severities = [*_SHORT] if is_wide else [*_SHORT][:2]
    counts = [_SHORT[severity] for severity in severities]
    titles = ["image", *counts, "since", "scanned", "notified", *(["worst"] * is_wide)]
    lines = table(titles, right=counts)
    for image in images:
        findings, since = open_counts(image), open_since(image)
        worst = next(iter(open_findings(image)), None)
        add_row(
            lines,
            image_name(image),
            *(number(findings.get(severity, 0)) for severity in severities),
            since.isoformat() if since else "",
            _scanned(image),
            _channels(image, is_wide=is_wide),
            *([f"{worst.name} {worst.package}".strip() if worst else ""] * is_wide),
        )
    return lines


def _scanned(image: ReportedImage) -> str:
    """Say how old the last scan is, or why there is none."""
    if image.freshness is Freshness.NONE:
        return (image.outcome or "").lower().replace("_", " ")
    old = ago(image.age_hours or 0) if image.scanned_at else "never"
    is_late = image.freshness in (Freshness.DUE, Freshness.OVERDUE)
    return f"{old} {image.freshness}" if is_late else old


def _channels(image: ReportedImage, *, is_wide: bool) -> str:
    """Say which channels, or how many, were notified of one of the worst findings."""
    severity = worst_severity(image)
    if severity is None:
        return "·"
    channels = notified_of(image, severity)
    if not channels:
        return "none"
    return ", ".join(map(channel_name, channels)) if is_wide else str(len(channels))


def _totals(report: Report, width: int) -> Iterable[str]:
    totals = report.totals
    if totals.scannable:
        inside = f"{totals.inside:,} of {totals.scannable:,} ({share_inside(totals)})"
        if report.scan_type == ENHANCED:
            parts = [f"Monitored by Amazon Inspector: {inside}"]
        else:
            parts = [f"Scanned within {_short(report.rescan_after)}: {inside}"]
        parts += [
            f"{name} {count:,}"
            for name, count in (
                ("due", totals.due),
                ("overdue", totals.overdue),
                ("never scanned", totals.never_scanned),
            )
            if count
        ]
        if totals.oldest_hours is not None and report.scan_type != ENHANCED:
            parts.append(f"oldest scan {ago(totals.oldest_hours)}")
        yield from _lines_of(parts, width)
    if totals.not_scannable:
        first, *others = (
            f"{count:,} {outcome.lower().replace('_', ' ')}"
            for outcome, count in totals.not_scannable.items()
        )
        yield from _lines_of([f"Not scanned: {first}", *others], width)
    if totals.accepted:
        yield f"Accepted: {counted(totals.accepted, 'finding')}, in none of these numbers"


def _lines_of(parts: Iterable[str], width: int) -> Iterable[str]:
    """Join parts to lines, which wrap between them and not inside."""
    line = ""
    for part in parts:
        longer = f"{line} · {part}" if line else part
        if line and len(longer) > width:
            yield line
            longer = part
        line = longer
    yield line


def _findings(images: Iterable[ReportedImage], *, is_wide: bool) -> "Table":
    """List findings, the worst first: which image, which package, since when, who was notified."""
    titles = ["image", "package", "first seen", "notified"]
    lines = table(["severity", *titles, "remarks"] if is_wide else ["", *titles])
    rows = [(image, finding) for image in images for finding in image.findings]
    rows.sort(key=lambda row: (severity_rank(row[1].severity), image_name(row[0]), row[1].package))
    longest = max((len(image_name(image)) for image, _ in rows), default=0)
    lines.columns[1].min_width = min(longest, _WHOLE)
    for image, finding in rows:
        cells = (
            image_name(image),
            f"{finding.package} {finding.version}".strip(),
            f"{'by ' if finding.is_seen_later else ''}{finding.first_seen}",
            _notified_of(finding, is_wide=is_wide),
        )
        severity, remarks = finding.severity, ", ".join(_remarks(image, finding))
        if is_wide:
            add_row(lines, severity, *cells, remarks)
            continue
        add_row(lines, _SHORT.get(severity, severity.lower()), *cells)
        if remarks:
            add_row(lines, "", f"  {remarks}", "", "", "")
    return lines


def _notified_of(finding: ReportedFinding, *, is_wide: bool) -> str:
    """Return the day when the first channel was notified of a finding, and the channels."""
    if not finding.notified:
        return "none"
    first = min(finding.notified, key=lambda channel: finding.notified[channel])
    by = "by " if first in finding.notified_before else ""
    names = ", ".join(map(channel_name, sorted(finding.notified)))
    return f"{by}{finding.notified[first].date()}{f' {names}' if is_wide else ''}"


def _remarks(image: ReportedImage, finding: ReportedFinding) -> Iterable[str]:
    if accepted := finding.accepted:
        yield f"accepted until {accepted.until}" if accepted.until else "suppressed"
    if image.has_incident:
        yield "incident open"
    if image.freshness is Freshness.NONE and image.outcome:
        yield image.outcome.lower().replace("_", " ")
    if image.freshness is Freshness.OVERDUE:
        yield "scan overdue"
    if image.scanned_at is None:
        yield "last scan unknown"


def _details(images: Iterable[ReportedImage]) -> "Table":
    """List what ECR has said about the worst open findings."""
    lines = table(("image", "vulnerability", "package", "fixed in", "cvss", "exploit"))
    for image in images:
        for finding in open_findings(image):
            details = finding.details or Details()
            add_row(
                lines,
                image_name(image),
                finding.name,
                f"{finding.package} {finding.version}".strip(),
                details.fixed_in or "·",
                details.score or "·",
                "known" if details.is_exploited else "·",
            )
    return lines


def _has_details(image: ReportedImage) -> bool:
    return any(finding.details for finding in open_findings(image))


def _short(duration: timedelta) -> str:
    hours = round(duration.total_seconds() / 3_600)
    return f"{hours // 24} d" if hours % 24 == 0 else f"{hours} h"


def _say(console: "Console", sentence: str) -> None:
    console.print(Text(visible(sentence)), soft_wrap=True)
