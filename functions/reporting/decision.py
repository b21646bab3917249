"""Whether people are told of a report, and why."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from ledger.image_records import ImageState
from reporting.changes import change, difference, image_state_of
from reporting.reports import Change, Interpretation, RunReport, ScanReport
from reporting.thresholds import Thresholds, thresholds_in_force
from runtime import settings


class NotifyOnRun(StrEnum):
    """Which runs people are told of."""

    ALWAYS = "ALWAYS"
    INCOMPLETE = "INCOMPLETE"
    NEVER = "NEVER"


class NotifyOn(StrEnum):
    """What a notification is sent for: a change, or CLEAN."""

    NEW = Change.NEW
    WORSE = Change.WORSE
    BETTER = Change.BETTER
    CLEARED = Change.CLEARED
    FAILED = Change.FAILED
    UNCHANGED = Change.UNCHANGED
    CLEAN = "CLEAN"  # the first scan of an image found nothing above a threshold


class Condition(StrEnum):
    """What a report says of the image, or of the runs."""

    PROBLEM = "PROBLEM"  # somebody must act
    WELL = "WELL"  # nobody must act, and an open incident can be closed
    STILL_WELL = "STILL_WELL"  # nobody must act, and no incident is open
    UNKNOWN = "UNKNOWN"  # neither can be said


@dataclass(frozen=True)
class Before:
    """What was known of an image before a report.

    image_state: absent when nothing was known. since_notified: how long ago people were told of it.
    """

    image_state: ImageState | None = None
    since_notified: timedelta = timedelta()


@dataclass(frozen=True)
class Decision:
    """Whether people are told, and the reason, one of a few constant phrases.

    exceeded: the severities with more findings than accepted.
    change, difference: since what was known before; absent when nobody remembers that.
    image_state: what the next report on the image is compared with.
    is_reminder: nothing has changed, but it stands for long.
    is_noted: whether the image_state, or that people are told, is to be remembered.
    """

    tell: bool
    condition: Condition
    reason: str
    exceeded: dict[str, int] = field(default_factory=dict)
    change: Change | None = None
    difference: dict[str, int] = field(default_factory=dict)
    image_state: ImageState | None = None
    is_reminder: bool = False
    is_noted: bool = False


@dataclass(frozen=True)
class NotificationPolicy:
    """What people want to be told of.

    remind_after: they are told again of what stands unchanged for as long.
    """

    thresholds: Thresholds
    notify_on: frozenset[NotifyOn] = frozenset(
        {NotifyOn.NEW, NotifyOn.WORSE, NotifyOn.CLEARED, NotifyOn.FAILED}
    )
    remind_after: timedelta = timedelta(days=30)
    on_run: NotifyOnRun = NotifyOnRun.ALWAYS
    include_findings: bool = True

    def is_told_of(self, *, failed: bool) -> bool:
        """Tell whether NotifyOn has what brings about a failed scan, or one above a threshold."""
        entries = {NotifyOn.FAILED} if failed else {NotifyOn.NEW, NotifyOn.WORSE}
        return not self.notify_on.isdisjoint(entries)


def policy_in_force() -> NotificationPolicy:
    """Take the stack's parameters."""
    return NotificationPolicy(
        thresholds=thresholds_in_force(),
        notify_on=settings.choices("NOTIFY_ON", NotifyOn),
        remind_after=settings.duration("REMIND_AFTER"),
        on_run=settings.choice("NOTIFY_ON_RUN", NotifyOnRun),
        include_findings=settings.flag("INCLUDE_FINDINGS"),
    )


def decide(
    interpretation: Interpretation, policy: NotificationPolicy, before: Before | None = None
) -> Decision:
    """Come to a decision on whatever an event was understood to be.

    before: what was known of the image; absent when that cannot be known, and then people are told
    of every scan rather than of none.
    """
    if interpretation.scan:
        if before is None:
            return _on_scan_alone(interpretation.scan, policy)
        return _on_scan(interpretation.scan, policy, before)
    if interpretation.run:
        return _on_run(interpretation.run, policy)
    return Decision(
        tell=False, condition=Condition.UNKNOWN, reason=interpretation.silence or "nothing to tell"
    )


def _on_scan(report: ScanReport, policy: NotificationPolicy, before: Before) -> Decision:
    image_state = image_state_of(report, policy.thresholds, before.image_state)
    kind = change(before.image_state, image_state)
    is_reminder = (
        kind is Change.UNCHANGED
        and image_state.is_alarm
        and before.since_notified >= policy.remind_after
        and policy.is_told_of(failed=image_state.failed)
    )
    is_first = before.image_state is None
    is_clean_news = is_first and not image_state.is_alarm and NotifyOn.CLEAN in policy.notify_on
    well = Condition.WELL if is_first or kind is Change.CLEARED else Condition.STILL_WELL
    left_out = _left_out(kind, policy, before.image_state, is_alarm=image_state.is_alarm)
    tell = left_out is None or is_reminder or is_clean_news
    return Decision(
        tell=tell,
        condition=Condition.PROBLEM if image_state.is_alarm else well,
        reason=_reason(kind, left_out, is_first=is_first, is_reminder=is_reminder),
        exceeded={} if image_state.failed else policy.thresholds.exceeded(report),
        change=kind,
        difference={} if kind is Change.NEW else difference(before.image_state, image_state),
        image_state=image_state,
        is_reminder=is_reminder,
        is_noted=tell
        or is_first
        or kind is not Change.UNCHANGED
        or (before.image_state is not None and before.image_state.failed != image_state.failed),
    )


def _left_out(
    kind: Change, policy: NotificationPolicy, before: ImageState | None, *, is_alarm: bool
) -> Change | None:
    """Name what NotifyOn leaves out and a scan would be told for; none when it is told."""
    if kind is Change.UNCHANGED and not is_alarm:
        return kind
    # Nobody has heard of a failure that was left out, so that its end is no news.
    is_end_of_failure = kind is Change.CLEARED and before is not None and not before.exceeded
    if is_end_of_failure and not policy.is_told_of(failed=True):
        return Change.FAILED
    return None if NotifyOn(kind) in policy.notify_on else kind


def _reason(kind: Change, left_out: Change | None, *, is_first: bool, is_reminder: bool) -> str:
    if is_reminder:
        return "stands for longer than RemindAfter"
    if kind is Change.UNCHANGED:
        return "nothing above a threshold" if is_first else "unchanged"
    return f"NotifyOn leaves out {left_out}" if left_out else _REASONS[kind]


_REASONS = {
    Change.NEW: "above threshold",
    Change.WORSE: "worse than before",
    Change.BETTER: "better than before",
    Change.CLEARED: "no longer above a threshold",
    Change.FAILED: "scan failed",
}


def _on_scan_alone(report: ScanReport, policy: NotificationPolicy) -> Decision:
    tell = policy.is_told_of(failed=not report.is_complete)
    if not report.is_complete:
        return Decision(
            tell=tell,
            condition=Condition.PROBLEM if tell else Condition.UNKNOWN,
            reason=_REASONS[Change.FAILED] if tell else "NotifyOn leaves out FAILED",
        )
    if exceeded := policy.thresholds.exceeded(report):
        return Decision(
            tell=tell,
            condition=Condition.PROBLEM,
            reason=_REASONS[Change.NEW] if tell else "NotifyOn leaves out NEW",
            exceeded=exceeded,
        )
    return Decision(
        tell=NotifyOn.CLEAN in policy.notify_on,
        condition=Condition.WELL,
        reason="nothing above a threshold",
    )


def _on_run(report: RunReport, policy: NotificationPolicy) -> Decision:
    if policy.on_run is NotifyOnRun.NEVER:
        return Decision(tell=False, condition=Condition.UNKNOWN, reason="NotifyOnRun is NEVER")
    if report.status != "FINISHED":
        return Decision(tell=True, condition=Condition.PROBLEM, reason="run did not finish")
    # A dry run has done nothing that could put an earlier run right.
    return Decision(
        tell=policy.on_run is NotifyOnRun.ALWAYS,
        condition=Condition.UNKNOWN if report.dry_run else Condition.WELL,
        reason="run finished",
    )
