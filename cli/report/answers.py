"""The headline of the page, and its answers to the five questions of an auditor."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from cli.report.document import Freshness, Report
from cli.report.images import ENHANCED
from cli.report.names import channel_name, image_name
from cli.report.totals import scan_ages, share_inside
from cli.report.vulnerabilities import FirstNotified, Since, Vulnerability
from cli.report.wording import ago, duration
from runtime.nouns import counted

_NOTHING = "—"


@dataclass(frozen=True)
class Phrase:
    """A part of the headline. tone: of its colour; empty for that of the text."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to one question of an auditor. unit: what follows the large figure."""

    question: str
    figure: str
    unit: str = ""
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tone: str = ""


def headline(report: Report) -> Iterator[Phrase]:
    """Yield the headline in parts."""
    totals = report.totals
    if not totals.images:
        yield Phrase("No image was found in the registry.")
        return
    critical = totals.images_with.get("CRITICAL", 0)
    if critical:
        yield Phrase(counted(critical, "image"), "critical")
        yield Phrase(f" {'has' if critical == 1 else 'have'} open critical findings")
    else:
        yield Phrase("No image has an open critical finding")
    if report.scan_type == ENHANCED:
        yield Phrase(". Amazon Inspector rescans them.")
    elif not totals.scannable:
        yield Phrase(".")
    elif totals.overdue:
        yield Phrase(", and ")
        yield Phrase(f"{totals.overdue:,}", "overdue")
        yield Phrase(f" {'was' if totals.overdue == 1 else 'were'} not scanned in time.")
    elif totals.inside == totals.scannable:
        yield Phrase(f", and all were scanned within {duration(report.rescan_after)}.")
    else:
        yield Phrase(", and no scan is overdue.")


def answers(report: Report, critical: Sequence[Vulnerability]) -> tuple[Answer, ...]:
    """Answer the questions. critical: the open critical vulnerabilities, if known by name."""
    return (
        _which(report, critical),
        _since_when(report, critical),
        _who_was_notified(report),
        _when_scanned(report),
        _is_inside(report),
    )


def _which(report: Report, critical: Sequence[Vulnerability]) -> Answer:
    images = report.totals.images_with.get("CRITICAL", 0)
    names = {each.name for each in critical}
    repositories = {name for each in critical for name in each.repositories}
    exploited = {each.name for each in critical if each.is_exploited}
    spread = (
        f"{counted(len(names), 'vulnerability')} in {counted(len(repositories), 'repository')}."
    )
    return Answer(
        "Which images have critical findings now?",
        f"{images:,}",
        f"of {counted(report.totals.images, 'image')}",
        (spread,) if critical else (),
        (f"{len(exploited):,} of them known to be exploited.",) if exploited else (),
        "critical" if images else "inside",
    )


def _since_when(report: Report, critical: Sequence[Vulnerability]) -> Answer:
    question = "Since when?"
    if not report.totals.images_with.get("CRITICAL", 0):
        return Answer(question, _NOTHING, sentences=("No critical finding is open.",))
    if not critical:
        said = "The counts of these findings are recorded, and not their names."
        return Answer(question, "Unknown", sentences=(said,))
    oldest = min(critical, key=lambda each: Since.order(each.since))
    package = f" in {oldest.package}" if oldest.package else ""
    more = " or more" if oldest.since.is_later else ""
    return Answer(
        question,
        f"{oldest.since.days:,}",
        f"{'day' if oldest.since.days == 1 else 'days'}{more}, the oldest",
        (f"{oldest.name}{package}, {oldest.since}.",),
    )


def _who_was_notified(report: Report) -> Answer:
    images, left = report.totals.images_with.get("CRITICAL", 0), report.totals.not_notified
    question = "Who was notified?"
    if not images:
        return Answer(question, _NOTHING, sentences=("No critical finding is open.",))
    channels = Counter(
        name
        for image in report.images
        if image.open_counts().get("CRITICAL", 0)
        for first in [FirstNotified.of_image(image, "CRITICAL")]
        if first
        for name in first.channels
    )
    named = [f"{channel_name(name)} {count:,}" for name, count in channels.most_common()]
    readers = [f"{count:,} by {protocol}" for protocol, count in sorted(report.subscribers.items())]
    return Answer(
        question,
        f"{images - left:,}",
        f"of {counted(images, 'image')}",
        (
            *([f"{', '.join(named)}."] if named else []),
            *([f"Subscribers of the topic now: {', '.join(readers)}."] if readers else []),
        ),
        (f"{left:,} without a notification.",) if left else (),
        "overdue" if left else "",
    )


def _when_scanned(report: Report) -> Answer:
    question = "When was each last scanned?"
    scanned = [*scan_ages(report.images)]
    never = report.totals.never_scanned
    warnings = (f"{counted(never, 'image')} never scanned.",) if never else ()
    if not scanned:
        return Answer(question, _NOTHING, "", ("No scan is recorded.",), warnings)
    hours, oldest = max(scanned, key=lambda each: each[0])
    half = ago(median(age for age, _ in scanned))
    inspector = ["Amazon Inspector scans an image again when it learns of a vulnerability."]
    return Answer(
        question,
        ago(hours),
        "ago, the oldest",
        (
            f"{image_name(oldest)}.",
            f"Half of them within {half}; each one is listed below.",
            *(inspector if report.scan_type == ENHANCED else []),
        ),
        warnings,
        oldest.freshness.value if oldest.freshness is not Freshness.INSIDE else "",
    )


def _is_inside(report: Report) -> Answer:
    totals = report.totals
    question = (
        "Does Amazon Inspector monitor every image?"
        if report.scan_type == ENHANCED
        else f"Is the registry inside its RescanAfter of {duration(report.rescan_after)}?"
    )
    outside = totals.images - totals.scannable
    left_out = (
        [f"Without {counted(outside, 'image')} not scannable or excluded."] if outside else []
    )
    if not totals.scannable:
        return Answer(question, _NOTHING, "", ("No image has to be scanned.", *left_out))
    is_inside = totals.inside == totals.scannable
    limit = duration(report.rescan_after + 2 * report.interval)
    due = [f"{totals.due:,} due, and overdue after {limit}."] if totals.due else []
    return Answer(
        question,
        "Yes" if is_inside else "No",
        f"{share_inside(totals)} of {counted(totals.scannable, 'image')}",
        (*due, *left_out),
        (f"{totals.overdue:,} overdue.",) if totals.overdue else (),
        "inside" if is_inside else "overdue" if totals.overdue else "due",
    )
