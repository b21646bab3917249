"""Record the result of one repository in a run."""

from dataclasses import dataclass, replace
from datetime import datetime

from ledger.run_records import RecordStatus, RunRecord, RunRecords, run_records
from rescan_registry.outcomes import Outcome
from rescan_registry.progress import Progress
from rescan_registry.settings import RecordRepositorySettings
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.nouns import counted


class ImageScansFailed(Exception):
    """ECR did not start the scans of some images, for another reason than its rate."""


@dataclass(frozen=True)
class WorkedRepository:
    """One repository whose images all have an outcome."""

    run: str
    repository: str
    started_at: datetime
    records_expire_at: str
    progress: Progress


@dataclass(frozen=True)
class RepositoryOutcome:
    """The result of a repository, with its images counted by outcome."""

    repository: str
    status: RecordStatus
    images: dict[Outcome, int]


def record_repository(
    work: WorkedRepository, *, records: RunRecords, now: datetime
) -> RepositoryOutcome:
    """Fold the outcomes of all images into one record.

    Raises ImageScansFailed after the record is written, so that a rerun selects the repository.
    """
    progress = work.progress.folded()
    # A run reads as many records as the registry has repositories: one image of each is enough.
    freshness = replace(progress.freshness, oldest=progress.freshness.oldest[:1])
    images = progress.tally.outcomes()
    failure, status = None, progress.record_status
    if failed := progress.tally.counts.get(Outcome.FAILED):
        errors = ", ".join(f"{count} {name}" for name, count in failed.items())
        failure = ImageScansFailed(
            f"{sum(failed.values()):,} of {counted(progress.tally.images(), 'image')} could not be "
            f"scanned: {errors}"
        )
    records.put(
        RunRecord(
            run=work.run,
            repository=work.repository,
            status=status,
            started_at=work.started_at,
            ended_at=now,
            images={outcome.value: reasons for outcome, reasons in progress.tally.counts.items()},
            examples=progress.examples,
            results_missing=progress.results_missing,
            results_found=progress.results_found,
            freshness=None if status is RecordStatus.GONE else freshness,
            error=type(failure).__name__ if failure else None,
            cause=str(failure) if failure else None,
        ),
        expires_at=int(work.records_expire_at),
    )
    if failure:
        raise failure
    return RepositoryOutcome(repository=work.repository, status=status, images=images)


@entrypoint(WorkedRepository)
def handler(work: WorkedRepository) -> RepositoryOutcome:
    """Run as RecordRepository, last state of a child execution that got to its end."""
    records = run_records(RecordRepositorySettings.load().ledger_table)
    return record_repository(work, records=records, now=clock.now())
