"""One local cloud for all tests of this directory; each puts a registry of its own into it."""

from collections.abc import Iterator

import pytest

from local.deployment import deploy
from local.engine import Engine
from local.inbox import Inbox
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def inbox() -> Iterator[Inbox]:
    with Inbox() as inbox:
        yield inbox


@pytest.fixture(scope="session")
def engine(inbox: Inbox) -> Iterator[Engine]:
    with Engine(lambda_environment=inbox.environment) as engine:
        yield engine


@pytest.fixture(scope="session")
def stack(engine: Engine) -> Stack:
    """Deploy once. At DEBUG, where the most could reach the log that must not."""
    name = "ecr-rescan"
    return Stack(engine, name, deploy(engine, {"FunctionLogLevel": "DEBUG"}, stack=name))
