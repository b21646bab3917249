from datetime import UTC, datetime, timedelta

from runtime import clock


def test_tells_the_time_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().utcoffset() == timedelta(0)
