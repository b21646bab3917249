from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from runtime import clock
from tests.support.clock import NOW


def test_tells_the_time_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().utcoffset() == timedelta(0)


@given(st.timedeltas(-timedelta(days=9_000), timedelta(days=9_000)))
@example(clock.CLOCK_SKEW)
@example(clock.CLOCK_SKEW + timedelta(microseconds=1))
def test_takes_a_time_further_ahead_than_clocks_differ_for_one_in_the_future(
    ahead: timedelta,
) -> None:
    assert clock.is_future(NOW + ahead, NOW) == (ahead > timedelta(minutes=5))
