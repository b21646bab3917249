"""What the product sends reaches its receivers on this machine, and nothing is lost on the way."""

import json
import uuid

import pytest

from local.cloud.engine import Engine
from local.receivers.subscribers import Subscribers


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
    before = subscribers.received().count

    texts = {"default": "d", "email": "line\nline — ü", "sms": "short", "sqs": '{"a": 1}'}
    engine.client("sns").publish(
        TopicArn=topic_arn,
        Subject="1 critical",
        Message=json.dumps(texts),
        MessageStructure="json",
        MessageAttributes={"severity": {"DataType": "String", "StringValue": "critical"}},
    )
    delivered = subscribers.received(at_least=before + 3)

    [email] = [email for email in delivered.emails if email.address == address]
    assert (email.subject, email.text) == ("1 critical", "line\nline — ü")
    [sms] = [sms for sms in delivered.text_messages if sms.number == number]
    assert (sms.text, sms.attributes) == ("short", {"severity": "critical"})
    [message] = delivered.topic_messages
    assert (message.subject, message.text) == ("1 critical", '{"a": 1}')
    assert message.attributes == {"severity": "critical"}
    assert message.topic_arn == topic_arn


def test_an_email_without_a_subject_has_the_one_of_aws(
    engine: Engine, subscribers: Subscribers, topic_arn: str, address: str
) -> None:
    subscribers.subscribe_email(topic_arn, address)
    before = subscribers.received().count

    engine.client("sns").publish(TopicArn=topic_arn, Message="text")

    emails = subscribers.received(at_least=before + 1).emails
    [email] = [email for email in emails if email.address == address]
    assert (email.subject, email.text) == ("AWS Notification Message", "text")


def test_the_stand_in_of_chatbot_gets_the_message(
    engine: Engine, subscribers: Subscribers, topic_arn: str
) -> None:
    subscribers.subscribe_chatbot(topic_arn)
    before = subscribers.received().count

    engine.client("sns").publish(TopicArn=topic_arn, Message='{"version": "1.0"}')

    [message] = subscribers.received(at_least=before + 1).chatbot_messages
    assert (message.subject, message.text) == (None, '{"version": "1.0"}')


@pytest.mark.parametrize("bus", ["default", "bus-of-one"])
def test_a_bus_is_watched_for_events_of_the_source(
    engine: Engine, subscribers: Subscribers, bus: str
) -> None:
    events = engine.client("events")
    if bus != "default":
        events.create_event_bus(Name=bus)
    subscribers.watch_bus(bus)
    before = subscribers.received().count

    entry = {"EventBusName": bus, "DetailType": "Scan Report", "Resources": ["arn:aws:a:b:c:d"]}
    sources = ("someone.else", "ecr-rescan")
    events.put_events(
        Entries=[{**entry, "Source": name, "Detail": '{"high": 1}'} for name in sources]
    )

    [event] = subscribers.received(at_least=before + 1).events
    assert (event.bus, event.source, event.detail_type) == (bus, "ecr-rescan", "Scan Report")
    assert (event.detail, event.resources) == ({"high": 1}, ("arn:aws:a:b:c:d",))


def test_what_was_read_is_there_when_it_is_read_again(
    engine: Engine, subscribers: Subscribers, topic_arn: str
) -> None:
    subscribers.subscribe_queue(topic_arn)
    before = subscribers.received().count

    for text in ("first", "second"):
        engine.client("sns").publish(TopicArn=topic_arn, Message=text)
        before += 1
        delivered = subscribers.received(at_least=before)

    assert [message.text for message in delivered.topic_messages] == ["first", "second"]
