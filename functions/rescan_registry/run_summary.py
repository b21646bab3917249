"""The result of a run."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ledger.run_records import Freshness, RecordStatus, RunRecord
from ledger.run_summaries import ImageCounts, SummaryDocument
from own_events.rescan_finished import MOST_PROBLEMS, Problem, RunChange, rerun_input
from rescan_registry.outcomes import RUN_TIME, SCAN_QUOTA, Decision, Outcome, Tally
from rescan_registry.run_change import ENHANCED, News
from runtime.long_list import LongList
from runtime.nouns import counted

NEVER_REACHED = "not started, or stopped before it finished"
# What ends the scans of a whole run, and not those of one repository.
_ENDS_OF_A_RUN = (SCAN_QUOTA.reason, RUN_TIME.reason)


class RunStatus(StrEnum):
    """How a run ended."""

    FINISHED = "FINISHED"
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True)
class RunSummary:
    """The full result of a run, which becomes the document summary.json.

    change: compared with the run before; absent for a dry run and for chosen repositories.
    remark: what an operator must know about the run as a whole.
    images: counted by outcome and reason, over all repositories.
    results_missing: scans of earlier runs whose result had not arrived when this run looked.
    results_found: those of them whose result ECR returned when it was asked.
    is_whole: the run was over all repositories that RepositoryFilter selects.
    freshness: absent where no repository was listed because of enhanced scanning.
    repositories_unknown: those whose images are not, or not all, in it.
    rerun: the execution input that takes only what is not done; of a dry run it is one too.
    problems: every repository that did not finish.
    deferred: every repository that the run has not reached, or not listed to its end.
    begin_with: the repository with which the next run begins, if this one did not get to the end.
    """

    run: str
    status: RunStatus
    dry_run: bool
    scan_type: str
    change: RunChange | None
    remark: str | None
    started_at: datetime
    ended_at: datetime
    repositories: int
    repositories_gone: int
    repositories_not_done: int
    repositories_deferred: int
    images: Tally
    results_missing: int
    results_found: int
    is_whole: bool
    freshness: Freshness | None
    repositories_unknown: int
    rerun: dict[str, object] | None
    begin_with: str | None
    problems: LongList[Problem]
    deferred: LongList[str]

    def sentence(self) -> str:
        """Return one paragraph for the operator: what did not finish, and what to do."""
        sentences = [self.remark] if self.remark else []
        repositories = counted(self.repositories, "repository")
        if self.problems:
            named = _named(
                (f"{each.repository} ({each.problem})" for each in self.problems.start),
                len(self.problems),
            )
            sentences.append(f"{len(self.problems):,} of {repositories} did not finish: {named}.")
        if self.deferred:
            named = _named(self.deferred.start, len(self.deferred))
            were = "was" if len(self.deferred) == 1 else "were"
            share = f"{len(self.deferred):,} of {repositories}"
            sentences.append(f"{share} {were} not reached: {named}.")
            if self.begin_with:
                sentences.append(f"The next run begins with {self.begin_with}.")
        if self.rerun:
            sentences.append(
                f"To rerun only them, start an execution with the input {json.dumps(self.rerun)}"
            )
        return " ".join(sentences) or f"Every repository is done, {self.repositories:,} in all."

    def document(self) -> SummaryDocument:
        """Return the document with the start of its long lists."""
        return SummaryDocument(
            run=self.run,
            status=self.status,
            dry_run=self.dry_run,
            started_at=self.started_at,
            ended_at=self.ended_at,
            repositories=self.repositories,
            repositories_gone=self.repositories_gone,
            repositories_not_done=self.repositories_not_done,
            images=ImageCounts(
                {outcome.value: reasons for outcome, reasons in self.images.counts.items()}
            ),
            results_missing=self.results_missing,
            results_found=self.results_found,
            rerun=self.rerun,
            problems=tuple(self.problems.start),
            scan_type=self.scan_type,
            change=self.change,
            remark=self.remark,
            repositories_deferred=self.repositories_deferred,
            repositories_unknown=self.repositories_unknown,
            is_whole=self.is_whole,
            freshness=self.freshness,
            begin_with=self.begin_with,
            deferred=tuple(self.deferred.start),
        )

    def lists(self) -> Mapping[str, Iterable[str]]:
        """Return the long lists of the document, their items as JSON."""
        return {"problems": self.problems.texts(), "deferred": self.deferred.texts()}


@dataclass(frozen=True)
class RunOutput:
    """The output of the execution, without what does not fit the history.

    conclusion: one paragraph for the operator; the cause of a failed run in the console.
    summary_key: object in the run bucket with the full summary.
    """

    run: str
    status: RunStatus
    dry_run: bool
    scan_type: str
    change: RunChange | None
    repositories: int
    repositories_not_done: int
    repositories_deferred: int
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
            scan_type=summary.scan_type,
            change=summary.change,
            repositories=summary.repositories,
            repositories_not_done=summary.repositories_not_done,
            repositories_deferred=summary.repositories_deferred,
            images=summary.images.outcomes(),
            results_missing=summary.results_missing,
            results_found=summary.results_found,
            rerun=summary.rerun,
            summary_key=summary_key,
            conclusion=summary.sentence(),
        )


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run apart from its records."""

    run: str
    dry_run: bool
    started_at: datetime
    ended_at: datetime
    scan_type: str = "BASIC"
    news: News = field(default_factory=News)
    is_whole: bool = False
    moves_the_beginning: bool = False


def summary_of(facts: RunFacts, names: Iterable[str], records: Iterable[RunRecord]) -> RunSummary:
    """Compare the list of a run with its records; a repository without a record did not finish.

    Both can be long: they are read once, one after the other, and only names are kept.
    """
    problems = LongList[Problem](most=MOST_PROBLEMS)
    deferred = LongList[str](most=MOST_PROBLEMS)
    images = Counter[tuple[str, str]]()
    is_cut_off = dict[str, bool]()  # by repository: the end of the run left some of it undone
    freshness, unknown = Freshness(), 0
    gone = results_missing = results_found = 0
    for record in records:
        for outcome, reasons in record.images.items():
            for reason, count in reasons.items():
                images[outcome, reason] += count
        if record.status is RecordStatus.FAILED:
            problems.append(Problem(record.repository, record.problem()))
        if record.status is RecordStatus.DEFERRED:
            deferred.append(record.repository)
        is_cut_off[record.repository] = record.status is RecordStatus.DEFERRED or any(
            reason in _ENDS_OF_A_RUN for reason in record.images.get(Outcome.DEFERRED, ())
        )
        gone += record.status is RecordStatus.GONE
        results_missing += record.results_missing
        results_found += record.results_found
        if record.freshness:
            freshness = freshness.merged(record.freshness)
        if record.status is not RecordStatus.GONE:
            unknown += not record.freshness or record.status is RecordStatus.DEFERRED
    repositories, begin_with = 0, None
    for name in names:
        repositories += 1
        if name not in is_cut_off:
            problems.append(Problem(name, NEVER_REACHED))
            unknown += 1
        elif begin_with is None and is_cut_off[name]:
            begin_with = name
    is_problem = problems or facts.news.change is RunChange.NO_REPOSITORIES
    return RunSummary(
        run=facts.run,
        status=RunStatus.INCOMPLETE if is_problem else RunStatus.FINISHED,
        dry_run=facts.dry_run,
        scan_type=facts.scan_type,
        change=facts.news.change,
        remark=facts.news.remark,
        started_at=facts.started_at,
        ended_at=facts.ended_at,
        repositories=repositories,
        repositories_gone=gone,
        repositories_not_done=len(problems),
        repositories_deferred=len(deferred),
        images=Tally.of(
            Counter(
                {
                    Decision(Outcome(outcome), reason): count
                    for (outcome, reason), count in images.items()
                }
            )
        ),
        results_missing=results_missing,
        results_found=results_found,
        is_whole=facts.is_whole,
        freshness=None if facts.scan_type == ENHANCED else freshness,
        repositories_unknown=unknown,
        rerun=rerun_input(facts.run, dry_run=facts.dry_run) if problems or deferred else None,
        begin_with=begin_with if facts.moves_the_beginning else None,
        problems=problems,
        deferred=deferred,
    )


def _named(names: Iterable[str], in_all: int) -> str:
    more = in_all - MOST_PROBLEMS
    return f"{', '.join(names)}{f' and {more:,} more' if more > 0 else ''}"
