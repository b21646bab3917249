"""The listing of a registry, page by page, which waits where ECR throttles."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from registry.ecr import EcrRegistry, RepositoryPage
from registry.errors import EcrThrottled, EcrUnavailable
from runtime import clock

# The function has 300 s. Its retry by the state machine would start with the first page again.
PATIENCE = timedelta(seconds=240)
_LONGEST_WAIT = 10.0  # seconds


@dataclass(frozen=True)
class Waiting:
    """How time passes; tests pass their own."""

    # Looked up with every use: a test replaces the clock after this module is imported.
    now: Callable[[], datetime] = field(default_factory=lambda: clock.now)
    sleep: Callable[[float], None] = field(default_factory=lambda: clock.sleep)
    chance: Callable[[], float] = random.random


def repository_names(registry: EcrRegistry, waiting: Waiting) -> Iterator[str]:
    """List the names of all repositories, 1,000 per call.

    A page that ECR throttles or fails to answer is asked for again, for as long as PATIENCE lasts;
    then the error is raised.
    """
    until = waiting.now() + PATIENCE
    page = _page(registry, None, until, waiting)
    yield from page.names
    while page.cursor:
        page = _page(registry, page.cursor, until, waiting)
        yield from page.names


def _page(
    registry: EcrRegistry, cursor: str | None, until: datetime, waiting: Waiting
) -> RepositoryPage:
    longest = 1.0
    while True:
        try:
            return registry.repositories(cursor)
        except (EcrThrottled, EcrUnavailable):
            seconds = longest * waiting.chance()  # full jitter, as in the definition
            if waiting.now() + timedelta(seconds=seconds) > until:
                raise
        waiting.sleep(seconds)
        longest = min(2 * longest, _LONGEST_WAIT)
