"""`ecr-rescan undelivered`: list what the dead-letter queue keeps, or send it again."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cli.aws_errors import command_error
from cli.call import Call
from cli.exits import ExitCode
from cli.kept_messages import UnknownMessageError, read
from cli.output import add_row, age, number, table
from cli.redelivery import Outcome, Redelivery, Takers, WaitingMessage, per_second
from cli.shown_commands import own
from cli.undelivered_queue import HIDDEN_FOR, KEPT_FOR, MOST, TakenMessage, UndeliveredQueue
from cli.unfinished import unreadable
from ledger.deliveries import Deliveries
from ledger.errors import LedgerUnavailable
from ledger.table import Table
from ledger.unfinished_executions import UnfinishedExecutions
from reporting.text import visible
from runtime import clock
from runtime.nouns import counted
from send_digest.restart_unfinished import restart_each

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


@dataclass(frozen=True)
class Unknown:
    """A message that ecr-rescan has not put into the queue."""

    message_id: str
    problem: str


@dataclass(frozen=True)
class KeptMessages:
    """What the queue keeps. unfinished: executions of NotifyScan that can be started again.

    hidden: messages that others read or send now. send: the command that sends it again.
    """

    messages: Sequence[WaitingMessage]
    unknown: Sequence[Unknown]
    unfinished: int
    hidden: int
    is_whole: bool
    now: datetime
    send: str

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        return {
            "messages": list(self.rows()),
            "unknown": [vars(each) for each in self.unknown],
            "unfinished_executions": self.unfinished,
            "hidden": self.hidden,
            "is_whole": self.is_whole,
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return one row per message."""
        for each in self.messages:
            yield {
                "message_id": each.taken.message.message_id,
                "what": each.kept.what,
                "about": each.kept.about,
                "since": each.taken.sent_at,
                "kept_until": each.taken.kept_until,
                "why": each.kept.why,
                "goes_to": each.kept.taker,
            }

    def show(self, console: "Console") -> None:
        """Print them by channel, the oldest first."""
        if self.messages:
            listed = table(["what", "about", "since", "why"])
            for each in self.messages:
                since = age(each.taken.sent_at, self.now)
                add_row(listed, each.kept.what, each.kept.about, since, each.kept.why)
            console.print(listed)
            more = "" if self.is_whole else ", and there are more"
            are = "is" if len(self.messages) == 1 else "are"
            kept = f"{len(self.messages):,} {are} kept{more}, for {KEPT_FOR.days} "
            console.print(f"{kept}days each. {self.send}", soft_wrap=True)
        elif not self.unknown and not self.hidden:
            console.print("The dead-letter queue Undelivered is empty.")
        if self.hidden:
            console.print(_of_hidden(self.hidden), soft_wrap=True)
        if self.unfinished:
            executions = counted(self.unfinished, "execution")
            words = f"did not finish: {self.send} starts what is left over"
            console.print(f"{executions} of NotifyScan {words}", soft_wrap=True)


@dataclass(frozen=True)
class SentMessages:
    """What became of the messages, by what each is, such as a channel or a kind of event.

    restarted, unfinished: executions of NotifyScan that were started again, and that are left.
    hidden: messages that others read or send now. look: the command that lists what is left.
    """

    outcomes: Mapping[str, Counter[Outcome]]
    unknown: Sequence[Unknown]
    restarted: int
    unfinished: int
    hidden: int
    is_whole: bool
    look: str

    @property
    def total(self) -> Counter[Outcome]:
        """Count all messages by outcome."""
        return sum(self.outcomes.values(), Counter())

    @property
    def is_complete(self) -> bool:
        """Return whether nothing is left that was there, or came back."""
        left = sum(self.total[each] for each in (Outcome.UNSETTLED, Outcome.KEPT, Outcome.LEFT))
        return self.is_whole and not (left or self.unknown or self.hidden or self.unfinished)

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        return {
            "sent": list(self.rows()),
            "unknown": [vars(each) for each in self.unknown],
            "restarted_executions": self.restarted,
            "unfinished_executions": self.unfinished,
            "hidden": self.hidden,
            "is_complete": self.is_complete,
            "is_whole": self.is_whole,
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return one row per kind of message."""
        for what, outcomes in self.outcomes.items():
            yield {"what": what, **{outcome.value: outcomes[outcome] for outcome in Outcome}}

    def show(self, console: "Console") -> None:
        """Print the counts."""
        if self.outcomes:
            titles = [outcome.value.replace("_", " ") for outcome in Outcome]
            listed = table(["what", *titles], right=titles)
            for what, outcomes in self.outcomes.items():
                add_row(listed, what, *(number(outcomes[each]) for each in Outcome))
            console.print(listed)
        if sentence := self._sentence():
            console.print(sentence, soft_wrap=True)
        if self.hidden:
            console.print(_of_hidden(self.hidden), soft_wrap=True)
        if self.unfinished:
            executions = counted(self.unfinished, "execution")
            console.print(
                f"{executions} of NotifyScan that did not finish: not started again. {self.look}",
                soft_wrap=True,
            )
        if self.restarted:
            executions = counted(self.restarted, "execution")
            console.print(f"{executions} of NotifyScan that did not finish: started again.")

    def _sentence(self) -> str:
        counts = self.total
        words = {
            Outcome.DELIVERED: "delivered",
            Outcome.STARTED: "started",
            Outcome.UNSETTLED: "not delivered yet",
            Outcome.KEPT: "failed and kept again",
            Outcome.LEFT: "left in the queue",
        }
        named = [f"{counts[each]:,} {word}" for each, word in words.items() if counts[each]]
        named += [f"{len(self.unknown):,} unknown"] if self.unknown else []
        if not named:
            return "" if self.hidden else "The dead-letter queue Undelivered is empty."
        more = "" if self.is_whole else f" At most {MOST:,} are sent in one pass: send again."
        look = "" if self.is_complete else f" See what is left: {self.look}"
        return f"{', '.join(named)}.{more}{look}"


def _of_hidden(hidden: int) -> str:
    more = "1 message more is" if hidden == 1 else f"{hidden:,} messages more are"
    return (
        f"{more} hidden: another command reads or sends what the queue has, or was interrupted "
        f"within the last {HIDDEN_FOR.total_seconds() / 60:.0f} minutes. Look again then."
    )


def undelivered(call: Call, *, sends: bool) -> ExitCode:
    """List the messages of the queue and leave them there, or send each to its taker."""
    stack = call.stack
    queues, states = stack.client("sqs"), stack.client("stepfunctions")
    takers = Takers(stack, queues, states, stack.client("lambda"))
    queue = UndeliveredQueue(queues, stack.output("UndeliveredQueueUrl"))
    ledger = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    act = _send if sends else _list
    return act(call, queue, takers, ledger)


def _list(call: Call, queue: UndeliveredQueue, takers: Takers, ledger: Table) -> ExitCode:
    waiting = queue.waiting()
    with call.output.waiting("reading the queue"), queue.taken() as taken:
        messages, unknown = _read(taken, takers)
    _complain_of(call, unknown)
    now, executions = clock.now(), UnfinishedExecutions(ledger)
    unfinished = sum(1 for _ in executions.ended_early(now))
    _complain_of_damaged(call, executions)
    send = own(call.stack, "undelivered send")
    hidden = waiting.hidden_from(len(taken))
    call.answer(KeptMessages(messages, unknown, unfinished, hidden, len(taken) < MOST, now, send))
    return ExitCode.INCOMPLETE if hidden or executions.unreadable else ExitCode.DONE


def _send(call: Call, queue: UndeliveredQueue, takers: Takers, ledger: Table) -> ExitCode:
    executions = UnfinishedExecutions(ledger)
    again, refusals = restart_each(executions, takers.notify_scan)
    _complain_of_damaged(call, executions)
    if refusals:
        problem = command_error(refusals[0])
        call.output.complain(f"NotifyScan did not start what did not finish. {problem}")
    waiting = queue.waiting()
    redelivery = Redelivery(queue, takers.give, Deliveries(ledger))
    with queue.taken() as taken:
        messages, unknown = _read(taken, takers)
        _give(call, redelivery, messages)
    for taker, refusal in redelivery.refusals.items():
        problem = command_error(refusal, call.address.profile)
        call.output.complain(f"{taker} did not take a message. {problem}")
    try:
        with call.output.waiting("waiting for the deliveries"):
            redelivery.settle(messages)
    except LedgerUnavailable as error:
        problem = command_error(error, call.address.profile)
        call.output.complain(f"Whether messages were delivered is not known. {problem}")
    _complain_of(call, unknown)
    is_whole = len(taken) < MOST
    look = own(call.stack, "undelivered")
    outcomes = _by_kind(messages, redelivery.outcomes)
    sent = SentMessages(
        outcomes,
        unknown,
        restarted=again.restarted,
        unfinished=again.left + len(refusals) + len(executions.unreadable),
        hidden=waiting.hidden_from(len(taken)),
        is_whole=is_whole,
        look=look,
    )
    call.answer(sent)
    return ExitCode.DONE if sent.is_complete else ExitCode.INCOMPLETE


def _read(
    taken: Iterable[TakenMessage], takers: Takers
) -> tuple[list[WaitingMessage], list[Unknown]]:
    """Read messages, in the order of the list: by what they are, the oldest first."""
    known, unknown = list[WaitingMessage](), list[Unknown]()
    for each in taken:
        try:
            known.append(WaitingMessage(each, read(each.message, takers.scheduled)))
        except UnknownMessageError as error:
            unknown.append(Unknown(each.message.message_id, visible(str(error))))
    known.sort(key=lambda each: (each.kept.what, each.taken.sent_at))
    return known, unknown


def _complain_of(call: Call, unknown: Iterable[Unknown]) -> None:
    for each in unknown:
        call.output.complain(f"Left in the queue: message {each.message_id} {each.problem}")


def _complain_of_damaged(call: Call, executions: UnfinishedExecutions) -> None:
    for sentence, forget in unreadable(call.stack, executions.unreadable):
        call.output.complain(f"{sentence} Delete it: {forget}")


def _give(call: Call, redelivery: Redelivery, messages: Sequence[WaitingMessage]) -> None:
    """Give messages to their takers, with a bar on a terminal for each kind of message."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    complaints = call.output.complaints
    with Progress(*columns, console=complaints, disable=not complaints.is_terminal) as progress:
        bars: dict[str, TaskID] = {
            what: progress.add_task(_pace(messages, what), total=total)
            for what, total in Counter(each.kept.what for each in messages).items()
        }
        redelivery.send(messages, lambda kept: progress.advance(bars[kept.what]))


def _pace(messages: Iterable[WaitingMessage], what: str) -> str:
    channel = next(each.kept.delivery for each in messages if each.kept.what == what)
    return f"{what}, {per_second(channel.channel)} a second" if channel else what


def _by_kind(
    messages: Iterable[WaitingMessage], outcomes: Mapping[str, Outcome]
) -> Mapping[str, Counter[Outcome]]:
    kinds: dict[str, Counter[Outcome]] = {}
    for each in messages:
        kinds.setdefault(each.kept.what, Counter())[outcomes[each.taken.message.message_id]] += 1
    return kinds
