"""`ecr-rescan digest`: send the digest now, and say what was sent.

Starts an execution of SendDigest, as the schedule does, and waits for its end. Concurrent
executions are harmless: the second resumes the digest of the first, and no message is sent twice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cli.call import Call
from cli.exits import ExitCode
from cli.shown_commands import own
from reporting.text import visible
from runtime import clock
from runtime.causes import reason
from runtime.nouns import counted

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from rich.console import Console

_LOOKS_EVERY = 2.0  # seconds
_RUNNING = ("RUNNING", "PENDING_REDRIVE")


@dataclass(frozen=True)
class SentDigest:
    """An execution of SendDigest, with its output once it has succeeded.

    reason: why it failed; empty if it did not. look: the command that lists what is undelivered.
    """

    execution: str
    status: str
    look: str
    output: Mapping[str, Any] | None = None
    reason: str = ""

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        (row,) = self.rows()
        return row

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return it as one row."""
        output = self.output or {}
        yield {
            "execution": self.execution,
            "status": self.status,
            "reason": self.reason or None,
            **{name: output.get(name) for name in ("digest", "images", "messages", "removed")},
        }

    def show(self, console: "Console") -> None:
        """Print one sentence, and where to look for more."""
        console.print(visible(self._sentence()), soft_wrap=True)
        if self.output is None:
            console.print(visible(self.execution), soft_wrap=True)

    def _sentence(self) -> str:
        if self.output is None:
            if self.status in _RUNNING:
                return "The execution is still in progress:"
            return f"The digest did not finish, and the next one resumes it. {self.reason}"
        if self.output["messages"]:
            channels = counted(self.output["messages"], "channel")
            images = counted(self.output["images"], "image")
            return (
                f"The digest {self.output['digest']} went to {channels}: {images}. What a channel "
                f"did not accept is in the dead-letter queue: {self.look}"
            )
        if removed := self.output.get("removed"):
            changes = counted(removed, "change")
            return (
                f"Nothing to send: {changes} cancelled each other out, were sent immediately, or "
                "have no channel with a digest."
            )
        return "Nothing to send: nothing has changed since the last digest."


def digest(call: Call, *, wait: int) -> ExitCode:
    """Start an execution, and wait for its end for some seconds."""
    states = call.stack.client("stepfunctions")
    machine = call.stack.output("SendDigestArn")
    execution = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    with call.output.waiting("waiting for the digest"):
        look = own(call.stack, "undelivered")
        sent = _ended(execution, states, look, timedelta(seconds=wait))
    call.answer(sent)
    if sent.output is not None:
        return ExitCode.DONE
    return ExitCode.INCOMPLETE if sent.status in _RUNNING else ExitCode.BAD


def _ended(execution: str, states: "SFNClient", look: str, wait: timedelta) -> SentDigest:
    until = clock.now() + wait
    while True:
        described = states.describe_execution(executionArn=execution)
        status = described["status"]
        if status == "SUCCEEDED":
            return SentDigest(execution, status, look, output=json.loads(described["output"]))
        if status not in _RUNNING:
            why = reason(described.get("error"), described.get("cause")) or status
            return SentDigest(execution, status, look, reason=why)
        if clock.now() >= until:
            return SentDigest(execution, status, look)
        clock.sleep(_LOOKS_EVERY)
