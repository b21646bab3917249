from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.image_records import Standing
from registry.findings import SEVERITIES
from reporting.changes import change, difference, standing_of
from reporting.reports import Change
from reporting.thresholds import Thresholds
from tests.support.reports import any_scan_report

THRESHOLDS = Thresholds({"CRITICAL": 0, "HIGH": 2, "LOW": None})


def standing(
    counts: Mapping[str, int] | None = None, thresholds: Thresholds = THRESHOLDS
) -> Standing:
    report = any_scan_report(severities=dict(counts or {}))
    return standing_of(report, thresholds, None)


FAILED = standing_of(any_scan_report(status="FAILED"), THRESHOLDS, None)
CLEAN, CRITICAL = standing(), standing({"CRITICAL": 1})


@pytest.mark.parametrize(
    ("before", "now", "expected", "moved"),
    [
        (None, CRITICAL, Change.NEW, {"CRITICAL": 1}),
        (CLEAN, CRITICAL, Change.NEW, {"CRITICAL": 1}),
        (None, CLEAN, Change.UNCHANGED, {}),
        (CLEAN, CLEAN, Change.UNCHANGED, {}),
        (CRITICAL, CRITICAL, Change.UNCHANGED, {}),
        (CRITICAL, CLEAN, Change.CLEARED, {"CRITICAL": -1}),
        (CRITICAL, standing({"CRITICAL": 3}), Change.WORSE, {"CRITICAL": 2}),
        (standing({"CRITICAL": 3}), CRITICAL, Change.BETTER, {"CRITICAL": -2}),
        # Whatever has become more must be looked at.
        (
            standing({"CRITICAL": 3}),
            standing({"CRITICAL": 1, "HIGH": 4}),
            Change.WORSE,
            {"CRITICAL": -2, "HIGH": 4},
        ),
        # At the threshold is accepted, so it counts as none.
        (CRITICAL, standing({"CRITICAL": 1, "HIGH": 2}), Change.UNCHANGED, {}),
        (CRITICAL, standing({"CRITICAL": 1, "LOW": 900}), Change.UNCHANGED, {}),
        (standing({"HIGH": 3}), standing({"HIGH": 2}), Change.CLEARED, {"HIGH": -3}),
        (None, FAILED, Change.FAILED, {}),
        (CLEAN, FAILED, Change.FAILED, {}),
        (FAILED, FAILED, Change.UNCHANGED, {}),
        (FAILED, CLEAN, Change.CLEARED, {}),
        (FAILED, CRITICAL, Change.NEW, {"CRITICAL": 1}),
    ],
)
def test_compares_findings_above_thresholds(
    before: Standing | None, now: Standing, expected: Change, moved: dict[str, int]
) -> None:
    assert change(before, now) is expected
    assert difference(before, now) == moved


def test_a_threshold_that_was_changed_changes_what_is_told() -> None:
    counts = {"HIGH": 2}
    strict = Thresholds({"HIGH": 0})
    assert change(standing(counts), standing(counts, strict)) is Change.NEW
    assert change(standing(counts, strict), standing(counts)) is Change.CLEARED


def test_a_failed_scan_leaves_what_was_found_before() -> None:
    failed = standing_of(any_scan_report(status="FAILED"), THRESHOLDS, CRITICAL)
    assert (failed.counts, failed.exceeded, failed.failed) == (
        CRITICAL.counts,
        CRITICAL.exceeded,
        True,
    )
    assert change(CRITICAL, failed) is Change.FAILED
    assert change(failed, CRITICAL) is Change.UNCHANGED


counts = st.dictionaries(st.sampled_from(SEVERITIES), st.integers(0, 5))
standings = st.builds(
    lambda found, accepted: standing(found, Thresholds(accepted)),
    counts,
    st.dictionaries(st.sampled_from(SEVERITIES), st.none() | st.integers(0, 3)),
)


@given(standings, standings)
def test_there_and_back_again_is_the_opposite(one: Standing, other: Standing) -> None:
    there, back = difference(one, other), difference(other, one)
    assert back == {name: -more for name, more in there.items()}
    if not there:
        assert change(one, other) is change(other, one) is Change.UNCHANGED
    opposites = {Change.NEW: Change.CLEARED, Change.CLEARED: Change.NEW}
    if change(one, other) in opposites:
        assert change(other, one) is opposites[change(one, other)]
    assert not (change(one, other) is Change.BETTER and change(other, one) is not Change.WORSE)


@given(standings)
def test_nothing_is_different_from_itself(one: Standing) -> None:
    assert change(one, one) is Change.UNCHANGED
    assert difference(one, one) == {}
