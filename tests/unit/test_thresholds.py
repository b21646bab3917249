import pytest

from notify_scan.settings import ComposeNotificationSettings
from registry.findings import SEVERITIES
from reporting.thresholds import Thresholds, counted, threshold_of
from runtime.settings import SettingsError
from tests.support.reports import DEFAULT_SETTINGS, any_scan_report
from tests.support.settings import settings_now


def exceeded(
    accepted: dict[str, int | None], counts: dict[str, int], other: int = 0
) -> dict[str, int]:
    thresholds = Thresholds(accepted)
    return thresholds.exceeded(thresholds.counts(any_scan_report(severities=counts, other=other)))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(
    ("accepted", "count", "is_too_many"),
    [
        (0, 0, False),
        (0, 1, True),
        (5, 4, False),
        (5, 5, False),
        (5, 6, True),
        (None, 1_000, False),
    ],
)
def test_more_than_accepted_is_too_many(
    severity: str, accepted: int | None, count: int, is_too_many: bool
) -> None:
    assert exceeded({severity: accepted}, {severity: count}) == (
        {severity: count} if is_too_many else {}
    )


def test_a_severity_without_a_count_is_zero() -> None:
    assert exceeded(dict.fromkeys(SEVERITIES, 0), {}) == {}


def test_names_the_worst_first() -> None:
    counts = {"LOW": 1, "NOVEL": 1, "CRITICAL": 1, "MEDIUM": 1}
    found = exceeded(dict.fromkeys((*SEVERITIES, "OTHER"), 0), counts)
    assert [*found] == ["CRITICAL", "MEDIUM", "LOW", "OTHER"]


@pytest.mark.parametrize(
    ("counts", "other", "count"),
    [
        ({"UNTRIAGED": 3}, 0, 3),
        ({}, 4, 4),
        ({"UNTRIAGED": 3, "NOVEL": 2}, 4, 9),
        ({"OTHER": 2}, 1, 3),
    ],
)
def test_whatever_has_no_severity_of_its_own_goes_by_other(
    counts: dict[str, int], other: int, count: int
) -> None:
    assert exceeded({"OTHER": count - 1}, counts, other) == {"OTHER": count}
    assert exceeded({"OTHER": count}, counts, other) == {}
    assert exceeded({"OTHER": None}, counts, other) == {}


def test_counts_a_severity_with_a_name_of_its_own_in_no_other() -> None:
    accepted: dict[str, int | None] = {"CRITICAL": 0, "HIGH": 1, "OTHER": 1}
    counts = {"CRITICAL": 3, "HIGH": 1, "MEDIUM": 7, "NOVEL": 1}
    assert exceeded(accepted, counts) == {"CRITICAL": 3}
    assert exceeded(accepted, counts, other=1) == {"CRITICAL": 3, "OTHER": 2}


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_documented_severity_has_a_threshold_of_its_own(severity: str) -> None:
    assert threshold_of(severity) == severity


@pytest.mark.parametrize("severity", ["UNTRIAGED", "NOVEL", "OTHER", "", "critical"])
def test_any_other_severity_has_the_threshold_of_other(severity: str) -> None:
    assert threshold_of(severity) == "OTHER"


def test_counts_findings_by_the_threshold_that_applies_the_worst_first() -> None:
    found = counted(["NOVEL", "LOW", "HIGH", "UNTRIAGED", "HIGH", "CRITICAL"])
    assert [*found.items()] == [
        ("CRITICAL", 1),
        ("HIGH", 2),
        ("MEDIUM", 0),
        ("LOW", 1),
        ("INFORMATIONAL", 0),
        ("UNDEFINED", 0),
        ("OTHER", 2),
    ]
    assert counted([]) == dict.fromkeys((*SEVERITIES, "OTHER"), 0)


def test_an_event_and_a_list_of_the_same_findings_are_counted_alike() -> None:
    report = any_scan_report(severities={"CRITICAL": 1, "HIGH": 2, "UNTRIAGED": 1}, other=1)
    listed = counted(["HIGH", "UNTRIAGED", "NOVEL", "CRITICAL", "HIGH"])
    assert [*Thresholds({}).counts(report).items()] == [*listed.items()]


def test_takes_the_parameters_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (name, value) in enumerate(DEFAULT_SETTINGS.items()):
        monkeypatch.setenv(name, str(number) if name.endswith("_THRESHOLD") else value)
    monkeypatch.setenv("MEDIUM_THRESHOLD", "off")
    assert settings_now(ComposeNotificationSettings).policy.thresholds == Thresholds(
        {
            "CRITICAL": 0,
            "HIGH": 1,
            "MEDIUM": None,
            "LOW": 3,
            "INFORMATIONAL": 4,
            "UNDEFINED": 4,
            "OTHER": 4,
        }
    )
    monkeypatch.setenv("LOW_THRESHOLD", "-1")
    with pytest.raises(SettingsError, match="LowThreshold must be a whole number or off"):
        settings_now(ComposeNotificationSettings)
