"""Decide whether a report is sent, and why."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from ledger.changes import Change
from ledger.image_records import ImageState
from own_events.rescan_finished import RunChange
from reporting.changes import change, difference, image_state_of
from reporting.reports import Reason, RunReport, ScanReport, ScanType
from reporting.thresholds import Thresholds


class NotifyOnRun(StrEnum):
    """Which runs are reported."""

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


class Incident(StrEnum):
    """What a report does to the PagerDuty incident of its image, or of the runs of a stack."""

    TRIGGER = "TRIGGER"
    RESOLVE = "RESOLVE"
    NONE = "NONE"


@dataclass(frozen=True)
class Before:
    """What was known of an image before a report.

    image_state: absent when nothing was known.
    since_notified: how long ago the last notification about the image was sent.
    """

    image_state: ImageState | None = None
    since_notified: timedelta = timedelta()


@dataclass(frozen=True)
class Decision:
    """Whether a notification is sent, and the reason.

    exceeded: findings by severity of those above their threshold, the worst first.
    change, difference: compared with what was known before; absent when that cannot be read.
    image_state: what the next report on the image is compared with.
    is_first: no earlier scan of the image is known.
    is_reminder: nothing has changed, but the image has been in ALARM for RemindAfter.
    is_noted: the image state, or the time of the notification, must be stored in the ledger.
    """

    notify: bool
    incident: Incident
    reason: Reason
    exceeded: dict[str, int] = field(default_factory=dict)
    change: Change | None = None
    difference: dict[str, int] = field(default_factory=dict)
    image_state: ImageState | None = None
    is_first: bool = False
    is_reminder: bool = False
    is_noted: bool = False


@dataclass(frozen=True)
class NotificationPolicy:
    """The stack's parameters that decide which reports are sent.

    remind_after: an image that stays in ALARM without a change is reported again after this time.
    """

    thresholds: Thresholds
    notify_on: frozenset[NotifyOn] = frozenset(
        {NotifyOn.NEW, NotifyOn.WORSE, NotifyOn.CLEARED, NotifyOn.FAILED}
    )
    remind_after: timedelta = timedelta(days=30)
    on_run: NotifyOnRun = NotifyOnRun.ALWAYS
    include_findings: bool = True

    def is_notified(self, *, failed: bool) -> bool:
        """Return whether NotifyOn reports failed scans, or images above a threshold, at all."""
        entries = {NotifyOn.FAILED} if failed else {NotifyOn.NEW, NotifyOn.WORSE}
        return not self.notify_on.isdisjoint(entries)


def decide(
    report: ScanReport | RunReport, policy: NotificationPolicy, before: Before | None = None
) -> Decision:
    """Decide whether a report is sent.

    before: what was known of the image; absent when that cannot be read. Without it, every scan
    above a threshold and every failed one is reported, because its change is unknown.
    """
    if isinstance(report, RunReport):
        return _on_run(report, policy)
    if report.is_unsupported:
        return _on_unsupported(before.image_state if before else None)
    if before is None:
        return _on_scan_alone(report, policy)
    return _on_scan(report, policy, before)


def _on_scan(report: ScanReport, policy: NotificationPolicy, before: Before) -> Decision:
    now = image_state_of(report, policy.thresholds, before.image_state)
    kind = change(before.image_state, now)
    is_first = before.image_state is None
    is_reminder = (
        kind is Change.UNCHANGED
        and now.is_alarm
        and before.since_notified >= policy.remind_after
        and policy.is_notified(failed=now.failed)
    )
    is_clean_news = is_first and not now.is_alarm and NotifyOn.CLEAN in policy.notify_on
    excluded = _excluded(kind, policy, before.image_state, is_alarm=now.is_alarm)
    notify = excluded is None or is_reminder or is_clean_news
    resolves = Incident.RESOLVE if is_first or kind is Change.CLEARED else Incident.NONE
    return Decision(
        notify=notify,
        incident=Incident.TRIGGER if now.is_alarm else resolves,
        reason=_reason(kind, excluded, is_first=is_first, is_reminder=is_reminder),
        exceeded={} if now.failed else policy.thresholds.exceeded(report),
        change=kind,
        difference={} if kind is Change.NEW else difference(before.image_state, now),
        image_state=now,
        is_first=is_first,
        is_reminder=is_reminder,
        is_noted=notify
        or is_first
        or kind is not Change.UNCHANGED
        or (before.image_state is not None and before.image_state.failed != now.failed),
    )


def _excluded(
    kind: Change, policy: NotificationPolicy, before: ImageState | None, *, is_alarm: bool
) -> Change | None:
    """Return the change that NotifyOn excludes, or None if the scan must be reported."""
    if kind is Change.UNCHANGED and not is_alarm:
        return kind
    # The end of a failure is reported only where the failure itself was.
    is_end_of_failure = kind is Change.CLEARED and before is not None and not before.exceeded
    if is_end_of_failure and not policy.is_notified(failed=True):
        return Change.FAILED
    return None if NotifyOn(kind) in policy.notify_on else kind


def _reason(kind: Change, excluded: Change | None, *, is_first: bool, is_reminder: bool) -> Reason:
    if is_reminder:
        return Reason.REMINDER
    if kind is Change.UNCHANGED:
        return Reason.NOTHING_ABOVE_THRESHOLD if is_first else Reason.UNCHANGED
    return Reason[f"{excluded}_EXCLUDED"] if excluded else Reason[kind]


def _on_scan_alone(report: ScanReport, policy: NotificationPolicy) -> Decision:
    notify = policy.is_notified(failed=not report.is_complete)
    if not report.is_complete:
        return Decision(
            notify=notify,
            incident=Incident.TRIGGER if notify else Incident.NONE,
            reason=Reason.FAILED if notify else Reason.FAILED_EXCLUDED,
        )
    if exceeded := policy.thresholds.exceeded(report):
        return Decision(
            notify=notify,
            incident=Incident.TRIGGER,
            reason=Reason.NEW if notify else Reason.NEW_EXCLUDED,
            exceeded=exceeded,
        )
    return Decision(
        notify=NotifyOn.CLEAN in policy.notify_on,
        incident=Incident.RESOLVE,
        reason=Reason.NOTHING_ABOVE_THRESHOLD,
    )


def _on_unsupported(known: ImageState | None) -> Decision:
    """Stay silent; resolve the incident of an image whose scan failed before, and which is done."""
    if known is None or not known.failed:
        return Decision(False, Incident.NONE, Reason.UNSUPPORTED)
    image_state = replace(known, failed=False)
    return Decision(
        notify=False,
        incident=Incident.NONE if image_state.is_alarm else Incident.RESOLVE,
        reason=Reason.UNSUPPORTED,
        image_state=image_state,
        is_noted=True,
    )


def _on_run(report: RunReport, policy: NotificationPolicy) -> Decision:
    if policy.on_run is NotifyOnRun.NEVER:
        return Decision(False, Incident.NONE, Reason.RUNS_EXCLUDED)
    if report.status != "FINISHED":
        return Decision(True, Incident.TRIGGER, Reason.RUN_NOT_FINISHED)
    # A run that started no scan, because it was dry or had no repository, cannot resolve the
    # incident of an earlier run. With enhanced scanning, runs have nothing to do.
    is_enhanced = report.scan_type == ScanType.ENHANCED
    is_idle = report.dry_run or (report.scan_type is not None and not report.repositories)
    incident = Incident.NONE if is_idle and not is_enhanced else Incident.RESOLVE
    if report.change in (RunChange.ENHANCED_SCANNING, RunChange.BASIC_SCANNING):
        return Decision(True, incident, Reason.SCAN_TYPE_CHANGED)
    if is_enhanced and report.change == RunChange.UNCHANGED:
        return Decision(False, incident, Reason.STILL_ENHANCED)
    return Decision(policy.on_run is NotifyOnRun.ALWAYS, incident, Reason.RUN_FINISHED)
