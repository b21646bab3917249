"""The contents of the page: a report, summed up and put into words."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from cli.report.answers import Answer, Phrase, answers, headline
from cli.report.charts import Histogram, Trend, histogram, trend
from cli.report.document import Freshness, Report, ReportedFinding, ReportedImage
from cli.report.names import image_name
from cli.report.totals import CRITICAL, open_findings, worst_severity
from cli.report.vulnerabilities import (
    AcceptedRisk,
    FirstNotified,
    Since,
    Vulnerability,
    accepted_risks,
    vulnerabilities,
)
from cli.report.wording import HOUR, ago, duration, link_of
from cli.shown_commands import own_at
from cli.stack import Address
from runtime.nouns import counted

MOST_IMAGES = 2_000
MOST_FINDINGS = 12  # of one image
_MOST_LINES = 25  # of another table
_MOST_REPOSITORIES = 10
_COLUMNS = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
_LATE = (Freshness.DUE, Freshness.OVERDUE, Freshness.WAITING)


@dataclass(frozen=True)
class Share:
    """A row of bars: counts by severity. most: what fills the width. says: what follows."""

    name: str
    counts: Mapping[str, int]
    most: int
    says: str = ""


@dataclass(frozen=True)
class Reason:
    """Why images cannot be scanned or are excluded."""

    outcome: str
    reason: str
    images: int


@dataclass(frozen=True)
class Row:
    """An image in the table.

    counts: open findings of the four columns. kinds: the filters that show it.
    since: when the worst of its open findings was first seen. notified: of one of them.
    is_not_notified: it has critical findings, and no channel was notified.
    findings: the first of them, with the link of each. more: how many are not shown.
    """

    image: ReportedImage
    name: str
    counts: tuple[int, ...]
    kinds: str
    since: Since | None
    notified: FirstNotified | None
    is_not_notified: bool
    findings: tuple[tuple[ReportedFinding, str], ...]
    more: int


@dataclass(frozen=True)
class Contents:
    """What the page says.

    limit: the age from which an image is overdue. severity: of the vulnerabilities.
    more: lines that a table leaves out, by the name of the table.
    hidden: images that are only in the CSV file. csv: the command that writes it.
    """

    report: Report
    rescan_after: str
    limit: str
    headline: tuple[Phrase, ...]
    answers: tuple[Answer, ...]
    histogram: Histogram | None
    trend: Trend | None
    severity: str
    vulnerabilities: Sequence[Vulnerability]
    has_details: bool
    repositories: Sequence[Share]
    severities: Sequence[Share]
    reasons: Sequence[Reason]
    accepted: Sequence[AcceptedRisk]
    rows: Sequence[Row]
    more: Mapping[str, int]
    hidden: int
    csv: str


def contents(report: Report) -> Contents:
    """Sum up a report."""
    severity = next(iter(report.totals.findings), CRITICAL)
    found = vulnerabilities(report, severity)
    accepted = accepted_risks(report.images)
    images = _shown(report.images)
    limit = report.rescan_after + 2 * report.interval
    limits = {
        f"RescanAfter: {ago(report.rescan_after / HOUR)}": report.rescan_after,
        "overdue": limit,
    }
    return Contents(
        report=report,
        rescan_after=duration(report.rescan_after),
        limit=duration(limit),
        headline=tuple(headline(report)),
        answers=answers(report, found if severity == CRITICAL else []),
        histogram=histogram(report.histogram, limits),
        trend=trend(report.runs),
        severity=severity.lower(),
        vulnerabilities=found[:_MOST_LINES],
        has_details=any(each.has_details for each in found),
        repositories=_repositories(report.images),
        severities=_severities(report),
        reasons=_reasons(report.images),
        accepted=accepted[:_MOST_LINES],
        rows=tuple(_row(image, report) for image in images),
        more={
            "vulnerabilities": max(len(found) - _MOST_LINES, 0),
            "accepted": max(len(accepted) - _MOST_LINES, 0),
        },
        hidden=len(report.images) - len(images),
        # A page is read elsewhere: with other defaults, and without the profile.
        csv=own_at(Address(report.stack, report.region), "report", csv="report.csv"),
    )


def _repositories(images: Iterable[ReportedImage]) -> list[Share]:
    """Return the repositories with the most images that have critical or high findings."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        severity = worst_severity(image)
        if severity in {"CRITICAL", "HIGH"}:
            found[image.repository][severity.lower()] += 1
    ranked = sorted(
        found.items(), key=lambda each: (-each[1]["critical"], -each[1]["high"], each[0])
    )[:_MOST_REPOSITORIES]
    most = max((counts.total() for _, counts in ranked), default=0)
    return [
        Share(name, {tone: counts[tone] for tone in ("critical", "high")}, most)
        for name, counts in ranked
    ]


def _severities(report: Report) -> list[Share]:
    totals = report.totals
    most = max(totals.findings.values(), default=0)
    return [
        Share(
            name.lower(),
            {name.lower(): count},
            most,
            f"in {counted(totals.images_with.get(name, 0), 'image')}",
        )
        for name, count in totals.findings.items()
    ]


def _reasons(images: Iterable[ReportedImage]) -> list[Reason]:
    found = Counter(
        ((image.outcome or "unknown").lower(), image.reason or "")
        for image in images
        if image.freshness is Freshness.NONE
    )
    return [Reason(outcome, reason, count) for (outcome, reason), count in found.most_common()]


def _shown(images: Sequence[ReportedImage]) -> Sequence[ReportedImage]:
    """Return the images of the table; of many, the ones that need attention."""
    if len(images) <= MOST_IMAGES:
        return images
    return tuple(islice(filter(_needs_attention, images), MOST_IMAGES))


def _needs_attention(image: ReportedImage) -> bool:
    return worst_severity(image) in {"CRITICAL", "HIGH"} or image.freshness in _LATE


def _row(image: ReportedImage, report: Report) -> Row:
    open_counts = image.open_counts()
    severity = worst_severity(image)
    notified = FirstNotified.of_image(image, severity) if severity else None
    worst_findings = open_findings(image, severity) if severity else ()
    is_not_notified = severity == CRITICAL and notified is None
    kinds = {
        "is-critical": severity == CRITICAL,
        "is-serious": severity in {"CRITICAL", "HIGH"},
        "is-late": image.freshness in _LATE,
        "is-not-notified": is_not_notified,
        "is-outside": image.freshness is Freshness.NONE,
    }
    shown = image.findings[:MOST_FINDINGS]
    return Row(
        image=image,
        name=image_name(image),
        counts=tuple(open_counts.get(name, 0) for name in _COLUMNS),
        kinds=" ".join(name for name, applies in kinds.items() if applies),
        since=min(
            (Since.of(each, report.made_at) for each in worst_findings),
            key=Since.order,
            default=None,
        ),
        notified=notified,
        is_not_notified=is_not_notified,
        findings=tuple((each, link_of(each)) for each in shown),
        more=len(image.findings) - len(shown),
    )
