"""Run again what a run did not finish: ecr-rescan rerun."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cli.call import Call
from cli.executions import REDRIVABLE_FOR, SUCCEEDED, Execution, Executions, running
from cli.exits import CommandError, ExitCode, UsageError
from cli.run_files import RunFiles
from cli.shown_commands import own
from cli.stack import Stack
from ledger.bucket import RunBucket
from ledger.run_records import RunRecords
from ledger.table import Table
from own_events.rescan_finished import Problem
from reporting.text import visible
from rescan_registry.policy import REDRIVEN_AFTER
from rescan_registry.run_summary import RunFacts, RunSummary, summary_of
from rescan_registry.settings import RUN_TIME_LIMIT
from runtime import clock
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

_INVALID = "InvalidRescanRequest"


@dataclass(frozen=True)
class Rerun:
    """What was done about a run that did not finish.

    run: absent if no run has failed. problems, deferred: the first repositories that are left.
    started: the name of the new run; absent if none was started. is_redriven: the run continues.
    redrive_from: when a run that is redriven has its full time again; before, it starts no scan
    after its old end. redrive_until: until when AWS redrives it. Absent where a rerun is the way.
    next: the command that shows the progress of the run, or continues it.
    """

    run: str | None
    reason: str
    left: int = 0
    repositories: int = 0
    problems: tuple[Problem, ...] = ()
    deferred: tuple[str, ...] = ()
    started: str | None = None
    is_redriven: bool = False
    redrive_from: datetime | None = None
    redrive_until: datetime | None = None
    next: str | None = None

    def document(self) -> Mapping[str, object]:
        """Return all of it."""
        return vars(self)

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per repository that is left."""
        return [
            *({"repository": each.repository, "problem": each.problem} for each in self.problems),
            *({"repository": name, "problem": "deferred"} for name in self.deferred),
        ]

    def show(self, console: "Console") -> None:
        """Print it."""
        if self.run is None:
            console.print(self.reason, soft_wrap=True)
        elif self.is_redriven:
            console.print(f"{self.run} goes on   {self.next}", soft_wrap=True)
        elif self.started:
            console.print(f"started {self.started}   {self.next}", soft_wrap=True)
        else:
            done = self.repositories - self.left
            of_all = f"{done:,} of {counted(self.repositories, 'repository')}"
            console.print(
                f"The run itself was stopped: {visible(self.reason)}. Redrive continues it and "
                f"repeats none of the {of_all} that are done, "
                f"until {self.redrive_until:%Y-%m-%d}{self._not_before()}:\n"
                f"  {self.next}",
                soft_wrap=True,
            )

    def _not_before(self) -> str:
        if self.redrive_from is None or self.redrive_from <= clock.now():
            return ""
        old_end = self.redrive_from - REDRIVEN_AFTER
        return (
            f", and not before {self.redrive_from:%H:%M} UTC, because earlier it starts no scan "
            f"after {old_end:%H:%M}"
        )


def rerun(call: Call, run: str | None, *, redrive: bool) -> ExitCode:
    """Start what a run did not finish; say so where Redrive is the better way."""
    stack = call.stack
    executions = Executions(stack)
    execution = _given(stack, executions, run) if run else _newest_failed(stack, executions)
    if execution is None:
        call.answer(
            Rerun(None, "Nothing to rerun: no run has failed, or later ones did what was left.")
        )
        return ExitCode.DONE
    if other := execution if execution.is_running else _in_the_way(executions, execution):
        raise running(stack, other)
    if redrive:
        return _redriven(call, executions, execution)
    left = _left_of(stack, execution)
    if left is None:
        return _again(call, executions, execution)
    found = _answer(stack, execution, left)
    _check_records(stack, execution, found.left)
    if not found.left:
        call.answer(Rerun(None, f"{execution.name} has done everything: nothing to rerun."))
        return ExitCode.DONE
    if found.redrive_until:
        call.answer(found)
        return ExitCode.BAD
    _complain_of(call, execution, found)
    call.confirm(f"Start a run over {counted(found.left, 'repository')}?")
    started = executions.start("rerun", left.rerun)
    call.answer(replace(found, started=started, next=_follow(stack)))
    return ExitCode.DONE


def _given(stack: Stack, executions: Executions, run: str) -> Execution:
    if execution := executions.find(run):
        return execution
    raise UsageError(
        f"There is no run {visible(run)}: {own(stack, 'status --runs 100')} lists their names."
    )


def _newest_failed(stack: Stack, executions: Executions) -> Execution | None:
    """Return the newest run that failed, unless a later one or its reruns did everything.

    A dry run has done nothing, and leaves nothing.
    """
    files, done = RunFiles(stack), set[str]()
    for each in executions.newest_real():
        origin = _origin(executions, each)
        if each.has_failed and origin not in done:
            return each
        summary = files.summary(each.name)
        if summary and summary.is_whole:
            return None
        done.add(origin)
    return None


def _in_the_way(executions: Executions, execution: Execution) -> Execution | None:
    """Return an execution in progress that does what is left, and perhaps more.

    A second one beside it would list the same repositories, and use the same quota.
    """
    if execution.is_dry_run:
        return None
    origin = _origin(executions, execution)
    does_it = (
        each
        for each in executions.under_way()
        if each.is_whole or _origin(executions, each) == origin
    )
    return next(does_it, None)


def _origin(executions: Executions, execution: Execution) -> str:
    """Return the name of the run that a chain of reruns began with.

    A rerun that succeeds ends its chain: each does everything that the one before it has left.
    """
    chain, last = [execution.name], execution.rerun_of
    while last and last not in chain:
        chain.append(last)
        found = executions.find(last)
        last = found.rerun_of if found else None
    return chain[-1]


def _left_of(stack: Stack, execution: Execution) -> RunSummary | None:
    """Compare the list of a run with its records; None if it has no list."""
    name = stack.output("RunBucketName")
    names = RunBucket(stack.client("s3"), name).repositories(execution.name)
    if names is None:
        return None
    records = RunRecords(Table(stack.client("dynamodb"), stack.output("LedgerTableName")))
    ended_at = execution.ended_at or clock.now()
    facts = RunFacts(execution.name, execution.is_dry_run, execution.started_at, ended_at)
    return summary_of(facts, names, records.for_run(execution.name))


def _check_records(stack: Stack, execution: Execution, left: int) -> None:
    """Raise UsageError if records of the run are deleted: what is left is not known then.

    The list and the summary of a run can be kept longer: S3 deletes files after midnight, and
    RunRetentionDays counts for records as it was when the run began.
    """
    kept_for = timedelta(days=int(stack.parameter("RunRetentionDays")))
    summary = RunFiles(stack).summary(execution.name)
    known = summary.repositories_not_done + summary.repositories_deferred if summary else left
    if left > known or execution.started_at + kept_for < clock.now():
        raise UsageError(
            f"The records of {execution.name} are older than RunRetentionDays, and what it did not "
            f"finish is not known: {own(stack, 'run')} starts a run over the whole registry."
        )


def _answer(stack: Stack, execution: Execution, left: RunSummary) -> Rerun:
    ended_at = execution.ended_at or execution.started_at
    until = ended_at + REDRIVABLE_FOR
    is_redrive_better = execution.was_stopped and execution.is_redrivable and until > clock.now()
    return Rerun(
        run=execution.name,
        reason=execution.error or execution.status,
        left=left.repositories_not_done + left.repositories_deferred,
        repositories=left.repositories,
        problems=tuple(left.problems.start),
        deferred=tuple(left.deferred.start),
        redrive_from=_full_time_from(execution) if is_redrive_better else None,
        redrive_until=until if is_redrive_better else None,
        next=own(stack, f"rerun {execution.name} --redrive") if is_redrive_better else None,
    )


def _redriven(call: Call, executions: Executions, execution: Execution) -> ExitCode:
    if not (execution.was_stopped and execution.is_redrivable):
        reason = execution.not_redrivable_because or "its Map had ended"
        raise UsageError(
            f"Redrive does not help {execution.name}: {visible(reason)}. "
            f"{own(call.stack, f'rerun {execution.name}')} starts what it did not finish."
        )
    again_from = _full_time_from(execution)
    if again_from - REDRIVEN_AFTER <= clock.now() < again_from:
        raise UsageError(
            f"{execution.name} would start no scan before {again_from:%H:%M} UTC: Redrive it then."
        )
    call.confirm(f"Continue {execution.name}, with the definition that it had?")
    executions.redrive(execution)
    reason = execution.error or execution.status
    call.answer(Rerun(execution.name, reason, is_redriven=True, next=_follow(call.stack)))
    return ExitCode.DONE


def _full_time_from(execution: Execution) -> datetime:
    return execution.started_at + RUN_TIME_LIMIT + REDRIVEN_AFTER


def _again(call: Call, executions: Executions, execution: Execution) -> ExitCode:
    """Start a run with the same input, if the run ended before it had listed its repositories."""
    cause = visible(execution.reason)
    if execution.error == _INVALID:
        raise CommandError(f"{execution.name} can only fail again: {cause}")
    if execution.status == SUCCEEDED:
        call.answer(Rerun(None, f"{execution.name} has done everything: nothing to rerun."))
        return ExitCode.DONE
    call.output.complain(f"{execution.name} ended before it had listed its repositories: {cause}")
    call.confirm("Start a run with the same input?")
    started = executions.start("rerun", execution.given)
    reason = execution.error or execution.status
    call.answer(Rerun(execution.name, reason, started=started, next=_follow(call.stack)))
    return ExitCode.DONE


def _follow(stack: Stack) -> str:
    return own(stack, "status --follow")


def _complain_of(call: Call, execution: Execution, found: Rerun) -> None:
    status = execution.status.lower().replace("_", " ")
    call.output.complain(
        f"{execution.name} {status}: {found.left:,} of "
        f"{counted(found.repositories, 'repository')} did not finish."
    )
    for row in found.rows():
        call.output.complain(f"  {visible(str(row['repository']))}  {visible(str(row['problem']))}")
    if (more := found.left - len(found.problems) - len(found.deferred)) > 0:
        call.output.complain(f"  and {more:,} more")
