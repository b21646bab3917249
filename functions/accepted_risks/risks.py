"""Accepted risks: vulnerabilities that are ignored until a date, as operators write them."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Never, Self

from accepted_risks import yaml_reader
from accepted_risks.yaml_reader import Scalar, UnreadableYaml, Value
from reporting.text import trimmed
from runtime.patterns import QUICK, PatternTooSlow, matching_patterns

DOCUMENT = "accepted-risks.yaml"
MOST_BYTES = 256 * 1024  # the ledger keeps the text in an item, and DynamoDB takes 400 KB
TOO_LARGE = f"{DOCUMENT} must not be larger than {MOST_BYTES // 1024} KiB."
MOST_ENTRIES = 2_000
LONGEST_TEXT = 500  # characters

_REQUIRED = ("vulnerability", "reason", "expires", "accepted_by")
_KEYS = ("vulnerability", "repositories", "reason", "expires", "accepted_by")
_LONGEST_SHOWN = 60  # characters, of what an error quotes
_TEXT = f"a text of 1 to {LONGEST_TEXT} characters"


class UnusableAcceptedRisks(Exception):
    """The document is invalid: the message says where, and what is accepted."""


@dataclass(frozen=True)
class AcceptedRisk:
    """One vulnerability, as far as it is accepted.

    vulnerability: as ECR names the finding, mostly a CVE.
    expires: the last day, in UTC, on which it is accepted.
    repositories: a regular expression for the whole name; none for every repository.
    """

    vulnerability: str
    reason: str
    expires: date
    accepted_by: str
    repositories: str | None = None

    @property
    def id(self) -> str:
        """Return an id of the entry's content, independent of its place in the document."""
        content = [self.vulnerability, self.repositories, self.reason, self.accepted_by]
        text = json.dumps([*content, self.expires.isoformat()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def is_expired(self, on: date) -> bool:
        """Return whether its last day is over."""
        return on > self.expires


@dataclass(frozen=True)
class RisksOfRepository:
    """What is accepted in one repository, by vulnerability.

    remark: which entry is not applied because its pattern takes too long to match, and perhaps
        others after it.
    """

    by_vulnerability: Mapping[str, AcceptedRisk]
    remark: str | None = None


@dataclass(frozen=True)
class AcceptedRisks:
    """The content of one document."""

    entries: tuple[AcceptedRisk, ...] = ()

    @classmethod
    def read(cls, document: str | bytes) -> Self:
        """Read a document; raises UnusableAcceptedRisks with one sentence."""
        raw = document if isinstance(document, bytes) else document.encode(errors="surrogatepass")
        if len(raw) > MOST_BYTES:
            raise UnusableAcceptedRisks(TOO_LARGE)
        try:
            return cls(_entries(yaml_reader.parse(raw.decode())))
        except UnicodeDecodeError as error:
            raise UnusableAcceptedRisks(f"{DOCUMENT} must be a text in UTF-8.") from error
        except UnreadableYaml as error:
            raise UnusableAcceptedRisks(f"{DOCUMENT}, {error}") from error

    def in_force(self, repository: str, on: date) -> RisksOfRepository:
        """Return what is accepted in a repository on a day."""
        valid = [risk for risk in self.entries if not risk.is_expired(on)]
        patterns = dict.fromkeys(risk.repositories for risk in valid if risk.repositories)
        remark = None
        try:
            matching = matching_patterns(patterns, repository)
        except PatternTooSlow as error:
            matching = error.matching
            slow = next(risk for risk in valid if risk.repositories == error.pattern)
            remark = (
                f"Some accepted risks are not applied: {DOCUMENT}, repositories of the entry for "
                f"{trimmed(slow.vulnerability, _LONGEST_SHOWN)} must be {QUICK}, "
                f"not {trimmed(repr(error.pattern), _LONGEST_SHOWN)}."
            )
        return RisksOfRepository(self.accepted_where(matching, on), remark)

    def accepted_where(self, matching: Collection[str], on: date) -> dict[str, AcceptedRisk]:
        """Return what is accepted on a day where some patterns match, by vulnerability.

        Of several entries for the same vulnerability, the one that expires last.
        """
        picked = [
            risk
            for risk in self.entries
            if not risk.is_expired(on)
            and (risk.repositories is None or risk.repositories in matching)
        ]
        picked.sort(key=lambda risk: (risk.expires, risk.id))
        return {risk.vulnerability: risk for risk in picked}

    def expired(self, on: date) -> tuple[AcceptedRisk, ...]:
        """Return the entries whose last day is over."""
        return tuple(risk for risk in self.entries if risk.is_expired(on))

    def expiring(self, on: date, within: timedelta) -> tuple[AcceptedRisk, ...]:
        """Return the entries whose last day is this one, or no further away than that."""
        return tuple(risk for risk in self.entries if on <= risk.expires <= on + within)


def _entries(document: Value) -> tuple[AcceptedRisk, ...]:
    if _is_nothing(document):
        return ()
    members = _members(document, "the document", ("accepted_risks",), ("accepted_risks",))
    listed = members["accepted_risks"]
    if _is_nothing(listed):
        return ()
    if not isinstance(listed, yaml_reader.Sequence):
        _refuse(listed, "accepted_risks must be a list of entries; [] accepts nothing.")
    if len(listed.items) > MOST_ENTRIES:
        count = f"{len(listed.items):,}"
        _refuse(listed, f"accepted_risks must hold at most {MOST_ENTRIES:,} entries, not {count}.")
    first: dict[tuple[str, str | None], int] = {}
    risks = []
    for number, item in enumerate(listed.items, start=1):
        entry = _title(item, number)
        risk = _risk(item, entry)
        earlier = first.setdefault((risk.vulnerability, risk.repositories), number)
        if earlier != number:
            _refuse(
                item,
                f"{entry} is for the same vulnerability and the same repositories as entry "
                f"{earlier}; one is accepted.",
            )
        risks.append(risk)
    return tuple(risks)


def _is_nothing(value: Value) -> bool:
    """Return whether a value is null, as where all entries are in comments."""
    return isinstance(value, Scalar) and value.text is None


def _title(item: Value, number: int) -> str:
    """Return the entry's number and, if it can be read, its vulnerability."""
    for key, value in item.members if isinstance(item, yaml_reader.Mapping) else ():
        if isinstance(key, Scalar) and key.text == "vulnerability" and isinstance(value, Scalar):
            return f"entry {number} ({trimmed(value.text or 'no name', _LONGEST_SHOWN)})"
    return f"entry {number}"


def _risk(item: Value, entry: str) -> AcceptedRisk:
    members = _members(item, entry, _KEYS, _REQUIRED)
    return AcceptedRisk(
        vulnerability=_vulnerability(members["vulnerability"], entry),
        reason=_line(members["reason"], f"reason of {entry}"),
        expires=_day(members["expires"], f"expires of {entry}"),
        accepted_by=_line(members["accepted_by"], f"accepted_by of {entry}"),
        repositories=_pattern(members["repositories"], f"repositories of {entry}")
        if "repositories" in members
        else None,
    )


def _members(
    value: Value, title: str, known: tuple[str, ...], required: tuple[str, ...]
) -> dict[str, Value]:
    keys = f"the key {known[0]}" if len(known) == 1 else f"the keys {', '.join(known)}"
    if not isinstance(value, yaml_reader.Mapping):
        _refuse(value, f"{title} must be a mapping with {keys}.")
    members: dict[str, Value] = {}
    for key, member in value.members:
        name = key.text if isinstance(key, Scalar) else None
        if name not in known:
            _refuse(key, f"{title} has the unknown key {_shown(key)}; accepted: {keys}.")
        if name in members:
            _refuse(key, f"{title} has the key {name} twice; one is accepted.")
        members[name] = member
    if missing := [name for name in required if name not in members]:
        _refuse(value, f"{title} must have {' and '.join(missing)}.")
    return members


def _vulnerability(value: Value, entry: str) -> str:
    text = _text(value, f"vulnerability of {entry}")
    if re.search(r"\s", text):
        _refuse(
            value,
            f"vulnerability of {entry} must be one name without spaces, such as CVE-2024-3094.",
        )
    return text


def _line(value: Value, title: str) -> str:
    """Read a text that may be written on several lines as one."""
    return " ".join(_text(value, title).split())


def _day(value: Value, title: str) -> date:
    text = value.text if isinstance(value, Scalar) else None
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        day = None
    # Python also reads forms such as 20270331 and 2027-W13-3.
    if day is None or day.isoformat() != text:
        _refuse(value, f"{title} must be a day such as 2027-03-31, not {_shown(value)}.")
    return day


def _pattern(value: Value, title: str) -> str:
    text = _text(value, title)
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        _refuse(
            value,
            f"{title} must be a regular expression such as team/.*, not {_shown(value)}: {error}.",
        )
    return text


def _text(value: Value, title: str) -> str:
    text = value.text if isinstance(value, Scalar) else None
    if text is None or not text.strip() or len(text) > LONGEST_TEXT:
        _refuse(value, f"{title} must be {_TEXT}, not {_shown(value)}.")
    return text


def _shown(value: Value) -> str:
    """Return the start of the refused value, quoted."""
    if isinstance(value, yaml_reader.Sequence):
        return "a list"
    if isinstance(value, yaml_reader.Mapping):
        return "a mapping"
    if value.text is None:
        return "empty"
    if len(value.text) > LONGEST_TEXT:
        return f"{len(value.text):,} characters"
    return trimmed(repr(value.text), _LONGEST_SHOWN)


def _refuse(value: Value, sentence: str) -> Never:
    raise UnusableAcceptedRisks(f"{DOCUMENT}, line {value.line}: {sentence}")
