from datetime import datetime, timedelta

import pytest

from registry.errors import AccessDenied, EcrThrottled, EcrUnavailable
from rescan_registry.registry_listing import PATIENCE, Waiting, repository_names
from tests.support.clock import NOW
from tests.support.fakes import FakeRegistry

NAMES = [f"team/{number:04}" for number in range(2_500)]


class Passing:
    """Time that passes by waiting alone."""

    def __init__(self, chance: float = 1.0) -> None:
        self.waits: list[float] = []
        self._chance = chance

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=sum(self.waits))

    @property
    def waiting(self) -> Waiting:
        return Waiting(lambda: self.now, self.waits.append, lambda: self._chance)


class CountingRegistry(FakeRegistry):
    """A registry that refuses some pages before it lists them."""

    def __init__(self, refusals: dict[str | None, list[Exception]]) -> None:
        super().__init__(names=NAMES)
        self.refusals = refusals
        self.asked: list[str | None] = []

    def repositories(self, cursor: str | None = None):  # type: ignore[no-untyped-def]
        self.asked.append(cursor)
        if refusals := self.refusals.get(cursor):
            raise refusals.pop(0)
        return super().repositories(cursor)


def test_lists_page_after_page() -> None:
    time, registry = Passing(), CountingRegistry({})
    assert list(repository_names(registry, time.waiting)) == NAMES
    assert registry.asked == [None, "1000", "2000"]
    assert time.waits == []


def test_asks_again_for_a_throttled_page_and_not_for_those_before() -> None:
    time = Passing()
    registry = CountingRegistry(
        {"1000": [EcrThrottled("any"), EcrUnavailable("any")], "2000": [EcrThrottled("any")]}
    )
    assert list(repository_names(registry, time.waiting)) == NAMES
    assert registry.asked == [None, "1000", "1000", "1000", "2000", "2000"]
    assert time.waits == [1, 2, 1]  # each page begins with a short wait


def test_spreads_out_its_waits_up_to_a_longest() -> None:
    time = Passing(chance=0.5)
    registry = CountingRegistry({None: [EcrThrottled("any") for _ in range(6)]})
    list(repository_names(registry, time.waiting))
    assert time.waits == [0.5, 1, 2, 4, 5, 5]


def test_leaves_the_rest_to_the_state_machine_when_patience_ends() -> None:
    time = Passing()
    registry = CountingRegistry({"2000": [EcrThrottled("any") for _ in range(999)]})
    with pytest.raises(EcrThrottled):
        list(repository_names(registry, time.waiting))
    assert PATIENCE - timedelta(seconds=10) < time.now - NOW <= PATIENCE


def test_raises_any_other_error_at_once() -> None:
    time, registry = Passing(), CountingRegistry({"1000": [AccessDenied("any")]})
    with pytest.raises(AccessDenied):
        list(repository_names(registry, time.waiting))
    assert registry.asked == [None, "1000"]
    assert time.waits == []
