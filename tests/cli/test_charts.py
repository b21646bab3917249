from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cli.report.charts import BASE, WIDTH, Histogram, Trend, histogram, trend
from cli.report.document import AgeBin, Freshness, ReportedRun
from tests.support.made_up_reports import report

REPORT = report(300)
DAY = timedelta(days=1)
OVERDUE = Freshness.OVERDUE


def bins(*counts: int) -> list[AgeBin]:
    """Return bars of one day each, of which the last one has no end."""
    last = len(counts) - 1
    return [
        AgeBin(float(day), None if day == last else day + 1.0, count, Freshness.INSIDE)
        for day, count in enumerate(counts)
    ]


def drawn(found: list[AgeBin], **limits: timedelta) -> Histogram:
    chart = histogram(found, limits)
    assert chart is not None
    return chart


def trend_of(*runs: ReportedRun) -> Trend:
    chart = trend(runs)
    assert chart is not None
    return chart


def test_draws_no_histogram_of_no_image() -> None:
    assert histogram(bins(0, 0), {}) is None
    assert histogram((), {}) is None


def test_a_bar_is_as_tall_as_its_share_of_the_tallest() -> None:
    first, second, third = drawn(bins(4, 0, 8)).bars
    assert second.height == 0
    assert second.value == ""
    assert first.height * 2 == third.height
    assert (first.value, third.value) == ("4", "8")
    assert {bar.y + bar.height for bar in (first, third)} == {BASE}


def test_a_single_image_among_many_is_seen() -> None:
    assert min(bar.height for bar in drawn(bins(1, 100_000)).bars) >= 1.5


def test_a_bar_says_what_it_counts() -> None:
    first, last = drawn(bins(1, 1_204)).bars
    assert first.title == "1 image scanned 0 to 1 days ago: inside"
    assert last.title == "1,204 images scanned 1 day ago or earlier: inside"
    assert (first.label, last.label) == ("0", "1+")


def test_a_bar_that_is_wider_says_where_it_ends() -> None:
    """Bars stand side by side as if all were of one day."""
    ends = [*bins(1, 1, 1)[:2], AgeBin(2, 9, 1, OVERDUE), AgeBin(9, None, 1, OVERDUE)]
    assert [bar.label for bar in drawn(ends).bars] == ["0", "1", "2\N{EN DASH}8", "9+"]
    hours = [AgeBin(0, 0.5, 1, Freshness.INSIDE), AgeBin(0.5, 2, 1, OVERDUE)]
    assert [bar.label for bar in drawn(hours).bars] == ["0", "0.5\N{EN DASH}2"]


def test_no_limit_covers_the_number_of_a_bar() -> None:
    chart = drawn(bins(1, 5), inside=DAY, overdue=1.5 * DAY)
    largest = 17  # in pixels of the drawing, on a telephone
    assert max(each.y for each in chart.limits) < min(bar.y for bar in chart.bars) - 6 - largest


def test_a_limit_is_where_its_age_is() -> None:
    chart = drawn(bins(1, 1, 1, 1), a=1 * DAY, b=1.5 * DAY, c=9 * DAY)
    first, second, last = chart.limits
    assert first.x == chart.bars[1].x - round(chart.bars[1].width / 8, 1)
    assert second.x == chart.bars[1].middle
    assert last.x == drawn(bins(1, 1, 1, 1), c=3 * DAY).limits[0].x


def test_a_limit_beyond_all_bars_is_at_the_end() -> None:
    found = [AgeBin(0, 1, 1, Freshness.INSIDE)]
    assert drawn(found, later=2 * DAY).limits[0].x == WIDTH


def test_the_label_of_a_limit_is_on_the_side_where_it_fits() -> None:
    chart = drawn(bins(1, 1, 1, 1), early=1 * DAY, late=3 * DAY, and_one_with_a_long_label=3 * DAY)
    assert [limit.is_before for limit in chart.limits] == [False, False, True]
    assert len({limit.y for limit in chart.limits}) == 3


@given(st.integers(1, 10**6))
def test_the_grid_has_few_lines_with_round_numbers(most: int) -> None:
    labels = [int(line.label.replace(",", "")) for line in drawn(bins(most)).grid]
    assert 2 <= len(labels) <= 5
    assert labels[0] == 0
    assert labels[-1] <= most
    assert str(labels[1]).rstrip("0") in {"1", "2", "5"}


def test_the_trend_goes_from_the_oldest_run_to_the_newest() -> None:
    chart = trend_of(*REPORT.runs)
    newest = REPORT.runs[0]
    assert [line.label for line in chart.lines] == [
        f"{newest.images_with['CRITICAL']} critical",
        f"{newest.images_with['HIGH']} high",
        f"{newest.overdue} overdue",
    ]
    assert [tick.label for tick in chart.ticks] == ["2026-02-13", "2026-02-27", "2026-03-14"]
    assert [tick.anchor for tick in chart.ticks] == ["start", "middle", "end"]
    assert len(chart.runs) == 30
    assert chart.runs[-1].title.startswith("2026-03-14 03:00 UTC: ")
    for line in chart.lines:
        assert line.points.endswith(f"{line.x},{line.y}")


def test_a_run_says_its_numbers() -> None:
    one, two, *_ = REPORT.runs
    numbers = replace(one, images_with={"CRITICAL": 1, "HIGH": 1_204}, overdue=3)
    assert trend_of(numbers, two).runs[-1].title == (
        "2026-03-14 03:00 UTC: 1 image with critical findings, 1,204 with high ones, 3 overdue"
    )


def test_the_trend_leaves_out_runs_that_say_nothing_of_all_images() -> None:
    one, two, three, *_ = REPORT.runs
    part, older = replace(two, is_whole=False), replace(three, overdue=None)
    assert trend([one, part, older]) is None
    assert trend([]) is None
    assert len(trend_of(one, part, older, REPORT.runs[3]).runs) == 2


def test_two_runs_have_two_dates() -> None:
    assert [tick.anchor for tick in trend_of(*REPORT.runs[:2]).ticks] == ["start", "end"]


def test_runs_of_the_same_time_are_drawn() -> None:
    run = REPORT.runs[0]
    assert len(trend_of(run, run).runs) == 2


@given(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 10**5)))
def test_no_label_covers_another_one(numbers: tuple[int, int, int]) -> None:
    critical, high, overdue = numbers
    one = REPORT.runs[0]
    last = replace(one, images_with={"CRITICAL": critical, "HIGH": high}, overdue=overdue)
    places = sorted(line.label_y for line in trend_of(last, REPORT.runs[1]).lines)
    assert places[1] - places[0] >= 18.9
    assert places[2] - places[1] >= 18.9
