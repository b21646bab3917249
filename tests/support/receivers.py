"""All receivers in one process: webhooks, topics, a bus; each can be made to fail."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from notify_scan.webhooks.client import WebhookAnswer
from notify_scan.webhooks.request import WebhookRequest
from reporting.channels.delivery import Channel

# Made up, and in no message, log, history or error of any test: tests look for them.
SECRETS = {
    Channel.SLACK: {"url": "https://hooks.slack.example/services/T0SECRET0/B0SECRET0/sl4ckSecret"},
    Channel.TEAMS: {"url": "https://teams.example/workflows/t34msSecret?sig=t34msSignature"},
    Channel.WEBHOOK: {
        "url": "https://receiver.example/hooks/w3bhookSecret",
        "signing_key": "s1gningKeySecret",
    },
    Channel.PAGERDUTY: {"routing_key": "r0utingKeySecretr0utingKeySecret"},
}
# What gives a secret away: host names and single letters do not.
SECRET_PARTS = {
    part
    for values in SECRETS.values()
    for secret in values.values()
    for part in re.split(r"[/?=]", secret)
    if "ecret" in part or "ignature" in part or "SECRET" in part
}
# Parameters of a stack that uses all channels, each for one message per scan.
ALL_CHANNELS = {
    "DigestChannels": "NONE",
    "ChatbotTopicState": "ENABLED",
    "SlackWebhookSecretArn": "SLACK-secret",
    "TeamsWebhookSecretArn": "TEAMS-secret",
    "WebhookSecretArn": "WEBHOOK-secret",
    "PagerDutySecretArn": "PAGERDUTY-secret",
    "ReportEventBusArn": "arn:aws:events:eu-west-1:123456789012:event-bus/default",
}

type Trouble = Callable[[Channel], Exception | None]


@dataclass(frozen=True)
class Received:
    """One message as a channel got it: the JSON body, or the parameters of the call."""

    channel: Channel
    content: Any


class Receivers:
    """All receivers, and what they got, in the order in which it came."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.events_put: list[dict[str, Any]] = []
        self.trouble: Trouble = lambda _: None
        self.requests: list[WebhookRequest] = []
        self._lock = threading.Lock()

    def of(self, channel: Channel) -> list[Any]:
        """Pick what one channel got."""
        return [each.content for each in self.received if each.channel is channel]

    def post(self, request: WebhookRequest) -> int:
        """Stand in for the webhook client: take a request, or fail."""
        if trouble := self.trouble(request.channel):
            raise trouble
        with self._lock:
            self.requests.append(request)
        self._take(request.channel, json.loads(request.body))
        return 200

    def answer_to(self, request: WebhookRequest) -> WebhookAnswer:
        """Stand in for the webhook client in a test of a channel."""
        return WebhookAnswer(self.post(request), "ok")

    def watch(self, client: Any) -> Callable[[], None]:
        """Record what a client publishes or puts, or fail before it does; return what ends this."""
        watched: dict[str, Callable[..., None]] = {
            "provide-client-params.sns.Publish": self._publish,
            "provide-client-params.events.PutEvents": self._put_events,
            "after-call": self._take_accepted,
        }
        for name, handler in watched.items():
            client.meta.events.register(name, handler)

        def end() -> None:
            for name, handler in watched.items():
                client.meta.events.unregister(name, handler)

        return end

    def _publish(self, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        is_chat = params["TopicArn"].endswith("ChatbotTopic")
        channel = Channel.CHATBOT if is_chat else Channel.SNS
        self._fail(channel, "Publish")
        context["offered"] = [Received(channel, params)]

    def _put_events(self, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        entries = params["Entries"]
        if any("EventBusName" in entry for entry in entries):
            self._fail(Channel.EVENTBRIDGE, "PutEvents")
        context["offered"] = [Received(Channel.EVENTBRIDGE, entry) for entry in entries]

    def _take_accepted(self, parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        """Take what AWS has accepted."""
        if "Error" in parsed or parsed.get("FailedEntryCount"):
            return
        for offered in context.pop("offered", ()):
            if offered.channel is Channel.EVENTBRIDGE:
                with self._lock:
                    self.events_put.append(offered.content)
                if "EventBusName" not in offered.content:
                    continue
            self._take(offered.channel, offered.content)

    def _fail(self, channel: Channel, operation: str) -> None:
        if trouble := self.trouble(channel):
            answer: Any = {
                "Error": {"Code": "InternalError", "Message": str(trouble)},
                "ResponseMetadata": {"HTTPStatusCode": 500, "RequestId": "any"},
            }
            raise ClientError(answer, operation)

    def _take(self, channel: Channel, content: Any) -> None:
        with self._lock:
            self.received.append(Received(channel, content))
