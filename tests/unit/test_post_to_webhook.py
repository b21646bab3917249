import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from notify_scan import post_to_webhook as module
from notify_scan.post_to_webhook import (
    DeliveryTimeUsedUp,
    PostedMessage,
    WebhookDelivery,
    post_to_webhook,
)
from notify_scan.webhooks.client import WebhookAnswer, WebhookClient, webhook_client
from notify_scan.webhooks.request import WebhookRequest
from notify_scan.webhooks.secrets import WebhookSecret, WebhookSecrets
from reporting.channels.delivery import Channel
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.reports import ANY_SECRET
from tests.support.template import ROOT


@dataclass
class FakeClient:
    """A client that keeps what it is given and posts nothing."""

    posted: list[WebhookRequest] = field(default_factory=list)

    def post(self, request: WebhookRequest) -> int:
        self.posted.append(request)
        return 202

    def answer_to(self, request: WebhookRequest) -> WebhookAnswer:
        return WebhookAnswer(self.post(request), f"answer {len(self.posted)}")


class FakeSecrets:
    """Secrets that are the same for every channel."""

    def of(self, channel: Channel) -> WebhookSecret:
        return ANY_SECRET


def post(client: FakeClient, *, after: timedelta = timedelta()) -> PostedMessage:
    return post_to_webhook(
        WebhookDelivery(Channel.TEAMS, {"type": "message"}, NOW),
        secrets=cast("WebhookSecrets", FakeSecrets()),
        client=cast("WebhookClient", client),
        now=NOW + after,
    )


def test_posts_the_message_and_gives_the_status() -> None:
    client = FakeClient()
    assert post(client) == PostedMessage(Channel.TEAMS, 202)
    (request,) = client.posted
    assert json.loads(request.body) == {"type": "message"}
    assert request.secret is ANY_SECRET


def test_posts_the_messages_of_a_test_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((1.0, 1.25, 7.0, 7.5))
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    client = FakeClient()
    posted = post_to_webhook(
        WebhookDelivery(Channel.TEAMS, [{"number": 1}, {"number": 2}], NOW),
        secrets=cast("WebhookSecrets", FakeSecrets()),
        client=cast("WebhookClient", client),
        now=NOW,
    )
    assert posted == PostedMessage(Channel.TEAMS, 202, "answer 1", 250)
    assert [json.loads(each.body) for each in client.posted] == [{"number": 1}, {"number": 2}]


def test_gives_up_in_time_for_the_queue() -> None:
    client = FakeClient()
    post(client, after=timedelta(seconds=180))
    with pytest.raises(DeliveryTimeUsedUp, match="TEAMS did not accept the message within 180 s"):
        post(client, after=timedelta(seconds=180, milliseconds=1))
    assert len(client.posted) == 1


def test_answers_the_state_machine_with_channel_and_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = FakeClient()
    monkeypatch.setattr(module, "webhook_client", lambda: client)
    monkeypatch.setattr(module, "WebhookSecrets", lambda arns: FakeSecrets())
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)
    event: dict[str, Any] = json.loads(
        (ROOT / "events/notify_scan/post_to_webhook.json").read_text()
    )
    started = {"execution_started_at": NOW.isoformat()}
    assert module.handler(event | started, any_lambda_context()) == {
        "channel": "SLACK",
        "status": 202,
        "answer": "",
        "milliseconds": 0,
    }
    assert json.loads(client.posted[0].body) == event["content"]


def test_makes_one_client_for_all_invocations() -> None:
    assert webhook_client() is webhook_client()
