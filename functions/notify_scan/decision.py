"""Whether people are told of a report, and why."""

from dataclasses import dataclass, field
from enum import StrEnum

from notify_scan.reports import Interpretation, RunReport, ScanReport
from notify_scan.thresholds import Thresholds, thresholds_in_force
from runtime import settings


class NotifyOnRun(StrEnum):
    """Which runs people are told of."""

    ALWAYS = "ALWAYS"
    INCOMPLETE = "INCOMPLETE"
    NEVER = "NEVER"


class Condition(StrEnum):
    """What a report says of the image, or of the runs."""

    PROBLEM = "PROBLEM"  # somebody must act
    WELL = "WELL"  # nobody must act, and an open incident can be closed
    UNKNOWN = "UNKNOWN"  # neither can be said


@dataclass(frozen=True)
class Decision:
    """Whether people are told, and the reason, one of a few constant phrases.

    exceeded: the severities with more findings than accepted.
    """

    tell: bool
    condition: Condition
    reason: str
    exceeded: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NotificationPolicy:
    """What people want to be told of."""

    thresholds: Thresholds
    on_scan_failure: bool = True
    when_clean: bool = False
    on_run: NotifyOnRun = NotifyOnRun.ALWAYS
    include_findings: bool = True


def policy_in_force() -> NotificationPolicy:
    """Take the stack's parameters."""
    return NotificationPolicy(
        thresholds=thresholds_in_force(),
        on_scan_failure=settings.flag("NOTIFY_ON_SCAN_FAILURE"),
        when_clean=settings.flag("NOTIFY_WHEN_CLEAN"),
        on_run=settings.choice("NOTIFY_ON_RUN", NotifyOnRun),
        include_findings=settings.flag("INCLUDE_FINDINGS"),
    )


def decide(interpretation: Interpretation, policy: NotificationPolicy) -> Decision:
    """Come to a decision on whatever an event was understood to be."""
    if interpretation.scan:
        return _on_scan(interpretation.scan, policy)
    if interpretation.run:
        return _on_run(interpretation.run, policy)
    return Decision(
        tell=False, condition=Condition.UNKNOWN, reason=interpretation.silence or "nothing to tell"
    )


def _on_scan(report: ScanReport, policy: NotificationPolicy) -> Decision:
    if not report.is_complete:
        if policy.on_scan_failure:
            return Decision(tell=True, condition=Condition.PROBLEM, reason="scan failed")
        return Decision(
            tell=False, condition=Condition.UNKNOWN, reason="NotifyOnScanFailure is off"
        )
    if exceeded := policy.thresholds.exceeded(report):
        return Decision(
            tell=True, condition=Condition.PROBLEM, reason="above threshold", exceeded=exceeded
        )
    return Decision(
        tell=policy.when_clean, condition=Condition.WELL, reason="nothing above a threshold"
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
