"""Small samples of `make bench`, with budgets for what each takes; the times are virtual."""

import pytest

from benchmarks import cells
from benchmarks.cells import cell, limit
from benchmarks.limits import Kind, Limit
from benchmarks.rescan import Rescan, Shape, retrier
from rescan_registry import pacing

SMALL = Shape(10, 200)


def test_the_controller_has_few_constants() -> None:
    assert len(pacing.CONTROLLER) <= 6
    assert set(cells.WITHOUT) == set(pacing.CONTROLLER)


def test_backoff_is_that_of_the_definition() -> None:
    assert retrier("StartImageScans", "EcrThrottled").attempts == 15
    assert retrier("FindStaleImages", "EcrThrottled").longest == 60


@pytest.mark.parametrize(
    ("rate", "transitions", "board_writes", "usd"),
    [(2, 0.70, 0.70, 0.025), (20, 0.25, 0.20, 0.010), (200, 0.12, 0.10, 0.006)],
)
def test_a_run_with_a_remembered_rate_stays_within_budget(
    rate: int, transitions: float, board_writes: float, usd: float
) -> None:
    measured = cell(SMALL, rate, is_first=False, seeds=(1,))
    assert measured.is_met, measured.result
    assert measured.result.transitions <= transitions
    assert measured.result.board_writes <= board_writes
    assert measured.result.usd_per_1000 <= usd


@pytest.mark.parametrize("rate", [2, 20, 50])
def test_a_first_run_stays_within_budget(rate: int) -> None:
    measured = cell(SMALL, rate, is_first=True, seeds=(1,))
    assert measured.is_met, measured.result


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("remembered", [0.2, 2.0, 20.0])
def test_every_image_is_started_under_any_limit(kind: Kind, remembered: float) -> None:
    result = Rescan(SMALL, limit(2, kind), remembered=remembered).run()
    assert (result.started, result.failed, result.deferred) == (2_000, 0, 0)


def test_every_image_is_started_though_nothing_is_saved_up() -> None:
    result = Rescan(SMALL, Limit(5, burst=1.0), remembered=5.0).run()
    assert (result.started, result.failed, result.deferred) == (2_000, 0, 0)


def test_throttling_to_the_last_fails_no_image() -> None:
    """ECR accepts nothing at all: images are deferred, a run at its own end."""
    result = Rescan(Shape(1, 60), Limit(1e-9, burst=0.0), remembered=1.0).run()
    assert (result.started, result.failed, result.deferred) == (0, 0, 60)


def test_a_large_repository_fits_history_and_state() -> None:
    result = Rescan(Shape(1, 4_000, images=28_000), limit(200), remembered=194.0).run()
    assert result.started == 4_000
    assert result.events < 25_000 * 4_000 / 14_286
    assert result.payload < 256 * 1024


def test_scan_dates_are_asked_for_at_the_same_pace() -> None:
    result = Rescan(SMALL, limit(20), remembered=19.4).run_cold()
    assert result.started == 2_000
    assert result.throttled <= 0.05
    assert result.usd <= 0.02
