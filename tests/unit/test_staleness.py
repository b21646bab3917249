from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.image_records import Attempt
from registry.images import LastScan
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from rescan_registry.policy import WORTH_WAITING, RescanPolicy
from rescan_registry.staleness import (
    ScanDates,
    newest,
    why_not_due,
    why_refused_before,
)
from tests.support.builders import any_policy, days_ago, scanned
from tests.support.clock import NOW

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3_600, 86_400))
FRESH = Decision(Outcome.FRESH, "scanned within RescanAfter")
UNDER_WAY = Decision(Outcome.FRESH, "scan under way")
TOO_EARLY = Decision(Outcome.FRESH, "scanned within 24 hours")
UNKNOWN = ScanDates()
ages = st.timedeltas(timedelta(0), timedelta(days=3_000))
limits = st.integers(1, 1_000).map(lambda days: timedelta(days=days))
intervals = st.integers(1, 30 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


def decided(
    scan: LastScan | None, policy: RescanPolicy | None = None, dates: ScanDates = UNKNOWN
) -> Decision | None:
    return why_not_due(scan, dates.with_scan(scan), policy or any_policy(), NOW)


# When a scan is too old


@given(ages, limits, intervals)
def test_is_due_if_it_would_be_too_old_at_the_next_run(
    age: timedelta, rescan_after: timedelta, interval: timedelta
) -> None:
    policy = any_policy(rescan_after=rescan_after, schedule_interval=interval)
    decision = decided(scanned(NOW - age), policy)
    if not age or age + interval <= rescan_after:
        assert decision == FRESH
    elif age < DAY + 2 * SECOND - policy.longest_wait:
        assert decision == TOO_EARLY
    else:
        assert decision is None


@pytest.mark.parametrize(
    ("rescan_after", "interval"),
    [(7 * DAY, DAY), (2 * DAY, SECOND), (30 * DAY, 7 * DAY), (4 * DAY, HOUR)],
)
def test_is_due_from_the_very_second_after(rescan_after: timedelta, interval: timedelta) -> None:
    policy = any_policy(rescan_after=rescan_after, schedule_interval=interval)
    newest_due = rescan_after - interval + SECOND
    assert decided(scanned(NOW - newest_due), policy) is None
    assert decided(scanned(NOW - newest_due + SECOND), policy) == FRESH


@pytest.mark.parametrize("interval", [DAY, 7 * DAY])
def test_is_due_in_each_run_when_runs_are_as_far_apart_as_scans_may_be(interval: timedelta) -> None:
    policy = any_policy(rescan_after=DAY, schedule_interval=interval)
    assert decided(scanned(NOW - DAY), policy) is None
    assert decided(scanned(NOW - DAY / 2), policy) == TOO_EARLY


def test_is_fresh_when_scanned_in_the_future_of_our_clock() -> None:
    assert decided(scanned(NOW + SECOND)) == FRESH


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
    assert decided(last_scan) is None


def test_goes_by_the_description_of_a_failed_scan_only() -> None:
    scan = scanned(days_ago(8), "COMPLETE", "UnsupportedImageError: The operating system …")
    assert decided(scan) is None


# While a scan is under way


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
@pytest.mark.parametrize(
    ("age", "decision"),
    [
        (MINUTE, UNDER_WAY),
        (DAY - WORTH_WAITING - SECOND, UNDER_WAY),
        (DAY - WORTH_WAITING, None),
        (DAY, None),
    ],
)
def test_case_03_is_due_again_when_a_scan_is_under_way_for_a_day(
    status: str, age: timedelta, decision: Decision | None
) -> None:
    dates = ScanDates(since=NOW - age)
    assert decided(scanned(None, status), dates=dates) == decision


def test_asks_ecr_when_nothing_says_how_long_a_scan_is_under_way() -> None:
    assert decided(scanned(None, "IN_PROGRESS")) is None


def test_is_not_due_when_ecr_says_it_is_archived() -> None:
    assert decided(scanned(None, "IMAGE_ARCHIVED")) == ARCHIVED


# What ECR cannot scan


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
    assert decided(scan) == (None if due else Decision(Outcome.UNSUPPORTED, reason))


@given(ages, limits, st.sampled_from(["UNSCANNABLE"]))
def test_tries_what_ecr_has_refused_only_after_the_longer_time(
    age: timedelta, retry_after: timedelta, outcome: str
) -> None:
    policy = any_policy(unsupported_retry_after=retry_after)
    dates = ScanDates(last_attempt=Attempt(NOW - age, outcome, "refused by ECR"))
    refused = None if age >= retry_after else Decision(Outcome(outcome), "refused by ECR")
    assert why_refused_before(dates, policy, NOW) == refused
    assert decided(None, policy, dates) == refused


@pytest.mark.parametrize(("short", "refused"), [(SECOND, True), (timedelta(0), False)])
def test_tries_again_from_the_very_second_that_the_refusal_is_old(
    short: timedelta, refused: bool
) -> None:
    attempt = Attempt(NOW - any_policy().unsupported_retry_after + short, "UNSCANNABLE", "any")
    decision = why_refused_before(ScanDates(last_attempt=attempt), any_policy(), NOW)
    assert decision == (Decision(Outcome.UNSCANNABLE, "any") if refused else None)


@pytest.mark.parametrize("outcome", ["RECENT", "FAILED"])
def test_tries_in_its_turn_what_may_go_well_the_next_time(outcome: str) -> None:
    dates = ScanDates(last_attempt=Attempt(NOW - SECOND, outcome, "any"))
    assert why_refused_before(dates, any_policy(), NOW) is None
    assert decided(None, dates=dates) is None


def test_goes_by_the_refusal_though_a_scan_is_old() -> None:
    dates = ScanDates(last_attempt=Attempt(days_ago(2), "UNSCANNABLE", "refused by ECR"))
    refused = Decision(Outcome.UNSCANNABLE, "refused by ECR")
    assert decided(scanned(days_ago(80)), dates=dates) == refused


# ECR's 24 hours


@given(
    st.timedeltas(DAY - WORTH_WAITING - 3 * SECOND, DAY + WORTH_WAITING).map(
        lambda age: timedelta(seconds=age // SECOND)
    )
)
@example(DAY - WORTH_WAITING + SECOND)
@example(DAY - WORTH_WAITING + 2 * SECOND)
@example(DAY + SECOND)
@example(DAY + 2 * SECOND)
def test_waits_for_the_end_of_ecrs_24_hours_but_not_for_long(age: timedelta) -> None:
    dates = ScanDates(accepted_at=NOW - age)
    free_at = NOW - age + DAY + 2 * SECOND
    is_worth_it = free_at - NOW <= WORTH_WAITING
    assert decided(None, dates=dates) == (None if is_worth_it else TOO_EARLY)
    assert dates.not_before(NOW) == (free_at if free_at > NOW else None)


def test_waits_for_nothing_when_no_scan_is_known() -> None:
    assert UNKNOWN.not_before(NOW) is None


def test_counts_24_hours_of_a_scan_that_failed_too() -> None:
    assert decided(scanned(NOW - HOUR, "FAILED"), any_policy(rescan_after=DAY)) == TOO_EARLY


# Dates


@pytest.mark.parametrize(
    ("dates", "found"),
    [((), None), ((None, None), None), ((None, NOW), NOW), ((NOW, days_ago(1), None), NOW)],
)
def test_takes_the_newest_date_that_is_known(
    dates: tuple[datetime | None, ...], found: datetime | None
) -> None:
    assert newest(*dates) == found


def test_adds_a_scan_to_the_dates() -> None:
    attempt, five = Attempt(days_ago(3), "FAILED", "any"), scanned(days_ago(5))
    dates = ScanDates(days_ago(3), days_ago(5), attempt, days_ago(90), five)
    assert dates.with_scan(None) == dates
    assert dates.with_scan(scanned(None, "IN_PROGRESS")) == dates
    assert dates.with_scan(four := scanned(days_ago(4))) == ScanDates(
        days_ago(3), days_ago(4), attempt, days_ago(90), four
    )
    assert dates.with_scan(two := scanned(days_ago(2))) == ScanDates(
        days_ago(2), days_ago(2), attempt, days_ago(90), two
    )
    assert dates.with_scan(scanned(days_ago(9))) == dates


def test_never_reads_the_date_of_one_image_into_another() -> None:
    old, fresh = scanned(days_ago(8)), scanned(days_ago(1))
    orders = ([old, fresh], [fresh, old], [None, fresh, old])
    for order in orders:
        due = [scan for scan in order if decided(scan) is None]
        assert due == [scan for scan in order if scan is not fresh]
