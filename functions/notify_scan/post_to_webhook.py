"""Post one message to one webhook."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from notify_scan.settings import PostToWebhookSettings
from notify_scan.webhooks.client import WebhookClient, webhook_client
from notify_scan.webhooks.request import WebhookRequest, request_for
from notify_scan.webhooks.secrets import WebhookSecrets
from reporting.channels.delivery import Channel
from reporting.channels.in_use import secret_arns
from runtime import clock
from runtime.entrypoint import entrypoint

# Step Functions ends an Express execution after 5 minutes, and its undelivered messages are lost.
# This leaves time for the longest wait of a retry, and for the dead-letter queue after it.
TIME_LIMIT = timedelta(seconds=180)


class DeliveryTimeUsedUp(Exception):
    """Too little time of the execution is left to retry; the message goes to the queue."""


@dataclass(frozen=True)
class WebhookDelivery:
    """The input of PostToWebhook: a formatted message, and when the execution started.

    content: of a test, a list, which is posted one after the other.
    """

    channel: Channel
    content: object
    execution_started_at: datetime


@dataclass(frozen=True)
class PostedMessage:
    """The output of PostToWebhook. status: HTTP status of the response.

    answer, milliseconds: of the first message of a test, what the receiver has answered, and when.
    """

    channel: Channel
    status: int
    answer: str = ""
    milliseconds: int = 0


def post_to_webhook(
    delivery: WebhookDelivery, *, secrets: WebhookSecrets, client: WebhookClient, now: datetime
) -> PostedMessage:
    """Make one attempt; the state machine retries.

    Raises DeliveryTimeUsedUp, WebhookSecretUnusable, and the errors of WebhookClient.post.
    """
    if now - delivery.execution_started_at > TIME_LIMIT:
        raise DeliveryTimeUsedUp(
            f"{delivery.channel} did not accept the message within {TIME_LIMIT.seconds} s"
        )
    secret = secrets.of(delivery.channel)
    if isinstance(delivery.content, list):
        answers = [
            _tested(request_for(delivery.channel, content, secret, now=now), client)
            for content in delivery.content
        ]
        return answers[0]
    request = request_for(delivery.channel, delivery.content, secret, now=now)
    return PostedMessage(delivery.channel, client.post(request))


def _tested(request: WebhookRequest, client: WebhookClient) -> PostedMessage:
    began = time.monotonic()
    answer = client.answer_to(request)
    took = round((time.monotonic() - began) * 1_000)
    return PostedMessage(request.channel, answer.status, answer.text, took)


@entrypoint(WebhookDelivery)
def handler(delivery: WebhookDelivery) -> PostedMessage:
    """Run as PostToWebhook, for a channel whose address is a secret."""
    secrets = WebhookSecrets(secret_arns(PostToWebhookSettings.load()))
    return post_to_webhook(delivery, secrets=secrets, client=webhook_client(), now=clock.now())
