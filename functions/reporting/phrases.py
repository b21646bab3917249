"""Phrases that messages about scans and digests share: counts, findings, days."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from ledger.changes import ChangedFinding
from registry.findings import SEVERITIES, Finding, severity_rank
from reporting.message import Level, Line, Value
from reporting.text import trimmed
from reporting.thresholds import threshold_of
from runtime.nouns import counted

LONGEST_NAME = 100  # characters of a name or a package where several are listed
_LONGEST_IN_HEADLINE = 40  # characters of a vulnerability or a package
_LEVELS = {name: Level(name) for name in SEVERITIES[:4]}
_SHORT_DIGEST = len("sha256:") + 12  # characters, as Docker shortens image digests
_MOST_SEVERITIES = 2  # in a title, so that the name of the image fits the subject of an email


def level_of(severity: str) -> Level:
    """Return the level of a severity; INFO for those below LOW."""
    return _LEVELS.get(severity, Level.INFO)


def worst_level(counts: dict[str, int]) -> Level:
    """Return the level of the worst severity that is counted; OK if there is none."""
    found = [name for name, count in counts.items() if count]
    return level_of(min(found, key=severity_rank)) if found else Level.OK


def severity_word(severity: str) -> str:
    """Return a severity in lower case; "other" for one that AWS does not document."""
    return threshold_of(severity).lower()


def by_severity(counts: dict[str, int], most: int | None = None) -> str:
    """Return counts without zeros, the worst first: "2 critical, 5 high".

    most: severities that are named; all findings of the others are counted as lower.
    """
    words: dict[str, int] = {}
    for name in sorted(counts, key=severity_rank):
        word = severity_word(name)
        words[word] = words.get(word, 0) + counts[name]
    found = [(word, count) for word, count in words.items() if count]
    if most is not None and len(found) > most:
        found[most:] = [("lower", sum(count for _, count in found[most:]))]
    return ", ".join(f"{count:,} {word}" for word, count in found)


def numbered(counts: dict[str, int], noun: str, new: str = "") -> list[str]:
    """Return counts with their noun, and shorter forms of the same, the longest first.

    "1 new critical vulnerability", or "8 new vulnerabilities (1 critical, 2 high, 5 lower)".
    """
    found = {name: count for name, count in counts.items() if count}
    total, adjective = sum(found.values()), f"{new} " if new else ""
    if len({severity_word(name) for name in found}) == 1:
        word = severity_word(next(iter(found)))
        return [counted(total, f"{adjective}{word} {noun}")]
    short = counted(total, f"{adjective}{noun}")
    return [f"{short} ({by_severity(found, most)})" for most in range(_MOST_SEVERITIES, 0, -1)] + [
        short
    ]


def vulnerabilities_by_severity(findings: Iterable[ChangedFinding]) -> dict[str, int]:
    """Count vulnerabilities, each once by its worst severity, the worst first."""
    worst: dict[str, str] = {}
    for finding in findings:
        known = worst.get(finding.name)
        if known is None or severity_rank(finding.severity) < severity_rank(known):
            worst[finding.name] = finding.severity
    counts: dict[str, int] = {}
    for severity in sorted(worst.values(), key=severity_rank):
        counts[severity] = counts.get(severity, 0) + 1
    return counts


def finding_line(finding: ChangedFinding | Finding, *further: str) -> Line:
    """Return a finding with what helps to fix it.

    "CVE-2026-31337 critical · openssl 3.0.11-1 · fixed in 3.0.11-2 · CVSS 9.8".
    """
    parts: list[str | Value] = [name_of(finding), f" {severity_word(finding.severity)}"]
    if where := " ".join(filter(None, (finding.package, finding.version))):
        parts += [" · ", Value.of(where)]
    if finding.fixed_in:
        parts += [" · fixed in ", Value.of(finding.fixed_in)]
    if finding.score:
        parts.append(f" · CVSS {finding.score:.1f}")
    if finding.has_exploit:
        parts.append(" · exploit known")
    parts += [f" · {text}" for text in further if text]
    return tuple(parts)


def short_finding(finding: ChangedFinding | Finding) -> Line:
    """Return a finding for a list within a sentence: "CVE-2025-6021 (libxml2)"."""
    if not finding.package:
        return (name_of(finding),)
    return (name_of(finding), " (", Value.of(finding.package), ")")


def headline_name(finding: ChangedFinding | Finding, further_packages: int = 0) -> Line:
    """Return a finding as a title names it: "CVE-2025-6021 (libxml2 and 1 more)"."""
    name = Value.of(trimmed(finding.name or "unnamed", _LONGEST_IN_HEADLINE))
    if not finding.package:
        return (name,)
    more = f" and {further_packages:,} more" if further_packages else ""
    return (name, " (", Value.of(trimmed(finding.package, _LONGEST_IN_HEADLINE)), f"{more})")


def name_of(finding: ChangedFinding | Finding) -> Value:
    """Return the name of a vulnerability, with a link to its description."""
    return Value.of(finding.name or "unnamed", finding.uri or None)


def first_of(lines: Sequence[Line], most: int, total: int) -> tuple[Line, ...]:
    """Return the first lines of a list, and how many more there are."""
    shown = tuple(lines[:most])
    more = total - len(shown)
    return (*shown, (f"and {more:,} more",)) if more > 0 else shown


def day(text: str, today: date) -> str:
    """Return a day, given as YYYY-MM-DD: "3 November", with the year if it is another one."""
    return _day(text, today, "%B")


def short_day(text: str, today: date) -> str:
    """Return a day, given as YYYY-MM-DD: "3 Nov", with the year if it is another one."""
    return _day(text, today, "%b")


def short_digest(image_digest: str, link: str | None = None) -> Value:
    """Return the start of an image digest, with a link to the image."""
    is_cut = len(image_digest) > _SHORT_DIGEST
    return Value.of(f"{image_digest[:_SHORT_DIGEST]}{'…' if is_cut else ''}", link)


def moment(time: datetime) -> str:
    """Return a time: "2026-03-14 03:00 UTC"."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _day(text: str, today: date, month: str) -> str:
    try:
        on = date.fromisoformat(text)
    except ValueError:
        return "an unknown day"
    return f"{on.day} {on:{month}}" + (f" {on.year}" if on.year != today.year else "")
