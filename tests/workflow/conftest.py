import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from local.registry.registry_file import parse
from tests.support.clock import Clock
from tests.support.engine import Engine, engine

type Deploy = Callable[..., Engine]


@pytest.fixture
def deploy(log: object) -> Iterator[Deploy]:
    """Deploy in process on a registry described in YAML, or in its own objects.

    A deployment lasts until the next one of the same test, or until the test ends.
    """
    # moto tells of every failed state, at length; failed states are what is tested.
    logging.getLogger("moto").setLevel(logging.CRITICAL)
    with ExitStack() as stack:

        def deployed(registry: object, *, clock: Clock | None = None, **parameters: str) -> Engine:
            stack.close()
            clock = clock or Clock()
            text = registry if isinstance(registry, str) else json.dumps(registry)
            simulated = parse(text, now=clock.now)
            return stack.enter_context(engine(simulated, clock, parameters))

        yield deployed
