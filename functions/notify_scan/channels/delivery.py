"""One message on its way to one channel."""

from dataclasses import dataclass
from enum import StrEnum

from runtime.messages import Json


class Channel(StrEnum):
    """Where people, or machines, are told."""

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


@dataclass(frozen=True)
class Delivery:
    """A message in the form of its channel, with all that is needed to send it, or send it again.

    about: the image or the run, for whoever looks through what was not delivered.
    target: the topic or the bus. A webhook's address is a secret and does not travel.
    """

    channel: Channel
    transport: Transport
    about: str
    content: Json
    target: str | None = None
