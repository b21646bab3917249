"""One message on its way to one channel."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from runtime.messages import Json, encode


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
# A claim without a mark is abandoned after the 5 minutes of an Express execution, and one more.
LEASE = timedelta(minutes=6)


@dataclass(frozen=True)
class Delivery:
    """A message in the format of its channel, with everything needed to send or redeliver it.

    about: the title of the message, shown by `ecr-rescan undelivered`.
    message_id: the same each time the same message is composed; together with the channel, the key
        of the delivery claim. claimed_until: seconds since 1970.
    claims_before: a claim that is older than this time, and has no mark, is taken over.
    target: ARN of the topic or the event bus. The URL of a webhook is a secret and not included.
    image: how the delivery is recorded at the image in the ledger; absent for a message about a
        run, a digest, or a notice.
    is_test: it is not claimed, not recorded, and not kept. The content of a webhook is a list then,
        which is posted one after the other.
    """

    channel: Channel
    transport: Transport
    about: str
    content: Json
    message_id: str
    claimed_until: str
    claims_before: str
    target: str | None = None
    image: object = None
    is_test: bool = False


def lease_until(now: datetime) -> str:
    """Return the time before which a claim without a mark is abandoned."""
    return str(encode(now - LEASE))


def with_new_lease(deliveries: Json, now: datetime) -> Json:
    """Return deliveries as a state machine holds them, to be sent again now."""
    if not isinstance(deliveries, list):
        raise TypeError(f"deliveries must be a list, not {type(deliveries).__name__}")
    leased = {"claims_before": lease_until(now)}
    return [{**each, **leased} for each in deliveries if isinstance(each, dict)]
