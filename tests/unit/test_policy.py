from datetime import timedelta

import pytest

from rescan_registry.policy import EXPRESS_TIME_LIMIT, RescanPolicy
from rescan_registry.request import RescanRequest
from rescan_registry.settings import ListRepositoriesSettings
from runtime.settings import SettingsError
from tests.support.builders import DEFAULT_SETTINGS, any_policy
from tests.support.settings import settings_now


@pytest.fixture(autouse=True)
def parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)


def policy_in_force(request: RescanRequest) -> RescanPolicy:
    return settings_now(ListRepositoriesSettings).policy(request)


def test_is_what_the_parameters_say() -> None:
    assert policy_in_force(RescanRequest()) == any_policy()


def test_takes_from_the_request_what_it_sets() -> None:
    request = RescanRequest(rescan_after=timedelta(days=2), dry_run=True)
    assert policy_in_force(request) == any_policy(rescan_after=timedelta(days=2), dry_run=True)


def test_limits_the_time_of_express_children_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHILD_EXECUTION_TYPE", "EXPRESS")
    limit = policy_in_force(RescanRequest()).time_limit_seconds
    assert limit == EXPRESS_TIME_LIMIT.total_seconds()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RESCAN_AFTER", "12h", "RescanAfter must be at least 24 hours, not 12h: ECR accepts one"),
        ("RESCAN_AFTER", "weekly", "RescanAfter must be a duration"),
        ("MAX_SCANS_PER_REPOSITORY", "5000", "MaxScansPerRepository must be .* from 1 to 1000"),
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
    ],
)
def test_takes_what_is_just_within_the_limits(
    limits: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    policy_in_force(RescanRequest())
