"""Format reports on scans as messages: what is new first, then what is fixed and what remains."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from ledger.changes import Cause, Change, ChangedFinding, FindingsChange
from reporting import console_links
from reporting.message import Level, Line, Message, Section, Value, sections
from reporting.phrases import (
    by_severity,
    day,
    finding_line,
    first_of,
    headline_name,
    level_of,
    moment,
    numbered,
    severity_word,
    short_day,
    short_digest,
    short_finding,
    vulnerabilities_by_severity,
    worst_level,
)
from reporting.reports import ScanReport
from reporting.thresholds import OTHER, threshold_of
from runtime.nouns import counted

MOST_LISTED = 10  # findings in one list; the title counts all of them

# The lists of a change that report a risk, the most important first.
_RISEN = ("new", "back", "worse", "ended")
_SUPPRESSED = " suppressed by a rule in Amazon Inspector"
_FALLEN = ("gone", "accepted", "better")
_WORDS = {
    "new": "new",
    "back": "back",
    "worse": "rated higher",
    "ended": "no longer accepted",
    "gone": "fixed",
    "accepted": "accepted",
    "better": "rated lower",
}


@dataclass(frozen=True)
class _Phrase:
    """What is said of an image: the words before its name, and those after it."""

    before: Line = ()
    after: Line = ()

    def about(self, image: Value, opening: str = "") -> Line:
        """Return the phrase as a line; without an opening, it begins with a capital letter."""
        parts = [part for part in (opening, *self.before, image, *self.after) if part]
        first = parts[0]
        if isinstance(first, str) and not opening:
            parts[0] = first[:1].upper() + first[1:]
        return tuple(parts)


def message_of_scan(report: ScanReport) -> Message:
    """Return the message about one scan, compared with the scan before where that is known."""
    image, phrases = Value.of(report.image), _phrases(report)
    headlines = [phrase.about(image, "ECR: ") for phrase in (*_named(report), *phrases)]
    return Message(
        level=worst_level(report.open_now) if report.is_complete else Level.INFO,
        title=phrases[0].about(image),
        headlines=tuple(headlines),
        texts=tuple(_texts(report, headlines)),
        link=report.link,
        link_text="View in ECR",
        subject=report.subject,
        lead=tuple(_lead(report)),
        sections=tuple(_sections(report)),
        counts_heading="Open findings",
        counts=tuple(
            (level_of(name), (by_severity({name: count}),))
            for name, count in report.open_now.items()
            if count and report.is_complete
        ),
        facts=tuple(_facts(report)),
        remarks=tuple((Value.of(remark),) for remark in report.remarks),
    )


def message_of_more_incidents(report: ScanReport) -> Message:
    """Return the message of the incident that replaces all others for the rest of an hour.

    PagerDuty, which alone gets it, shows the title.
    """
    severity = severity_word(next(iter(report.open_now), OTHER))
    return Message(
        level=worst_level(report.open_now),
        title=(
            f"ECR: more than 10 images have new {severity} vulnerabilities within an hour. "
            "The next digest lists them. Close this incident manually.",
        ),
        link=report.link,
        link_text="View the last of these images in ECR",
        subject=f"ecr-rescan/{report.account}/{report.region}/more-incidents",
    )


# The title


def _phrases(report: ScanReport) -> list[_Phrase]:
    """Return what the title says, the longest first."""
    if report.is_unsupported:
        return [_Phrase(("ECR cannot scan ",))]
    if not report.is_complete and report.cause is not Cause.NOT_MONITORED:
        return [_Phrase(("scan of ",), (" still fails" if report.is_reminder else " failed",))]
    if report.cause is Cause.NOT_MONITORED:
        return [
            _Phrase(("Amazon Inspector no longer monitors ",)),
            _Phrase(("scanning ended for ",)),
        ]
    if not any(report.open_now.values()):
        return _of_clear_image(report)
    return [*_of_open_findings(report), _Phrase(("vulnerabilities in ",))]


def _of_clear_image(report: ScanReport) -> list[_Phrase]:
    if report.cause is Cause.ACCEPTED:
        accepted = report.accepted_findings
        is_suppressed = accepted and not any(finding.until for finding in accepted)
        how = "suppressed in Amazon Inspector" if is_suppressed else "accepted"
        counts = by_severity(_accepted_now(report))
        long = _Phrase((f"all open vulnerabilities are {how} in ",))
        if is_suppressed:
            long = _Phrase(("all open vulnerabilities in ",), (f" are {how}",))
        return [
            _Phrase(long.before, (*long.after, f" ({counts})")),
            long,
            _Phrase(("accepted findings in ",)),
        ]
    again = "can be scanned again, and " if report.cause is Cause.END_OF_FAILURE else ""
    if _within_thresholds(report):
        none, short = "vulnerabilities above a threshold", _Phrase(("scan of ",), (": OK",))
    else:
        none, short = "open vulnerabilities", _Phrase(("no vulnerabilities in ",))
    return [_Phrase((), (f" {again}has no {none}",)), short]


def _accepted_now(report: ScanReport) -> dict[str, int]:
    named = report.by_name.accepted if report.by_name else ()
    return report.accepted or vulnerabilities_by_severity(named)


def _of_open_findings(report: ScanReport) -> Iterator[_Phrase]:
    if report.is_reminder:
        for words in numbered(report.open_now, "finding"):
            yield _Phrase((f"reminder: {words} in ",))
    elif (change := report.by_name) and (main := _main_list(report, change)):
        others = [
            f"{count:,} {_WORDS[name]}"
            for name in (*_RISEN, *_FALLEN)
            if name != main and (count := change.count(name))
        ]
        forms = _moved(change, main)
        if others:
            yield _Phrase((f"{forms[0]} in ",), (f"; {', '.join(others)}",))
        yield from (_Phrase((f"{words} in ",)) for words in forms)
    elif report.change in (Change.WORSE, Change.BETTER) and report.difference:
        risen = {name: more for name, more in report.difference.items() if more > 0}
        fallen = {name: -more for name, more in report.difference.items() if more < 0}
        moved, comparison = (risen, "more") if risen else (fallen, "fewer")
        for words in numbered(moved, "finding", comparison):
            yield _Phrase((f"{words} in ",))
    elif report.cause is Cause.END_OF_FAILURE:
        for words in numbered(report.open_now, "finding"):
            yield _Phrase((), (f" can be scanned again: {words}",))
    else:
        for words in numbered(report.open_now, "finding"):
            yield _Phrase((f"{words} in ",))


def _counts_what_is_open(report: ScanReport) -> bool:
    """Return whether the title counts what is open, and not what has changed."""
    is_moved = report.change in (Change.WORSE, Change.BETTER) and report.difference
    main = _main_list(report, report.by_name) if report.by_name else None
    return report.is_reminder or not (main or is_moved)


def _main_list(report: ScanReport, change: FindingsChange) -> str | None:
    """Return the list that the title is about, or None if no list explains the change."""
    names = {
        Change.NEW: _RISEN,
        Change.WORSE: _RISEN,
        Change.BETTER: _FALLEN,
    }.get(report.change or Change.UNCHANGED, ())
    return next((name for name in names if change.count(name)), None)


def _moved(change: FindingsChange, name: str) -> list[str]:
    """Return what has changed, the longest form first: "1 new critical vulnerability"."""
    total, findings = change.count(name), getattr(change, name)
    are = "is" if total == 1 else "are"
    severities = vulnerabilities_by_severity(findings)
    if sum(severities.values()) != total:
        severities = {}  # those that are left out have severities too
    if name == "new" and severities:
        return numbered(severities, "vulnerability", "new")
    if name == "new":
        return [counted(total, "new vulnerability")]
    if name == "worse" and len(severities) == 1:
        word = severity_word(next(iter(severities)))
        return [f"{counted(total, 'vulnerability')} {are} now rated {word}"]
    forms = [counted(total, "vulnerability")]
    if name not in ("worse", "better") and severities:
        forms = numbered(severities, "vulnerability")
    verb = f"{are} " if name in ("back", "ended") else ""
    return [f"{form} {verb}{_WORDS[name]}" for form in forms]


def _named(report: ScanReport) -> list[_Phrase]:
    """Return the headlines that name the only vulnerability that a message is about."""
    change = report.by_name
    main = _main_list(report, change) if change else None
    if change is None or main is None or report.is_reminder or not any(report.open_now.values()):
        return []
    if change.count(main) != 1 or not getattr(change, main):
        return []  # there are several, or the report has no room for the name of the only one
    finding, *others = getattr(change, main)
    severity, name = severity_word(finding.severity), headline_name(finding, len(others))
    noun = "" if finding.name.startswith("CVE-") else "vulnerability "
    before: Line = {
        "new": (f"new {severity} {noun}", *name, " in "),
        "back": (f"{severity} {noun}", *name, " is back in "),
        "worse": (noun, *name, f" is now rated {severity} in "),
        "ended": (f"{severity} {noun}", *name, " is no longer accepted in "),
        "gone": (f"{severity} {noun}", *name, " is fixed in "),
        "accepted": (f"{severity} {noun}", *name, " is accepted in "),
        "better": (noun, *name, f" is now rated {severity} in "),
    }[main]
    fixed = change.count("gone") if main != "gone" else 0
    return [_Phrase(before, (f"; {fixed:,} fixed",) if fixed else ()), _Phrase(before)]


def _texts(report: ScanReport, headlines: list[Line]) -> Iterator[Line]:
    """Return the headlines with how the image is now, or without where that does not fit."""
    ending = ""
    if not report.is_complete:
        if any(report.open_before.values()):
            ending = f". {_last_result(report)}"
    elif any(report.open_now.values()) and not _counts_what_is_open(report):
        ending = f". Open now: {by_severity(report.open_now)}."
    elif _is_all_fixed(report):
        since = short_day(report.open_since, _today(report)) if report.open_since else ""
        opening = f"Fixed (open since {since})" if since else "Fixed"
        ending = f". {opening}: {by_severity(report.open_before)}."
    for headline in headlines:
        if ending:
            yield (*headline, ending)
        yield headline


# The sentences below it


def _lead(report: ScanReport) -> Iterator[Line]:
    if report.is_complete:
        yield from _result(report)
    else:
        if report.failure:
            yield ("Reason: ", Value.of(report.failure))
        if any(report.open_before.values()):
            yield (_last_result(report),)
    if sentence := _cause(report):
        yield (sentence,)


def _result(report: ScanReport) -> Iterator[Line]:
    if report.is_reminder:
        yield ("Nothing has changed since the last notification about this image.",)
    elif _is_all_fixed(report):
        yield _all_fixed(report)
    elif report.by_name and report.change is not None:
        yield from _compared(report, report.by_name)
    elif report.difference and any(report.open_now.values()):
        yield _difference(report)


def _last_result(report: ScanReport) -> str:
    before = numbered(report.open_before, "finding")[0]
    return f"The last result still applies: {before}."


def _cause(report: ScanReport) -> str | None:
    kind = report.scan_type.lower()
    is_titled = not (report.by_name and _main_list(report, report.by_name))
    again = "" if is_titled else "The image can be scanned again. "
    sentences = {
        Cause.THRESHOLD: "Only a threshold has changed; the findings have not.",
        Cause.END_OF_FAILURE: f"{again}The previous scan failed.",
        Cause.FIRST_OF_TYPE: f"This is the first {kind} scan of the image. Its findings are not "
        "compared with those of the other scan type.",
        Cause.NOT_MONITORED: "New vulnerabilities in this image are no longer found.",
    }
    return sentences.get(report.cause) if report.cause else None


def _is_all_fixed(report: ScanReport) -> bool:
    """Return whether everything that was open is gone, and not accepted or rated lower."""
    change, left = report.by_name, _within_thresholds(report)
    return (
        report.change is Change.CLEARED
        and report.cause in (None, Cause.END_OF_FAILURE)
        and change is not None
        and change.count("gone") > 0
        and change.count("accepted") == change.count("better") == 0
        and any(report.open_before.values())
        and not any(left.get(name) for name in report.open_before)
    )


def _all_fixed(report: ScanReport) -> Line:
    count = sum(report.open_before.values())
    findings = numbered(report.open_before, "finding")[0]
    since = f" since {day(report.open_since, _today(report))}" if report.open_since else ""
    was = f" that {'was' if count == 1 else 'were'} open{since}"
    which = f"all {findings}"
    if few := {1: "the", 2: "both"}.get(count):
        which = f"{few} {findings.removeprefix(f'{count} ')}"
    if report.compared_with and report.image_digest:
        digest = short_digest(report.image_digest, report.link)
        return ("The new image ", digest, f" fixes {which}{was}.")
    return (f"{which[0].upper()}{which[1:]}{was} {'is' if count == 1 else 'are'} fixed.",)


def _compared(report: ScanReport, change: FindingsChange) -> Iterator[Line]:
    """Return how many findings have changed in which way, and compared with what."""
    moved = [(name, change.count(name)) for name in (*_RISEN, *_FALLEN)]
    words = [f"{count:,} {_WORDS[name]}" for name, count in moved if count]
    if not words:
        return
    if (unchanged := _unchanged(report, change)) > 0:
        words.append(f"{unchanged:,} unchanged")
    listed = f": {', '.join(words)}."
    if previous := _previous(report):
        yield ("Compared with ", *previous, listed)
    elif report.change is not Change.NEW or any(report.open_before.values()):
        yield (f"Compared with the previous scan{listed}",)


def _unchanged(report: ScanReport, change: FindingsChange) -> int:
    """Return how many open findings are in no list; 0 if some of the lists are not whole."""
    listed = (*change.new, *change.back, *change.worse, *change.ended)
    is_exact = len(listed) == sum(change.count(name) for name in _RISEN)
    return sum(report.open_now.values()) - len(listed) if is_exact and not change.better else 0


def _difference(report: ScanReport) -> Line:
    """Return what has changed by number: "+1 critical; which one is new is not known."."""
    moved, previous = report.difference, _previous(report)
    counts = ", ".join(
        f"{'+' if more > 0 else '\N{MINUS SIGN}'}{abs(more):,} {severity_word(name)}"
        for name, more in moved.items()
    )
    risen = sum(more for more in moved.values() if more > 0)
    which = "one is" if abs(risen or sum(moved.values())) == 1 else "ones are"
    return (
        counts,
        *((" compared with ", *previous) if previous else ()),
        f"; which {which} {'new' if risen else 'fixed'} is not known.",
    )


def _previous(report: ScanReport) -> Line:
    """Return the image that had the tag before, or nothing if another scan of the same is meant."""
    if not report.compared_with:
        return ()
    link = console_links.image_page(
        report.region, report.account, report.repository, report.compared_with
    )
    digest = short_digest(report.compared_with, link)
    tag = Value.of(report.naming_tag) if report.naming_tag else "image"
    return ("the previous ", tag, " (", digest, ")")


# The lists


def _sections(report: ScanReport) -> Iterator[Section]:
    if report.by_name and not report.is_reminder:
        yield from _changed(report, report.by_name)
    if report.is_reminder or not report.by_name or not _main_list(report, report.by_name):
        yield from sections("Worst findings", map(finding_line, report.worst_findings))


def _changed(report: ScanReport, change: FindingsChange) -> Iterator[Section]:
    today = _today(report)

    def listed(name: str, heading: str, lines: Iterable[Line]) -> tuple[Section, ...]:
        return sections(heading, _first(change, name, lines))

    def inline(name: str, heading: str, lines: Iterable[Line]) -> tuple[Section, ...]:
        return sections(heading, _first(change, name, lines), is_inline=True)

    yield from listed("new", "New", map(finding_line, change.new))
    yield from listed(
        "back",
        "Back",
        (finding_line(each, _gone_for(each, today), _seen(each, today)) for each in change.back),
    )
    yield from listed("worse", "Rated higher", (_rated(each, today) for each in change.worse))
    yield from listed(
        "ended",
        "No longer accepted",
        (finding_line(each, _seen(each, today)) for each in change.ended),
    )
    yield from inline("spread", "Also in other packages", map(short_finding, change.spread))
    since = ""
    if report.open_since and not _is_all_fixed(report):  # which the lead states
        since = f" (open since {day(report.open_since, today)})"
    yield from inline("gone", f"Fixed{since}", map(short_finding, change.gone))
    yield from inline("better", "Rated lower", map(_rated_lower, change.better))
    yield from inline("accepted", "Now accepted", map(short_finding, change.accepted))
    yield from inline("renamed", "Renamed", map(_renamed, change.renamed))


def _first(change: FindingsChange, name: str, lines: Iterable[Line]) -> tuple[Line, ...]:
    more = (change.omitted or {}).get(name, 0)
    return first_of(tuple(lines), MOST_LISTED, len(getattr(change, name)) + more)


def _rated(finding: ChangedFinding, today: date) -> Line:
    was = f"was {severity_word(finding.was)}" if finding.was else ""
    return finding_line(finding, was, _seen(finding, today))


def _rated_lower(finding: ChangedFinding) -> Line:
    was = f"from {severity_word(finding.was)} " if finding.was else ""
    return (*short_finding(finding), f" {was}to {severity_word(finding.severity)}")


def _renamed(finding: ChangedFinding) -> Line:
    was: Line = (", was ", Value.of(finding.was)) if finding.was else ()
    return (*short_finding(finding), *was)


def _gone_for(finding: ChangedFinding, today: date) -> str:
    if not finding.gone_on:
        return ""
    return f"back after {counted((today - date.fromisoformat(finding.gone_on)).days, 'day')}"


def _seen(finding: ChangedFinding, today: date) -> str:
    if not finding.first_seen:
        return ""
    on_or_before = "on or before " if finding.is_seen_later else ""
    return f"first seen {on_or_before}{day(finding.first_seen, today)}"


# The facts


def _facts(report: ScanReport) -> Iterator[tuple[str, Line]]:
    before = by_severity(report.open_before)
    is_compared = report.change is not None and report.is_complete and not report.is_reminder
    is_moved = report.open_before != report.open_now and not _is_all_fixed(report)
    if is_compared and before and is_moved:
        yield "Findings before", (before,)
    if within := _within_thresholds(report):
        yield "Others", (f"{by_severity(within)}, within the thresholds",)
    if report.accepted:
        yield "Accepted", _accepted(report)
    if len(report.tags) + report.tags_omitted > 1:
        more = f" and {report.tags_omitted:,} more" if report.tags_omitted else ""
        yield "Tags", (Value.of(", ".join(report.tags)), more)
    if report.image_digest:
        yield "Image digest", (short_digest(report.image_digest, report.link),)
    if not report.is_complete:
        yield "Status", (Value.of(report.status),)
    yield "Scanned", (f"{moment(report.scanned_at)}, {report.scan_type.lower()} scanning",)
    yield _account(report)


def _account(report: ScanReport) -> tuple[str, Line]:
    return "Account", (Value.of(report.account), " in ", Value.of(report.region))


def _within_thresholds(report: ScanReport) -> dict[str, int]:
    """Return the findings of severities that are not above their thresholds."""
    found = {OTHER: report.other}
    for severity, count in report.severities.items():
        name = threshold_of(severity)
        found[name] = found.get(name, 0) + count
    return {name: count for name, count in found.items() if count and not report.open_now.get(name)}


def _accepted(report: ScanReport) -> Line:
    """Return the accepted findings: how many, and the first few by name."""
    named: list[str | Value] = []
    today = _today(report)
    for finding in report.accepted_findings:
        until = f" until {day(finding.until, today)}" if finding.until else _SUPPRESSED
        named += [", " if named else ": ", Value.of(finding.name), until]
    more = sum(report.accepted.values()) - len(report.accepted_findings)
    return (by_severity(report.accepted), *named, f" and {more:,} more" if more > 0 else "")


def _today(report: ScanReport) -> date:
    return report.scanned_at.date()
