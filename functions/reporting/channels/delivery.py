"""One message on its way to one channel."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from runtime.messages import Json


class Channel(StrEnum):
    """Where notifications are sent."""

    SNS = "SNS"
    SLACK = "SLACK"
    TEAMS = "TEAMS"
    CHATBOT = "CHATBOT"
    WEBHOOK = "WEBHOOK"
    EVENTBRIDGE = "EVENTBRIDGE"
    PAGERDUTY = "PAGERDUTY"


class Transport(StrEnum):
    """The AWS service or protocol that carries a message."""

    TOPIC = "TOPIC"
    WEBHOOK = "WEBHOOK"
    EVENT_BUS = "EVENT_BUS"


TRANSPORTS = {
    Channel.SNS: Transport.TOPIC,
    Channel.CHATBOT: Transport.TOPIC,
    Channel.EVENTBRIDGE: Transport.EVENT_BUS,
    Channel.SLACK: Transport.WEBHOOK,
    Channel.TEAMS: Transport.WEBHOOK,
    Channel.WEBHOOK: Transport.WEBHOOK,
    Channel.PAGERDUTY: Transport.WEBHOOK,
}


# As long as an event or a message can return: 14 days in the dead-letter queue, and one before.
CLAIMED_FOR = timedelta(days=15)


@dataclass(frozen=True)
class Delivery:
    """A message in the format of its channel, with everything needed to send or redeliver it.

    about: the title of the message, shown by `make redeliver ARGS=--list`.
    message_id: the same each time the same message is composed; together with the channel, the key
        of the delivery claim. claimed_until: seconds since 1970.
    target: ARN of the topic or the event bus. The URL of a webhook is a secret and not included.
    """

    channel: Channel
    transport: Transport
    about: str
    content: Json
    message_id: str
    claimed_until: str
    target: str | None = None
