from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import durations


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("7d", 7 * 24),
        ("10d", 10 * 24),
        ("36h", 36),
        ("2w3d", 17 * 24),
        ("1m", 30 * 24),
        ("1m2w3d4h", (30 + 14 + 3) * 24 + 4),
        ("007d", 7 * 24),
        ("P7D", 7 * 24),
        ("P2W", 14 * 24),
        ("P1M", 30 * 24),
        ("PT36H", 36),
        ("P1DT12H", 36),
        ("36500d", 36_500 * 24),
    ],
)
def test_reads_a_duration(text: str, hours: int) -> None:
    assert durations.parse(text) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text",
    [
        *("", "P", "PT", "7", "d", "foo", "7 d", " 7d", "7d ", "-7d", "+7d", "7.5d", "7D", "p7d"),
        *("3d2w", "1d1d", "7days", "7y", "7s", "7d\n", "٧d", "P7", "7dT1H", "P1H", "PT1D"),
    ],
)
def test_refuses_what_is_no_duration_and_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="such as 7d, 36h, 2w3d or 1m") as refusal:
        durations.parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["0d", "0m0w0d0h", "P0D", "36501d", "9" * 400 + "d"])
def test_refuses_nothing_at_all_and_more_than_a_century(text: str) -> None:
    with pytest.raises(ValueError, match="longer than zero and at most 36500 days"):
        durations.parse(text)


@given(st.integers(1, 36_500 * 24).map(lambda hours: timedelta(hours=hours)))
def test_reads_back_what_it_writes(duration: timedelta) -> None:
    assert durations.parse(durations.iso(duration)) == duration


@given(
    *(st.one_of(st.none(), st.integers(0, 99)) for _ in range(4)),
)
def test_adds_up_the_units_that_are_there(
    months: int | None, weeks: int | None, days: int | None, hours: int | None
) -> None:
    parts = [(months, "m"), (weeks, "w"), (days, "d"), (hours, "h")]
    text = "".join(f"{number}{unit}" for number, unit in parts if number is not None)
    expected = timedelta(
        days=30 * (months or 0), weeks=weeks or 0, hours=24 * (days or 0) + (hours or 0)
    )
    if expected:
        assert durations.parse(text) == expected
    else:
        with pytest.raises(ValueError, match=r"duration|longer than zero"):
            durations.parse(text)
