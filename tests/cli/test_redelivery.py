"""One pass through the dead-letter queue, on a clock that nothing waits for."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from cli.kept_messages import Kept, Taker, read
from cli.redelivery import Outcome, Redelivery, WaitingMessage, per_second
from cli.undelivered_queue import HIDDEN_FOR, KEPT_FOR, MOST, UndeliveredQueue
from ledger.deliveries import Deliveries, DeliveryClaim, DeliveryKey
from reporting.channels.delivery import Channel
from tests.support.clock import NOW, Clock
from tests.support.queues import QueueOnAClock
from tests.support.template import resources

EVENT = {"detail-type": "ECR Image Scan", "detail": {"repository-name": "team/api"}}
FINDING = {"detail-type": "Inspector2 Finding", "detail": {}}


def message(channel: str, number: int = 0) -> dict[str, Any]:
    delivery = {"channel": channel, "about": f"image {number}", "content": {}}
    return {"delivery": delivery, "error": "WebhookRefused", "cause": "404"}


class Receivers:
    """Note when each message was given to its taker; some takers refuse."""

    def __init__(self, clock: Clock) -> None:
        self.given: dict[str, list[datetime]] = defaultdict(list)
        self.refusing: set[Taker] = set()
        self.asked = 0
        self._clock = clock

    def give(self, kept: Kept) -> None:
        self.asked += 1
        if kept.taker in self.refusing:
            refusal: Any = {"Error": {"Code": "AccessDeniedException", "Message": "any"}}
            raise ClientError(refusal, "StartExecution")
        self.given[kept.what].append(self._clock.now())

    def fastest(self, what: str) -> timedelta:
        given = self.given[what]
        return min(after - before for before, after in itertools.pairwise(given))


class Claims:
    """The claims of the ledger, by channel; a channel without one has not been delivered yet."""

    def __init__(self, **by_channel: DeliveryClaim) -> None:
        self.by_channel = by_channel
        self.looks = 0

    def claims(self, keys: Iterable[DeliveryKey]) -> Mapping[DeliveryKey, DeliveryClaim]:
        self.looks += 1
        return {key: self.by_channel[key.channel] for key in keys if key.channel in self.by_channel}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(NOW)
    monkeypatch.setattr("runtime.clock.now", clock.now)
    monkeypatch.setattr("runtime.clock.sleep", clock.sleep)
    return clock


@pytest.fixture
def client(clock: Clock) -> QueueOnAClock:
    return QueueOnAClock(clock)


@pytest.fixture
def queue(client: QueueOnAClock) -> UndeliveredQueue:
    return UndeliveredQueue(cast("Any", client), "https://queue.example")


@pytest.fixture
def receivers(clock: Clock) -> Receivers:
    return Receivers(clock)


def sent(queue: UndeliveredQueue, receivers: Receivers, claims: Claims | None = None) -> Redelivery:
    redelivery = Redelivery(queue, receivers.give, cast("Deliveries", claims or Claims()))
    with queue.taken() as taken:
        messages = [WaitingMessage(each, read(each.message, {})) for each in taken]
        redelivery.send(messages)
    if claims:
        redelivery.settle(messages)
    return redelivery


@pytest.mark.parametrize(
    ("channel", "a_second"), [("SLACK", 1), ("TEAMS", 4), ("PAGERDUTY", 2), ("WEBHOOK", 10)]
)
def test_no_receiver_gets_more_than_it_takes(
    client: QueueOnAClock,
    queue: UndeliveredQueue,
    receivers: Receivers,
    channel: str,
    a_second: int,
) -> None:
    client.put(message(channel, number) for number in range(40))
    sent(queue, receivers)
    assert per_second(channel) == a_second
    assert len(receivers.given[channel.lower()]) == 40
    assert receivers.fastest(channel.lower()) >= timedelta(seconds=1 / a_second)
    assert client.messages == {}


def test_channels_are_served_side_by_side(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    """One after the other, they would take 69 seconds."""
    client.put(message("SLACK", number) for number in range(30))
    client.put(message("TEAMS", number) for number in range(120))
    client.put(message("SNS", number) for number in range(100))
    sent(queue, receivers)
    assert {what: len(given) for what, given in receivers.given.items()} == {
        "slack": 30,
        "teams": 120,
        "sns": 100,
    }
    assert clock.now() - NOW < timedelta(seconds=31)


def test_an_event_takes_the_turn_of_every_channel(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers
) -> None:
    """NotifyScan makes a message of it for each, so Slack would get two a second otherwise."""
    client.put([EVENT, message("SLACK"), EVENT, message("SLACK"), message("SLACK"), EVENT])
    sent(queue, receivers)
    given = sorted(receivers.given["slack"] + receivers.given["ECR Image Scan"])
    assert given == [NOW + timedelta(seconds=number) for number in range(6)]


def test_what_no_channel_gets_waits_for_none(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    client.put([EVENT, *[FINDING] * 10])
    sent(queue, receivers)
    assert clock.now() - NOW < timedelta(seconds=1)


def test_10_000_messages_end_with_few_calls_and_without_a_second_taker(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    """They take almost three hours, and the queue shows a message after 15 minutes."""
    client.put(message("SLACK", number) for number in range(10_000))
    seen_meanwhile = list[str]()
    give = receivers.give

    def look(kept: Kept) -> None:
        give(kept)
        if len(receivers.given["slack"]) % 100 == 0:
            seen_meanwhile.extend(
                name for name, each in client.messages.items() if each.visible_at <= clock.now()
            )

    receivers.give = look  # type: ignore[method-assign]
    sent(queue, receivers)
    assert seen_meanwhile == []
    assert len(receivers.given["slack"]) == 10_000
    assert client.messages == {}
    assert client.calls["ReceiveMessage"] <= 1_001
    assert client.calls["DeleteMessage"] == 10_000
    # Each renewal every ten minutes, ten messages in a call, of ever fewer messages.
    assert client.calls["ChangeMessageVisibilityBatch"] <= 17 * 500


def test_a_queue_that_takes_long_to_read_hides_what_was_read_first(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    """The time counts from the first message that was received, not from the first that is sent."""
    client.put(message("SLACK", number) for number in range(60))
    receive = client.receive_message

    def receive_slowly(**parameters: Any) -> Any:
        answer = receive(**parameters)
        clock.move(timedelta(minutes=4))
        return answer

    client.receive_message = receive_slowly  # type: ignore[method-assign]
    sent(queue, receivers)
    assert len(receivers.given["slack"]) == 60
    assert (client.calls["ReceiveMessage"], client.messages) == (7, {})


def test_what_the_queue_hides_no_longer_is_left_to_others(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers
) -> None:
    client.put(message("SLACK", number) for number in range(700))
    client.refusing = {"m-650", "m-3"}  # of which m-3 is sent before it would be hidden again
    redelivery = sent(queue, receivers)
    assert len(receivers.given["slack"]) == 699
    assert redelivery.outcomes["m-650"] is Outcome.LEFT
    assert [*client.messages] == ["m-650"]


def test_one_pass_takes_no_more_than_the_queue_can_hide(
    client: QueueOnAClock, queue: UndeliveredQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowest = min(map(per_second, Channel))
    assert timedelta(seconds=MOST / slowest) < timedelta(hours=12)
    monkeypatch.setattr("cli.undelivered_queue.MOST", 20)
    client.put(message("SLACK", number) for number in range(31))
    with queue.taken() as taken:
        assert len(taken) == 20


def test_what_comes_while_the_queue_is_read_is_sent_too(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    client.put([message("SLACK", 1)])
    receive = client.receive_message

    def receive_and_put(**parameters: Any) -> Any:
        answer = receive(**parameters)
        if client.calls["ReceiveMessage"] == 1:
            clock.move(timedelta(seconds=2))
            client.put([message("SLACK", 2)])
        return answer

    client.receive_message = receive_and_put  # type: ignore[method-assign]
    sent(queue, receivers)
    assert len(receivers.given["slack"]) == 2
    assert client.messages == {}


def test_a_message_that_the_queue_returns_twice_is_taken_once(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers
) -> None:
    """Standard queues deliver at least once."""
    client.put([message("SLACK")])
    answer = client.receive_message(QueueUrl="", MaxNumberOfMessages=10, VisibilityTimeout=30)
    client.receive_message = lambda **_: answer  # type: ignore[method-assign]
    sent(queue, receivers)
    assert len(receivers.given["slack"]) == 1


def test_what_is_refused_stays_and_keeps_nothing_else_from_being_sent(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    receivers.refusing = {Taker.INSPECTOR_FINDINGS}
    client.put([FINDING, message("SLACK", 1), FINDING, message("SLACK", 2)])
    redelivery = sent(queue, receivers)
    assert len(receivers.given["slack"]) == 2
    assert [each.body for each in client.messages.values()] == [
        '{"detail-type": "Inspector2 Finding", "detail": {}}'
    ] * 2
    assert all(each.visible_at <= clock.now() for each in client.messages.values())
    assert redelivery.outcomes == {
        "m-1": Outcome.LEFT,
        "m-2": Outcome.UNSETTLED,
        "m-3": Outcome.LEFT,
        "m-4": Outcome.UNSETTLED,
    }
    assert "AccessDeniedException" in str(redelivery.refusals[Taker.INSPECTOR_FINDINGS])


def test_a_taker_that_refuses_three_in_succession_is_asked_no_more(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers
) -> None:
    receivers.refusing = {Taker.NOTIFY_SCAN}
    client.put(message("SLACK", number) for number in range(100))
    redelivery = sent(queue, receivers)
    assert receivers.asked == 3
    assert set(redelivery.outcomes.values()) == {Outcome.LEFT}
    assert len(client.messages) == 100


def test_two_refusals_are_forgotten_when_a_message_is_taken(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers
) -> None:
    client.put(message("SLACK", number) for number in range(9))
    give, asked = receivers.give, list[None]()

    def refuse_two_of_three(kept: Kept) -> None:
        asked.append(None)
        receivers.refusing = set() if len(asked) % 3 == 0 else {Taker.NOTIFY_SCAN}
        give(kept)

    receivers.give = refuse_two_of_three  # type: ignore[method-assign]
    redelivery = sent(queue, receivers)
    assert receivers.asked == 9
    assert list(redelivery.outcomes.values()).count(Outcome.LEFT) == 6


def test_an_interrupted_pass_shows_the_rest_again(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    client.put(message("SLACK", number) for number in range(25))
    give = receivers.give

    def interrupt(kept: Kept) -> None:
        if len(receivers.given["slack"]) == 5:
            raise KeyboardInterrupt
        give(kept)

    receivers.give = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        sent(queue, receivers)
    assert len(client.messages) == 20
    assert all(each.visible_at <= clock.now() for each in client.messages.values())


def test_says_which_messages_were_delivered_and_which_failed_again(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    claims = Claims(
        SLACK=DeliveryClaim(claimed_at="any", delivered_at="any"),
        TEAMS=DeliveryClaim(claimed_at="any", kept_at="any"),
        WEBHOOK=DeliveryClaim(claimed_at="any"),
    )
    client.put([*(message(each) for each in ("SLACK", "TEAMS", "WEBHOOK", "SNS")), EVENT])
    redelivery = sent(queue, receivers, claims)
    assert redelivery.outcomes == {
        "m-1": Outcome.DELIVERED,
        "m-2": Outcome.KEPT,
        "m-3": Outcome.UNSETTLED,
        "m-4": Outcome.UNSETTLED,
        "m-5": Outcome.STARTED,
    }
    assert claims.looks <= 31
    assert timedelta(seconds=60) <= clock.now() - NOW < timedelta(seconds=63)


def test_does_not_wait_when_everything_is_delivered(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers, clock: Clock
) -> None:
    claims = Claims(SLACK=DeliveryClaim(claimed_at="any", delivered_at="any"))
    client.put([message("SLACK")])
    sent(queue, receivers, claims)
    assert (claims.looks, clock.now()) == (1, NOW)


def test_does_not_look_for_messages_that_were_not_started(
    client: QueueOnAClock, queue: UndeliveredQueue, receivers: Receivers
) -> None:
    receivers.refusing = {Taker.NOTIFY_SCAN}
    client.put([message("SLACK")])
    claims = Claims()
    sent(queue, receivers, claims)
    assert claims.looks == 0


def test_the_queue_keeps_messages_as_long_as_the_list_says() -> None:
    properties = resources("AWS::SQS::Queue")["Undelivered"]
    assert timedelta(seconds=properties["MessageRetentionPeriod"]) == KEPT_FOR
    assert timedelta(hours=12) > HIDDEN_FOR
