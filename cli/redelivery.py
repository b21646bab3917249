"""Send kept messages to what takes them, no faster than the receivers behind it accept them.

NotifyScan sends a message to its channel as soon as an execution of it is started, so the pace of
the starts is the pace of the receiver.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from cli.kept_messages import Kept, Taker
from cli.stack import Stack
from cli.undelivered_queue import TakenMessage, UndeliveredQueue
from ledger.deliveries import Deliveries, DeliveryKey
from reporting.channels.delivery import Channel
from runtime import clock
from send_digest.notify_scan_executions import NotifyScanExecutions, NotifyScanNotStarted

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

# What a receiver accepts of one webhook, or one routing key:
# https://docs.slack.dev/apis/web-api/rate-limits
# https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
# https://community.pagerduty.com/forum/t/monitoring-api-rate-limiting/3318
_PER_SECOND: Mapping[str, int] = {Channel.SLACK: 1, Channel.TEAMS: 4, Channel.PAGERDUTY: 2}
_OTHERS_PER_SECOND = 10
_MOST_REFUSALS = 3  # in succession; then a taker gets no more in this pass
_SETTLED_WITHIN = timedelta(seconds=60)
_LOOKS_EVERY = 2  # seconds


class Outcome(StrEnum):
    """What became of a message."""

    DELIVERED = "delivered"
    STARTED = "started"  # its taker has it; what that makes of it is not known
    UNSETTLED = "unsettled"  # not delivered and not kept, one minute after the last start
    KEPT = "kept_again"  # its receiver refused it, or did not answer: it is in the queue again
    LEFT = "left"  # its taker did not take it, or others can: it is in the queue still


@dataclass(frozen=True)
class WaitingMessage:
    """A message of the queue that can be read."""

    taken: TakenMessage
    kept: Kept


class Takers:
    """What takes a message of the queue again, in one pass."""

    def __init__(
        self, stack: Stack, queues: "SQSClient", states: "SFNClient", functions: "LambdaClient"
    ) -> None:
        self._stack = stack
        self._queues = queues
        self._states = states
        self._functions = functions
        self.notify_scan = NotifyScanExecutions(states, stack.output("NotifyScanArn"))
        self._started = set[Taker]()
        self.scheduled = {
            stack.output("RescanRegistryArn"): Taker.RESCAN_REGISTRY,
            stack.output("SendDigestArn"): Taker.SEND_DIGEST,
        }

    def give(self, kept: Kept) -> None:
        """Send a message to its taker; of several starts of one state machine, make one."""
        content = json.dumps(kept.content)
        match kept.taker:
            case Taker.NOTIFY_SCAN:
                self.notify_scan.start(kept.content, clock.now())
            case Taker.RECORD_PLATFORMS:
                self._functions.invoke(
                    FunctionName=self._stack.output("RecordPlatformsName"),
                    InvocationType="Event",
                    Payload=content,
                )
            case Taker.INSPECTOR_FINDINGS:
                self._queues.send_message(
                    QueueUrl=self._stack.output("InspectorFindingsQueueUrl"), MessageBody=content
                )
            case Taker.RESCAN_REGISTRY | Taker.SEND_DIGEST if kept.taker not in self._started:
                (arn,) = (arn for arn, taker in self.scheduled.items() if taker == kept.taker)
                self._states.start_execution(stateMachineArn=arn, input=content)
                self._started.add(kept.taker)


class Redelivery:
    """One pass over taken messages.

    outcomes: by the ID of the message. refusals: by taker, why it did not take the last of those
    that it did not take.
    """

    def __init__(
        self, queue: UndeliveredQueue, give: Callable[[Kept], None], deliveries: Deliveries
    ) -> None:
        self._queue = queue
        self._give = give
        self._deliveries = deliveries
        self._in_succession: Counter[Taker] = Counter()
        self.refusals: dict[Taker, Exception] = {}
        self.outcomes: dict[str, Outcome] = {}

    def send(
        self, messages: Iterable[WaitingMessage], on_sent: Callable[[Kept], None] = lambda _: None
    ) -> None:
        """Give each message to its taker when it is its turn, and delete it from the queue then.

        One that its taker refuses is left in the queue; so is one that it hides no longer.
        """
        lanes: dict[str, deque[WaitingMessage]] = {}
        for each in sorted(messages, key=lambda message: message.taken.sent_at):
            lanes.setdefault(_lane(each.kept), deque()).append(each)
        free: dict[str, datetime] = {}
        while lanes:
            self._queue.keep_hidden()
            now = clock.now()
            starts = {
                lane: max(free.get(each, now) for each in _receivers(waiting[0].kept))
                for lane, waiting in lanes.items()
            }
            lane = min(starts, key=lambda each: starts[each])
            clock.sleep(max((starts[lane] - now).total_seconds(), 0))
            message = lanes[lane].popleft()
            if not lanes[lane]:
                del lanes[lane]
            if self._queue.hides(message.taken) and self._is_taken(message.kept):
                for receiver in _receivers(message.kept):
                    free[receiver] = clock.now() + timedelta(seconds=1 / per_second(receiver))
                self._queue.delete(message.taken)
                outcome = Outcome.UNSETTLED if message.kept.delivery else Outcome.STARTED
            else:
                outcome = Outcome.LEFT
            self.outcomes[message.taken.message.message_id] = outcome
            on_sent(message.kept)

    def settle(self, messages: Iterable[WaitingMessage]) -> None:
        """Wait until each message to one channel is delivered or kept again, but not for long.

        Raises LedgerUnavailable.
        """
        until = clock.now() + _SETTLED_WITHIN
        unsettled: dict[DeliveryKey, str] = {
            each.kept.delivery: each.taken.message.message_id
            for each in messages
            if each.kept.delivery
            and self.outcomes[each.taken.message.message_id] is Outcome.UNSETTLED
        }
        while unsettled:
            for key, claim in self._deliveries.claims(unsettled).items():
                if claim.delivered_at or claim.kept_at:
                    outcome = Outcome.DELIVERED if claim.delivered_at else Outcome.KEPT
                    self.outcomes[unsettled.pop(key)] = outcome
            if clock.now() >= until:
                return
            clock.sleep(_LOOKS_EVERY if unsettled else 0)

    def _is_taken(self, kept: Kept) -> bool:
        if self._in_succession[kept.taker] >= _MOST_REFUSALS:
            return False
        try:
            self._give(kept)
        except (ClientError, BotoCoreError, NotifyScanNotStarted) as error:
            self._in_succession[kept.taker] += 1
            self.refusals[kept.taker] = error
            return False
        self._in_succession[kept.taker] = 0
        return True


def per_second(receiver: str) -> int:
    """Return how many messages a second a receiver is sent at most."""
    return _PER_SECOND.get(receiver, _OTHERS_PER_SECOND)


def _lane(kept: Kept) -> str:
    """Return in which order a message waits: those of one channel go one after the other."""
    return kept.delivery.channel if kept.delivery else kept.taker


def _receivers(kept: Kept) -> tuple[str, ...]:
    """Return whose turn a message takes: an event can become a message to each channel."""
    if kept.delivery:
        return (kept.delivery.channel,)
    return tuple(Channel) if kept.taker is Taker.NOTIFY_SCAN else (kept.taker,)
