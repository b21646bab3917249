"""The result of a run."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ledger.run_records import RecordStatus, RunRecord
from rescan_registry.outcomes import Outcome, Tally
from runtime.messages import Json, encode

NAMED = 10  # repositories that a message names before it only counts them
NEVER_REACHED = "not started, or stopped before it finished"


class RunStatus(StrEnum):
    """How a run ended."""

    FINISHED = "FINISHED"
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True)
class Problem:
    """A repository that did not finish, and why."""

    repository: str
    problem: str


@dataclass(frozen=True)
class RunReport:
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
        named = ", ".join(f"{each.repository} ({each.problem})" for each in self.problems[:NAMED])
        more = len(self.problems) - NAMED
        return (
            f"{len(self.problems)} of {self.repositories} repositories did not finish: {named}"
            f"{f' and {more} more' if more > 0 else ''}. "
            f"To rerun only them, start an execution with the input {json.dumps(self.rerun)}"
        )

    def detail(self, summary_key: str) -> Json:
        """Return the detail of the event Rescan Finished, with the first problems only."""
        return {
            "run": self.run,
            "status": self.status,
            "dry_run": self.dry_run,
            "started_at": encode(self.started_at),
            "ended_at": encode(self.ended_at),
            "repositories": self.repositories,
            "repositories_gone": self.repositories_gone,
            "repositories_not_done": len(self.problems),
            "problems": encode(self.problems[:NAMED]),
            "images": encode(self.images.outcomes()),
            "reasons": encode(self.images.counts),
            "results_missing": self.results_missing,
            "results_found": self.results_found,
            "rerun": encode(self.rerun),
            "summary_key": summary_key,
        }


@dataclass(frozen=True)
class RunSummary:
    """The output of the execution, without what does not fit the history.

    conclusion: one paragraph for the operator; the cause of a failed run in the console.
    summary_key: object in the run bucket with the full report.
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
    def of(cls, report: RunReport, summary_key: str) -> "RunSummary":
        """Return the summary of a report."""
        return cls(
            run=report.run,
            status=report.status,
            dry_run=report.dry_run,
            repositories=report.repositories,
            repositories_not_done=len(report.problems),
            images=report.images.outcomes(),
            results_missing=report.results_missing,
            results_found=report.results_found,
            rerun=report.rerun,
            summary_key=summary_key,
            conclusion=report.sentence(),
        )


def report_of(
    run: str,
    names: Sequence[str],
    records: Iterable[RunRecord],
    *,
    dry_run: bool,
    started_at: datetime,
    now: datetime,
) -> RunReport:
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
    return RunReport(
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
        rerun=_rerun(run, dry_run=dry_run) if problems else None,
    )


def _rerun(run: str, *, dry_run: bool) -> dict[str, object]:
    return {"rerun_of": run, "dry_run": True} if dry_run else {"rerun_of": run}
