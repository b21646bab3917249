"""Start a run now, as the schedule does: ecr-rescan run.

No question is asked: a run starts the scans that the next scheduled one would start, and ECR
accepts one scan per image in 24 hours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.call import Call
from cli.executions import RUNNING, Execution, Executions, running
from cli.exits import ExitCode, UsageError
from cli.output import duration
from cli.run_files import RunFiles
from cli.run_input import check_selection, read_input
from cli.shown_commands import own
from cli.status import POLL_SECONDS, Progress, ShownRun, shown_run
from registry.ecr import EcrRegistry
from reporting.text import visible
from rescan_registry.outcomes import Outcome
from runtime import clock
from runtime.causes import reason
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

ENHANCED = """\
This registry has enhanced scanning: Amazon Inspector scans its images, and the run starts no \
scan."""


@dataclass(frozen=True)
class StartedRun:
    """A run that this command has started.

    shown: the run, as status lists it. scan_type: BASIC or ENHANCED.
    next: the command that shows its progress, or starts what it did not finish; absent if nothing
    is left.
    """

    shown: ShownRun
    scan_type: str
    next: str | None

    def document(self) -> Mapping[str, object]:
        """Return it for JSON."""
        return {**self.shown.row(), "scan_type": self.scan_type, "next": self.next}

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return it as one row."""
        return [self.document()]

    def show(self, console: "Console") -> None:
        """Print what became of it, and what to run next."""
        after = f"   {self.next}" if self.next else ""
        console.print(f"{visible(self._sentence())}{after}", soft_wrap=True)

    def _sentence(self) -> str:
        execution, seconds = self.shown.execution, self.shown.seconds()
        if seconds is None:
            return f"started {execution.name}"
        status = execution.status.lower().replace("_", " ")
        return f"{execution.name} {status} after {duration(seconds)}: {self._result()}"

    def _result(self) -> str:
        if (summary := self.shown.summary) is None:
            execution = self.shown.execution
            return reason(execution.error, execution.cause) or "it has no summary"
        started, deferred, failed = (
            self.shown.outcome(outcome) or 0
            for outcome in (Outcome.STARTED, Outcome.DEFERRED, Outcome.FAILED)
        )
        left = (
            f"; {summary.repositories_not_done:,} of "
            f"{counted(summary.repositories, 'repository')} did not finish"
            if summary.repositories_not_done
            else ""
        )
        return f"{counted(started, 'scan')} started, {deferred:,} deferred, {failed:,} failed{left}"


def run(call: Call, run_input: str, *, follow: bool) -> ExitCode:
    """Start a run; with `follow`, show its progress, and say how it has ended."""
    document = read_input(run_input)
    if document.get("dry_run"):
        raise UsageError(
            f"--input has dry_run: {own(call, 'plan')} starts dry runs, with the same --input."
        )
    stack = call.stack
    executions = Executions(stack)
    if other := next(executions.under_way(), None):
        raise running(stack, other)
    check_selection(stack, document)
    scan_type = EcrRegistry(stack.client("ecr")).scan_type()
    if scan_type == "ENHANCED":
        call.output.complain(ENHANCED)
    name = executions.start("run", document)
    if follow:
        return _followed(call, executions, name, scan_type)
    execution = Execution(name, executions.arn(name), RUNNING, clock.now())
    shown = ShownRun(execution, summary=None, is_dry_run=False)
    call.answer(StartedRun(shown, scan_type, own(stack, "status --follow")))
    return ExitCode.DONE


def _followed(call: Call, executions: Executions, name: str, scan_type: str) -> ExitCode:
    """Show the progress of the run until it ends. Interrupting this does not stop the run."""
    call.output.complain(f"started {name}")
    progress = Progress(call.stack, call.output)
    ended = executions.ended(name, every=POLL_SECONDS, show=progress.show)
    files = RunFiles(call.stack)
    shown = shown_run(executions, files, ended)
    left = own(call.stack, f"rerun {name}") if ended.has_failed else None
    call.answer(StartedRun(shown, scan_type, left))
    if ended.has_failed:
        return ExitCode.BAD
    return ExitCode.INCOMPLETE if files.damaged else ExitCode.DONE
