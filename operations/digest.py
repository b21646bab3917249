"""`make digest`: send the digest now, and say what was sent.

Starts an execution of SendDigest, as the schedule does, and waits for its end. Concurrent
executions are harmless: the second resumes the digest of the first, and no message is sent twice.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from operations.stack import StackNotFoundError, outputs_of
from reporting.phrases import counted

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

POLLED_EVERY = 2.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """How an execution of SendDigest has ended, or that it has not ended yet.

    words: the same for the operator.
    """

    words: str
    is_success: bool


def send_digest(state_machine: str, states: "SFNClient", *, wait: int) -> Outcome:
    """Start an execution, and wait for its end for some seconds."""
    execution = states.start_execution(stateMachineArn=state_machine, input="{}")["executionArn"]
    for _ in range(max(round(wait / POLLED_EVERY), 1)):
        described = states.describe_execution(executionArn=execution)
        match described["status"]:
            case "RUNNING" | "PENDING_REDRIVE":
                time.sleep(POLLED_EVERY)
            case "SUCCEEDED":
                return Outcome(_sent(json.loads(described["output"])), is_success=True)
            case status:
                why = [described.get("error"), described.get("cause")]
                reason = ": ".join(each for each in why if each) or status
                words = f"The digest did not finish, and the next one resumes it. {reason}"
                return Outcome(f"{words}\n{execution}", is_success=False)
    return Outcome(f"The execution is still in progress:\n{execution}", is_success=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _options().parse_args(arguments)
    console, complaints = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        outputs = outputs_of(options.stack, boto3.client("cloudformation"), "SendDigestArn")
        states = boto3.client("stepfunctions")
        outcome = send_digest(outputs["SendDigestArn"], states, wait=options.wait)
    except (StackNotFoundError, BotoCoreError, ClientError) as error:
        complaints.print(Text(str(error), "red"), soft_wrap=True)
        return 1
    if not outcome.is_success:
        complaints.print(Text(outcome.words, "red"), soft_wrap=True)
        return 1
    console.print(Text(outcome.words), soft_wrap=True)
    return 0


def _sent(output: dict[str, Any]) -> str:
    """Say what the output of an execution means."""
    if output["messages"]:
        channels = counted(output["messages"], "channel", "channels")
        images = counted(output["images"], "image", "images")
        return (
            f"The digest {output['digest']} went to {channels}: {images}. What a channel did not "
            "accept is in the dead-letter queue Undelivered."
        )
    if removed := output.get("removed"):
        changes = counted(removed, "change", "changes")
        return (
            f"Nothing to send: {changes} cancelled each other out, were sent immediately, or have "
            "no channel with a digest."
        )
    return "Nothing to send: nothing has changed since the last digest."


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make digest",
        usage="make digest [ARGS='[--stack NAME] [--wait SECONDS]']",
        description="Send the digest of a stack now, before the time of DigestSchedule. Uses "
        "the AWS credentials and the Region of your environment, or of ~/.aws/config.",
    )
    parser.add_argument(
        "--stack", default="ecr-rescan", help="name of the stack (default: ecr-rescan)"
    )
    parser.add_argument(
        "--wait", type=int, default=600, help="seconds to wait for the end (default: 600)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
