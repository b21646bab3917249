from datetime import timedelta

import pytest

from rescan_registry.policy import RescanPolicy
from rescan_registry.request import RescanRequest
from rescan_registry.settings import RUN_TIME_LIMIT, ListRepositoriesSettings
from runtime.settings import SettingsError
from tests.support.builders import DEFAULT_SETTINGS, any_policy
from tests.support.clock import NOW
from tests.support.definition import RESCAN_REGISTRY
from tests.support.settings import settings_now

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)


def policy_in_force(request: RescanRequest) -> RescanPolicy:
    return settings_now(ListRepositoriesSettings).policy(request, NOW)


def test_is_what_the_parameters_say() -> None:
    assert policy_in_force(RescanRequest()) == any_policy()


def test_takes_from_the_request_what_it_sets() -> None:
    request = RescanRequest(rescan_after=timedelta(days=2), dry_run=True)
    assert policy_in_force(request) == any_policy(rescan_after=timedelta(days=2), dry_run=True)


@pytest.mark.parametrize(("hours", "minutes"), [(1, 2.5), (6, 15), (24, 15), (72, 15)])
def test_waits_for_ecr_no_longer_than_the_schedule_allows(hours: int, minutes: float) -> None:
    policy = any_policy(schedule_interval=timedelta(hours=hours))
    assert policy.longest_wait == timedelta(minutes=minutes)


def test_takes_the_time_until_the_next_run_from_the_schedule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCHEDULE_INTERVAL_SECONDS", "604800")
    assert policy_in_force(RescanRequest()).schedule_interval == timedelta(days=7)


@pytest.mark.parametrize(
    ("rescan_after", "interval", "due_after"), [(7, 1, 6), (1, 1, 0), (1, 7, 0), (2, 0.5, 1.5)]
)
def test_renews_a_scan_before_it_is_too_old(
    rescan_after: float, interval: float, due_after: float
) -> None:
    policy = any_policy(
        rescan_after=timedelta(days=rescan_after), schedule_interval=timedelta(days=interval)
    )
    assert policy.due_after == timedelta(days=due_after)


@pytest.mark.parametrize(("budget", "calls"), [(1, 1_002), (1_000, 3_000), (20_000, 41_000)])
def test_bounds_the_calls_by_the_budget(budget: int, calls: int) -> None:
    assert any_policy(max_scans_per_repository=budget).most_calls == calls


@pytest.mark.parametrize(
    ("after", "is_over"),
    [
        (-SECOND, False),
        (timedelta(0), True),
        (timedelta(minutes=30), True),
        (timedelta(minutes=30) + SECOND, False),  # redriven: it has its full time again
        (timedelta(days=14), False),
    ],
)
def test_stops_at_its_time_unless_the_run_is_redriven(after: timedelta, is_over: bool) -> None:
    policy = any_policy()
    assert policy.is_time_over(policy.stop_at + after) is is_over


def test_a_run_stops_to_start_scans_before_step_functions_ends_it() -> None:
    assert any_policy().stop_at == NOW + RUN_TIME_LIMIT
    time_limit = timedelta(seconds=RESCAN_REGISTRY.definition["TimeoutSeconds"])
    assert time_limit - RUN_TIME_LIMIT >= timedelta(minutes=20)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RESCAN_AFTER", "12h", "RescanAfter must be at least 24 hours, not 12h: ECR accepts one"),
        ("RESCAN_AFTER", "weekly", "RescanAfter must be a duration"),
        ("MAX_SCANS_PER_REPOSITORY", "20001", "MaxScansPerRepository must .* from 1 to 20000"),
        ("MAX_SCANS_PER_REPOSITORY", "0", "MaxScansPerRepository must .* from 1 to 20000"),
        ("SCHEDULE_INTERVAL_SECONDS", "0", "ScheduleIntervalSeconds must be .* from 1 to"),
        ("RESCAN_AFTER", "180d", "ImageRecordRetentionDays must be longer .*, not 180: .* P180D"),
        ("UNSUPPORTED_RETRY_AFTER", "180d", "ImageRecordRetentionDays must .* than P180D"),
        ("IMAGE_RECORD_RETENTION_DAYS", "30", "ImageRecordRetentionDays must be longer"),
        ("IMAGE_SELECTION", "ALL", "ImageSelection must be one of ANY, TAGGED, UNTAGGED"),
    ],
)
def test_names_a_parameter_that_makes_no_sense(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        policy_in_force(RescanRequest())


def test_takes_a_longer_rescan_after_for_a_single_run() -> None:
    request = RescanRequest(rescan_after=timedelta(days=200))
    assert policy_in_force(request).rescan_after == timedelta(days=200)


@pytest.mark.parametrize(
    "limits",
    [
        {"IMAGE_RECORD_RETENTION_DAYS": "31"},
        {"RESCAN_AFTER": "179d"},
        {"MAX_SCANS_PER_REPOSITORY": "1"},
        {"MAX_SCANS_PER_REPOSITORY": "20000"},
    ],
)
def test_takes_what_is_just_within_the_limits(
    limits: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    policy_in_force(RescanRequest())
