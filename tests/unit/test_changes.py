from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.image_records import ImageState
from registry.findings import SEVERITIES
from reporting.changes import change, difference, image_state_of
from reporting.reports import Change
from reporting.thresholds import Thresholds
from tests.support.reports import any_scan_report

THRESHOLDS = Thresholds({"CRITICAL": 0, "HIGH": 2, "LOW": None})


def image_state(
    counts: Mapping[str, int] | None = None, thresholds: Thresholds = THRESHOLDS
) -> ImageState:
    report = any_scan_report(severities=dict(counts or {}))
    return image_state_of(report, thresholds, None)


FAILED = image_state_of(any_scan_report(status="FAILED"), THRESHOLDS, None)
CLEAN, CRITICAL = image_state(), image_state({"CRITICAL": 1})


@pytest.mark.parametrize(
    ("before", "now", "expected", "moved"),
    [
        (None, CRITICAL, Change.NEW, {"CRITICAL": 1}),
        (CLEAN, CRITICAL, Change.NEW, {"CRITICAL": 1}),
        (None, CLEAN, Change.UNCHANGED, {}),
        (CLEAN, CLEAN, Change.UNCHANGED, {}),
        (CRITICAL, CRITICAL, Change.UNCHANGED, {}),
        (CRITICAL, CLEAN, Change.CLEARED, {"CRITICAL": -1}),
        (CRITICAL, image_state({"CRITICAL": 2}), Change.WORSE, {"CRITICAL": 1}),
        (CRITICAL, image_state({"CRITICAL": 3}), Change.WORSE, {"CRITICAL": 2}),
        (image_state({"CRITICAL": 3}), CRITICAL, Change.BETTER, {"CRITICAL": -2}),
        # Whatever has become more must be looked at.
        (
            image_state({"CRITICAL": 3}),
            image_state({"CRITICAL": 1, "HIGH": 4}),
            Change.WORSE,
            {"CRITICAL": -2, "HIGH": 4},
        ),
        # At the threshold is accepted, so it counts as none.
        (CRITICAL, image_state({"CRITICAL": 1, "HIGH": 2}), Change.UNCHANGED, {}),
        (CRITICAL, image_state({"CRITICAL": 1, "LOW": 900}), Change.UNCHANGED, {}),
        (image_state({"HIGH": 3}), image_state({"HIGH": 2}), Change.CLEARED, {"HIGH": -3}),
        (None, FAILED, Change.FAILED, {}),
        (CLEAN, FAILED, Change.FAILED, {}),
        (FAILED, FAILED, Change.UNCHANGED, {}),
        (FAILED, CLEAN, Change.CLEARED, {}),
        (FAILED, CRITICAL, Change.NEW, {"CRITICAL": 1}),
    ],
)
def test_compares_findings_above_thresholds(
    before: ImageState | None, now: ImageState, expected: Change, moved: dict[str, int]
) -> None:
    assert change(before, now) is expected
    assert difference(before, now) == moved


def test_a_severity_without_a_count_is_zero() -> None:
    uncounted = ImageState({}, ("CRITICAL",))
    assert change(uncounted, CRITICAL) is Change.WORSE
    assert difference(uncounted, CRITICAL) == {"CRITICAL": 1}
    assert difference(CRITICAL, uncounted) == {"CRITICAL": -1}


def test_names_the_worst_difference_first() -> None:
    """Whichever of the severities are above their thresholds before, after, or both."""
    severe, many = image_state({"CRITICAL": 2, "HIGH": 3}), image_state({"HIGH": 9})
    assert [*difference(severe, many).items()] == [("CRITICAL", -2), ("HIGH", 6)]
    assert [*difference(many, severe).items()] == [("CRITICAL", 2), ("HIGH", -6)]
    assert [*difference(None, severe).items()] == [("CRITICAL", 2), ("HIGH", 3)]


def test_a_threshold_that_was_changed_changes_what_is_reported() -> None:
    counts = {"HIGH": 2}
    strict = Thresholds({"HIGH": 0})
    assert change(image_state(counts), image_state(counts, strict)) is Change.NEW
    assert change(image_state(counts, strict), image_state(counts)) is Change.CLEARED


def test_a_failed_scan_leaves_what_was_found_before() -> None:
    failed = image_state_of(any_scan_report(status="FAILED"), THRESHOLDS, CRITICAL)
    assert (failed.counts, failed.exceeded, failed.failed) == (
        CRITICAL.counts,
        CRITICAL.exceeded,
        True,
    )
    assert change(CRITICAL, failed) is Change.FAILED
    assert change(failed, CRITICAL) is Change.UNCHANGED


counts = st.dictionaries(st.sampled_from(SEVERITIES), st.integers(0, 5))
image_states = st.builds(
    lambda found, accepted: image_state(found, Thresholds(accepted)),
    counts,
    st.dictionaries(st.sampled_from(SEVERITIES), st.none() | st.integers(0, 3)),
)


@given(image_states, image_states)
def test_there_and_back_again_is_the_opposite(one: ImageState, other: ImageState) -> None:
    there, back = difference(one, other), difference(other, one)
    assert back == {name: -more for name, more in there.items()}
    if not there:
        assert change(one, other) is change(other, one) is Change.UNCHANGED
    opposites = {Change.NEW: Change.CLEARED, Change.CLEARED: Change.NEW}
    if change(one, other) in opposites:
        assert change(other, one) is opposites[change(one, other)]
    assert not (change(one, other) is Change.BETTER and change(other, one) is not Change.WORSE)


@given(image_states)
def test_nothing_is_different_from_itself(one: ImageState) -> None:
    assert change(one, one) is Change.UNCHANGED
    assert difference(one, one) == {}
