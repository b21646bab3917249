"""The only place time comes from, and the only one that waits."""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime, timedelta
from typing import Any

CLOCK_SKEW = timedelta(minutes=5)  # most that our clock and AWS's may differ


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def latest() -> datetime:
    """Return the latest time that a clock of AWS can show now."""
    return now() + CLOCK_SKEW


def is_future(at: datetime, now: datetime) -> bool:
    """Return whether a time is so far ahead that no clock can have shown it."""
    return at - now > CLOCK_SKEW


def sleep(seconds: float, until: Collection[Future[Any]] = ()) -> None:
    """Wait for some seconds, but no longer than until one of some calls has ended."""
    if until:
        wait(until, timeout=seconds, return_when=FIRST_COMPLETED)
    else:
        time.sleep(seconds)
