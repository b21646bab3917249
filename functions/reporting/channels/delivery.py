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
    """How a message gets there."""

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


# As long as an event, or a message, can come again: 14 days in the queue, and one before that.
CLAIMED_FOR = timedelta(days=15)


@dataclass(frozen=True)
class Delivery:
    """A message in the form of its channel, with everything that is needed to send it again.

    about: the image or the run, for operators who list undelivered messages.
    message_id: the same for the same message, however often it is composed; with the channel it
        claims the delivery, so that it is made once. claimed_until: seconds since 1970.
    target: the topic or the bus. A webhook's address is a secret and does not travel.
    """

    channel: Channel
    transport: Transport
    about: str
    content: Json
    message_id: str
    claimed_until: str
    target: str | None = None
