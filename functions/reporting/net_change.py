"""What several changes of an image amount to, compared with what was last reported of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger.changes import (
    LISTS,
    Cause,
    Change,
    ChangedFinding,
    FindingsChange,
    worst_first,
)
from ledger.digest_entries import DigestChange, DigestImage
from ledger.image_records import ImageState
from registry.findings import FindingKey, severity_rank
from reporting.changes import Seen, compare
from reporting.thresholds import threshold_of

_NEWS = ("new", "back", "ended", "worse")  # the lists for which an image is worse than before
_WENT = ("gone", "accepted")
_RATED = ("worse", "better")


@dataclass(frozen=True)
class NetChange:
    """What the changes of an image since the last digest amount to.

    image: as the latest of them has it. before: its state when it was last reported.
    by_name: the findings that are to be named; absent where no scan was compared by name.
    is_by_number: whether some of the scans could be compared by number alone.
    causes: of those changes that were not reported immediately.
    still_open: the worst findings that are open, as the latest reminder has them.
    """

    image: DigestImage
    before: ImageState
    change: Change
    by_name: FindingsChange | None
    is_by_number: bool
    causes: frozenset[Cause]
    is_reminder: bool
    is_first_sight: bool
    still_open: tuple[ChangedFinding, ...] = ()

    @property
    def is_end_of_failure(self) -> bool:
        """Return whether the image can be scanned again."""
        return self.before.failed and not self.image.image_state.failed


def net_change(changes: Sequence[DigestChange]) -> NetChange | None:
    """Return what the changes of one image amount to, the oldest given first.

    None where all of them were reported immediately.
    """
    waiting = [each for each in changes if not each.is_told]
    if not waiting:
        return None
    image, before = changes[-1].image, _last_reported(changes)
    is_by_number = any(each.by_name is None for each in waiting)
    by_name, kind = changes[0].by_name, changes[0].change
    if len(changes) > 1:
        named = [(each.by_name, each.is_told) for each in changes if each.by_name is not None]
        net = _without_closed(folded(named), image.image_state)
        by_name = net if named else None
        kind = _kind(before, image.image_state, net, is_by_number=is_by_number)
    return NetChange(
        image=image,
        before=before,
        change=kind,
        by_name=by_name,
        is_by_number=is_by_number,
        causes=frozenset(each.cause for each in waiting if each.cause),
        is_reminder=any(each.image.is_reminder for each in waiting),
        is_first_sight=any(each.is_first_sight for each in waiting),
        still_open=next((each.still_open for each in reversed(waiting) if each.still_open), ()),
    )


def folded(changes: Iterable[tuple[FindingsChange, bool]]) -> FindingsChange:
    """Return what changes in a row amount to, finding by finding, the oldest given first.

    With each comes whether it was reported immediately: what such a change names is known, so it
    is named again only after another change. What was new and has gone is not named at all.
    """
    courses: dict[FindingKey, _Course] = {}
    omitted: dict[str, int] = {}
    for change, is_told in changes:
        if is_told:
            for finding in _all_of(change):
                courses.pop(finding.key, None)
            continue
        for list_name, more in (change.omitted or {}).items():
            omitted[list_name] = omitted.get(list_name, 0) + more
        for list_name in LISTS:
            for finding in getattr(change, list_name):
                _follow(courses, finding, list_name)
    lists: dict[str, list[ChangedFinding]] = {name: [] for name in LISTS}
    for course in courses.values():
        if name := course.list_name:
            lists[name].append(course.finding)
    return FindingsChange(
        **{name: worst_first(found) for name, found in lists.items()}, omitted=omitted or None
    )


@dataclass(frozen=True)
class _Course:
    """How a finding was when it was last reported, and how it is now.

    was, severity: its severity, then and now; empty while it is not open.
    listed_as: the list that named it when it entered, or went.
    """

    latest: ChangedFinding
    was: str
    severity: str
    listed_as: str

    @property
    def list_name(self) -> str:
        """Return the list that it belongs to now; empty if it is rated as it was."""
        if not (self.was and self.severity):
            return self.listed_as
        now, before = severity_rank(self.severity), severity_rank(self.was)
        if now < before:
            return "worse"
        return "better" if now > before else ""

    @property
    def finding(self) -> ChangedFinding:
        """Return what is to be named: what has gone with the severity that it had."""
        was = self.was if self.severity else ""
        return replace(self.latest, severity=self.severity or self.was, was=was)


def _follow(courses: dict[FindingKey, _Course], finding: ChangedFinding, list_name: str) -> None:
    """Add what a change says of a finding to what earlier ones have said of it."""
    if list_name == "renamed":
        _rename(courses, finding)
        return
    was, severity = "", finding.severity
    if list_name in _WENT:
        was, severity = finding.severity, ""
    elif list_name in _RATED:
        was = finding.was
    known = courses.get(finding.key)
    if known is None:
        courses[finding.key] = _Course(finding, was, severity, list_name)
    elif not (known.was or severity):
        del courses[finding.key]
    else:
        listed_as = list_name if list_name in _WENT else known.listed_as
        courses[finding.key] = _Course(finding, known.was, severity, listed_as)


def _rename(courses: dict[FindingKey, _Course], finding: ChangedFinding) -> None:
    """Carry what is known of a finding over to its new name, or its new package."""
    for former in ((finding.was, finding.package), (finding.name, finding.was)):
        if known := courses.pop(former, None):
            latest = replace(known.latest, name=finding.name, package=finding.package)
            courses[finding.key] = replace(known, latest=latest)


def _all_of(change: FindingsChange) -> Iterator[ChangedFinding]:
    for name in LISTS:
        yield from getattr(change, name)


def _last_reported(changes: Sequence[DigestChange]) -> ImageState:
    """Return the state that was last reported: before all changes, or by one immediately."""
    told = [each.image.image_state for each in changes if each.is_told]
    return told[-1] if told else changes[0].before


def _without_closed(by_name: FindingsChange, now: ImageState) -> FindingsChange:
    """Leave out what is news only above a threshold that is not exceeded any more."""

    def still_open(findings: tuple[ChangedFinding, ...]) -> tuple[ChangedFinding, ...]:
        return tuple(each for each in findings if threshold_of(each.severity) in now.exceeded)

    lists: dict[str, Any] = {name: still_open(getattr(by_name, name)) for name in _NEWS}
    return replace(by_name, **lists)


def _kind(
    before: ImageState, now: ImageState, by_name: FindingsChange, *, is_by_number: bool
) -> Change:
    has_news = any(getattr(by_name, name) for name in _NEWS)
    if now.failed or (is_by_number and not has_news):
        return compare(Seen(before), Seen(now)).change
    if not by_name.is_empty or before.failed:
        if not now.exceeded:
            return Change.CLEARED if before.is_alarm else Change.UNCHANGED
        if not before.exceeded:
            return Change.NEW
        if has_news:
            return Change.WORSE
        if before.failed:
            return Change.CLEARED
        if by_name.gone or by_name.better or by_name.accepted:
            return Change.BETTER
    return Change.UNCHANGED
