"""Which reports are notified, as decision tables; NotifyOn, reminders and incidents by rule."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.image_records import ImageState
from notify_scan.settings import ComposeNotificationSettings
from own_events.rescan_finished import RunChange
from reporting.changes import image_state_of
from reporting.decision import (
    Before,
    Decision,
    Incident,
    NotificationPolicy,
    NotifyOn,
    NotifyOnRun,
    decide,
)
from reporting.reports import Change, Reason, ScanReport
from tests.support.reports import (
    DEFAULT_SETTINGS,
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
notify_ons = st.frozensets(st.sampled_from(NotifyOn))

# What a scan ends with: so many critical findings, or the status FAILED.
type Found = int | str


def scan_with(found: Found) -> ScanReport:
    given = {"status": found} if isinstance(found, str) else {"severities": {"CRITICAL": found}}
    return any_scan_report(**given)


def state_after(*scans: Found) -> ImageState | None:
    """Make what is known of an image after some scans, the oldest first."""
    state, thresholds = None, any_notification_policy().thresholds
    for found in scans:
        state = image_state_of(scan_with(found), thresholds, state)
    return state


def on_next_scan(
    found: Found, *earlier: Found, since_notified: timedelta = DAY, **policy: Any
) -> Decision:
    """Decide on a scan of an image, of which earlier scans are known."""
    before = Before(state_after(*earlier), since_notified)
    return decide(scan_with(found), any_notification_policy(**policy), before)


def on_scan_alone(given: dict[str, Any], **policy: Any) -> Decision:
    """Decide on a scan of an image of which nothing can be known."""
    return decide(any_scan_report(**given), any_notification_policy(**policy))


def on_run(on_run: NotifyOnRun, **given: Any) -> Decision:
    return decide(any_run_report(**given), any_notification_policy(on_run=on_run))


# A scan, compared with what is known


@pytest.mark.parametrize(
    ("earlier", "found", "kind", "notify", "incident", "reason"),
    [
        ([], 0, Change.UNCHANGED, False, RESOLVE, Reason.NOTHING_ABOVE_THRESHOLD),
        ([], 2, Change.NEW, True, TRIGGER, Reason.NEW),
        ([], "FAILED", Change.FAILED, True, TRIGGER, Reason.FAILED),
        ([0], 0, Change.UNCHANGED, False, NONE, Reason.UNCHANGED),
        ([0], 2, Change.NEW, True, TRIGGER, Reason.NEW),
        ([0], "FAILED", Change.FAILED, True, TRIGGER, Reason.FAILED),
        ([2], 0, Change.CLEARED, True, RESOLVE, Reason.CLEARED),
        ([2], 1, Change.BETTER, False, TRIGGER, Reason.BETTER_EXCLUDED),
        ([2], 2, Change.UNCHANGED, False, TRIGGER, Reason.UNCHANGED),
        ([2], 3, Change.WORSE, True, TRIGGER, Reason.WORSE),
        ([2], "FAILED", Change.FAILED, True, TRIGGER, Reason.FAILED),
        (["FAILED"], 0, Change.CLEARED, True, RESOLVE, Reason.CLEARED),
        (["FAILED"], 2, Change.NEW, True, TRIGGER, Reason.NEW),
        (["FAILED"], "FAILED", Change.UNCHANGED, False, TRIGGER, Reason.UNCHANGED),
        ([2, "FAILED"], 0, Change.CLEARED, True, RESOLVE, Reason.CLEARED),
        ([2, "FAILED"], 1, Change.BETTER, False, TRIGGER, Reason.BETTER_EXCLUDED),
        ([2, "FAILED"], 2, Change.UNCHANGED, False, TRIGGER, Reason.UNCHANGED),
        ([2, "FAILED"], 3, Change.WORSE, True, TRIGGER, Reason.WORSE),
        ([2, "FAILED"], "FAILED", Change.UNCHANGED, False, TRIGGER, Reason.UNCHANGED),
    ],
)
def test_decides_on_a_scan_by_the_one_before(
    earlier: list[Found],
    found: Found,
    kind: Change,
    notify: bool,
    incident: Incident,
    reason: Reason,
) -> None:
    decision = on_next_scan(found, *earlier)
    assert (decision.change, decision.notify, decision.incident, decision.reason) == (
        kind,
        notify,
        incident,
        reason,
    )
    assert decision.is_first == (earlier == [])
    assert not decision.is_reminder
    assert decision.image_state == state_after(*earlier, found)


@pytest.mark.parametrize(
    ("earlier", "found", "exceeded", "difference"),
    [
        ([], 0, {}, {}),
        ([], 2, {"CRITICAL": 2}, {}),  # all of them are new
        ([0], 2, {"CRITICAL": 2}, {}),
        (["FAILED"], 2, {"CRITICAL": 2}, {}),
        ([2], 0, {}, {"CRITICAL": -2}),
        ([2], 1, {"CRITICAL": 1}, {"CRITICAL": -1}),
        ([2], 2, {"CRITICAL": 2}, {}),
        ([2], 3, {"CRITICAL": 3}, {"CRITICAL": 1}),
        ([2, "FAILED"], 3, {"CRITICAL": 3}, {"CRITICAL": 1}),
        ([2], "FAILED", {}, {}),  # has counted nothing
        ([2, "FAILED"], "FAILED", {}, {}),
    ],
)
def test_counts_what_is_above_thresholds_and_what_has_changed(
    earlier: list[Found], found: Found, exceeded: dict[str, int], difference: dict[str, int]
) -> None:
    decision = on_next_scan(found, *earlier)
    assert (decision.exceeded, decision.difference) == (exceeded, difference)


def test_does_not_count_findings_of_a_failed_scan() -> None:
    """An event of Amazon Inspector may have counts of a scan that failed."""
    report = any_scan_report(status="FAILED", severities={"CRITICAL": 2})
    decision = decide(report, any_notification_policy(), Before())
    assert (decision.change, decision.exceeded) == (Change.FAILED, {})


def test_goes_by_the_thresholds_of_the_policy() -> None:
    lenient = replace(any_notification_policy().thresholds, accepted={"CRITICAL": 2})
    assert not on_next_scan(2, thresholds=lenient).notify
    assert on_next_scan(3, thresholds=lenient).exceeded == {"CRITICAL": 3}
    assert on_next_scan(2, 2, thresholds=lenient).change is Change.CLEARED


# What NotifyOn names

CHANGES: list[tuple[list[Found], Found, Change]] = [
    ([], 2, Change.NEW),
    ([2], 3, Change.WORSE),
    ([2], 1, Change.BETTER),
    ([2], 0, Change.CLEARED),
    ([2, "FAILED"], 0, Change.CLEARED),
    ([], "FAILED", Change.FAILED),
    ([2], "FAILED", Change.FAILED),
    ([2], 2, Change.UNCHANGED),
    (["FAILED"], "FAILED", Change.UNCHANGED),
]


@pytest.mark.parametrize(("earlier", "found", "kind"), CHANGES)
def test_notifies_of_a_change_where_notify_on_names_it_and_nowhere_else(
    earlier: list[Found], found: Found, kind: Change
) -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(found, *earlier, notify_on=notify_on)
        assert decision.change is kind
        assert decision.notify == (kind in notify_on), notify_on
        is_left_out = decision.reason.name == f"{kind}_EXCLUDED"
        assert is_left_out == (kind not in notify_on and kind is not Change.UNCHANGED)
        assert decision.incident == (RESOLVE if kind is Change.CLEARED else TRIGGER)


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
    assert (decision.change, decision.notify, decision.reason) == (kind, True, reason)


def test_notifies_of_no_image_that_stays_without_findings() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(0, 0, since_notified=365 * DAY, notify_on=notify_on)
        assert (decision.notify, decision.incident) == (False, NONE)


def test_notifies_of_the_first_scan_without_findings_where_notify_on_has_clean() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(0, notify_on=notify_on)
        assert decision.notify == (NotifyOn.CLEAN in notify_on)
        assert (decision.incident, decision.reason) == (RESOLVE, Reason.NOTHING_ABOVE_THRESHOLD)


@pytest.mark.parametrize("found", [2, "FAILED"])
def test_an_image_with_findings_or_a_failed_scan_is_not_clean(found: Found) -> None:
    assert not on_next_scan(found, notify_on=frozenset({NotifyOn.CLEAN})).notify


def test_the_end_of_a_failure_is_news_only_where_the_failure_was() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        decision = on_next_scan(0, "FAILED", notify_on=notify_on)
        assert decision.notify == ({NotifyOn.CLEARED, NotifyOn.FAILED} <= notify_on)
        assert decision.incident is RESOLVE  # an incident may be open from other days
        if NotifyOn.FAILED not in notify_on:
            assert decision.reason is Reason.FAILED_EXCLUDED
        elif NotifyOn.CLEARED not in notify_on:
            assert decision.reason is Reason.CLEARED_EXCLUDED


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
    assert (decision.change, decision.incident) == (Change.UNCHANGED, TRIGGER)


def test_goes_by_the_remind_after_of_the_policy() -> None:
    decisions = (on_next_scan(2, 2, since_notified=7 * DAY, remind_after=n * DAY) for n in (7, 8))
    assert [decision.is_reminder for decision in decisions] == [True, False]


@pytest.mark.parametrize(
    ("earlier", "found", "kind"), [each for each in CHANGES if each[2] is not Change.UNCHANGED]
)
def test_what_has_changed_after_a_long_time_is_no_reminder(
    earlier: list[Found], found: Found, kind: Change
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


# What is noted


@pytest.mark.parametrize(
    ("earlier", "found", "is_noted"),
    [
        ([], 0, True),  # from now on the image is not new
        ([], 2, True),
        ([0], 0, False),
        ([2], 2, False),
        (["FAILED"], "FAILED", False),
        ([2], 1, True),  # not reported, but the next scan is compared with it
        ([2], 0, True),
        ([2], "FAILED", True),
        ([2, "FAILED"], 2, True),  # the failure is over, so that another one is news
    ],
)
def test_notes_what_the_next_scan_must_be_compared_with(
    earlier: list[Found], found: Found, is_noted: bool
) -> None:
    assert on_next_scan(found, *earlier).is_noted == is_noted
    assert on_next_scan(found, *earlier, notify_on=frozenset()).is_noted == is_noted


def test_notes_that_a_notification_is_sent_though_nothing_has_changed() -> None:
    assert on_next_scan(2, 2, since_notified=30 * DAY).is_noted
    assert on_next_scan(2, 2, notify_on=frozenset({NotifyOn.UNCHANGED})).is_noted


@dataclass
class Story:
    """The scans of an image day by day, with what is remembered of them."""

    policy: NotificationPolicy
    remembers_all: bool
    state: ImageState | None = None
    since_notified: timedelta = timedelta()
    decisions: list[Decision] = field(default_factory=list)

    def scan(self, found: Found, days: int) -> None:
        self.since_notified += days * DAY if self.state else timedelta()
        decision = decide(scan_with(found), self.policy, Before(self.state, self.since_notified))
        if decision.notify:
            self.since_notified = timedelta()
        if decision.is_noted or self.remembers_all:
            self.state = decision.image_state
        self.decisions.append(replace(decision, is_noted=False))


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, "FAILED"]), st.integers(1, 20)), max_size=12),
    notify_ons,
)
def test_what_is_not_noted_makes_no_difference_later(
    scans: list[tuple[Found, int]], notify_on: frozenset[NotifyOn]
) -> None:
    policy = any_notification_policy(notify_on=notify_on)
    stories = Story(policy, remembers_all=True), Story(policy, remembers_all=False)
    for found, days in scans:
        for story in stories:
            story.scan(found, days)
    assert stories[0].decisions == stories[1].decisions


# A scan of which nothing can be compared


def test_notifies_of_findings_above_a_threshold() -> None:
    counts = {"CRITICAL": 0, "HIGH": 2, "INFORMATIONAL": 9}
    assert on_scan_alone({"severities": counts}) == Decision(
        notify=True, incident=TRIGGER, reason=Reason.NEW, exceeded={"HIGH": 2}
    )


def test_notify_on_is_kept_for_findings_though_nothing_is_remembered() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        is_notified = bool(notify_on & {NotifyOn.NEW, NotifyOn.WORSE})
        assert on_scan_alone({"severities": {"HIGH": 2}}, notify_on=notify_on) == Decision(
            notify=is_notified,
            incident=TRIGGER,
            reason=Reason.NEW if is_notified else Reason.NEW_EXCLUDED,
            exceeded={"HIGH": 2},
        )


def test_notify_on_is_kept_for_a_failed_scan_though_nothing_is_remembered() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        is_notified = NotifyOn.FAILED in notify_on
        assert on_scan_alone({"status": "FAILED"}, notify_on=notify_on) == Decision(
            notify=is_notified,
            # Whether an incident is open for its findings cannot be known.
            incident=TRIGGER if is_notified else NONE,
            reason=Reason.FAILED if is_notified else Reason.FAILED_EXCLUDED,
        )


def test_notify_on_is_kept_for_a_clean_image_though_nothing_is_remembered() -> None:
    for notify_on in EVERY_NOTIFY_ON:
        assert on_scan_alone({"severities": {"INFORMATIONAL": 9}}, notify_on=notify_on) == Decision(
            notify=NotifyOn.CLEAN in notify_on,
            incident=RESOLVE,
            reason=Reason.NOTHING_ABOVE_THRESHOLD,
        )


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
    assert on_run(policy, status=status) == Decision(notify, incident, reason)


@pytest.mark.parametrize("policy", [NotifyOnRun.ALWAYS, NotifyOnRun.INCOMPLETE])
def test_notifies_when_there_is_nothing_to_rescan_any_more(policy: NotifyOnRun) -> None:
    lost = on_run(policy, status="INCOMPLETE", change=RunChange.NO_REPOSITORIES, repositories=0)
    assert lost == Decision(True, TRIGGER, Reason.RUN_NOT_FINISHED)


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
    assert on_run(policy, **change) == Decision(notify, incident, reason)


@pytest.mark.parametrize("policy", [NotifyOnRun.ALWAYS, NotifyOnRun.INCOMPLETE])
def test_does_not_repeat_that_enhanced_scanning_is_active(policy: NotifyOnRun) -> None:
    same = on_run(policy, scan_type="ENHANCED", change="UNCHANGED", repositories=0)
    assert same == Decision(False, RESOLVE, Reason.STILL_ENHANCED)
    # An operator started this one, and gets an answer.
    asked = on_run(policy, scan_type="ENHANCED", dry_run=True, repositories=0)
    assert asked.notify == (policy is NotifyOnRun.ALWAYS)


def test_a_dry_run_closes_no_incident() -> None:
    assert on_run(NotifyOnRun.ALWAYS, dry_run=True) == Decision(True, NONE, Reason.RUN_FINISHED)
    failed = on_run(NotifyOnRun.ALWAYS, dry_run=True, status="FAILED")
    assert failed == Decision(True, TRIGGER, Reason.RUN_NOT_FINISHED)


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


UNSUPPORTED = any_scan_report(status="UNSUPPORTED_IMAGE", severities={})


@pytest.mark.parametrize("before", [None, Before(), Before(ImageState({"HIGH": 1}, ("HIGH",)))])
def test_an_image_that_ecr_cannot_scan_changes_nothing(before: Before | None) -> None:
    decision = decide(UNSUPPORTED, any_notification_policy(), before)
    assert decision == Decision(False, Incident.NONE, Reason.UNSUPPORTED)


@pytest.mark.parametrize(
    ("exceeded", "incident"), [((), Incident.RESOLVE), (("HIGH",), Incident.NONE)]
)
def test_an_image_that_ecr_cannot_scan_no_longer_counts_as_failed(
    exceeded: tuple[str, ...], incident: Incident
) -> None:
    before = Before(ImageState({"HIGH": 1}, exceeded, failed=True))
    assert decide(UNSUPPORTED, any_notification_policy(), before) == Decision(
        notify=False,
        incident=incident,
        reason=Reason.UNSUPPORTED,
        image_state=ImageState({"HIGH": 1}, exceeded),
        is_noted=True,
    )
