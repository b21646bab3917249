"""A clock that tests set and move."""

import threading
import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.clock import sleep

NOW = datetime(2026, 3, 14, 3, 0, tzinfo=UTC)
LATER = datetime(9999, 6, 30, tzinfo=UTC)  # than all events


class Clock:
    """A clock that shows one time until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time."""
        with self._lock:
            return self._now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        with self._lock:
            self._now += by

    def sleep(self, seconds: float, until: Collection[Future[Any]] = ()) -> None:
        """Wait without waiting, but for calls: they take no time on this clock."""
        if until:
            wait(until, return_when=FIRST_COMPLETED)
        else:
            self.move(timedelta(seconds=seconds))


class FastClock(Clock):
    """Runs a number of times as fast as real time: concurrent waits pass together."""

    def __init__(self, times: float, now: datetime = NOW) -> None:
        super().__init__(now)
        self._times = times
        self._origin = time.monotonic()

    def now(self) -> datetime:
        """Return the time."""
        return super().now() + timedelta(seconds=(time.monotonic() - self._origin) * self._times)

    def sleep(self, seconds: float, until: Collection[Future[Any]] = ()) -> None:
        """Wait as long as this clock calls it."""
        sleep(seconds / self._times, until)
