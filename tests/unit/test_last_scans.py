from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.image_records import Attempt, ImageRecord, RecordedScan
from registry.images import LastScan
from rescan_registry.last_scans import (
    RESULT_EXPECTED_WITHIN,
    known_scan,
    missing_since,
    newer,
    scan_dates,
    scan_to_store,
)
from rescan_registry.outcomes import Decision
from rescan_registry.staleness import ScanDates, why_not_due
from runtime.clock import CLOCK_SKEW
from tests.support.builders import any_digest, any_image, any_policy, days_ago, scanned
from tests.support.clock import NOW

SECOND = timedelta(seconds=1)
ages = st.one_of(
    st.timedeltas(timedelta(0), timedelta(days=3_000)),
    st.timedeltas(RESULT_EXPECTED_WITHIN - SECOND, RESULT_EXPECTED_WITHIN + SECOND),
)


def recorded(when: datetime, status: str = "COMPLETE", scan_type: str = "BASIC") -> RecordedScan:
    return RecordedScan(when, status, scan_type, severities={"HIGH": 1})


def record(scan: RecordedScan | None = None, started_at: datetime | None = None) -> ImageRecord:
    return ImageRecord(any_digest(), last_scan=scan, started_at=started_at, started_by="run-1")


def decided(scan: LastScan, now: datetime = NOW) -> Decision | None:
    return why_not_due(scan, ScanDates().with_scan(scan), any_policy(), now)


# The last scan


def test_knows_the_date_and_the_counts_of_a_complete_scan() -> None:
    known = known_scan(record(recorded(days_ago(3))), NOW)
    assert known == LastScan("COMPLETE", days_ago(3), severities={"HIGH": 1})


@pytest.mark.parametrize("status", ["UNSUPPORTED_IMAGE", "IMAGE_SIZE_EXCEEDED"])
@pytest.mark.parametrize(("age", "due"), [(29.99, False), (30, True)])
def test_knows_an_image_that_ecr_could_not_read(status: str, age: float, due: bool) -> None:
    known = known_scan(record(recorded(days_ago(age), status)), NOW)
    assert known is not None
    assert (decided(known) is None) == due


@pytest.mark.parametrize(
    "unknown",
    [
        record(),
        record(recorded(days_ago(1), "FAILED")),
        record(recorded(days_ago(1), "A_STATUS_OF_TOMORROW")),
        record(recorded(days_ago(1), scan_type="ENHANCED")),
        record(recorded(days_ago(1), "FAILED"), started_at=days_ago(1)),
    ],
)
def test_knows_nothing_of_any_other_image(unknown: ImageRecord) -> None:
    assert known_scan(unknown, NOW) is None
    assert missing_since(unknown, NOW) is None


@given(ages, ages)
def test_is_under_way_until_the_result_is_there_or_missing(
    started_ago: timedelta, scanned_ago: timedelta
) -> None:
    started_at, scanned_at = NOW - started_ago, NOW - scanned_ago
    image = record(recorded(scanned_at), started_at)
    known, missing = known_scan(image, NOW), missing_since(image, NOW)
    if scanned_at >= started_at - CLOCK_SKEW:
        assert known is not None
        assert (known.status, known.completed_at, missing) == ("COMPLETE", scanned_at, None)
    elif started_ago < RESULT_EXPECTED_WITHIN:
        assert (known, missing) == (LastScan("IN_PROGRESS"), None)
    else:
        assert (known, missing) == (None, started_at)


def test_misses_a_result_from_the_very_second_that_it_is_late() -> None:
    since = NOW - RESULT_EXPECTED_WITHIN
    late, in_time = record(started_at=since), record(started_at=since + SECOND)
    assert missing_since(late, NOW) == since
    assert missing_since(in_time, NOW) is None
    assert known_scan(in_time, NOW) == LastScan("IN_PROGRESS")


@pytest.mark.parametrize(
    ("before", "arrived"), [(CLOCK_SKEW, True), (CLOCK_SKEW + SECOND, False), (-SECOND, True)]
)
def test_allows_for_clocks_that_differ(before: timedelta, arrived: bool) -> None:
    started_at = NOW - timedelta(hours=7)
    image = record(recorded(started_at - before, "FAILED"), started_at)
    assert missing_since(image, NOW) == (None if arrived else started_at)


def test_takes_a_start_in_the_future_of_our_clock_for_one_under_way() -> None:
    image = record(started_at=NOW + SECOND)
    assert known_scan(image, NOW) == LastScan("IN_PROGRESS")


# Dates


@pytest.mark.parametrize("hours", [5, 7])
def test_dates_an_image_by_the_start_of_a_scan(hours: int) -> None:
    started_at = NOW - timedelta(hours=hours)
    image = any_image(pushed_at=days_ago(90))
    dates = scan_dates(image, record(recorded(days_ago(8)), started_at))
    assert dates == ScanDates(
        since=started_at,
        accepted_at=started_at,
        pushed_at=days_ago(90),
        ended=LastScan("COMPLETE", days_ago(8), severities={"HIGH": 1}),
    )


@pytest.mark.parametrize(
    ("ages", "scan_type", "since", "accepted"),
    [
        ({"push": 90}, "BASIC", 90, None),
        ({"push": 90, "listing": 9}, "BASIC", 9, 9),
        ({"push": 90, "listing": 9, "scan": 8}, "BASIC", 8, 8),
        ({"push": 90, "listing": 8, "scan": 9}, "BASIC", 8, 8),
        ({"push": 7, "listing": 9, "scan": 8}, "BASIC", 7, 8),
        ({"push": 90, "scan": 8, "attempt": 3}, "BASIC", 3, 8),
        ({"push": 90, "scan": 8, "attempt": 8}, "BASIC", 8, 8),
        # Of another kind: it says nothing of when ECR accepts a basic scan.
        ({"push": 90, "scan": 8}, "ENHANCED", 8, None),
        ({"push": 90, "listing": 9, "scan": 8}, "ENHANCED", 8, 9),
    ],
)
def test_dates_an_image_by_the_newest_of_what_is_known(
    ages: dict[str, int], scan_type: str, since: int, accepted: int | None
) -> None:
    dates = {name: days_ago(age) for name, age in ages.items()}
    hint, scan, attempted_at = map(dates.get, ("listing", "scan", "attempt"))
    attempt = Attempt(attempted_at, "FAILED", "any") if attempted_at else None
    image = any_image(pushed_at=dates["push"], last_scan=scanned(hint) if hint else None)
    known = ImageRecord(
        image.digest,
        last_scan=recorded(scan, scan_type=scan_type) if scan else None,
        last_attempt=attempt,
    )
    found = scan_dates(image, known)
    ended_at = found.ended.completed_at if found.ended else None
    assert ended_at == max((date for date in (hint, scan) if date), default=None)
    assert replace(found, ended=None) == ScanDates(
        since=days_ago(since),
        accepted_at=days_ago(accepted) if accepted else None,
        last_attempt=attempt,
        pushed_at=dates["push"],
    )


@pytest.mark.parametrize(("hint", "scan"), [(None, 3), (3, None), (3, 9), (9, 3)])
def test_goes_by_no_refusal_that_is_older_than_a_scan(hint: int | None, scan: int | None) -> None:
    image = any_image(pushed_at=days_ago(90), last_scan=scanned(days_ago(hint)) if hint else None)
    refused = Attempt(days_ago(5), "UNSCANNABLE", "refused by ECR")
    known = ImageRecord(
        image.digest, last_scan=recorded(days_ago(scan)) if scan else None, last_attempt=refused
    )
    assert replace(scan_dates(image, known), ended=None) == ScanDates(
        since=days_ago(3), accepted_at=days_ago(3), pushed_at=days_ago(90)
    )


def test_knows_no_date_of_an_image_without_push_scan_and_record() -> None:
    """Case 05: ECR need not name the time of the push."""
    image = any_image(pushed_at=None, last_scan=scanned(None, "FAILED"))
    assert scan_dates(image, ImageRecord(image.digest)) == ScanDates()


# Of two answers on one image


@pytest.mark.parametrize(
    ("one", "other", "chosen"),
    [
        (None, None, None),
        (scanned(days_ago(1)), None, scanned(days_ago(1))),
        (scanned(days_ago(2)), scanned(days_ago(1)), scanned(days_ago(1))),
        (LastScan("IN_PROGRESS"), scanned(days_ago(1)), LastScan("IN_PROGRESS")),
    ],
)
def test_goes_by_the_newer_of_two_scans(
    one: LastScan | None, other: LastScan | None, chosen: LastScan | None
) -> None:
    assert newer(one, other) == newer(other, one) == chosen


def test_keeps_the_record_of_a_scan_that_the_listing_shows_with_the_same_date() -> None:
    """The listing counts no findings."""
    record, listing = LastScan("COMPLETE", NOW, severities={"HIGH": 1}), scanned(NOW)
    assert newer(record, listing) is record


# What is written back


@given(ages)
@example(RESULT_EXPECTED_WITHIN)
@example(RESULT_EXPECTED_WITHIN - SECOND)
def test_remembers_a_result_whose_event_is_no_longer_on_its_way(
    age: timedelta,
) -> None:
    scan = LastScan("COMPLETE", NOW - age, severities={"LOW": 2})
    remembered = scan_to_store(scan, NOW)
    kept = RecordedScan(NOW - age, "COMPLETE", "BASIC", severities={"LOW": 2})
    assert remembered == (None if age < RESULT_EXPECTED_WITHIN else kept)


@pytest.mark.parametrize(
    ("scan", "status"),
    [
        (scanned(None, "UNSUPPORTED_IMAGE"), "UNSUPPORTED_IMAGE"),
        (scanned(None, "FAILED", "UnsupportedImageError: The …"), "UNSUPPORTED_IMAGE"),
        (scanned(None, "IMAGE_SIZE_EXCEEDED"), "IMAGE_SIZE_EXCEEDED"),
    ],
)
def test_remembers_an_image_that_ecr_cannot_read_from_when_it_was_asked(
    scan: LastScan, status: str
) -> None:
    remembered = scan_to_store(scan, NOW)
    assert remembered == RecordedScan(NOW, status, "BASIC")
    known = known_scan(ImageRecord(any_digest(), last_scan=remembered), NOW)
    assert known is not None
    retry = any_policy().unsupported_retry_after
    assert decided(known, NOW + retry - SECOND) is not None
    assert decided(known, NOW + retry) is None


def test_remembers_the_date_that_ecr_tells_of_such_an_image() -> None:
    scan = scanned(days_ago(4), "UNSUPPORTED_IMAGE")
    assert scan_to_store(scan, NOW) == RecordedScan(days_ago(4), "UNSUPPORTED_IMAGE", "BASIC")


@pytest.mark.parametrize(
    "scan",
    [
        None,
        scanned(None),
        scanned(NOW - RESULT_EXPECTED_WITHIN + SECOND),  # its event may still arrive
        scanned(None, "IN_PROGRESS"),
        scanned(None, "FAILED", "Something went wrong"),
        scanned(days_ago(8), "FAILED"),
        scanned(days_ago(8), "SCAN_ELIGIBILITY_EXPIRED"),
    ],
)
def test_remembers_nothing_that_would_have_to_be_asked_again(scan: LastScan | None) -> None:
    assert scan_to_store(scan, NOW) is None


@given(ages, st.booleans())
def test_knows_of_what_it_remembers_the_same_as_ecr_told(age: timedelta, unsupported: bool) -> None:
    scan = scanned(NOW - age, "UNSUPPORTED_IMAGE" if unsupported else "COMPLETE")
    if remembered := scan_to_store(scan, NOW):
        known = known_scan(ImageRecord(any_digest(), last_scan=remembered), NOW)
        assert decided(known) == decided(scan)
        assert known is not None
