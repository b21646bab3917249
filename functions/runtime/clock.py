"""The only place time comes from, and the only one that waits."""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime
from typing import Any


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def sleep(seconds: float, until: Collection[Future[Any]] = ()) -> None:
    """Wait for some seconds, but no longer than until one of some calls has ended."""
    if until:
        wait(until, timeout=seconds, return_when=FIRST_COMPLETED)
    else:
        time.sleep(seconds)
