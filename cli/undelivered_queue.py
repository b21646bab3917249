"""The dead-letter queue Undelivered: take its messages, hide them while they wait, delete them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING

from cli.kept_messages import Message
from runtime import clock

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

MESSAGES_PER_CALL = 10
KEPT_FOR = timedelta(days=14)  # MessageRetentionPeriod of the queue
HIDDEN_FOR = timedelta(minutes=15)
RENEWED_EVERY = timedelta(minutes=10)
# SQS hides a message 12 hours at most; at one per second, the slowest pace, these take under 6.
MOST = 20_000


@dataclass(frozen=True)
class TakenMessage:
    """A message that the queue hides from others. receipt: what names it to the queue."""

    message: Message
    receipt: str
    sent_at: datetime

    @property
    def kept_until(self) -> datetime:
        """Return when the queue deletes it."""
        return self.sent_at + KEPT_FOR


@dataclass(frozen=True)
class Waiting:
    """How many messages the queue has, as SQS counts them approximately."""

    visible: int
    hidden: int

    def hidden_from(self, taken: int) -> int:
        """Return how many others hide from this command, which has taken some.

        SQS counts messages as hidden for some seconds after they are shown again.
        """
        return max(0, min(self.hidden, self.visible + self.hidden - taken))


class UndeliveredQueue:
    """The queue of a stack."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url
        self._hidden: dict[str, TakenMessage] = {}
        self._hidden_at = clock.now()

    def waiting(self) -> Waiting:
        """Count the messages of the queue."""
        attributes = self._client.get_queue_attributes(
            QueueUrl=self._url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        return Waiting(
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    @contextmanager
    def taken(self) -> Iterator[tuple[TakenMessage, ...]]:
        """Take the messages of the queue, at most MOST; show it again what is left."""
        self._hidden, self._hidden_at = {}, clock.now()
        try:
            for each in self._received():
                self._hidden[each.message.message_id] = each
                self.keep_hidden()
            yield tuple(self._hidden.values())
        finally:
            self._set_visibility(timedelta(0))

    def keep_hidden(self) -> None:
        """Hide what is taken for longer, if it is time to do so.

        A message that the queue does not hide again can be taken by others: it is no longer hidden.
        """
        now = clock.now()
        if now - self._hidden_at >= RENEWED_EVERY:
            self._hidden_at = now
            for lost in self._set_visibility(HIDDEN_FOR):
                del self._hidden[lost.message.message_id]

    def hides(self, taken: TakenMessage) -> bool:
        """Return whether a message is hidden from others still."""
        return taken.message.message_id in self._hidden

    def delete(self, taken: TakenMessage) -> None:
        """Delete a message."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=taken.receipt)
        del self._hidden[taken.message.message_id]

    def _received(self) -> Iterator[TakenMessage]:
        """Receive each message once, until the queue returns none that is new."""
        seen = set[str]()
        while len(seen) < MOST:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MESSAGES_PER_CALL,
                VisibilityTimeout=int(HIDDEN_FOR.total_seconds()),
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
            received = answer.get("Messages", [])
            new = [each for each in received if each["MessageId"] not in seen]
            if not new:
                return
            seen.update(each["MessageId"] for each in new)
            yield from map(_taken, new)

    def _set_visibility(self, hidden_for: timedelta) -> list[TakenMessage]:
        """Hide what is taken, or show it; return the messages for which the queue did not do so."""
        seconds, failed = int(hidden_for.total_seconds()), list[TakenMessage]()
        for some in batched(self._hidden.values(), MESSAGES_PER_CALL, strict=False):
            answer = self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(place), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                    for place, each in enumerate(some)
                ],
            )
            failed += (some[int(each["Id"])] for each in answer.get("Failed", []))
        return failed


def _taken(received: "MessageTypeDef") -> TakenMessage:
    attributes = {
        name: value.get("StringValue", "")
        for name, value in received.get("MessageAttributes", {}).items()
    }
    return TakenMessage(
        Message(received["MessageId"], received["Body"], attributes),
        received["ReceiptHandle"],
        datetime.fromtimestamp(int(received["Attributes"]["SentTimestamp"]) / 1000, UTC),
    )
