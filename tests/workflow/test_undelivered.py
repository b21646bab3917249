"""What an outage has kept, sent again to a receiver that takes one message per second."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from cli.kept_messages import read
from cli.redelivery import Outcome, Redelivery, WaitingMessage
from cli.undelivered_queue import UndeliveredQueue
from ledger.deliveries import deliveries
from notify_scan.webhooks.client import WebhookThrottled
from reporting.channels.delivery import Channel
from send_digest.notify_scan_executions import NotifyScanExecutions
from tests.support.clock import Clock
from tests.support.engine import Engine
from tests.support.queues import QueueOnAClock
from tests.workflow.conftest import Deploy

MESSAGES = 300
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:NotifyScan"


def kept(number: int) -> dict[str, Any]:
    delivery = {
        "channel": "SLACK",
        "transport": "WEBHOOK",
        "about": f"image {number}",
        "content": {"text": f"image {number}"},
        "message_id": f"message-{number}",
        "claimed_until": "4102444800",
        "claims_before": "2026-03-13T00:00:00+00:00",
        "target": None,
        "image": None,
    }
    return {"delivery": delivery, "error": "WebhookUnavailable", "cause": "SLACK returned 503"}


class OneASecond:
    """A receiver that refuses what comes within a second after the message before."""

    def __init__(self, clock: Clock) -> None:
        self.refused = 0
        self._clock = clock
        self._last: datetime | None = None

    def trouble(self, channel: Channel) -> Exception | None:
        now = self._clock.now()
        if self._last and now - self._last < timedelta(seconds=1):
            self.refused += 1
            return WebhookThrottled("SLACK returned 429")
        self._last = now
        return None


class States:
    """Start executions of the deployed NotifyScan, and let each end on its own."""

    def __init__(self, deployed: Engine) -> None:
        self._deployed = deployed

    def start_execution(self, *, stateMachineArn: str, input: str) -> None:  # noqa: A002, N803
        assert stateMachineArn == MACHINE
        self._deployed.notify(json.loads(input))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clock.now", clock.now)
    monkeypatch.setattr("runtime.clock.sleep", clock.sleep)
    return clock


def test_300_messages_are_all_delivered_to_a_receiver_of_one_per_second(
    deploy: Deploy, clock: Clock
) -> None:
    deployed = deploy("repositories: []", clock=clock, SlackWebhookSecretArn="SLACK-secret")
    receiver = OneASecond(clock)
    deployed.receivers.trouble = receiver.trouble
    client, began = QueueOnAClock(clock), clock.now()
    client.put(kept(number) for number in range(MESSAGES))
    queue = UndeliveredQueue(cast("Any", client), "any")
    executions = NotifyScanExecutions(cast("Any", States(deployed)), MACHINE)
    give: Callable[[Any], None] = lambda kept: executions.start(kept.content, clock.now())  # noqa: E731
    redelivery = Redelivery(queue, give, deliveries("LedgerTable"))
    with queue.taken() as taken:
        messages = [WaitingMessage(each, read(each.message, {})) for each in taken]
        redelivery.send(messages)
    redelivery.settle(messages)
    received = [each["text"] for each in deployed.receivers.of(Channel.SLACK)]
    assert received == [f"image {number}" for number in range(MESSAGES)]
    assert receiver.refused == 0
    assert set(redelivery.outcomes.values()) == {Outcome.DELIVERED}
    assert len(redelivery.outcomes) == MESSAGES
    assert client.messages == {}
    assert deployed.undelivered() == []
    assert clock.now() - began < timedelta(seconds=MESSAGES + 1)
