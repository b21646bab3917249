"""`make redeliver`: send the messages in the dead-letter queue Undelivered again.

Each message starts its own execution of NotifyScan, and is deleted from the queue once that
execution has started. A message that fails again returns to the queue, so none is lost. A message
that the queue returns twice is sent once, because NotifyScan claims each delivery.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from operations.kept import Kept, UnknownMessageError, read
from operations.stack import StackNotFoundError, outputs_of

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef
    from mypy_boto3_stepfunctions import SFNClient

MESSAGES_PER_CALL = 10


@dataclass(frozen=True)
class Stack:
    """The queue and the state machine of a deployed stack."""

    queue_url: str
    notify_scan_arn: str

    @classmethod
    def named(cls, name: str, cloudformation: "CloudFormationClient") -> "Stack":
        """Read the outputs of a deployed stack."""
        outputs = outputs_of(name, cloudformation, "UndeliveredQueueUrl", "NotifyScanArn")
        return cls(outputs["UndeliveredQueueUrl"], outputs["NotifyScanArn"])


class Undelivered:
    """One pass through the queue; messages that arrive meanwhile are left for the next one."""

    def __init__(self, stack: Stack, queue: "SQSClient", states: "SFNClient") -> None:
        self._stack = stack
        self._queue = queue
        self._states = states

    def look(self) -> list[Kept | UnknownMessageError]:
        """Read all messages and leave them in the queue."""
        messages = list(self._messages())
        for message in messages:
            self._queue.change_message_visibility(
                QueueUrl=self._stack.queue_url,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )
        return [_read(message) for message in messages]

    def send_again(self) -> Iterator[Kept | UnknownMessageError]:
        """Start an execution for every message, and delete the message.

        Unknown messages are left in the queue, and are visible again after a minute.
        """
        for message in self._messages():
            kept = _read(message)
            if isinstance(kept, Kept):
                self._states.start_execution(
                    stateMachineArn=self._stack.notify_scan_arn,
                    input=json.dumps(kept.execution_input),
                )
                self._queue.delete_message(
                    QueueUrl=self._stack.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
            yield kept

    def _messages(self) -> Iterator["MessageTypeDef"]:
        began = datetime.now(UTC)
        while messages := self._queue.receive_message(
            QueueUrl=self._stack.queue_url,
            MaxNumberOfMessages=MESSAGES_PER_CALL,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages"):
            earlier = [each for each in messages if _sent_at(each) <= began]
            if not earlier:
                return
            yield from earlier


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _options().parse_args(arguments)
    console, complaints = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        stack = Stack.named(options.stack, boto3.client("cloudformation"))
        undelivered = Undelivered(stack, boto3.client("sqs"), boto3.client("stepfunctions"))
        found = undelivered.look() if options.list else list(undelivered.send_again())
    except (StackNotFoundError, BotoCoreError, ClientError) as error:
        complaints.print(Text(str(error), "red"), soft_wrap=True)
        return 1
    kept = [each for each in found if isinstance(each, Kept)]
    if kept:
        console.print(_table(kept))
    for each in found:
        if isinstance(each, UnknownMessageError):
            complaints.print(
                Text(f"Left in the queue: a message that {each}", "yellow"), soft_wrap=True
            )
    done = "in the queue" if options.list else "sent again; failures return within 5 minutes"
    console.print(f"{len(kept)} {done}." if kept else "The queue Undelivered is empty.")
    return 0


def _sent_at(message: "MessageTypeDef") -> datetime:
    return datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)


def _read(message: "MessageTypeDef") -> Kept | UnknownMessageError:
    try:
        return read(message["Body"], message["MessageId"])
    except UnknownMessageError as unknown:
        return unknown


def _table(found: list[Kept]) -> Table:
    table = Table("what", "about", "why it failed", box=None, pad_edge=False)
    for kept in found:
        table.add_row(*(Text(text) for text in (kept.what, kept.about, kept.why)))
    return table


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make redeliver",
        usage="make redeliver [ARGS='[--stack NAME] [--list]']",
        description="Send the messages in the dead-letter queue Undelivered of a stack again. Uses "
        "the AWS credentials and the Region of your environment, or of ~/.aws/config.",
    )
    parser.add_argument(
        "--stack", default="ecr-rescan", help="name of the stack (default: ecr-rescan)"
    )
    parser.add_argument("--list", action="store_true", help="list the messages and send nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
