"""The last runs, what is running, what waits, and what comes next: ecr-rescan status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cli.call import Call
from cli.executions import Execution, Executions, MapProgress, SearchCut
from cli.exits import ExitCode
from cli.output import Output, add_row, age, duration, number, print_whole, table
from cli.run_files import RunFiles
from cli.shown_commands import own
from cli.stack import Stack
from ledger.run_records import RunRecords
from ledger.run_summaries import SummaryDocument
from ledger.table import Table
from ledger.unfinished_executions import UnfinishedExecutions, unfinished_key
from rescan_registry.outcomes import Outcome
from runtime import clock
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

POLL_SECONDS = 5
_SCHEDULES = {
    "run": "RescanRegistryStateMachineSchedule",
    "digest": "SendDigestStateMachineDigestSchedule",
}


@dataclass(frozen=True)
class ShownRun:
    """An execution, and its summary where it has one.

    is_dry_run: absent if the run has no summary and Step Functions has deleted it.
    """

    execution: Execution
    summary: SummaryDocument | None
    is_dry_run: bool | None

    def status(self) -> str:
        """Return its status in words: one of a dry run is none of a run."""
        status = self.execution.status.lower().replace("_", " ")
        return f"dry run {status}" if self.is_dry_run else status

    def outcome(self, outcome: Outcome) -> int | None:
        """Return how many images had an outcome; absent without a summary."""
        return self.summary.images.outcomes().get(outcome, 0) if self.summary else None

    def seconds(self) -> int | None:
        """Return how long the run took; absent while it is running."""
        ended_at = self.execution.ended_at
        return round((ended_at - self.execution.started_at).total_seconds()) if ended_at else None

    def row(self) -> dict[str, object]:
        """Return its row, for JSON and CSV."""
        return {
            "run": self.execution.name,
            "status": self.execution.status,
            "is_dry_run": self.is_dry_run,
            "started_at": self.execution.started_at,
            "ended_at": self.execution.ended_at,
            "seconds": self.seconds(),
            "started": self.outcome(Outcome.STARTED),
            "deferred": self.outcome(Outcome.DEFERRED),
            "failed": self.outcome(Outcome.FAILED),
            "repositories": self.summary.repositories if self.summary else None,
            "repositories_not_done": self.summary.repositories_not_done if self.summary else None,
        }


@dataclass(frozen=True)
class RunningRun:
    """A run that is in progress. started: scans so far."""

    name: str
    started_at: datetime
    progress: MapProgress | None
    started: int

    def sentence(self, now: datetime) -> str:
        """Say how far it is."""
        since = f"running {self.name} since {age(self.started_at, now)}"
        if self.progress is None:
            return f"{since}: listing repositories"
        done = f"{self.progress.ended:,} of {counted(self.progress.repositories, 'repository')}"
        failed = f", {self.progress.failed:,} failed" if self.progress.failed else ""
        return f"{since}: {done}{failed}, {counted(self.started, 'scan')} started"


@dataclass(frozen=True)
class Schedule:
    """When something starts next, as EventBridge Scheduler knows it."""

    expression: str
    timezone: str
    is_enabled: bool

    def sentence(self) -> str:
        """Say when."""
        when = f"{self.expression}, {self.timezone}"
        return when if self.is_enabled else f"none, the schedule is disabled ({when})"


@dataclass(frozen=True)
class Status:
    """What a stack does.

    queues: messages that wait, by queue. unfinished: executions of NotifyScan that ended early and
    are started again by the next digest. schedules: by what they start.
    look: the command that lists what is undelivered. start: the command that starts a run.
    has_failed: whether the newest run that has ended, dry runs aside, did not succeed; absent
    if it is not among the executions that are searched.
    damaged: summaries, and items of unfinished executions, that could not be read.
    """

    runs: tuple[ShownRun, ...]
    has_failed: bool | None
    running: tuple[RunningRun, ...]
    queues: Mapping[str, int]
    unfinished: int
    schedules: Mapping[str, Schedule]
    now: datetime
    look: str
    start: str
    damaged: tuple[str, ...] = ()

    def document(self) -> Mapping[str, object]:
        """Return all of it."""
        return {
            "runs": [each.row() for each in self.runs],
            "running": list(self.running),
            "queues": self.queues,
            "unfinished": self.unfinished,
            "next": self.schedules,
            "damaged": self.damaged,
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per run."""
        return [each.row() for each in self.runs]

    def show(self, console: "Console") -> None:
        """Print it."""
        numbers = ("took", "started", "deferred", "failed", "not done")
        rows = table(("begun (UTC)", "status", *numbers, "run"), right=numbers)
        for each in self.runs:
            summary, seconds = each.summary, each.seconds()
            not_done = (
                f"{summary.repositories_not_done:,} of {summary.repositories:,}"
                if summary and summary.repositories_not_done
                else "·"
            )
            add_row(
                rows,
                f"{each.execution.started_at:%m-%d %H:%M}",
                each.status(),
                duration(seconds) if seconds is not None else "",
                *(
                    number(each.outcome(outcome) or 0)
                    for outcome in (Outcome.STARTED, Outcome.DEFERRED, Outcome.FAILED)
                ),
                not_done,
                each.execution.name,
            )
        if self.runs:
            print_whole(console, rows)
        else:
            console.print(f"No run yet   {self.start}", soft_wrap=True)
        for running in self.running:
            console.print(f"\n{running.sentence(self.now)}", soft_wrap=True)
        undelivered = self.queues["undelivered"]
        command = f"   {self.look}" if undelivered else ""
        console.print(f"\n{undelivered:,} undelivered or unstarted{command}", soft_wrap=True)
        findings = self.queues["inspector_findings"]
        wait = "waits" if findings == 1 else "wait"
        console.print(f"{counted(findings, 'finding')} of Amazon Inspector {wait}")
        if self.unfinished:
            executions = counted(self.unfinished, "execution")
            them = "it" if self.unfinished == 1 else "them"
            console.print(
                f"{executions} of NotifyScan ended early; the next digest starts {them} again",
                soft_wrap=True,
            )
        for what, schedule in self.schedules.items():
            console.print(f"next {what}: {schedule.sentence()}", soft_wrap=True)


class Progress:
    """The progress of runs, on standard error: a line where one has changed."""

    def __init__(self, stack: Stack, output: Output) -> None:
        self._stack, self._output = stack, output
        self._executions = Executions(stack)
        self._said: dict[str, tuple[int, int]] = {}

    def show(self, execution: Execution) -> None:
        """Print how far a run is, unless that is what was printed last."""
        found = _running(self._stack, self._executions, execution)
        ended = found.progress.ended if found.progress else -1
        if self._said.get(execution.name) != (ended, found.started):
            self._said[execution.name] = (ended, found.started)
            self._output.complain(found.sentence(clock.now()))


def status(call: Call, *, runs: int, follow: bool) -> ExitCode:
    """Say what a stack does; with `follow`, first show the progress of its runs to their end."""
    stack = call.stack
    if follow:
        _follow(stack, Progress(stack, call.output))
    found = read_status(stack, runs)
    call.answer(found)
    if found.has_failed:
        return ExitCode.BAD
    if found.has_failed is None:
        call.output.complain(str(SearchCut()))
    for each in found.damaged:
        call.output.complain(f"{each} cannot be read.")
    is_incomplete = found.has_failed is None or found.damaged
    return ExitCode.INCOMPLETE if is_incomplete else ExitCode.DONE


def read_status(stack: Stack, most: int) -> Status:
    """Read what a stack does."""
    executions, files, now = Executions(stack), RunFiles(stack), clock.now()
    listed = executions.newest(most)
    table_of = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    not_finished = UnfinishedExecutions(table_of)
    unfinished = sum(1 for _ in not_finished.ended_early(now))
    return Status(
        runs=tuple(shown_run(executions, files, each) for each in listed),
        has_failed=_has_failed(executions),
        running=tuple(_running(stack, executions, each) for each in listed if each.is_running),
        queues={
            "undelivered": _messages(stack, "UndeliveredQueueUrl"),
            "inspector_findings": _messages(stack, "InspectorFindingsQueueUrl"),
        },
        unfinished=unfinished,
        schedules=_schedules(stack),
        now=now,
        look=own(stack, "undelivered"),
        start=own(stack, "run"),
        damaged=(*files.damaged, *map("/".join, map(unfinished_key, not_finished.unreadable))),
    )


def _has_failed(executions: Executions) -> bool | None:
    try:
        last = next(executions.newest_real(), None)
    except SearchCut:
        return None
    return last is not None and last.has_failed


def shown_run(executions: Executions, files: RunFiles, execution: Execution) -> ShownRun:
    """Read the summary of a run, and without one its input, to know whether it is a dry run."""
    if summary := None if execution.is_running else files.summary(execution.name):
        return ShownRun(execution, summary, summary.dry_run)
    found = executions.find(execution.name)
    return ShownRun(execution, None, found.is_dry_run if found else None)


def _follow(stack: Stack, progress: Progress) -> None:
    """Print a line per change until no run is in progress."""
    executions = Executions(stack)
    while running := [each for each in executions.newest(10) if each.is_running]:
        for each in running:
            progress.show(each)
        clock.sleep(POLL_SECONDS)


def _running(stack: Stack, executions: Executions, execution: Execution) -> RunningRun:
    records = RunRecords(Table(stack.client("dynamodb"), stack.output("LedgerTableName")))
    started = sum(
        sum(record.images.get(Outcome.STARTED, {}).values())
        for record in records.for_run(execution.name)
    )
    progress = executions.progress(execution.name)
    return RunningRun(execution.name, execution.started_at, progress, started)


def _messages(stack: Stack, queue: str) -> int:
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.output(queue),
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ],
    )
    return sum(map(int, answer["Attributes"].values()))


def _schedules(stack: Stack) -> dict[str, Schedule]:
    names = stack.physical_names("AWS::Scheduler::Schedule")
    found = dict[str, Schedule]()
    for what, logical_id in _SCHEDULES.items():
        if logical_id in names:
            answer = stack.client("scheduler").get_schedule(Name=names[logical_id])
            found[what] = Schedule(
                answer["ScheduleExpression"],
                answer["ScheduleExpressionTimezone"],
                answer["State"] == "ENABLED",
            )
    return found
