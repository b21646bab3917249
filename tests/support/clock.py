"""A clock that tests set and move."""

import threading
import time
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 3, 14, 3, 0, tzinfo=UTC)


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

    def sleep(self, seconds: float) -> None:
        """Wait without waiting."""
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

    def sleep(self, seconds: float) -> None:
        """Wait as long as this clock calls it."""
        time.sleep(seconds / self._times)
