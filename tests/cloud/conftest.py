"""One local cloud for all tests of this directory; each puts a registry of its own into it."""

from collections.abc import Iterator

import pytest

from local.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine
