from datetime import timedelta
from typing import Any

import pytest

from reporting.decision import Condition, Decision, NotifyOn, NotifyOnRun, decide, policy_in_force
from reporting.reports import Change, Interpretation
from tests.support.reports import (
    DEFAULT_NOTIFY_ON,
    DEFAULT_SETTINGS,
    any_notification_policy,
    any_run_report,
    any_scan_report,
)

PROBLEM, WELL, UNKNOWN = Condition.PROBLEM, Condition.WELL, Condition.UNKNOWN


def on_scan(given: dict[str, Any], **policy: Any) -> Decision:
    interpretation = Interpretation(scan=any_scan_report(**given))
    return decide(interpretation, any_notification_policy(**policy))


def on_run(status: str, on_run: NotifyOnRun) -> Decision:
    interpretation = Interpretation(run=any_run_report(status=status))
    return decide(interpretation, any_notification_policy(on_run=on_run))


def test_tells_of_findings_above_a_threshold() -> None:
    counts = {"CRITICAL": 0, "HIGH": 2, "INFORMATIONAL": 9}
    assert on_scan({"severities": counts}) == Decision(
        tell=True, condition=PROBLEM, reason="above threshold", exceeded={"HIGH": 2}
    )


def test_tells_of_none_though_nothing_is_remembered_if_asked_to() -> None:
    decision = on_scan({"severities": {"HIGH": 2}}, notify_on=frozenset())
    assert decision == Decision(
        tell=False, condition=PROBLEM, reason="NotifyOn leaves out NEW", exceeded={"HIGH": 2}
    )


@pytest.mark.parametrize("notify_on", [frozenset({NotifyOn.CLEAN}), DEFAULT_NOTIFY_ON])
def test_reports_a_clean_image_only_with_clean_in_notify_on(notify_on: frozenset[NotifyOn]) -> None:
    decision = on_scan({"severities": {"INFORMATIONAL": 9}}, notify_on=notify_on)
    is_wanted = NotifyOn.CLEAN in notify_on
    assert decision == Decision(tell=is_wanted, condition=WELL, reason="nothing above a threshold")


def test_tells_of_a_scan_that_failed() -> None:
    assert on_scan({"status": "FAILED"}) == Decision(
        tell=True, condition=PROBLEM, reason="scan failed"
    )


def test_a_failed_scan_says_nothing_of_its_image() -> None:
    decision = on_scan({"status": "FAILED"}, notify_on=frozenset({NotifyOn.CLEAN}))
    assert decision == Decision(tell=False, condition=UNKNOWN, reason="NotifyOn leaves out FAILED")


@pytest.mark.parametrize(
    ("status", "policy", "tell", "condition"),
    [
        ("FINISHED", NotifyOnRun.ALWAYS, True, WELL),
        ("FINISHED", NotifyOnRun.INCOMPLETE, False, WELL),
        ("FINISHED", NotifyOnRun.NEVER, False, UNKNOWN),
        ("INCOMPLETE", NotifyOnRun.ALWAYS, True, PROBLEM),
        ("INCOMPLETE", NotifyOnRun.INCOMPLETE, True, PROBLEM),
        ("INCOMPLETE", NotifyOnRun.NEVER, False, UNKNOWN),
        ("TIMED_OUT", NotifyOnRun.INCOMPLETE, True, PROBLEM),
        ("ABORTED", NotifyOnRun.NEVER, False, UNKNOWN),
    ],
)
def test_tells_of_the_runs_that_are_asked_for(
    status: str, policy: NotifyOnRun, tell: bool, condition: Condition
) -> None:
    decision = on_run(status, policy)
    assert (decision.tell, decision.condition) == (tell, condition)
    assert decision.reason


def test_gives_the_reason_of_a_silence() -> None:
    policy = any_notification_policy()
    for interpretation, reason in (
        (Interpretation(silence="of no interest"), "of no interest"),
        (Interpretation(), "nothing to tell"),
    ):
        assert decide(interpretation, policy) == Decision(
            tell=False, condition=UNKNOWN, reason=reason
        )


def test_takes_the_parameters_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)
    policy = policy_in_force()
    assert policy.notify_on == {Change.NEW, Change.WORSE, Change.CLEARED, Change.FAILED}
    assert policy.remind_after == timedelta(days=30)
    assert policy.include_findings
    assert policy.on_run is NotifyOnRun.ALWAYS
    assert policy.thresholds.accepted["CRITICAL"] == 0
    assert policy.thresholds.accepted["OTHER"] is None
