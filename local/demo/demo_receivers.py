"""Everybody who gets messages in the demo: an inbox on this machine, subscribers in its cloud."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

from local.cloud.engine import Engine
from local.receivers.inbox import Channel, Inbox
from local.receivers.subscribers import Subscribers
from local.receivers.webhook_services import Answer

ADDRESS = "team@example.com"
NUMBER = "+15555550100"
BUS = "reports"
# The template's parameter with the ARN of each webhook's secret.
SECRET_PARAMETERS: Mapping[Channel, str] = {
    "slack": "SlackWebhookSecretArn",
    "teams": "TeamsWebhookSecretArn",
    "pagerduty": "PagerDutySecretArn",
    "webhook": "WebhookSecretArn",
}
# One trouble, so that a retry can be seen: the first message to Teams has to be sent twice.
TROUBLED: Channel = "teams"
TROUBLE = Answer(HTTPStatus.SERVICE_UNAVAILABLE)


class DemoReceivers:
    """The receivers of every channel, as long as a `with` lasts."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def __enter__(self) -> Self:
        """Begin to listen."""
        self.inbox.__enter__()
        self.inbox.script(TROUBLED, TROUBLE, times=1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening; what was received can still be read."""
        self.inbox.__exit__(kind, error, trace)

    def parameters(self, engine: Engine) -> dict[str, str]:
        """Do what an operator does before a deployment, and give the parameters that come of it."""
        secrets = engine.client("secretsmanager")
        arns = {
            SECRET_PARAMETERS[channel]: secrets.create_secret(
                Name=f"ecr-rescan/{channel}", SecretString=secret
            )["ARN"]
            for channel, secret in self.inbox.secrets().items()
        }
        bus = engine.client("events").create_event_bus(Name=BUS)
        return arns | {"ChatbotTopicState": "ENABLED", "ReportEventBusArn": bus["EventBusArn"]}

    @staticmethod
    def subscribe(engine: Engine, outputs: Mapping[str, str]) -> Subscribers:
        """Subscribe to what the stack has, by its outputs."""
        subscribers = Subscribers(engine)
        if topic := outputs.get("NotificationTopicArn"):
            subscribers.subscribe_email(topic, ADDRESS)
            subscribers.subscribe_sms(topic, NUMBER)
            subscribers.subscribe_queue(topic)
        if chatbot_topic := outputs.get("ChatbotTopicArn"):
            subscribers.subscribe_chatbot(chatbot_topic)
        subscribers.watch_bus(BUS)
        return subscribers
