"""What a record says of an image, without dates that cannot be true."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.image_records import Attempt, ImageRecord, RecordedScan
from runtime.clock import CLOCK_SKEW
from tests.support.builders import any_digest
from tests.support.clock import NOW

SECOND = timedelta(seconds=1)
aheads = st.timedeltas(-timedelta(days=3_000), timedelta(days=26_000)) | st.timedeltas(
    CLOCK_SKEW - SECOND, CLOCK_SKEW + SECOND
)


def record(scanned: timedelta, tried: timedelta, started: timedelta) -> ImageRecord:
    return ImageRecord(
        any_digest(),
        last_scan=RecordedScan(NOW + scanned, "COMPLETE", "BASIC"),
        last_attempt=Attempt(NOW + tried, "FAILED", "any"),
        image_tags=("v1",),
        started_at=NOW + started,
        started_by="run-1",
    )


@given(aheads, aheads, aheads)
@example(CLOCK_SKEW, CLOCK_SKEW, CLOCK_SKEW)
@example(*[CLOCK_SKEW + timedelta(microseconds=1)] * 3)
def test_leaves_out_each_date_of_the_future_and_nothing_else(
    scanned: timedelta, tried: timedelta, started: timedelta
) -> None:
    known = record(scanned, tried, started)
    left = known.without_future(NOW)
    assert left == replace(
        known,
        last_scan=known.last_scan if scanned <= CLOCK_SKEW else None,
        last_attempt=known.last_attempt if tried <= CLOCK_SKEW else None,
        started_at=known.started_at if started <= CLOCK_SKEW else None,
        started_by="run-1" if started <= CLOCK_SKEW else None,
    )


@pytest.mark.parametrize("ahead", [CLOCK_SKEW, CLOCK_SKEW + SECOND])
def test_knows_what_clocks_can_show(ahead: timedelta) -> None:
    left = record(ahead, ahead, ahead).without_future(NOW)
    assert (left.last_scan is not None) == (ahead == CLOCK_SKEW)
    assert (left.started_by is not None) == (ahead == CLOCK_SKEW)
    assert (left.last_attempt is not None) == (ahead == CLOCK_SKEW)
    empty = ImageRecord(any_digest())
    assert empty.without_future(NOW) == empty
