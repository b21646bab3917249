"""Subscribers of what ecr-rescan publishes: email, SMS and queues of a topic, rules of a bus."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.cloud.engine import Engine

# A message reaches all subscribers some tenths of a second after it was published.
MOMENT_SECONDS = 0.1
BATCH = 10  # messages per ReceiveMessage


@dataclass(frozen=True)
class Email:
    """An email, with the text that SNS selected for the protocol.

    Without the line with the link to unsubscribe, which AWS adds.
    """

    address: str
    subject: str
    text: str
    received_at: datetime


@dataclass(frozen=True)
class TextMessage:
    """A text message, with the text that SNS selected for the protocol."""

    number: str
    text: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class TopicMessage:
    """A message of a topic in a queue; the subject is None if none was published."""

    topic_arn: str
    subject: str | None
    text: str
    attributes: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True)
class BusEvent:
    """An event that a rule matched, as its target receives it."""

    bus: str
    source: str
    detail_type: str
    detail: Any
    resources: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True)
class Delivered:
    """Everything that the subscribers have received, each kind ordered by time.

    SNS delivers concurrently, here and on AWS: messages of the same second may swap places.
    """

    emails: tuple[Email, ...] = ()
    text_messages: tuple[TextMessage, ...] = ()
    topic_messages: tuple[TopicMessage, ...] = ()
    chatbot_messages: tuple[TopicMessage, ...] = ()
    events: tuple[BusEvent, ...] = ()

    @property
    def count(self) -> int:
        """Return the number of received messages."""
        kinds = (self.emails, self.text_messages, self.topic_messages, self.chatbot_messages)
        return sum(len(kind) for kind in kinds) + len(self.events)


class Subscribers:
    """Subscribers in an engine's account to topics and buses.

    Email and SMS are sent by localemu's SNS and read from its outboxes, which all subscribers of an
    engine share. The owner of an email address confirms the subscription, as on AWS. A queue
    stands in for Amazon Q Developer in chat applications, which localemu does not have. It
    receives what the HTTPS endpoint would receive, unless a message has a text for one of the two
    protocols.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sns = engine.client("sns")
        self._sqs = engine.client("sqs")
        self._queues: list[_Queue] = []
        self._topic_messages: list[TopicMessage] = []
        self._chatbot_messages: list[TopicMessage] = []
        self._events: list[BusEvent] = []

    def subscribe_email(self, topic_arn: str, address: str) -> None:
        """Subscribe an email address to a topic, and confirm the subscription."""
        answer = self._sns.subscribe(
            TopicArn=topic_arn, Protocol="email", Endpoint=address, ReturnSubscriptionArn=True
        )
        self._engine.confirm_subscription(answer["SubscriptionArn"])

    def subscribe_sms(self, topic_arn: str, number: str) -> None:
        """Subscribe a phone number, such as +4915112345678, to a topic."""
        self._sns.subscribe(TopicArn=topic_arn, Protocol="sms", Endpoint=number)

    def subscribe_queue(self, topic_arn: str) -> None:
        """Subscribe a queue to a topic."""
        self._subscribe(topic_arn, self._topic_messages)

    def subscribe_chatbot(self, topic_arn: str) -> None:
        """Subscribe the queue that stands in for Amazon Q Developer to a topic."""
        self._subscribe(topic_arn, self._chatbot_messages)

    def watch_bus(self, bus: str = "default", *, source: str = "ecr-rescan") -> None:
        """Add a rule that matches all events of a source on a bus, given its name or ARN."""
        events = self._engine.client("events")
        queue = self._queue("events.amazonaws.com", lambda body: self._note_event(bus, body))
        pattern = json.dumps({"source": [source]})
        events.put_rule(Name=queue.name, EventBusName=bus, EventPattern=pattern)
        target = {"Id": "inbox", "Arn": queue.arn}
        events.put_targets(Rule=queue.name, EventBusName=bus, Targets=[target])

    def received(self, *, at_least: int = 0, within_seconds: float = 120.0) -> Delivered:
        """Return what was received, once there are enough messages or time is up."""
        deadline = time.monotonic() + within_seconds
        while True:
            delivered = self._read()
            if delivered.count >= at_least or time.monotonic() >= deadline:
                return delivered
            time.sleep(MOMENT_SECONDS)

    def _read(self) -> Delivered:
        for queue in self._queues:
            for body in queue.take():
                queue.note(body)
        return Delivered(
            emails=tuple(
                Email(
                    address=message["Destination"]["ToAddresses"][0],
                    subject=message["Subject"],
                    text=message["Body"]["text_part"],
                    received_at=_time(message["Timestamp"]),
                )
                for message in self._engine.sent_emails()
            ),
            text_messages=tuple(
                TextMessage(
                    number=message["PhoneNumber"],
                    text=message["Message"],
                    attributes={
                        name: str(value.get("StringValue", ""))
                        for name, value in message["MessageAttributes"].items()
                    },
                )
                for message in self._engine.sent_text_messages()
            ),
            topic_messages=_in_order(self._topic_messages),
            chatbot_messages=_in_order(self._chatbot_messages),
            events=_in_order(self._events),
        )

    def _subscribe(self, topic_arn: str, messages: list[TopicMessage]) -> None:
        def note(body: dict[str, Any]) -> None:
            messages.append(
                TopicMessage(
                    topic_arn=body["TopicArn"],
                    subject=body.get("Subject"),
                    text=body["Message"],
                    attributes={
                        name: attribute["Value"]
                        for name, attribute in body.get("MessageAttributes", {}).items()
                    },
                    received_at=_time(body["Timestamp"]),
                )
            )

        queue = self._queue("sns.amazonaws.com", note)
        self._sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue.arn)

    def _note_event(self, bus: str, body: dict[str, Any]) -> None:
        self._events.append(
            BusEvent(
                bus=bus.rpartition("/")[2],
                source=body["source"],
                detail_type=body["detail-type"],
                detail=body["detail"],
                resources=tuple(body["resources"]),
                received_at=_time(body["time"]),
            )
        )

    def _queue(self, principal: str, note: Callable[[dict[str, Any]], None]) -> "_Queue":
        name = f"inbox-{secrets.token_hex(4)}"
        url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        queue = _Queue(self._sqs, name, url, attributes["Attributes"]["QueueArn"], note)
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self._queues.append(queue)
        return queue


@dataclass(frozen=True)
class _Queue:
    """A queue, and the function that records its messages."""

    sqs: Any
    name: str
    url: str
    arn: str
    note: Callable[[dict[str, Any]], None]

    def take(self) -> list[dict[str, Any]]:
        """Read and delete all messages."""
        bodies: list[dict[str, Any]] = []
        while True:
            answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=BATCH)
            messages = answer.get("Messages", [])
            if not messages:
                return bodies
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


def _in_order[Message: (TopicMessage, BusEvent)](messages: list[Message]) -> tuple[Message, ...]:
    """Sort by time: a queue is not ordered."""
    return tuple(sorted(messages, key=lambda message: message.received_at))


def _time(text: str) -> datetime:
    """Parse a time; UTC if it has no offset."""
    time_read = datetime.fromisoformat(text)
    return time_read if time_read.tzinfo else time_read.replace(tzinfo=UTC)
