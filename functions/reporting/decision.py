"""Decide whether a report is sent, and why."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from ledger.changes import Cause, Change
from ledger.image_records import ImageState
from own_events.rescan_finished import RunChange
from reporting.changes import Comparison
from reporting.reports import Reason, RunReport, ScanReport, ScanType
from reporting.thresholds import Thresholds

# What changes without a finding that is new or gone; the next digest has one line for each kind.
_ONLY_IN_DIGESTS = {
    Cause.THRESHOLD: Reason.THRESHOLD_MOVED,
    Cause.FIRST_OF_TYPE: Reason.FIRST_OF_TYPE,
    Cause.NOT_MONITORED: Reason.NOT_MONITORED,
    Cause.UNSUPPORTED: Reason.UNSUPPORTED,
}


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
class Decision:
    """Whether a report is sent, and the reason.

    is_reminder: nothing has changed, but the image has been in ALARM for RemindAfter.
    incident: what becomes of the incident of the runs; images have a key of their own for each.
    """

    notify: bool
    reason: Reason
    is_reminder: bool = False
    incident: Incident = Incident.NONE


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
    comparison: Comparison,
    now: ImageState,
    policy: NotificationPolicy,
    before: ImageState | None,
    since_notified: timedelta,
) -> Decision:
    """Decide whether a scan is reported, by how it compares with what was known.

    since_notified: how long ago the last notification about the image was sent.
    """
    if comparison.cause in _ONLY_IN_DIGESTS:
        return Decision(notify=False, reason=_ONLY_IN_DIGESTS[comparison.cause])
    kind, is_first = comparison.change, before is None
    is_reminder = (
        kind is Change.UNCHANGED
        and now.is_alarm
        and since_notified >= policy.remind_after
        and policy.is_notified(failed=now.failed)
    )
    is_clean_news = is_first and not now.is_alarm and NotifyOn.CLEAN in policy.notify_on
    excluded = _excluded(comparison, policy, is_alarm=now.is_alarm)
    return Decision(
        notify=excluded is None or is_reminder or is_clean_news,
        reason=_reason(kind, excluded, is_first=is_first, is_reminder=is_reminder),
        is_reminder=is_reminder,
    )


def _excluded(comparison: Comparison, policy: NotificationPolicy, *, is_alarm: bool) -> str | None:
    """Return what NotifyOn excludes, or None if the scan must be reported."""
    kind = comparison.change
    if kind is Change.UNCHANGED and not is_alarm:
        return kind
    # The end of a failure is reported only where the failure itself was.
    is_end_of_failure = kind is Change.CLEARED and comparison.cause is Cause.END_OF_FAILURE
    if is_end_of_failure and not policy.is_notified(failed=True):
        return Change.FAILED
    return None if NotifyOn(kind) in policy.notify_on else kind


def _reason(kind: Change, excluded: str | None, *, is_first: bool, is_reminder: bool) -> Reason:
    if is_reminder:
        return Reason.REMINDER
    if kind is Change.UNCHANGED:
        return Reason.NOTHING_ABOVE_THRESHOLD if is_first else Reason.UNCHANGED
    return Reason[f"{excluded}_EXCLUDED"] if excluded else Reason[kind]


def decide_alone(report: ScanReport, policy: NotificationPolicy) -> Decision:
    """Decide whether a scan is reported that is not compared, because the ledger is not available.

    Every scan above a threshold and every failed one is: its change is not known.
    """
    if report.is_unsupported:
        return Decision(notify=False, reason=Reason.UNSUPPORTED)
    if not report.is_monitored:
        return Decision(notify=False, reason=Reason.NOT_MONITORED)
    notify = policy.is_notified(failed=not report.is_complete)
    if not report.is_complete:
        return Decision(notify, Reason.FAILED if notify else Reason.FAILED_EXCLUDED)
    if report.open_now:
        return Decision(notify, Reason.NEW if notify else Reason.NEW_EXCLUDED)
    return Decision(NotifyOn.CLEAN in policy.notify_on, Reason.NOTHING_ABOVE_THRESHOLD)


def decide_run(report: RunReport, policy: NotificationPolicy) -> Decision:
    """Decide whether a run is reported. The answer of a dry run is not a message."""
    if report.dry_run:
        return Decision(False, Reason.DRY_RUN)
    if policy.on_run is NotifyOnRun.NEVER:
        return Decision(False, Reason.RUNS_EXCLUDED)
    if report.status != "FINISHED":
        return Decision(True, Reason.RUN_NOT_FINISHED, incident=Incident.TRIGGER)
    # A run that had no repository cannot resolve the incident of an earlier run. With enhanced
    # scanning, runs have nothing to do.
    is_enhanced = report.scan_type == ScanType.ENHANCED
    is_idle = report.scan_type is not None and not report.repositories
    incident = Incident.NONE if is_idle and not is_enhanced else Incident.RESOLVE
    if report.change in (RunChange.ENHANCED_SCANNING, RunChange.BASIC_SCANNING):
        return Decision(True, Reason.SCAN_TYPE_CHANGED, incident=incident)
    if is_enhanced and report.change == RunChange.UNCHANGED:
        return Decision(False, Reason.STILL_ENHANCED, incident=incident)
    return Decision(policy.on_run is NotifyOnRun.ALWAYS, Reason.RUN_FINISHED, incident=incident)
