"""Format a digest as a message: what is new by vulnerability, and then image by image."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from enum import StrEnum

from ledger.changes import Change, ChangedFinding
from reporting.message import Level, Line, Message, Section, Value, sections
from reporting.phrases import (
    LONGEST_NAME,
    day,
    finding_line,
    level_of,
    name_of,
    numbered,
    severity_word,
    short_digest,
)
from reporting.reports import (
    DigestedGroup,
    DigestedImage,
    DigestedVulnerability,
    DigestReport,
    MovedThreshold,
    NamedImage,
    News,
)
from reporting.text import trimmed
from runtime.nouns import counted

_WORDS = {
    Change.NEW: "new",
    Change.WORSE: "worse",
    Change.FAILED: "failed",
    Change.BETTER: "better",
    Change.UNCHANGED: "unchanged",
    Change.CLEARED: "cleared",
}
_LEVELS = {
    Change.NEW: Level.HIGH,
    Change.WORSE: Level.HIGH,
    Change.BETTER: Level.LOW,
    Change.CLEARED: Level.OK,
}
_ADJECTIVES = {
    News.NEW: "new {severity} vulnerability",
    News.BACK: "{severity} vulnerability is back",
    News.RATED_HIGHER: "vulnerability is now rated {severity}",
    News.NO_LONGER_ACCEPTED: "{severity} vulnerability is no longer accepted",
}
_IS = {
    News.NEW: "is new",
    News.BACK: "is back",
    News.RATED_HIGHER: "is now rated {severity}",
    News.NO_LONGER_ACCEPTED: "is no longer accepted",
}
_DETAILS = " See the digest."


def message_of_digest(report: DigestReport) -> Message:
    """Return the message about a digest, the most important first."""
    title, headlines, texts = _titles(report)
    return Message(
        level=_level(report),
        title=title,
        headlines=headlines,
        texts=texts,
        link=report.link,
        link_text="Open the full digest in the console",
        subject=report.subject,
        lead=tuple(_lead(report)),
        sections=tuple(_sections(report)),
        counts_heading=_counts_heading(report),
        counts=tuple(
            (_LEVELS.get(kind, Level.INFO), (f"{report.changes[kind]:,} {word}",))
            for kind, word in _WORDS.items()
            if kind in report.changes and _counts_heading(report)
        ),
        facts=(
            ("Document", (Value.of(f"s3://{report.bucket}/{report.document}"),)),
            ("Account", (Value.of(report.account), " in ", Value.of(report.region))),
        ),
        remarks=tuple(_remarks(report)),
    )


class _Topic(StrEnum):
    """What a digest is about, above all."""

    BASELINE = "BASELINE"
    NEWS = "NEWS"
    IMAGES = "IMAGES"
    REMINDERS = "REMINDERS"
    LINES = "LINES"


def _topic(report: DigestReport) -> _Topic:
    others = sum(report.changes.values()) + (report.reminders.count if report.reminders else 0)
    if report.baseline and report.baseline.count > others:
        return _Topic.BASELINE
    if report.new:
        return _Topic.NEWS
    if report.changes:
        return _Topic.IMAGES
    return _Topic.REMINDERS if report.reminders else _Topic.LINES


def _counts_heading(report: DigestReport) -> str:
    """Return what is counted; nothing where it would seem to count the images of a baseline."""
    if not report.changes or _topic(report) is _Topic.BASELINE:
        return ""
    return "Images" if Change.UNCHANGED in report.changes else "Changed images"


type _Titles = tuple[Line, tuple[Line, ...], tuple[Line, ...]]


def _titles(report: DigestReport) -> _Titles:
    """Return the title, and what is said where one line is all there is: headlines, and texts."""
    match _topic(report):
        case _Topic.BASELINE if report.baseline:
            return _baseline_titles(report.baseline)
        case _Topic.NEWS:
            return _news_titles(report)
        case _Topic.REMINDERS if report.reminders:
            return _reminder_titles(report.reminders)
        case _Topic.IMAGES:
            line: Line = (_changed_images(report),)
        case _:
            line = next(_lines(report))
    return ("Digest: ", *line), (("ECR digest: ", *line),), (("ECR: ", *line, f".{_DETAILS}"),)


def _changed_images(report: DigestReport) -> str:
    listed = [
        f"{report.changes[kind]:,} {word}"
        for kind, word in _WORDS.items()
        if kind in report.changes
    ]
    changed = "" if Change.UNCHANGED in report.changes else " changed"
    images = counted(sum(report.changes.values()), "image")
    return f"{images}{changed} ({', '.join(listed)})"


def _baseline_titles(group: DigestedGroup) -> _Titles:
    # Images below every threshold have vulnerabilities, too, and are not in it.
    images, of_them, short = f"{counted(group.count, 'image')} above a threshold", "", ""
    if worst := next(iter(group.severities), None):
        count, those = group.severities[worst], f"with {severity_word(worst)} vulnerabilities"
        of_them, short = f", {count:,} of them {those}", f", {count:,} {those}"
    return (
        (f"Baseline: {images}{of_them}",),
        ((f"ECR baseline: {images}{short}",), (f"ECR baseline: {images}",)),
        ((f"ECR baseline: {images}{short}.{_DETAILS}",),),
    )


def _reminder_titles(group: DigestedGroup) -> _Titles:
    title = _still(group)
    worst = "".join(f", {each}" for each in _by_severity(group)[:1])
    return (
        (f"Reminder: {title}",),
        ((f"ECR reminder: {title}",),),
        ((f"ECR: {title}{worst}.{_DETAILS}",),),
    )


def _news_titles(report: DigestReport) -> _Titles:
    images = counted(report.images_with_news, "image")
    if sum(report.new.values()) == 1:
        return _title_of_one(report.vulnerabilities[0], images)
    kinds = {each.news for each in report.vulnerabilities}
    forms = numbered(report.new, "vulnerability", "new" if kinds == {News.NEW} else "new or worse")
    return (
        (f"Digest: {forms[0]} in {images}",),
        tuple((f"ECR digest: {form} in {images}",) for form in forms),
        tuple((f"ECR: {form} in {images}.{_DETAILS}",) for form in forms),
    )


def _title_of_one(news: DigestedVulnerability, images: str) -> _Titles:
    severity = severity_word(news.severity)
    said = _ADJECTIVES[news.news].format(severity=severity)
    short = said.replace(" vulnerability is", "").replace("vulnerability is ", "")
    short = short.removesuffix(" vulnerability")
    name = Value.of(trimmed(news.name or "unnamed", LONGEST_NAME))
    package = Value.of(trimmed(news.packages[0], LONGEST_NAME)) if news.packages else Value("")
    where: Line = (" in ", package) if package.text else ()
    becomes = _IS[news.news].format(severity=severity)
    now = () if news.news is News.RATED_HIGHER else (severity,)  # which is what becomes of it
    packages = (package,) if package.text else ()
    repositories = f", {counted(news.repositories, 'repository')}" if news.images > 1 else ""
    return (
        (f"Digest: 1 {said}, ", name, *where, f", in {images}"),
        (
            (f"ECR digest: 1 {short}, ", name, *where, f", in {images}"),
            (f"ECR digest: 1 {short}, ", name, f", in {images}"),
        ),
        (
            (
                *("ECR: ", name, *_in_brackets(*now, *packages)),
                f" {becomes} in {images}{repositories}.{_DETAILS}",
            ),
            ("ECR: ", name, *_in_brackets(*now), f" {becomes} in {images}.{_DETAILS}"),
        ),
    )


def _in_brackets(*parts: str | Value) -> Line:
    """Return parts with commas between them: " (critical, openssl)", or nothing without parts."""
    listed = [each for part in parts for each in (", ", part)][1:]
    return (" (", *listed, ")") if listed else ()


def _level(report: DigestReport) -> Level:
    if report.severity:
        return level_of(report.severity)
    return Level.OK if report.changes.keys() == {Change.CLEARED} else Level.INFO


def _lead(report: DigestReport) -> Iterator[Line]:
    match _topic(report):
        case _Topic.BASELINE:
            yield (
                "These are the first results that ecr-rescan knows of these images. They are the "
                "starting point: from now on, only changes are reported.",
            )
        case _Topic.REMINDERS if report.reminders:
            with_severities = ", ".join(_by_severity(report.reminders))
            yield (f"Nothing has changed for {_duration(report.remind_after)} or more.",)
            if oldest := report.reminders.oldest:
                yield (*_oldest(oldest, report.reported_at.date()), " · ", *_reach(oldest))
            if with_severities:
                yield (f"{with_severities}. Fix them, or accept the risk in accepted-risks.yaml.",)


def _sections(report: DigestReport) -> Iterator[Section]:
    new, fixed = map(_news, report.vulnerabilities), map(_fixed, report.fixed)
    yield from sections("New", new, more=report.vulnerabilities_omitted)
    images: dict[str, list[Line]] = {}
    for image in report.images:
        images.setdefault(_heading(image), []).append(_image(image))
    for heading in (_BY_NUMBER, _UNCHANGED):
        yield from sections(heading, images.get(heading, ()))
    is_fixed = all(each.news is News.FIXED for each in report.fixed)
    heading = "Fixed" if is_fixed else "Fixed, accepted, or rated lower"
    yield from sections(heading, fixed, more=report.fixed_omitted)
    for heading in (_FAILED, _CLEAR, _SCANNED_AGAIN):
        yield from sections(heading, images.get(heading, ()))
    topic, lines = _topic(report), list(_lines(report))
    if report.baseline:
        yield from _baseline(report.baseline, is_topic=topic is _Topic.BASELINE)
    if report.reminders:
        yield from _reminders(report, report.reminders, is_topic=topic is _Topic.REMINDERS)
    yield from sections("Also", lines[1:] if topic is _Topic.LINES else lines)


_BY_NUMBER = "Compared by number alone"
_UNCHANGED = "Images"
_FAILED = "Scan failed"
_CLEAR = "Clear"
_SCANNED_AGAIN = "Can be scanned again"


def _heading(image: DigestedImage) -> str:
    if image.change is Change.FAILED:
        return _FAILED
    if image.is_end_of_failure:
        return _SCANNED_AGAIN
    if image.change is Change.CLEARED:
        return _CLEAR
    return _UNCHANGED if image.change is Change.UNCHANGED or image.is_by_name else _BY_NUMBER


def _baseline(group: DigestedGroup, *, is_topic: bool) -> Iterator[Section]:
    images, more = map(_image, group.images), group.count - len(group.images)
    if is_topic:
        yield from sections("Most widespread", map(_news, group.vulnerabilities))
        yield from sections("Most affected", images, more=more)
    else:
        yield Section("First results", tuple(images), more=more)


def _reminders(report: DigestReport, group: DigestedGroup, *, is_topic: bool) -> Iterator[Section]:
    images, more = tuple(map(_image, group.images)), group.count - len(group.images)
    if is_topic:
        yield Section("Worst", images, more=more)
    else:
        unchanged = f"unchanged for {_duration(report.remind_after)} or more"
        summary = ", ".join([f"{_still(group)}, {unchanged}", *_by_severity(group)])
        today = report.reported_at.date()
        oldest = (_oldest(group.oldest, today),) if group.oldest else ()
        yield Section("Reminder", ((summary,), *oldest, *images), more=more)


def _oldest(vulnerability: DigestedVulnerability, today: date) -> Line:
    """Return which vulnerability has been open for longest: "Oldest critical: CVE-2026-1 · …"."""
    finding = _finding(vulnerability)
    package: Line = (" · ", Value.of(finding.package)) if finding.package else ()
    or_before = " or before" if vulnerability.is_seen_later else ""
    return (
        f"Oldest {severity_word(vulnerability.severity)}: ",
        name_of(finding),
        *package,
        f" · open since {day(vulnerability.first_seen, today)}{or_before}",
    )


def _by_severity(group: DigestedGroup) -> list[str]:
    return [
        f"{count:,} with {severity_word(name)} findings" for name, count in group.severities.items()
    ]


def _lines(report: DigestReport) -> Iterator[Line]:
    """Say in one line each what is the same for many images."""
    for moved in report.thresholds:
        yield (_threshold(moved),)
    for scan_type, images in report.first_of_type.items():
        first = f"{counted(images, 'image')} had the first {scan_type.lower()} scan"
        yield (f"{first}, which is not compared with earlier scans",)
    if report.not_monitored:
        total = len(report.not_monitored) + report.not_monitored_omitted
        named = report.not_monitored
        names = _named(named if total == 1 else _unlinked(named), total)
        yield (f"Amazon Inspector no longer monitors {counted(total, 'image')}: ", *names)
    if report.unsupported:
        total = len(report.unsupported) + report.unsupported_omitted
        names = _named([NamedImage(each, None) for each in report.unsupported], total)
        yield (f"ECR cannot scan images of {counted(total, 'repository')}: ", *names)


def _threshold(moved: MovedThreshold) -> str:
    value = "off" if moved.threshold is None else f"{moved.threshold:,}"
    parts = [f"{counted(moved.above, 'image')} above it"] if moved.above else []
    if moved.below:
        parts.append(f"{counted(moved.below, 'image')} no longer above it")
    return f"{moved.parameter} is now {value}: {', '.join(parts)}"


def _remarks(report: DigestReport) -> Iterator[Line]:
    if more := report.images_omitted:
        are = "image is" if more == 1 else "images are"
        yield (f"{more:,} more {are} listed only in the full digest.",)
    if report.images_cut:
        images = counted(report.images_cut, "image")
        yield (f"In {images}, more findings have changed than this digest counts.",)


def _news(vulnerability: DigestedVulnerability) -> Line:
    """Return what a vulnerability is, what is new about it, and where it is."""
    said = {
        News.BACK: "back",
        News.RATED_HIGHER: f"was {severity_word(vulnerability.was)}",
        News.NO_LONGER_ACCEPTED: "no longer accepted",
    }
    line = finding_line(_finding(vulnerability), said.get(vulnerability.news, ""))
    return (*line, " · ", *_images(vulnerability))


def _fixed(vulnerability: DigestedVulnerability) -> Line:
    said = {
        News.ACCEPTED: " accepted",
        News.RATED_LOWER: f" now {severity_word(vulnerability.severity)}",
    }
    finding = _finding(vulnerability)
    where: Line = (" (", Value.of(finding.package), ")") if finding.package else ()
    name = Value.of(trimmed(finding.name or "unnamed", LONGEST_NAME), finding.uri or None)
    return (name, *where, said.get(vulnerability.news, ""), " · ", *_images(vulnerability))


def _finding(vulnerability: DigestedVulnerability) -> ChangedFinding:
    packages, is_one = vulnerability.packages, len(vulnerability.packages) == 1
    return ChangedFinding(
        name=trimmed(vulnerability.name, LONGEST_NAME),
        package=trimmed(", ".join(packages), LONGEST_NAME),
        severity=vulnerability.severity,
        version=trimmed(vulnerability.version, LONGEST_NAME) if is_one else "",
        fixed_in=trimmed(vulnerability.fixed_in, LONGEST_NAME) if is_one else "",
        score=vulnerability.score,
        uri=vulnerability.uri,
        has_exploit=vulnerability.has_exploit,
    )


def _images(vulnerability: DigestedVulnerability) -> Line:
    """Return where a vulnerability is: the image, or how many images and the first of them."""
    reach = _reach(vulnerability)
    if vulnerability.images == 1:
        return reach
    examples = _unlinked(vulnerability.examples)
    return (*reach, ": ", *_named(examples, vulnerability.images))


def _reach(vulnerability: DigestedVulnerability) -> Line:
    """Return where a vulnerability is: the image, or in how many images and repositories."""
    if vulnerability.images == 1:
        return _named(vulnerability.examples, 1)
    images = counted(vulnerability.images, "image")
    return (f"{images} in {counted(vulnerability.repositories, 'repository')}",)


def _unlinked(images: Sequence[NamedImage]) -> list[NamedImage]:
    """Return images without their links, which take more room in a list than their names."""
    return [replace(each, link=None) for each in images]


def _named(images: Sequence[NamedImage], total: int) -> Line:
    named: list[str | Value] = []
    for each in images:
        named += [", " if named else "", Value.of(trimmed(each.image, LONGEST_NAME), each.link)]
    more = total - len(images)
    return (*named, f" and {more:,} more" if more > 0 else "")


def _image(image: DigestedImage) -> Line:
    counts = [
        f"{count:,} {severity_word(name)}"
        + (f" ({_signed(image.difference[name])})" if name in image.difference else "")
        for name, count in image.severities.items()
    ]
    counts += [
        f"{_signed(more)} {severity_word(name)}"
        for name, more in image.difference.items()
        if name not in image.severities
    ]
    words = _words(image, is_counted=bool(counts))
    replaced: Line = ()
    if image.replaced_by:
        replaced = (" · replaced by ", short_digest(image.replaced_by))
    return (
        Value.of(image.image, image.link),
        words,
        f": {', '.join(counts)}" if counts else "",
        *replaced,
    )


def _words(image: DigestedImage, *, is_counted: bool) -> str:
    """Return what has become of an image, where the heading does not say it."""
    if image.is_accepted:
        return " all accepted"
    if image.change is Change.UNCHANGED and not is_counted:
        return " scan still fails" if image.is_reminder else " nothing above a threshold"
    if image.change in (Change.FAILED, Change.CLEARED) or image.is_first_sight or image.is_reminder:
        return ""
    return f" {_WORDS[image.change]}"


def _still(group: DigestedGroup) -> str:
    images = counted(group.count, "image")
    if group.failed == group.count:
        return f"{images} whose scan still fails"
    are = "is" if group.count == 1 else "are"
    return f"{images} {are} still above a threshold{' or failing' if group.failed else ''}"


def _duration(duration: timedelta) -> str:
    if days := duration.days:
        return counted(days, "day")
    return counted(duration // timedelta(hours=1), "hour")


def _signed(more: int) -> str:
    return f"{'+' if more > 0 else '\N{MINUS SIGN}'}{abs(more):,}"
