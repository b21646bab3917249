from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.images import LastScan
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.staleness import why_not_due
from tests.support.builders import any_policy, days_ago, scanned
from tests.support.clock import NOW

SECOND = timedelta(seconds=1)
ages = st.timedeltas(timedelta(0), timedelta(days=3_000))
limits = st.integers(1, 1_000).map(lambda days: timedelta(days=days))


@given(ages, limits)
def test_is_due_from_the_very_second_that_the_scan_is_too_old(
    age: timedelta, rescan_after: timedelta
) -> None:
    policy = any_policy(rescan_after=rescan_after)
    decision = why_not_due(scanned(NOW - age), policy, NOW)
    assert (decision is None) == (age >= rescan_after)


@given(limits)
def test_is_fresh_up_to_the_second_before(rescan_after: timedelta) -> None:
    policy = any_policy(rescan_after=rescan_after)
    fresh = Decision(Outcome.FRESH, "scanned within RescanAfter")
    assert why_not_due(scanned(NOW - rescan_after + SECOND), policy, NOW) == fresh
    assert why_not_due(scanned(NOW - rescan_after), policy, NOW) is None


def test_is_fresh_when_scanned_in_the_future_of_our_clock() -> None:
    decision = why_not_due(scanned(NOW + SECOND), any_policy(), NOW)
    assert decision is not None
    assert decision.outcome is Outcome.FRESH


@pytest.mark.parametrize(
    "last_scan",
    [
        None,
        scanned(None, "FAILED", "Something went wrong"),
        scanned(None, "FINDINGS_UNAVAILABLE"),
        scanned(days_ago(8), "FAILED"),
        scanned(days_ago(8), "SCAN_ELIGIBILITY_EXPIRED"),
        scanned(days_ago(8), "A_STATUS_OF_TOMORROW"),
    ],
)
def test_is_due_when_nothing_says_it_was_scanned_lately(last_scan: LastScan | None) -> None:
    assert why_not_due(last_scan, any_policy(), NOW) is None


def test_goes_by_the_description_of_a_failed_scan_only() -> None:
    scan = scanned(days_ago(8), "COMPLETE", "UnsupportedImageError: The operating system …")
    assert why_not_due(scan, any_policy(), NOW) is None


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_is_not_due_while_a_scan_is_under_way(status: str) -> None:
    decision = why_not_due(scanned(None, status), any_policy(), NOW)
    assert decision == Decision(Outcome.FRESH, "scan under way")


def test_is_not_due_when_ecr_says_it_is_archived() -> None:
    decision = why_not_due(scanned(None, "IMAGE_ARCHIVED"), any_policy(), NOW)
    assert decision == Decision(Outcome.ARCHIVED, "archived")


@pytest.mark.parametrize(
    ("status", "description", "reason"),
    [
        ("UNSUPPORTED_IMAGE", "", "operating system"),
        ("FAILED", "UnsupportedImageError: The operating system …", "operating system"),
        ("IMAGE_SIZE_EXCEEDED", "", "image size"),
    ],
)
@pytest.mark.parametrize(("age", "due"), [(8, False), (29.99, False), (30, True), (None, False)])
def test_tries_what_ecr_cannot_read_only_after_the_longer_time(
    status: str, description: str, reason: str, age: float | None, due: bool
) -> None:
    scan = scanned(days_ago(age) if age is not None else None, status, description)
    decision = why_not_due(scan, any_policy(), NOW)
    assert decision == (None if due else Decision(Outcome.UNSUPPORTED, reason))


def test_never_reads_the_date_of_one_image_into_another() -> None:
    old, fresh = scanned(days_ago(8)), scanned(days_ago(1))
    orders = ([old, fresh], [fresh, old], [None, fresh, old])
    for order in orders:
        due = [scan for scan in order if why_not_due(scan, any_policy(), NOW) is None]
        assert due == [scan for scan in order if scan is not fresh]
