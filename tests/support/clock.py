"""A clock that tests set and move."""

import threading
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 3, 14, 3, 0, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Tell the time."""
        with self._lock:
            return self._now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        with self._lock:
            self._now += by
