"""`ecr-rescan check-risks` and `accept`: what accepted risks match now, and one more of them."""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from accepted_risks.risks import (
    DOCUMENT,
    MOST_BYTES,
    TOO_LARGE,
    AcceptedRisk,
    AcceptedRisks,
    UnusableAcceptedRisks,
)
from cli.call import Call
from cli.exits import CommandError, ExitCode, UsageError
from cli.output import add_row, number, table
from cli.policy import has_names
from cli.report.inventory import WantedFindings, read_inventory
from cli.report.named_findings import UNNAMED, known_by_number, not_searched, of_last_scan
from cli.risks_document import entry_text, lines_of, with_entry
from cli.stack import Stack
from ledger.attributes import Key
from ledger.bucket import RunBucket, StoredDocument
from registry.findings import SEVERITIES
from reporting.text import visible
from runtime import clock
from runtime.nouns import counted
from runtime.patterns import PatternTooSlow, matching_texts

if TYPE_CHECKING:
    from rich.console import Console

ENDS_SOON = timedelta(days=14)
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}", re.IGNORECASE)  # always written with capital letters
_CHANGED_MEANWHILE = {"PreconditionFailed", "ConditionalRequestConflict"}


class State(StrEnum):
    """What an entry does now."""

    APPLIES = "applies"
    ENDS_SOON = "ends_soon"
    MATCHES_NOTHING = "matches_nothing"
    UNKNOWN = "unknown"  # it matches nothing that could be read
    EXPIRED = "expired"
    TOO_SLOW = "too_slow"  # its pattern takes too long, so it is not applied


_GOOD = {State.APPLIES, State.ENDS_SOON}


@dataclass(frozen=True)
class CheckedRisk:
    """An entry, its line in the document, and the images that have the vulnerability now.

    unknown: images that had it before their last scan. unnamed: of an entry that matches nothing,
    the images that may have it, because their findings are known by number alone.
    is_new: it is not in the deployed document.
    spelling: of the vulnerability, where the entry has it in another case; empty otherwise.
    """

    line: int
    risk: AcceptedRisk
    state: State
    images: Sequence[Key]
    unknown: Sequence[Key]
    unnamed: Sequence[Key]
    is_new: bool
    spelling: str = ""

    def remark(self, today: date) -> str:
        """Say what is to be known of it."""
        match self.state:
            case State.ENDS_SOON:
                words = f"ends in {counted((self.risk.expires - today).days, 'day')}"
            case State.MATCHES_NOTHING | State.UNKNOWN if self.spelling:
                words = f"matches nothing: its name is {self.spelling}"
            case State.MATCHES_NOTHING:
                words = "matches nothing: remove it?"
            case State.UNKNOWN:
                words = "matches nothing that could be read"
            case State.EXPIRED:
                words = "expired: remove it, or set a later date"
            case State.TOO_SLOW:
                words = "not applied: its pattern takes too long"
            case _:
                words = ""
        return ", ".join(filter(None, [words, "new" if self.is_new else ""]))


@dataclass(frozen=True)
class Affected:
    """The images of this registry that have vulnerabilities, by the name of each.

    unknown: those that had them when they were last read by name, before their last scan.
    spellings: names as ECR has them, by the name in lower case.
    unnamed: those whose findings are known by number alone.
    searched: how many have findings by name. is_complete: whether all could be read.
    """

    images: Mapping[str, Sequence[Key]]
    unknown: Mapping[str, Sequence[Key]]
    unnamed: Sequence[Key]
    spellings: Mapping[str, str]
    searched: int
    is_complete: bool

    def spelling(self, vulnerability: str) -> str:
        """Return how ECR spells a name that no finding has in this case; empty if one does."""
        if vulnerability in self.images or vulnerability in self.unknown:
            return ""
        usual = vulnerability.upper() if _CVE.fullmatch(vulnerability) else vulnerability
        found = self.spellings.get(vulnerability.casefold(), usual)
        return "" if found == vulnerability else found


@dataclass(frozen=True)
class CheckedRisks:
    """All entries of a document. removed: those that are deployed, and not in this document."""

    document_name: str
    entries: Sequence[CheckedRisk]
    removed: Sequence[AcceptedRisk]
    searched: int
    is_complete: bool
    today: date

    @property
    def is_good(self) -> bool:
        """Return whether every entry matches, and applies."""
        return all(each.state in _GOOD for each in self.entries)

    def document(self) -> Mapping[str, object]:
        """Return it for JSON, with the images of each entry."""
        images = (
            [{"repository": name, "image_digest": digest} for name, digest in each.images]
            for each in self.entries
        )
        return {
            "document": self.document_name,
            "problem": None,
            "entries": [
                row | {"matching": matching}
                for row, matching in zip(self.rows(), images, strict=True)
            ],
            "removed": [_fields(each) for each in self.removed],
            "images_searched": self.searched,
            "is_complete": self.is_complete,
        }

    def rows(self) -> Iterable[dict[str, object]]:
        """Return one row per entry."""
        for each in self.entries:
            yield {
                "line": each.line,
                **_fields(each.risk),
                "state": each.state,
                "images": len(each.images),
                "repositories_matching": len({repository for repository, _ in each.images}),
                "is_new": each.is_new,
                "spelling": each.spelling or None,
            }

    def show(self, console: "Console") -> None:
        """Print a table, and what was removed."""
        if self.entries:
            listed = table(
                ["line", "vulnerability", "repositories", "images", "expires", "remark"],
                right=["line", "images"],
            )
            for each in self.entries:
                add_row(
                    listed,
                    str(each.line),
                    each.risk.vulnerability,
                    each.risk.repositories or "",
                    number(len(each.images)),
                    each.risk.expires.isoformat(),
                    each.remark(self.today),
                )
            console.print(listed)
        for risk in self.removed:
            where = f" in {risk.repositories}" if risk.repositories else ""
            words = f"deployed, and not here: {risk.vulnerability}{where}"
            console.print(visible(words), soft_wrap=True)
        bad = sum(each.state not in _GOOD for each in self.entries)
        need = "need" if bad > 1 else "needs"
        entries = counted(len(self.entries), "accepted risk")
        more = f", {bad or 'none'} {need} attention" if self.entries else ""
        images = counted(self.searched, "image")
        console.print(f"{entries}{more}. {images} searched.", soft_wrap=True)


@dataclass(frozen=True)
class InvalidRisks:
    """A document that cannot be used. problem: names the line, the entry, and the field."""

    document_name: str
    problem: str

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        return {"document": self.document_name, "problem": self.problem, "entries": []}

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return one row."""
        yield {"document": self.document_name, "problem": self.problem}

    def show(self, console: "Console") -> None:
        """Print the problem."""
        console.print(visible(self.problem), soft_wrap=True)


@dataclass(frozen=True)
class Accepted:
    """An entry that was added to the document."""

    risk: AcceptedRisk
    images: Sequence[Key]
    is_complete: bool
    bucket: str

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        (row,) = self.rows()
        return row

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return it as one row."""
        yield {
            **_fields(self.risk),
            "images": len(self.images),
            "is_complete": self.is_complete,
        }

    def show(self, console: "Console") -> None:
        """Print what happened."""
        console.print("Written. It takes effect within 5 minutes.")
        kept = f"s3://{self.bucket}/{DOCUMENT} keeps the version before for 30 days."
        console.print(kept, soft_wrap=True)


def check_risks(call: Call, file: Path | None) -> ExitCode:
    """Say what each entry of a document matches now; without a file, of the deployed document."""
    deployed = _deployed(call.stack)
    try:
        text = _read(file) if file else _text(deployed)
        risks = AcceptedRisks.read(text)
    except UnusableAcceptedRisks as error:
        call.answer(InvalidRisks(str(file or DOCUMENT), str(error)))
        return ExitCode.BAD
    _warn_if_off(call)
    known = risks.entries if file is None else _valid_entries(deployed)
    affected = _affected(call, risks.entries)
    today = clock.now().date()
    entries = [
        _checked(line, risk, affected, known, today)
        for line, risk in zip(lines_of(text), risks.entries, strict=True)
    ]
    is_known = _complain_of_unknown(call, ((each.risk, each.unknown) for each in entries))
    if unnamed := {key for each in entries for key in {*each.unnamed} - {*each.unknown}}:
        call.output.complain(not_searched(len(unnamed)))
    checked = CheckedRisks(
        document_name=str(file or DOCUMENT),
        entries=entries,
        removed=[each for each in known if each not in risks.entries],
        searched=affected.searched,
        is_complete=affected.is_complete and is_known and not unnamed,
        today=today,
    )
    call.answer(checked)
    if not checked.is_complete:
        return ExitCode.INCOMPLETE
    return ExitCode.DONE if checked.is_good else ExitCode.BAD


def accept(
    call: Call, vulnerability: str, *, within: str | None, until: str, reason: str
) -> ExitCode:
    """Add an entry to the deployed document, after the operator has seen what it changes.

    within: a pattern of repositories; absent means all of them.
    """
    if within is not None and not within.strip():
        raise UsageError("--in is empty: give a pattern, or leave --in out for all repositories.")
    risk = AcceptedRisk(
        vulnerability=vulnerability,
        reason=" ".join(reason.split()),
        expires=_day(until),
        accepted_by=call.account.identity["Arn"].rpartition("/")[2],
        repositories=within,
    )
    stack = call.stack
    deployed = _deployed(stack)
    before, after = _before_and_after(deployed, risk)
    _warn_if_off(call)
    affected = _affected(call, [risk])
    if spelling := affected.spelling(vulnerability):
        raise UsageError(
            f"No finding has the name {visible(vulnerability)}: it is {visible(spelling)}, and an "
            "accepted risk must have the same capital letters. Nothing was changed."
        )
    try:
        images, unknown, unnamed = _matching(risk, affected)
    except PatternTooSlow as error:
        raise UsageError(f"--in is not applied by the functions: {error}.") from error
    is_complete = _complain_of_unknown(call, [(risk, unknown)]) and affected.is_complete
    call.output.complain(_matches(images, is_complete=is_complete and not unnamed))
    changed = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
    for line in ["", f"  {DOCUMENT}", *list(changed)[3:], ""]:
        call.output.complain(visible(line))
    call.confirm("Write it?")
    bucket = stack.output("RunBucketName")
    _write(stack, bucket, after, deployed.etag)
    call.answer(Accepted(risk, images, is_complete, bucket))
    return ExitCode.DONE if is_complete else ExitCode.INCOMPLETE


def _before_and_after(deployed: StoredDocument, risk: AcceptedRisk) -> tuple[str, str]:
    try:
        before = _text(deployed)
        same = [
            each
            for each in AcceptedRisks.read(before).entries
            if (each.vulnerability, each.repositories) == (risk.vulnerability, risk.repositories)
        ]
    except UnusableAcceptedRisks as error:
        raise CommandError(
            f"The deployed document is not valid: {error} Correct it first."
        ) from error
    if same:
        raise CommandError(
            f"{DOCUMENT} has an entry for {visible(risk.vulnerability)} in the same repositories, "
            f"which expires on {same[0].expires}: change its date, and upload the document."
        )
    try:
        after = with_entry(before, risk)
    except UnusableAcceptedRisks as error:
        raise UsageError(f"Not an entry that can be accepted: {error}") from error
    if after is None:
        raise CommandError(
            f"{DOCUMENT} has a form to which no entry can be added. Add it with an editor:\n"
            f"{entry_text(risk)}"
        )
    return before, after


def _write(stack: Stack, bucket: str, text: str, etag: str | None) -> None:
    """Write the document unless it has changed since it was read."""
    unchanged = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        stack.client("s3").put_object(
            Bucket=bucket,
            Key=DOCUMENT,
            Body=text.encode(),
            ContentType="application/yaml",
            **unchanged,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _CHANGED_MEANWHILE:
            raise
        raise CommandError(
            f"{DOCUMENT} has been changed meanwhile: run the command again."
        ) from error


def _deployed(stack: Stack) -> StoredDocument:
    bucket = RunBucket(stack.client("s3"), stack.output("RunBucketName"))
    return bucket.document(DOCUMENT, known=None, most=MOST_BYTES) or StoredDocument()


def _text(stored: StoredDocument) -> str:
    if stored.etag and stored.content is None:
        raise UnusableAcceptedRisks(TOO_LARGE)
    try:
        return (stored.content or b"").decode()
    except UnicodeDecodeError as error:
        raise UnusableAcceptedRisks(f"{DOCUMENT} must be a text in UTF-8.") from error


def _read(file: Path) -> str:
    try:
        return _text(StoredDocument("local", file.read_bytes()))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _valid_entries(stored: StoredDocument) -> tuple[AcceptedRisk, ...]:
    """Return what is deployed; nothing if it is not valid, with which a new one is not compared."""
    try:
        return AcceptedRisks.read(_text(stored)).entries
    except UnusableAcceptedRisks:
        return ()


def _affected(call: Call, risks: Iterable[AcceptedRisk]) -> Affected:
    """Find the images that have vulnerabilities, and name those that cannot be read."""
    names = frozenset(risk.vulnerability for risk in risks)
    in_any_case = frozenset(name.casefold() for name in names)
    wanted = WantedFindings(lowest=SEVERITIES[0], names=names, in_any_case=in_any_case)
    stack = call.stack
    with call.output.waiting("reading the ledger"):
        inventory = read_inventory(
            stack.client("dynamodb"), stack.output("LedgerTableName"), wanted
        )
    found, unknown = defaultdict[str, list[Key]](list), defaultdict[str, list[Key]](list)
    spellings = dict[str, str]()
    is_named, now = has_names(stack), clock.now()
    for key, findings in sorted(inventory.findings.items()) if is_named else ():
        is_current = of_last_scan(findings, inventory.record(key).without_future(now)) is not None
        for name in {name for name, _ in findings.kept}:
            if name in names:
                (found if is_current else unknown)[name].append(key)
            elif name.casefold() in in_any_case:
                spellings[name.casefold()] = name
    missing = [*([UNNAMED] if names and not is_named else []), *inventory.missing()]
    for sentence in missing:
        call.output.complain(sentence)
    return Affected(
        images=found,
        unknown=unknown,
        unnamed=sorted(inventory.known_by_number(now)) if is_named else [],
        spellings=spellings,
        searched=inventory.searched,
        is_complete=not missing,
    )


def _complain_of_unknown(call: Call, entries: Iterable[tuple[AcceptedRisk, Sequence[Key]]]) -> bool:
    """Name the images that may have a vulnerability; return whether there are none."""
    images = {(risk.vulnerability, key): None for risk, keys in entries for key in keys}
    for vulnerability, key in images:
        call.output.complain(known_by_number(key, vulnerability))
    return not images


def _checked(
    line: int, risk: AcceptedRisk, affected: Affected, known: Sequence[AcceptedRisk], today: date
) -> CheckedRisk:
    try:
        images, unknown, unnamed = _matching(risk, affected)
        is_complete = affected.is_complete and not (unknown or unnamed)
        state = _state(risk, images, today, is_complete=is_complete)
    except PatternTooSlow:
        images, unknown, unnamed, state = [], [], [], State.TOO_SLOW
    return CheckedRisk(
        line=line,
        risk=risk,
        state=state,
        images=images,
        unknown=unknown,
        unnamed=unnamed,
        is_new=risk not in known,
        spelling=affected.spelling(risk.vulnerability),
    )


def _state(risk: AcceptedRisk, matching: Sequence[Key], today: date, *, is_complete: bool) -> State:
    if risk.is_expired(today):
        return State.EXPIRED
    if not matching:
        return State.MATCHES_NOTHING if is_complete else State.UNKNOWN
    return State.ENDS_SOON if risk.expires - today <= ENDS_SOON else State.APPLIES


def _matching(risk: AcceptedRisk, affected: Affected) -> tuple[list[Key], list[Key], list[Key]]:
    """Return the images that an entry matches, those that it may match, and the unnamed ones.

    These only if it matches nothing, and has the name of a vulnerability in the right case. Raises
    PatternTooSlow.
    """
    name = risk.vulnerability
    images = _in_its_repositories(risk, affected.images.get(name, ()))
    unknown = _in_its_repositories(risk, affected.unknown.get(name, ()))
    is_open = not images and not affected.spelling(name)
    return images, unknown, _in_its_repositories(risk, affected.unnamed) if is_open else []


def _in_its_repositories(risk: AcceptedRisk, images: Sequence[Key]) -> list[Key]:
    if risk.repositories is None:
        return list(images)
    names = sorted({repository for repository, _ in images})
    applies = matching_texts(risk.repositories, names, whole=True)
    return [each for each in images if each[0] in applies]


def _matches(images: Sequence[Key], *, is_complete: bool) -> str:
    if not images:
        return "Matches nothing now." if is_complete else "Matches nothing that could be read."
    repositories = Counter(repository for repository, _ in images)
    named = ", ".join(f"{visible(name)} ({count:,})" for name, count in repositories.items())
    return (
        f"Matches now: {counted(len(images), 'image')} in "
        f"{counted(len(repositories), 'repository')}: {named}"
    )


def _warn_if_off(call: Call) -> None:
    if not has_names(call.stack):
        call.output.complain("Accepted risks have no effect: the stack has IncludeFindings=false.")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--until must be a day such as 2027-03-31, not {visible(text)}."
        ) from error
    if day < clock.now().date():
        raise UsageError(f"--until must be today or later, not {day}.")
    return day


def _fields(risk: AcceptedRisk) -> dict[str, object]:
    return {
        "vulnerability": risk.vulnerability,
        "repositories": risk.repositories,
        "reason": risk.reason,
        "expires": risk.expires.isoformat(),
        "accepted_by": risk.accepted_by,
    }
