"""What the product sends reaches its receivers on this machine, and nothing is lost on the way."""

import json
import uuid

import pytest

from local.cloud.engine import Engine
from local.receivers.subscribers import BusEvent, Delivered, Email, Subscribers, TextMessage
from tests.support.stack import eventually


@pytest.fixture
def topic_arn(engine: Engine) -> str:
    name = f"topic-{uuid.uuid4().hex[:8]}"
    return str(engine.client("sns").create_topic(Name=name)["TopicArn"])


@pytest.fixture
def subscribers(engine: Engine) -> Subscribers:
    return Subscribers(engine)


@pytest.fixture
def address() -> str:
    """Give an address that no other test has: one engine has one outbox."""
    return f"{uuid.uuid4().hex}@example.com"


def test_every_subscriber_gets_the_text_of_its_protocol(
    engine: Engine, subscribers: Subscribers, topic_arn: str, address: str
) -> None:
    number = f"+49151{uuid.uuid4().int % 10**8:08}"
    subscribers.subscribe_email(topic_arn, address)
    subscribers.subscribe_sms(topic_arn, number)
    subscribers.subscribe_queue(topic_arn)

    texts = {"default": "d", "email": "line\nline — ü", "sms": "short", "sqs": '{"a": 1}'}
    engine.client("sns").publish(
        TopicArn=topic_arn,
        Subject="1 critical",
        Message=json.dumps(texts),
        MessageStructure="json",
        MessageAttributes={"severity": {"DataType": "String", "StringValue": "critical"}},
    )
    delivered = eventually(
        subscribers.received,
        until=lambda got: emails_to(address, got) and sms_to(number, got) and got.topic_messages,
        what=f"an email to {address}, an SMS to {number} and a message in the queue",
    )

    [email] = emails_to(address, delivered)
    assert (email.subject, email.text) == ("1 critical", "line\nline — ü")
    [sms] = sms_to(number, delivered)
    assert (sms.text, sms.attributes) == ("short", {"severity": "critical"})
    [message] = delivered.topic_messages
    assert (message.subject, message.text) == ("1 critical", '{"a": 1}')
    assert message.attributes == {"severity": "critical"}
    assert message.topic_arn == topic_arn


def test_an_email_without_a_subject_has_the_one_of_aws(
    engine: Engine, subscribers: Subscribers, topic_arn: str, address: str
) -> None:
    subscribers.subscribe_email(topic_arn, address)

    engine.client("sns").publish(TopicArn=topic_arn, Message="text")

    [email] = eventually(
        lambda: emails_to(address, subscribers.received()),
        until=bool,
        what=f"an email to {address}",
    )
    assert (email.subject, email.text) == ("AWS Notification Message", "text")


def test_the_stand_in_of_chatbot_gets_the_message(
    engine: Engine, subscribers: Subscribers, topic_arn: str
) -> None:
    subscribers.subscribe_chatbot(topic_arn)

    engine.client("sns").publish(TopicArn=topic_arn, Message='{"version": "1.0"}')

    [message] = eventually(
        lambda: subscribers.received().chatbot_messages,
        until=bool,
        what=f"a message of {topic_arn} in the queue",
    )
    assert (message.subject, message.text) == (None, '{"version": "1.0"}')


@pytest.mark.parametrize("is_default", [True, False])
def test_a_bus_is_watched_for_events_of_the_source(
    engine: Engine, subscribers: Subscribers, address: str, is_default: bool
) -> None:
    """Other tests put events of this source on the default bus, so these hold an address."""
    events = engine.client("events")
    bus = "default" if is_default else f"bus-{uuid.uuid4().hex[:8]}"
    if not is_default:
        events.create_event_bus(Name=bus)
    subscribers.watch_bus(bus)

    def received() -> list[BusEvent]:
        return [event for event in subscribers.received().events if address in str(event.detail)]

    detail = json.dumps({"high": 1, "to": address})
    entry = {"EventBusName": bus, "DetailType": "Scan Report", "Resources": ["arn:aws:a:b:c:d"]}
    sources = ("someone.else", "ecr-rescan")
    events.put_events(Entries=[{**entry, "Source": name, "Detail": detail} for name in sources])

    [event] = eventually(received, until=bool, what=f"an event about {address} on the bus {bus}")
    assert (event.bus, event.source, event.detail_type) == (bus, "ecr-rescan", "Scan Report")
    assert (event.detail, event.resources) == (json.loads(detail), ("arn:aws:a:b:c:d",))


def test_what_was_read_is_there_when_it_is_read_again(
    engine: Engine, subscribers: Subscribers, topic_arn: str
) -> None:
    subscribers.subscribe_queue(topic_arn)

    def texts() -> list[str]:
        return [message.text for message in subscribers.received().topic_messages]

    sent: list[str] = []
    for text in ("first", "second"):
        engine.client("sns").publish(TopicArn=topic_arn, Message=text)
        sent.append(text)
        eventually(texts, until=lambda found: found == sent, what=f"{sent} in the queue, in order")


def emails_to(address: str, delivered: Delivered) -> list[Email]:
    return [email for email in delivered.emails if email.address == address]


def sms_to(number: str, delivered: Delivered) -> list[TextMessage]:
    return [sms for sms in delivered.text_messages if sms.number == number]
