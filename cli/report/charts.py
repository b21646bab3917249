"""Where the parts of a chart are, in the units of its drawing; page_files/charts.j2 draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cli.report.document import AgeBin, ReportedRun
from runtime.nouns import counted

WIDTH, BASE = 560, 210  # of a drawing, and where its axis is
_LEFT = 40  # of it are the labels of the grid
_TOP_OF_BARS, _TOP_OF_LINES = 66, 12
_MOST_GRID_LINES = 4
_GAP_OF_LABELS = 19
_CHARACTER = 9.6  # is as wide in the largest type


@dataclass(frozen=True)
class GridLine:
    """A horizontal line, and what it means."""

    y: float
    label: str


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram. middle: of the bar, where its labels are. value: empty for none."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    tone: str
    value: str
    label: str
    title: str


@dataclass(frozen=True)
class Limit:
    """A vertical line with a label, which ends at the line if it would not fit behind it."""

    x: float
    y: float
    label: str
    is_before: bool


@dataclass(frozen=True)
class Histogram:
    """Images by the age of their last scan."""

    grid: tuple[GridLine, ...]
    bars: tuple[Bar, ...]
    limits: tuple[Limit, ...]


@dataclass(frozen=True)
class TrendLine:
    """One number over the runs, up to x and y. label_y: of its label, which covers no other."""

    tone: str
    label: str
    points: str
    x: float
    y: float
    label_y: float


@dataclass(frozen=True)
class Run:
    """The band of a run, and what it says when it is pointed at."""

    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Tick:
    """A label of the horizontal axis. anchor: which part of it is at x, as SVG names it."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Trend:
    """Numbers over the runs that are kept, from the oldest to the newest."""

    grid: tuple[GridLine, ...]
    lines: tuple[TrendLine, ...]
    runs: tuple[Run, ...]
    ticks: tuple[Tick, ...]
    right: float


def histogram(bins: Sequence[AgeBin], limits: Mapping[str, timedelta]) -> Histogram | None:
    """Draw the ages of scans, with limits by their label; None if there is no image."""
    most = max((each.images for each in bins), default=0)
    if not most:
        return None
    step = (WIDTH - _LEFT) / len(bins)
    height = BASE - _TOP_OF_BARS
    bars = []
    for number, each in enumerate(bins):
        tall = max(height * each.images / most, 1.5) if each.images else 0
        x = _LEFT + number * step
        bars.append(
            Bar(
                x=round(x + step * 0.1, 1),
                y=round(BASE - tall, 1),
                width=round(step * 0.8, 1),
                height=round(tall, 1),
                middle=round(x + step / 2, 1),
                tone=each.freshness.value,
                value=f"{each.images:,}" if each.images else "",
                label=_label(each, bins[0]),
                title=_title(each),
            )
        )
    return Histogram(
        _grid(most, height),
        tuple(bars),
        tuple(
            Limit(x, 16 + 19 * row, label, is_before=x + _CHARACTER * len(label) > WIDTH)
            for row, (label, age) in enumerate(limits.items())
            for x in [round(_LEFT + step * _place(bins, age / timedelta(days=1)), 1)]
        ),
    )


def trend(runs: Sequence[ReportedRun]) -> Trend | None:
    """Draw the images with findings, and those that were overdue, over runs of everything.

    runs: newest first. None if fewer than two of them have recorded these numbers.
    """
    kept = [run for run in reversed(runs) if run.is_whole and run.overdue is not None]
    if len(kept) < 2:
        return None
    values = {
        "critical": [run.images_with.get("CRITICAL", 0) for run in kept],
        "high": [run.images_with.get("HIGH", 0) for run in kept],
        "overdue": [run.overdue or 0 for run in kept],
    }
    most = max(1, *map(max, values.values()))
    height = BASE - _TOP_OF_LINES
    labels = {name: f"{of[-1]:,} {name}" for name, of in values.items()}
    right = WIDTH - 12 - _CHARACTER * max(map(len, labels.values()))
    places = _places([run.started_at for run in kept], right)
    lines = {
        name: [
            (x, round(BASE - height * value / most, 1)) for x, value in zip(places, of, strict=True)
        ]
        for name, of in values.items()
    }
    ends = _apart({name: points[-1][1] for name, points in lines.items()})
    return Trend(
        _grid(most, height),
        tuple(
            TrendLine(
                name,
                labels[name],
                " ".join(f"{x},{y}" for x, y in points),
                *points[-1],
                label_y=ends[name],
            )
            for name, points in lines.items()
        ),
        _bands(kept, places, right),
        _ticks(kept, places),
        round(right, 1),
    )


def _days(days: float) -> str:
    return f"{round(days, 1):g}"


def _label(each: AgeBin, first: AgeBin) -> str:
    """Return the day when a bar begins; of one that is wider than the first, its last day, too."""
    begin, end = each.from_days, each.to_days
    if end is None:
        return f"{_days(begin)}+"
    if end - begin < 1.5 * ((first.to_days or 0) - first.from_days):
        return _days(begin)
    is_whole = begin.is_integer() and end.is_integer()
    return f"{_days(begin)}\N{EN DASH}{_days(end - 1 if is_whole else end)}"


def _title(each: AgeBin) -> str:
    images = counted(each.images, "image")
    if each.to_days is None:
        days = "day" if each.from_days == 1 else "days"
        return f"{images} scanned {_days(each.from_days)} {days} ago or earlier: {each.freshness}"
    return (
        f"{images} scanned {_days(each.from_days)} to {_days(each.to_days)} days ago: "
        f"{each.freshness}"
    )


def _place(bins: Sequence[AgeBin], days: float) -> float:
    """Return where an age is among the bars, counted in bars from the left."""
    for number, each in enumerate(bins):
        if each.to_days is None:
            return number
        if days < each.to_days:
            return number + max(days - each.from_days, 0) / (each.to_days - each.from_days)
    return len(bins)


def _grid(most: int, height: float) -> tuple[GridLine, ...]:
    scale = 1
    while most / scale > _MOST_GRID_LINES * 5:
        scale *= 10
    step = next(scale * each for each in (1, 2, 5, 10) if most / (scale * each) <= _MOST_GRID_LINES)
    return tuple(
        GridLine(round(BASE - height * value / most, 1), f"{value:,}")
        for value in range(0, most + 1, step)
    )


def _places(times: Sequence[datetime], right: float) -> list[float]:
    """Return where times are on the horizontal axis."""
    length = (times[-1] - times[0]) / timedelta(seconds=1) or 1
    return [
        round(_LEFT + (right - _LEFT) * ((each - times[0]) / timedelta(seconds=1)) / length, 1)
        for each in times
    ]


def _apart(ends: Mapping[str, float]) -> dict[str, float]:
    """Move labels up from the axis until none covers another one."""
    placed: dict[str, float] = {}
    free = BASE + 4.0
    for name, y in sorted(ends.items(), key=lambda each: -each[1]):
        placed[name] = round(min(y + 4, free), 1)
        free = placed[name] - _GAP_OF_LABELS
    return placed


def _bands(runs: Sequence[ReportedRun], places: Sequence[float], right: float) -> tuple[Run, ...]:
    between = [(left + right) / 2 for left, right in pairwise(places)]
    edges = [_LEFT, *between, right + 8]
    return tuple(
        Run(
            round(left, 1),
            round(right - left, 1),
            f"{run.started_at:%Y-%m-%d %H:%M} UTC: "
            f"{counted(run.images_with.get('CRITICAL', 0), 'image')} with critical "
            f"findings, {run.images_with.get('HIGH', 0):,} with high ones, {run.overdue:,} overdue",
        )
        for run, (left, right) in zip(runs, pairwise(edges), strict=True)
    )


def _ticks(runs: Sequence[ReportedRun], places: Sequence[float]) -> tuple[Tick, ...]:
    last = len(runs) - 1
    shown = {0: "start", last // 2: "middle", last: "end"} if last > 1 else {0: "start", 1: "end"}
    return tuple(
        Tick(places[at], f"{runs[at].started_at:%Y-%m-%d}", anchor) for at, anchor in shown.items()
    )
