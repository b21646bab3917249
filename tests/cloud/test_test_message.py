"""`ecr-rescan test`, against everything deployed: each channel answers, and nothing is left."""

import json
import uuid
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from local.receivers.inbox import Inbox
from reporting.channels.delivery import Channel
from tests.support.stack import Stack

TITLE = "TEST of ecr-rescan by "
RECEIVED = {"slack": 2, "teams": 2, "webhook": 2, "pagerduty": 4}


def answer_of(stack: Stack, channel: str) -> dict[str, Any]:
    called: dict[str, str | None] = {**stack.engine.environment, "AWS_PROFILE": None}
    arguments = ["test", channel, "-o", "json", "--stack", stack.name]
    done = CliRunner().invoke(app, arguments, env=called)
    assert done.exit_code == 0, done.output
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the identifiers that the command line gives its tests."""
    given: list[str] = []

    def uuid4() -> str:
        given.append(str(uuid.uuid4()))
        return given[-1]

    monkeypatch.setattr("cli.test_message.uuid", SimpleNamespace(uuid4=uuid4))
    return given


def test_each_channel_answers_each_test_and_nothing_is_left(
    stack: Stack, inbox: Inbox, ids: list[str]
) -> None:
    before = len(inbox.received)
    for channel in Channel:
        for _ in range(2):
            assert answer_of(stack, channel.lower())["is_accepted"]
    signs = (TITLE.encode(), *(given.encode() for given in ids))
    tests = [it for it in inbox.received[before:] if any(sign in it.body for sign in signs)]
    assert Counter(it.channel for it in tests) == RECEIVED
    pages = (
        stack.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=stack.outputs["LedgerTableName"])
    )
    items = [str(item) for page in pages for item in page["Items"]]
    assert len(ids) == 2 * len(Channel)
    for given in ids:
        assert [item for item in items if given in item] == []
        assert stack.undelivered(given) == []
