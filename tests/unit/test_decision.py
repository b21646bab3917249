"""Which reports are notified, as decision tables; NotifyOn and reminders by rule.

Scans are compared by number here; tests/unit/test_changes.py has the table of all comparisons.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain, combinations
from typing import Any

import pytest

from ledger.changes import Cause, Change
from ledger.image_records import ImageState
from notify_scan.settings import ComposeNotificationSettings
from own_events.rescan_finished import RunChange
from reporting.changes import Comparison, Seen, compare
from reporting.decision import (
    Decision,
    Incident,
    NotificationPolicy,
    NotifyOn,
    NotifyOnRun,
    decide,
    decide_alone,
    decide_run,
)
from reporting.reports import Reason
from reporting.thresholds import Thresholds
from tests.support.reports import (
    DEFAULT_SETTINGS,
    DEFAULT_THRESHOLDS,
    any_notification_policy,
    any_run_report,
    any_scan_report,
)
from tests.support.settings import settings_now

TRIGGER, RESOLVE, NONE = Incident.TRIGGER, Incident.RESOLVE, Incident.NONE
DAY = timedelta(days=1)
EVERY_NOTIFY_ON = [
    frozenset(words)
    for words in chain.from_iterable(combinations(NotifyOn, n) for n in range(len(NotifyOn) + 1))
]

# What a scan ends with: so many critical findings, or the status FAILED.
type Found = int | str


def state_after(*scans: Found) -> ImageState | None:
    """Make what is known of an image after some scans, the oldest first."""
    state = None
    for found in scans:
        state = state_with(found, state)
    return state


def state_with(found: Found, before: ImageState | None) -> ImageState:
    if isinstance(found, str):
        return replace(before or ImageState(), failed=True)
    thresholds, counts = Thresholds(DEFAULT_THRESHOLDS), {"CRITICAL": found}
    return ImageState(counts, tuple(thresholds.exceeded(counts)), thresholds=thresholds.in_force)


def compared(found: Found, earlier: Sequence[Found]) -> Comparison:
    before = state_after(*earlier)
    return compare(Seen(before) if before else None, Seen(state_with(found, before)))


def on_next_scan(
    found: Found, *earlier: Found, since_notified: timedelta = DAY, **policy: Any
) -> Decision:
    """Decide on a scan of an image, of which earlier scans are known."""
    before = state_after(*earlier)
    return decide(
        compared(found, earlier),
        state_with(found, before),
        any_notification_policy(**policy),
        before,
        since_notified,
    )


def on_scan_alone(given: dict[str, Any], **policy: Any) -> Decision:
    """Decide on a scan of an image of which nothing can be known."""
    return decide_alone(any_scan_report(**given), any_notification_policy(**policy))


def on_run(on_run: NotifyOnRun, **given: Any) -> Decision:
    return decide_run(any_run_report(**given), any_notification_policy(on_run=on_run))


# A scan, compared with what is known


@pytest.mark.parametrize(
    ("earlier", "found", "kind", "notify", "reason"),
    [
        ([], 0, Change.UNCHANGED, False, Reason.NOTHING_ABOVE_THRESHOLD),
        ([], 2, Change.NEW, True, Reason.NEW),
        ([], "FAILED", Change.FAILED, True, Reason.FAILED),
        ([0], 0, Change.UNCHANGED, False, Reason.UNCHANGED),
        ([0], 2, Change.NEW, True, Reason.NEW),
        ([0], "FAILED", Change.FAILED, True, Reason.FAILED),
        ([2], 0, Change.CLEARED, True, Reason.CLEARED),
        ([2], 1, Change.BETTER, False, Reason.BETTER_EXCLUDED),
        ([2], 2, Change.UNCHANGED, False, Reason.UNCHANGED),
        ([2], 3, Change.WORSE, True, Reason.WORSE),
        ([2], "FAILED", Change.FAILED, True, Reason.FAILED),
        (["FAILED"], 0, Change.CLEARED, True, Reason.CLEARED),
        (["FAILED"], 2, Change.NEW, True, Reason.NEW),
        (["FAILED"], "FAILED", Change.UNCHANGED, False, Reason.UNCHANGED),
        ([2, "FAILED"], 0, Change.CLEARED, True, Reason.CLEARED),
        ([2, "FAILED"], 1, Change.CLEARED, True, Reason.CLEARED),  # of the failure
        ([2, "FAILED"], 2, Change.CLEARED, True, Reason.CLEARED),
        ([2, "FAILED"], 3, Change.WORSE, True, Reason.WORSE),
        ([2, "FAILED"], "FAILED", Change.UNCHANGED, False, Reason.UNCHANGED),
    ],
)
def test_decides_on_a_scan_by_the_one_before(
    earlier: list[Found], found: Found, kind: Change, notify: bool, reason: Reason
) -> None:
    assert compared(found, earlier).change is kind
    assert on_next_scan(found, *earlier) == Decision(notify, reason)


def test_goes_by_the_thresholds_that_are_exceeded() -> None:
    within, above = ImageState({"CRITICAL": 2}), ImageState({"CRITICAL": 3}, ("CRITICAL",))
    policy = any_notification_policy()

    def decided(now: ImageState) -> Decision:
        return decide(compare(None, Seen(now)), now, policy, None, DAY)

    assert not decided(within).notify
    assert decided(above) == Decision(True, Reason.NEW)


# What NotifyOn names

CHANGES: list[tuple[list[Found], Found, NotifyOn]] = [
    ([], 2, NotifyOn.NEW),
    ([2], 3, NotifyOn.WORSE),
    ([2], 1, NotifyOn.BETTER),
    ([2], 0, NotifyOn.CLEARED),
    ([2, "FAILED"], 0, NotifyOn.CLEARED),
    ([], "FAILED", NotifyOn.FAILED),
    ([2], "FAILED", NotifyOn.FAILED),
    ([2], 2, NotifyOn.UNCHANGED),
    (["FAILED"], "FAILED", NotifyOn.UNCHANGED),
]


@pytest.mark.parametrize(("earlier", "found", "kind"), CHANGES)
def test_notifies_of_a_change_where_notify_on_names_it_and_nowhere_else(
    earlier: list[Found], found: Found, kind: NotifyOn
) -> None:
    assert NotifyOn(compared(found, earlier).change) is kind
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(found, *earlier, notify_on=notify_on)
        assert decision.notify == (kind in notify_on), notify_on
        is_left_out = decision.reason.name == f"{kind}_EXCLUDED"
        assert is_left_out == (kind not in notify_on and kind is not NotifyOn.UNCHANGED)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Change.BETTER, Reason.BETTER),
        (Change.UNCHANGED, Reason.UNCHANGED),
    ],
)
def test_gives_the_reason_of_what_is_notified_only_where_it_is_asked_for(
    kind: Change, reason: Reason
) -> None:
    found = 1 if kind is Change.BETTER else 2
    decision = on_next_scan(found, 2, notify_on=frozenset({NotifyOn(kind)}))
    assert (decision.notify, decision.reason) == (True, reason)


def test_notifies_of_no_image_that_stays_without_findings() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(0, 0, since_notified=365 * DAY, notify_on=notify_on)
        assert decision == Decision(False, Reason.UNCHANGED)


def test_notifies_of_the_first_scan_without_findings_where_notify_on_has_clean() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(0, notify_on=notify_on)
        is_clean_news = NotifyOn.CLEAN in notify_on
        assert decision == Decision(is_clean_news, Reason.NOTHING_ABOVE_THRESHOLD)


@pytest.mark.parametrize("found", [2, "FAILED"])
def test_an_image_with_findings_or_a_failed_scan_is_not_clean(found: Found) -> None:
    assert not on_next_scan(found, notify_on=frozenset({NotifyOn.CLEAN})).notify


@pytest.mark.parametrize(("earlier", "found"), [(["FAILED"], 0), ([2, "FAILED"], 2)])
def test_the_end_of_a_failure_is_news_only_where_the_failure_was(
    earlier: list[Found], found: Found
) -> None:
    assert compared(found, earlier).cause is Cause.END_OF_FAILURE
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(found, *earlier, notify_on=notify_on)
        assert decision.notify == ({NotifyOn.CLEARED, NotifyOn.FAILED} <= notify_on)
        if NotifyOn.FAILED not in notify_on:
            assert decision.reason is Reason.FAILED_EXCLUDED
        elif NotifyOn.CLEARED not in notify_on:
            assert decision.reason is Reason.CLEARED_EXCLUDED


# What only a digest has a line for


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.THRESHOLD, Reason.THRESHOLD_MOVED),
        (Cause.FIRST_OF_TYPE, Reason.FIRST_OF_TYPE),
        (Cause.NOT_MONITORED, Reason.NOT_MONITORED),
        (Cause.UNSUPPORTED, Reason.UNSUPPORTED),
    ],
)
@pytest.mark.parametrize("since_notified", [DAY, 300 * DAY])
def test_what_changes_without_a_finding_is_never_sent_by_itself(
    cause: Cause, reason: Reason, since_notified: timedelta
) -> None:
    state = state_after(2)
    assert state
    for notify_on in EVERY_NOTIFY_ON:
        policy = any_notification_policy(notify_on=notify_on)
        comparison = Comparison(Change.UNCHANGED, cause)
        decision = decide(comparison, state, policy, state, since_notified)
        assert decision == Decision(False, reason)


@pytest.mark.parametrize(
    "comparison",
    [Comparison(Change.CLEARED, Cause.ACCEPTED), Comparison(Change.CLEARED)],
)
def test_a_cause_of_an_image_that_is_cleared_is_sent_with_it(comparison: Comparison) -> None:
    before = state_after(2)
    decision = decide(comparison, ImageState(), any_notification_policy(), before, DAY)
    assert decision == Decision(True, Reason.CLEARED)


# Reminders


@pytest.mark.parametrize("earlier", [[2], ["FAILED"], [2, "FAILED"]])
@pytest.mark.parametrize(
    ("since_notified", "reminds"),
    [(30 * DAY - timedelta(seconds=1), False), (30 * DAY, True), (300 * DAY, True)],
)
def test_reminds_of_what_has_stood_unchanged_for_as_long_as_remind_after(
    earlier: list[Found], since_notified: timedelta, reminds: bool
) -> None:
    decision = on_next_scan(earlier[-1], *earlier, since_notified=since_notified)
    assert (decision.notify, decision.is_reminder) == (reminds, reminds)
    assert decision.reason == (Reason.REMINDER if reminds else Reason.UNCHANGED)


def test_goes_by_the_remind_after_of_the_policy() -> None:
    decisions = (on_next_scan(2, 2, since_notified=7 * DAY, remind_after=n * DAY) for n in (7, 8))
    assert [decision.is_reminder for decision in decisions] == [True, False]


@pytest.mark.parametrize(
    ("earlier", "found", "kind"), [each for each in CHANGES if each[2] is not NotifyOn.UNCHANGED]
)
def test_what_has_changed_after_a_long_time_is_no_reminder(
    earlier: list[Found], found: Found, kind: NotifyOn
) -> None:
    """A change that NotifyOn excludes stays unreported, however long ago the last report was."""
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(found, *earlier, since_notified=300 * DAY, notify_on=notify_on)
        assert not decision.is_reminder
        assert decision.notify == (kind in notify_on)


@pytest.mark.parametrize(
    ("found", "words"),
    [(2, {NotifyOn.NEW, NotifyOn.WORSE}), ("FAILED", {NotifyOn.FAILED})],
)
def test_reminds_only_of_what_notify_on_reports_in_the_first_place(
    found: Found, words: set[NotifyOn]
) -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(found, found, since_notified=30 * DAY, notify_on=notify_on)
        assert decision.is_reminder == bool(words & notify_on)
        assert decision.notify == bool((words | {NotifyOn.UNCHANGED}) & notify_on)


# A scan of which nothing can be compared


def test_notifies_of_findings_above_a_threshold() -> None:
    assert on_scan_alone({"open_now": {"HIGH": 2}}) == Decision(True, Reason.NEW)


def test_notify_on_is_kept_for_findings_though_nothing_is_remembered() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        is_notified = bool(notify_on & {NotifyOn.NEW, NotifyOn.WORSE})
        assert on_scan_alone({"open_now": {"HIGH": 2}}, notify_on=notify_on) == Decision(
            is_notified, Reason.NEW if is_notified else Reason.NEW_EXCLUDED
        )


def test_notify_on_is_kept_for_a_failed_scan_though_nothing_is_remembered() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        is_notified = NotifyOn.FAILED in notify_on
        assert on_scan_alone({"status": "FAILED"}, notify_on=notify_on) == Decision(
            is_notified, Reason.FAILED if is_notified else Reason.FAILED_EXCLUDED
        )


def test_notify_on_is_kept_for_a_clean_image_though_nothing_is_remembered() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        assert on_scan_alone({"open_now": {}}, notify_on=notify_on) == Decision(
            NotifyOn.CLEAN in notify_on, Reason.NOTHING_ABOVE_THRESHOLD
        )


def test_an_image_that_ecr_cannot_scan_is_not_reported_alone() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_scan_alone({"status": "UNSUPPORTED_IMAGE"}, notify_on=notify_on)
        assert decision == Decision(False, Reason.UNSUPPORTED)


def test_an_image_that_inspector_no_longer_monitors_is_not_reported_alone() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_scan_alone({"status": "SCAN_ELIGIBILITY_EXPIRED"}, notify_on=notify_on)
        assert decision == Decision(False, Reason.NOT_MONITORED)


# Runs


@pytest.mark.parametrize(
    ("status", "policy", "notify", "incident", "reason"),
    [
        ("FINISHED", NotifyOnRun.ALWAYS, True, RESOLVE, Reason.RUN_FINISHED),
        ("FINISHED", NotifyOnRun.INCOMPLETE, False, RESOLVE, Reason.RUN_FINISHED),
        ("FINISHED", NotifyOnRun.NEVER, False, NONE, Reason.RUNS_EXCLUDED),
        ("INCOMPLETE", NotifyOnRun.ALWAYS, True, TRIGGER, Reason.RUN_NOT_FINISHED),
        ("INCOMPLETE", NotifyOnRun.INCOMPLETE, True, TRIGGER, Reason.RUN_NOT_FINISHED),
        ("INCOMPLETE", NotifyOnRun.NEVER, False, NONE, Reason.RUNS_EXCLUDED),
        ("TIMED_OUT", NotifyOnRun.INCOMPLETE, True, TRIGGER, Reason.RUN_NOT_FINISHED),
        ("ABORTED", NotifyOnRun.NEVER, False, NONE, Reason.RUNS_EXCLUDED),
    ],
)
def test_notifies_of_the_runs_that_are_asked_for(
    status: str, policy: NotifyOnRun, notify: bool, incident: Incident, reason: Reason
) -> None:
    assert on_run(policy, status=status) == Decision(notify, reason, incident=incident)


@pytest.mark.parametrize("policy", [NotifyOnRun.ALWAYS, NotifyOnRun.INCOMPLETE])
def test_notifies_when_there_is_nothing_to_rescan_any_more(policy: NotifyOnRun) -> None:
    lost = on_run(policy, status="INCOMPLETE", change=RunChange.NO_REPOSITORIES, repositories=0)
    assert lost == Decision(True, Reason.RUN_NOT_FINISHED, incident=TRIGGER)


@pytest.mark.parametrize("repositories", [0, 3])
@pytest.mark.parametrize("scan_type", [None, "BASIC", "ENHANCED"])
def test_only_a_run_that_rescans_something_closes_the_incident_of_another(
    scan_type: str | None, repositories: int
) -> None:
    decision = on_run(
        NotifyOnRun.ALWAYS,
        scan_type=scan_type,
        change=RunChange.UNCHANGED,
        repositories=repositories,
    )
    nothing_done = scan_type == "BASIC" and not repositories
    assert decision.incident == (NONE if nothing_done else RESOLVE)


@pytest.mark.parametrize(
    ("policy", "notify", "reason"),
    [
        (NotifyOnRun.ALWAYS, True, Reason.SCAN_TYPE_CHANGED),
        (NotifyOnRun.INCOMPLETE, True, Reason.SCAN_TYPE_CHANGED),
        (NotifyOnRun.NEVER, False, Reason.RUNS_EXCLUDED),
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        {"scan_type": "ENHANCED", "change": "ENHANCED_SCANNING", "repositories": 0},
        {"scan_type": "BASIC", "change": "BASIC_SCANNING"},
    ],
)
def test_notifies_when_enhanced_scanning_comes_and_when_it_goes(
    change: dict[str, Any], policy: NotifyOnRun, notify: bool, reason: Reason
) -> None:
    incident = RESOLVE if notify else NONE
    assert on_run(policy, **change) == Decision(notify, reason, incident=incident)


@pytest.mark.parametrize("policy", [NotifyOnRun.ALWAYS, NotifyOnRun.INCOMPLETE])
def test_does_not_repeat_that_enhanced_scanning_is_active(policy: NotifyOnRun) -> None:
    same = on_run(policy, scan_type="ENHANCED", change="UNCHANGED", repositories=0)
    assert same == Decision(False, Reason.STILL_ENHANCED, incident=RESOLVE)


@pytest.mark.parametrize("status", ["FINISHED", "INCOMPLETE", "FAILED", "TIMED_OUT", "ABORTED"])
@pytest.mark.parametrize("policy", NotifyOnRun)
@pytest.mark.parametrize("scan_type", [None, "BASIC", "ENHANCED"])
def test_a_dry_run_is_answered_only_where_it_was_started(
    scan_type: str | None, policy: NotifyOnRun, status: str
) -> None:
    asked = on_run(policy, dry_run=True, status=status, scan_type=scan_type)
    assert asked == Decision(False, Reason.DRY_RUN, incident=NONE)


# The parameters of the stack


def policy_with(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]) -> NotificationPolicy:
    for name, value in {**DEFAULT_SETTINGS, **parameters}.items():
        monkeypatch.setenv(name, value)
    return settings_now(ComposeNotificationSettings).policy


def test_has_the_default_parameters_as_the_default_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_with(monkeypatch, {})
    assert policy == NotificationPolicy(policy.thresholds)
    assert policy.thresholds.accepted["CRITICAL"] == 0
    assert policy.thresholds.accepted["OTHER"] is None


def test_takes_the_parameters_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {
        "CRITICAL_THRESHOLD": "3",
        "NOTIFY_ON": "BETTER,CLEAN",
        "REMIND_AFTER": "7d",
        "NOTIFY_ON_RUN": "INCOMPLETE",
        "INCLUDE_FINDINGS": "false",
    }
    policy = policy_with(monkeypatch, parameters)
    assert policy == NotificationPolicy(
        thresholds=policy.thresholds,
        notify_on=frozenset({NotifyOn.BETTER, NotifyOn.CLEAN}),
        remind_after=7 * DAY,
        on_run=NotifyOnRun.INCOMPLETE,
        include_findings=False,
    )
    assert policy.thresholds.accepted["CRITICAL"] == 3
