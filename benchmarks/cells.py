"""What is measured, and what is demanded of it."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any
from unittest import mock

from benchmarks.limits import Kind, Limit
from benchmarks.predecessors import RETRIED_BY_0_3, RETRIED_BY_SAMPLES, OneStatePerImage
from benchmarks.rescan import Rescan, Result, Shape
from rescan_registry import pacing

RATES = (1, 2, 5, 10, 20, 50, 100, 200)
SHAPES = (Shape(1, 1_000), Shape(10, 1_000), Shape(300, 33), Shape(1, 12_000))
SEEDS = (1, 2, 3)
REMEMBERED = 0.97  # of the limit

# Each constant of the controller, and what takes its effect away.
WITHOUT: Mapping[str, float] = {
    "WINDOW_SECONDS": 0.25,
    "WINDOW_CALLS": 1,
    "BUSY": 0,
    "FIRST_GROWTH": pacing.GROWTH,
    "GROWTH": 1.0,
    "LOWEST": 0.01,
}


@dataclass(frozen=True)
class Cell:
    """A rate and a shape, in the first run or with the rate remembered; medians of the seeds."""

    shape: Shape
    rate: int
    is_first: bool
    result: Result

    @property
    def most_throttled(self) -> float:
        """Return the share of throttled calls that is allowed."""
        return 0.10 if self.is_first else 0.05

    @property
    def most_seconds(self) -> float:
        """Return the time that is allowed: for learning and listing, and beside the limit."""
        ideal = self.result.ideal
        return ideal / 0.8 + 15 if self.is_first else ideal / 0.85 + 10

    @property
    def is_met(self) -> bool:
        """Return whether every image was started, in time and with few throttled calls."""
        result = self.result
        return (
            result.started == self.shape.repositories * self.shape.due
            and not result.failed
            and result.throttled <= self.most_throttled
            and result.seconds <= self.most_seconds
        )


def limit(rate: float, kind: Kind = Kind.STEADY) -> Limit:
    """Return a limit that saves one second of calls."""
    return Limit(rate, max(1.0, rate), kind)


def cell(shape: Shape, rate: int, *, is_first: bool, seeds: tuple[int, ...] = SEEDS) -> Cell:
    """Measure a cell."""
    remembered = None if is_first else rate * REMEMBERED
    runs = [Rescan(shape, limit(rate), remembered=remembered, seed=seed).run() for seed in seeds]
    return Cell(shape, rate, is_first, median(runs))


def cells(shapes: tuple[Shape, ...] = SHAPES, seeds: tuple[int, ...] = SEEDS) -> Iterator[Cell]:
    """Measure all cells of some shapes."""
    for is_first in (True, False):
        for shape in shapes:
            for rate in RATES:
                yield cell(shape, rate, is_first=is_first, seeds=seeds)


def median(results: list[Result]) -> Result:
    """Return the median of each value; a run that did not start all images counts as the worst."""
    values: dict[str, Any] = {
        field.name: statistics.median(getattr(result, field.name) for result in results)
        for field in fields(Result)
    }
    values |= {
        "started": min(result.started for result in results),
        "failed": max(result.failed for result in results),
    }
    return Result(**values)


def of_0_3(shape: Shape, rate: int) -> Result:
    """Measure version 0.3."""
    return OneStatePerImage(shape, limit(rate), 1, RETRIED_BY_0_3).run_0_3()


def nested_map(shape: Shape, rate: int) -> Result:
    """Measure a nested Map."""
    return OneStatePerImage(shape, limit(rate), 1, RETRIED_BY_SAMPLES).run_nested_map()


@contextmanager
def without(constant: str) -> Iterator[None]:
    """Take away the effect of a constant."""
    with mock.patch.object(pacing, constant, WITHOUT[constant]):
        yield


TEN = Shape(10, 1_000)
ROBUST: Mapping[str, Callable[[int], Rescan]] = {
    "known rate × 10": lambda rate: Rescan(TEN, limit(rate), remembered=rate * 10),
    "known rate ÷ 10": lambda rate: Rescan(TEN, limit(rate), remembered=rate / 10),
    "others ask for half": lambda rate: Rescan(
        TEN, limit(rate, Kind.OTHERS_HALF), remembered=rate * REMEMBERED
    ),
    "others ask for half, every other 30 s": lambda rate: Rescan(
        TEN, limit(rate, Kind.OTHERS_AT_TIMES), remembered=rate * REMEMBERED
    ),
    "a limit of 0.5 to 1.5 of it, new each second": lambda rate: Rescan(
        TEN, limit(rate, Kind.VARYING), remembered=rate * REMEMBERED
    ),
    "a burst of one call": lambda rate: Rescan(TEN, Limit(rate, 1.0), remembered=rate * REMEMBERED),
}


def after_an_idle_run(rate: int) -> Result:
    """Measure a run after one whose repositories were too small to use the rate."""
    before = Rescan(Shape(300, 33), limit(rate)).run()
    return Rescan(TEN, limit(rate), remembered=before.learnt_rate).run()


def warm(rate: int) -> Result:
    """Measure 1,000 repositories of 1,000 images, of which 10 % are due."""
    shape = Shape(1_000, 100, images=1_000)
    return Rescan(shape, limit(rate), remembered=rate * REMEMBERED).run()


def cold(rate: int) -> Result:
    """Measure the calls for findings of 1,000 repositories of 100 images."""
    shape = Shape(1_000, 100)
    return Rescan(shape, limit(rate), remembered=rate * REMEMBERED).run_cold()


def large(rate: int) -> Result:
    """Measure a repository of 100,000 images, a seventh of which is due."""
    shape = Shape(1, 14_286, images=100_000)
    return Rescan(shape, limit(rate), remembered=rate * REMEMBERED).run()


def values(result: Result) -> dict[str, float]:
    """Return a result for JSON, rounded to what is significant."""
    return {name: float(f"{value:.4g}") for name, value in asdict(result).items()}
