"""One local cloud for all tests of this directory; each puts a registry of its own into it."""

from collections.abc import Iterator

import pytest

from local.cloud.deployment import deploy
from local.cloud.engine import Engine
from local.receivers.inbox import Inbox
from reporting.channels import in_use
from tests.support.stack import Stack

SECRET_PARAMETERS = {channel.lower(): name for channel, name in in_use.SECRET_PARAMETERS.items()}


@pytest.fixture(scope="session")
def inbox() -> Iterator[Inbox]:
    with Inbox() as inbox:
        yield inbox


@pytest.fixture(scope="session")
def engine(inbox: Inbox) -> Iterator[Engine]:
    with Engine(lambda_environment=inbox.environment) as engine:
        yield engine


@pytest.fixture(scope="session")
def stack(engine: Engine, inbox: Inbox) -> Stack:
    """Deploy once, with every channel. At DEBUG, where the most could reach the log that must not.

    The rules are off, so that only the tests of NotifyScan start it.
    """
    secrets = engine.client("secretsmanager")
    arns = {
        SECRET_PARAMETERS[channel]: secrets.create_secret(
            Name=f"ecr-rescan/{channel}", SecretString=secret
        )["ARN"]
        for channel, secret in inbox.secrets().items()
    }
    bus = engine.client("events").create_event_bus(Name="reports")["EventBusArn"]
    parameters = {
        "DigestChannels": "NONE",  # every channel gets every notification
        "LogLevel": "DEBUG",
        "ChatbotTopicState": "ENABLED",
        "AlertEmail": "security@example.com",
        "ReportEventBusArn": bus,
        **arns,
    }
    name = "ecr-rescan"
    stack = Stack(engine, name, deploy(engine, parameters, stack=name))
    for subscription in stack.physical_names("AWS::SNS::Subscription").values():
        engine.confirm_subscription(subscription)
    stack.let_events_through(open=False)
    return stack
