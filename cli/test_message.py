"""`ecr-rescan test`: send a message marked TEST to one channel, and print the receiver's answer.

NotifyScan sends it as any other message, with the same permissions and from the same network, but
claims, records and keeps nothing. A synchronous execution can last 5 minutes, because the
receiver is asked again while it is unavailable.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.answers import file_of
from cli.call import Call
from cli.channels import USED_BY, secret_content, secret_file
from cli.exits import CommandError, ExitCode, UsageError
from cli.shown_commands import aws, make_deploy, own
from cli.stack import Stack
from cli.subscriptions import is_pending, subscriptions
from reporting.channels.delivery import Channel
from reporting.channels.in_use import SECRET_PARAMETERS
from reporting.text import visible
from runtime import clock
from runtime.causes import message_in, reason
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

LONGEST = 330  # seconds; an Express execution has 300
_UNKNOWN = {
    Channel.CHATBOT: "Only the chat shows whether Amazon Q Developer has passed it on.",
    Channel.EVENTBRIDGE: "Only the targets of the bus show whether a rule has matched it.",
}


@dataclass(frozen=True)
class TestAnswer:
    """What became of a test.

    answer: what the receiver said, or why it did not take the message. status: of HTTP.
    then: what is known beside that, and what to do; the last line is a command, if there is one.
    """

    __test__ = False  # no test of pytest

    channel: str
    by: str
    sent_at: datetime
    is_accepted: bool
    answer: str
    status: int | None = None
    milliseconds: int | None = None
    then: tuple[str, ...] = ()

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        (row,) = self.rows()
        return row

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return it as one row."""
        yield {
            "channel": self.channel,
            "is_accepted": self.is_accepted,
            "status": self.status,
            "answer": self.answer,
            "milliseconds": self.milliseconds,
            "by": self.by,
            "sent_at": self.sent_at,
        }

    def show(self, console: "Console") -> None:
        """Print the answer, and then what follows; a command is never wrapped."""
        for line in (self._headline(), *self.then):
            console.print(line, soft_wrap=True)
        if self.is_accepted:
            console.print(
                f"TEST of ecr-rescan by {visible(self.by)}, {self.sent_at:%H:%M:%S} UTC. "
                "Nothing is in the ledger; nothing to close."
            )

    def _headline(self) -> str:
        if not self.is_accepted:
            return f"{self.channel} refused it: {visible(self.answer)}"
        took = f" in {self.milliseconds} ms" if self.milliseconds is not None else ""
        status = f"{self.status} " if self.status else ""
        return f"{self.channel} took it{took}: {status}{visible(self.answer)}".rstrip(" :")


def test(call: Call, channel: str) -> ExitCode:
    """Send the message, and print the answer."""
    asked = _channel(channel)
    stack = call.stack
    stack.output("Version")  # before 0.4.0, a test was an event that nothing could read
    by = re.split("[/:]", call.account.identity["Arn"])[-1]
    started = {"test": {"channel": asked, "by": by, "id": str(uuid.uuid4())}}
    with call.output.waiting(f"waiting for {channel.lower()}"):
        ended = call.account.patient_client("stepfunctions", LONGEST).start_sync_execution(
            stateMachineArn=stack.output("NotifyScanArn"), input=json.dumps(started)
        )
    answer = _answer(asked, by, ended, stack)
    call.answer(answer)
    return ExitCode.DONE if answer.is_accepted else ExitCode.BAD


def _channel(name: str) -> Channel:
    try:
        return Channel(name.upper())
    except ValueError:
        known = ", ".join(each.lower() for each in USED_BY)
        raise UsageError(f"There is no channel {visible(name)}: give one of {known}.") from None


def _answer(channel: Channel, by: str, ended: Mapping[str, Any], stack: Stack) -> TestAnswer:
    if ended["status"] != "SUCCEEDED":
        why = reason(ended.get("error"), ended.get("cause"))
        raise CommandError(
            f"NotifyScan did not send the test: {visible(why or ended['status'])}. "
            f"{own(stack, 'doctor')} checks what it needs."
        )
    outcome = json.loads(ended["output"])["outcome"]
    name, now = channel.lower(), clock.now()
    if not isinstance(outcome, dict):
        raise UsageError(
            f"The stack {stack.name} does not use {name}: set {USED_BY[channel][0]} in "
            f"{file_of(stack)}, then: {make_deploy(stack)}"
        )
    (result,) = outcome["results"]
    if error := result.get("error"):
        said = message_in(error["Cause"]) or error["Error"]
        return TestAnswer(name, by, now, False, said, then=_repair(channel, stack))
    answer = result["answer"]
    if channel in SECRET_PARAMETERS:
        return TestAnswer(
            name,
            by,
            now,
            True,
            answer["answer"],
            answer["status"],
            answer["milliseconds"],
            ("The incident was opened and resolved.",) if channel is Channel.PAGERDUTY else (),
        )
    if channel is Channel.EVENTBRIDGE:
        accepted = f"event {answer['Entries'][0]['EventId']}"
    else:
        accepted = f"message {answer['MessageId']}"
    then = _subscribers(stack) if channel is Channel.SNS else _UNKNOWN[channel]
    return TestAnswer(name, by, now, True, accepted, then=(then,))


def _repair(channel: Channel, stack: Stack) -> tuple[str, ...]:
    if channel not in SECRET_PARAMETERS:
        doctor = own(stack, "doctor")
        return (f"{doctor} checks the topic, its subscriptions, and its key.",)
    put = aws(
        stack,
        "secretsmanager put-secret-value",
        secret_id=stack.parameter(SECRET_PARAMETERS[channel]),
        secret_string=f"file://{secret_file(channel)}",
    )
    return (f"Repair what receives it, or write {secret_content(channel)}, then:", f"  {put}")


def _subscribers(stack: Stack) -> str:
    """Say who gets the message: SNS itself does not say who has read it."""
    found = subscriptions(stack, stack.output("NotificationTopicArn"))
    confirmed = [each for each in found if not is_pending(each)]
    protocols = Counter(each["Protocol"] for each in confirmed)
    listed = ", ".join(f"{count} {visible(name)}" for name, count in sorted(protocols.items()))
    said = counted(len(confirmed), "confirmed subscription")
    said += f" ({listed})" if listed else ""
    if waiting := len(found) - len(confirmed):
        said += f"; {waiting} not confirmed, see {own(stack, 'doctor')}"
    return f"SNS passes it on to {said}."
