"""The receivers of what ecr-rescan publishes: e-mail, SMS and queues of a topic, rules of a bus."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.cloud.engine import Engine

# A message is with all its receivers some tenths of a second after it was published.
MOMENT_SECONDS = 0.1
BATCH = 10  # messages that SQS hands out at once


@dataclass(frozen=True)
class Email:
    """An e-mail, with the text that SNS chose for the protocol.

    Not shown: what AWS adds, a line with the link by which to unsubscribe.
    """

    address: str
    subject: str
    text: str
    received_at: datetime


@dataclass(frozen=True)
class TextMessage:
    """An SMS, with the text that SNS chose for the protocol."""

    number: str
    text: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class TopicMessage:
    """What a queue that subscribes to a topic holds; the subject is None if there was none."""

    topic_arn: str
    subject: str | None
    text: str
    attributes: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True)
class BusEvent:
    """An event that a rule matched, as its target gets it."""

    bus: str
    source: str
    detail_type: str
    detail: Any
    resources: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True)
class Delivered:
    """Everything that the subscribers received so far, of each kind by its time.

    SNS hands messages to many threads, here as in AWS: two of the same second may change places.
    """

    emails: tuple[Email, ...] = ()
    text_messages: tuple[TextMessage, ...] = ()
    topic_messages: tuple[TopicMessage, ...] = ()
    chatbot_messages: tuple[TopicMessage, ...] = ()
    events: tuple[BusEvent, ...] = ()

    @property
    def count(self) -> int:
        """Count what was received."""
        kinds = (self.emails, self.text_messages, self.topic_messages, self.chatbot_messages)
        return sum(len(kind) for kind in kinds) + len(self.events)


class Subscribers:
    """The people and systems of an engine's account who subscribe to topics and buses.

    E-mail and SMS are sent by localemu's SNS, and read from its outboxes; one engine has one of
    each, so they are everybody's. AWS asks an e-mail's receiver to confirm first; localemu does
    not. AWS Chatbot is not in localemu: a queue stands for it, and gets what Chatbot's HTTPS
    endpoint would get unless the message has a text of its own for one of the two protocols.
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
        """Let somebody get the messages of a topic by e-mail."""
        self._sns.subscribe(TopicArn=topic_arn, Protocol="email", Endpoint=address)

    def subscribe_sms(self, topic_arn: str, number: str) -> None:
        """Let somebody get the messages of a topic as SMS; the number is like +4915112345678."""
        self._sns.subscribe(TopicArn=topic_arn, Protocol="sms", Endpoint=number)

    def subscribe_queue(self, topic_arn: str) -> None:
        """Let a queue get the messages of a topic."""
        self._subscribe(topic_arn, self._topic_messages)

    def subscribe_chatbot(self, topic_arn: str) -> None:
        """Let what stands for AWS Chatbot get the messages of a topic."""
        self._subscribe(topic_arn, self._chatbot_messages)

    def watch_bus(self, bus: str = "default", *, source: str = "ecr-rescan") -> None:
        """Let a rule catch every event of a source on a bus, named by its name or ARN."""
        events = self._engine.client("events")
        queue = self._queue("events.amazonaws.com", lambda body: self._note_event(bus, body))
        pattern = json.dumps({"source": [source]})
        events.put_rule(Name=queue.name, EventBusName=bus, EventPattern=pattern)
        target = {"Id": "inbox", "Arn": queue.arn}
        events.put_targets(Rule=queue.name, EventBusName=bus, Targets=[target])

    def received(self, *, at_least: int = 0, within_seconds: float = 10.0) -> Delivered:
        """Read what was received, once it is so many messages or the time is over."""
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
    """A queue, and what is done with what it holds."""

    sqs: Any
    name: str
    url: str
    arn: str
    note: Callable[[dict[str, Any]], None]

    def take(self) -> list[dict[str, Any]]:
        """Read and delete everything."""
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
    """Sort by time: a queue keeps no order."""
    return tuple(sorted(messages, key=lambda message: message.received_at))


def _time(text: str) -> datetime:
    """Read a time; what has no offset is in UTC."""
    time_read = datetime.fromisoformat(text)
    return time_read if time_read.tzinfo else time_read.replace(tzinfo=UTC)
