"""`make redeliver`: send each message in the dead-letter queue Undelivered to its original target.

A delivery or an event starts its own execution of NotifyScan, a run or a digest that was not
started is started, a finding goes back to the queue InspectorFindings, and a pushed index to
RecordPlatforms. Each message is deleted once it is taken, and returns to the queue if it fails
again, so none is lost. A delivery that the queue returns twice is sent once, because NotifyScan
claims each. Executions of NotifyScan that did not finish are started again, too.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.kept_messages import Kept, Message, Taker, UnknownMessageError, read
from ledger.errors import LedgerUnavailable
from ledger.unfinished_executions import unfinished_executions
from operations.stack import StackNotFoundError, outputs_of
from reporting.phrases import counted
from runtime import clock
from send_digest.notify_scan_executions import NotifyScanExecutions, NotifyScanNotStarted
from send_digest.restart_unfinished import restart_unfinished

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef
    from mypy_boto3_stepfunctions import SFNClient

MESSAGES_PER_CALL = 10


class NotTakenError(Exception):
    """The original target of a message has refused it."""


@dataclass(frozen=True)
class Stack:
    """The dead-letter queue of a deployed stack, and what takes its messages."""

    queue_url: str
    notify_scan_arn: str
    rescan_registry_arn: str
    send_digest_arn: str
    record_platforms_name: str
    inspector_findings_url: str
    ledger_table: str

    @classmethod
    def named(cls, name: str, cloudformation: "CloudFormationClient") -> "Stack":
        """Read the outputs of a deployed stack."""
        needed = (
            *("UndeliveredQueueUrl", "NotifyScanArn", "RescanRegistryArn", "SendDigestArn"),
            *("RecordPlatformsName", "InspectorFindingsQueueUrl", "LedgerTableName"),
        )
        outputs = outputs_of(name, cloudformation, *needed)
        return cls(*(outputs[each] for each in needed))


class Takers:
    """What takes a message of the queue again, in one pass."""

    def __init__(
        self, stack: Stack, queues: "SQSClient", states: "SFNClient", functions: Any
    ) -> None:
        self._stack = stack
        self._queues = queues
        self._states = states
        self._functions = functions
        self._notify_scan = NotifyScanExecutions(states, stack.notify_scan_arn)
        self._started = set[Taker]()
        self.scheduled = {
            stack.rescan_registry_arn: Taker.RESCAN_REGISTRY,
            stack.send_digest_arn: Taker.SEND_DIGEST,
        }

    def give(self, kept: Kept) -> None:
        """Send a message to its taker; of several starts of one state machine, make one."""
        content = json.dumps(kept.content)
        match kept.taker:
            case Taker.NOTIFY_SCAN:
                self._notify_scan.start(kept.content, clock.now())
            case Taker.RECORD_PLATFORMS:
                self._functions.invoke(
                    FunctionName=self._stack.record_platforms_name,
                    InvocationType="Event",
                    Payload=content,
                )
            case Taker.INSPECTOR_FINDINGS:
                self._queues.send_message(
                    QueueUrl=self._stack.inspector_findings_url, MessageBody=content
                )
            case Taker.RESCAN_REGISTRY | Taker.SEND_DIGEST if kept.taker not in self._started:
                self._started.add(kept.taker)
                (arn,) = (arn for arn, taker in self.scheduled.items() if taker == kept.taker)
                self._states.start_execution(stateMachineArn=arn, input=content)


class Undelivered:
    """One pass through the queue; messages that arrive meanwhile are left for the next one."""

    def __init__(self, queue_url: str, queues: "SQSClient", takers: Takers) -> None:
        self._queue_url = queue_url
        self._queues = queues
        self._takers = takers

    def look(self) -> list[Kept | UnknownMessageError]:
        """Read all messages and leave them in the queue."""
        messages = list(self._messages())
        for message in messages:
            self._queues.change_message_visibility(
                QueueUrl=self._queue_url,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )
        return [self._read(message) for message in messages]

    def send_again(self) -> Iterator[Kept | UnknownMessageError | NotTakenError]:
        """Send every message to its taker, and delete it.

        Messages that are unknown or refused are left in the queue, and are visible again after a
        minute. One that is refused keeps no other from being sent.
        """
        for message in self._messages():
            kept = self._read(message)
            if isinstance(kept, Kept):
                try:
                    self._takers.give(kept)
                except (ClientError, NotifyScanNotStarted) as refused:
                    yield NotTakenError(f"{kept.taker} refused: {refused}")
                    continue
                self._queues.delete_message(
                    QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
            yield kept

    def _messages(self) -> Iterator["MessageTypeDef"]:
        """Receive each message once, until the queue returns none that is new and old enough."""
        began, seen = datetime.now(UTC), set[str]()
        while True:
            answer = self._queues.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=MESSAGES_PER_CALL,
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
            new = [
                each
                for each in answer.get("Messages", [])
                if _sent_at(each) <= began and each["MessageId"] not in seen
            ]
            if not new:
                return
            seen.update(each["MessageId"] for each in new)
            yield from new

    def _read(self, message: "MessageTypeDef") -> Kept | UnknownMessageError:
        attributes = {
            name: value.get("StringValue", "")
            for name, value in message.get("MessageAttributes", {}).items()
        }
        received = Message(message["MessageId"], message["Body"], attributes)
        try:
            return read(received, self._takers.scheduled)
        except UnknownMessageError as unknown:
            return unknown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _options().parse_args(arguments)
    console, complaints = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        stack = Stack.named(options.stack, boto3.client("cloudformation"))
        queues, states = boto3.client("sqs"), boto3.client("stepfunctions")
        takers = Takers(stack, queues, states, boto3.client("lambda"))
        undelivered = Undelivered(stack.queue_url, queues, takers)
        found = undelivered.look() if options.list else list(undelivered.send_again())
        unfinished = _unfinished(
            stack, NotifyScanExecutions(states, stack.notify_scan_arn), options
        )
    except (
        StackNotFoundError,
        LedgerUnavailable,
        NotifyScanNotStarted,
        BotoCoreError,
        ClientError,
    ) as error:
        complaints.print(Text(str(error), "red"), soft_wrap=True)
        return 1
    kept = [each for each in found if isinstance(each, Kept)]
    if kept:
        console.print(_table(kept))
    for each in found:
        if not isinstance(each, Kept):
            complaints.print(
                Text(f"Left in the queue: a message that {each}", "yellow"), soft_wrap=True
            )
    console.print(_summary(len(found), None if options.list else len(kept)))
    if unfinished:
        executions = counted(unfinished, "execution", "executions")
        done = "can be started again" if options.list else "started again"
        console.print(f"{executions} of NotifyScan that did not finish: {done}.")
    return 1 if any(isinstance(each, NotTakenError) for each in found) else 0


def _summary(found: int, sent: int | None) -> str:
    """Say how many messages there were, and how many of them were sent, unless only listed."""
    queue = "dead-letter queue Undelivered"
    if not found:
        return f"The {queue} is empty."
    if sent is None:
        return f"{found} in the {queue}."
    if left := found - sent:
        return f"{sent} sent again, {left} left in the {queue}."
    return f"{sent} sent again; what fails again returns to the queue."


def _unfinished(stack: Stack, executions: NotifyScanExecutions, options: argparse.Namespace) -> int:
    """Start what NotifyScan did not finish again, or only count it."""
    unfinished = unfinished_executions(stack.ledger_table)
    if options.list:
        return sum(1 for _ in unfinished.ended_early(clock.now()))
    return restart_unfinished(unfinished, executions).restarted


def _sent_at(message: "MessageTypeDef") -> datetime:
    return datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)


def _table(found: list[Kept]) -> Table:
    table = Table("what", "about", "why it failed", box=None, pad_edge=False)
    for kept in found:
        table.add_row(*(Text(text) for text in (kept.what, kept.about, kept.why)))
    return table


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make redeliver",
        usage="make redeliver [ARGS='[--stack NAME] [--list]']",
        description="Send each message in the dead-letter queue Undelivered of a stack to its "
        "original target. Uses the AWS credentials and the Region of your environment, or of "
        "~/.aws/config. The exit code is 1 if a target has refused a message.",
    )
    parser.add_argument(
        "--stack", default="ecr-rescan", help="name of the stack (default: ecr-rescan)"
    )
    parser.add_argument("--list", action="store_true", help="list the messages and send nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
