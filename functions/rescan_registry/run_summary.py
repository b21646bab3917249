"""The result of a run."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ledger.run_records import RecordStatus, RunRecord
from own_events.rescan_finished import MOST_PROBLEMS, Problem, RescanFinished, rerun_input
from rescan_registry.outcomes import Outcome, Tally

NEVER_REACHED = "not started, or stopped before it finished"


class RunStatus(StrEnum):
    """How a run ended."""

    FINISHED = "FINISHED"
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True)
class RunSummary:
    """The full result of a run: the document summary.json.

    images: counted by outcome and reason, over all repositories.
    results_missing: scans of earlier runs whose result had not arrived when this run looked.
    results_found: those of them whose result ECR returned when it was asked.
    problems: every repository that did not finish.
    rerun: the execution input that takes only those; of a dry run it is one too.
    """

    run: str
    status: RunStatus
    dry_run: bool
    started_at: datetime
    ended_at: datetime
    repositories: int
    repositories_gone: int
    images: Tally
    results_missing: int
    results_found: int
    problems: tuple[Problem, ...]
    rerun: dict[str, object] | None

    def sentence(self) -> str:
        """Return one paragraph for the operator: what did not finish, and how to rerun it."""
        if not self.problems:
            return f"Every repository is done, {self.repositories} in all."
        named = ", ".join(
            f"{each.repository} ({each.problem})" for each in self.problems[:MOST_PROBLEMS]
        )
        more = len(self.problems) - MOST_PROBLEMS
        return (
            f"{len(self.problems)} of {self.repositories} repositories did not finish: {named}"
            f"{f' and {more} more' if more > 0 else ''}. "
            f"To rerun only them, start an execution with the input {json.dumps(self.rerun)}"
        )

    def event(self, summary_key: str) -> RescanFinished:
        """Return the event of the end of the run, with the first problems only."""
        return RescanFinished(
            run=self.run,
            status=self.status,
            dry_run=self.dry_run,
            started_at=self.started_at,
            ended_at=self.ended_at,
            repositories=self.repositories,
            repositories_gone=self.repositories_gone,
            repositories_not_done=len(self.problems),
            problems=self.problems[:MOST_PROBLEMS],
            images={outcome.value: images for outcome, images in self.images.outcomes().items()},
            reasons={outcome.value: reasons for outcome, reasons in self.images.counts.items()},
            results_missing=self.results_missing,
            results_found=self.results_found,
            rerun=self.rerun,
            summary_key=summary_key,
        )


@dataclass(frozen=True)
class RunOutput:
    """The output of the execution, without what does not fit the history.

    conclusion: one paragraph for the operator; the cause of a failed run in the console.
    summary_key: object in the run bucket with the full summary.
    """

    run: str
    status: RunStatus
    dry_run: bool
    repositories: int
    repositories_not_done: int
    images: dict[Outcome, int]
    results_missing: int
    results_found: int
    rerun: dict[str, object] | None
    summary_key: str
    conclusion: str

    @classmethod
    def of(cls, summary: RunSummary, summary_key: str) -> "RunOutput":
        """Return the summary of a summary."""
        return cls(
            run=summary.run,
            status=summary.status,
            dry_run=summary.dry_run,
            repositories=summary.repositories,
            repositories_not_done=len(summary.problems),
            images=summary.images.outcomes(),
            results_missing=summary.results_missing,
            results_found=summary.results_found,
            rerun=summary.rerun,
            summary_key=summary_key,
            conclusion=summary.sentence(),
        )


def summary_of(
    run: str,
    names: Sequence[str],
    records: Iterable[RunRecord],
    *,
    dry_run: bool,
    started_at: datetime,
    now: datetime,
) -> RunSummary:
    """Compare the list of a run with its records; a repository without a record did not finish."""
    by_name = {record.repository: record for record in records}
    problems = tuple(
        Problem(name, record.problem() if record else NEVER_REACHED)
        for name in names
        if not ((record := by_name.get(name)) and record.is_done)
    )
    images = Tally()
    for record in by_name.values():
        images = images.merged(
            Tally({Outcome(outcome): dict(reasons) for outcome, reasons in record.images.items()})
        )
    return RunSummary(
        run=run,
        status=RunStatus.INCOMPLETE if problems else RunStatus.FINISHED,
        dry_run=dry_run,
        started_at=started_at,
        ended_at=now,
        repositories=len(names),
        repositories_gone=sum(record.status is RecordStatus.GONE for record in by_name.values()),
        images=images,
        results_missing=sum(record.results_missing for record in by_name.values()),
        results_found=sum(record.results_found for record in by_name.values()),
        problems=problems,
        rerun=rerun_input(run, dry_run=dry_run) if problems else None,
    )
