"""`ecr-rescan test`, against everything deployed: each channel answers, and nothing is left."""

import json
from typing import Any

from typer.testing import CliRunner

from cli.__main__ import app
from local.receivers.inbox import Inbox
from reporting.channels.delivery import Channel
from tests.support.stack import Stack

RECEIVED = {"slack": 2, "teams": 2, "webhook": 2, "pagerduty": 4}


def answer_of(stack: Stack, channel: str) -> dict[str, Any]:
    called: dict[str, str | None] = {**stack.engine.environment, "AWS_PROFILE": None}
    arguments = ["test", channel, "-o", "json", "--stack", stack.name]
    done = CliRunner().invoke(app, arguments, env=called)
    assert done.exit_code == 0, done.output
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def test_each_channel_answers_each_test_and_nothing_is_left(stack: Stack, inbox: Inbox) -> None:
    ledger = stack.outputs["LedgerTableName"]

    def keys() -> set[tuple[str, str]]:
        pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=ledger)
        return {(it["pk"]["S"], it["sk"]["S"]) for page in pages for it in page["Items"]}

    before, kept = len(inbox.received), keys()
    for channel in Channel:
        for _ in range(2):
            assert answer_of(stack, channel.lower())["is_accepted"]
    received = inbox.received[before:]
    assert {name: sum(it.channel == name for it in received) for name in RECEIVED} == RECEIVED
    assert keys() == kept
    waiting = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["UndeliveredQueueUrl"],
        AttributeNames=["ApproximateNumberOfMessages"],
    )
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "0"
