"""The progress of one repository in a run, passed from step to step."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from rescan_registry.outcomes import REPOSITORY_GONE, Decision, Tally

BATCH = 100  # scans per batch: few, so that an exhausted quota or time limit is noticed soon


@dataclass(frozen=True)
class DueImage:
    """An image that is due. scanned_at: absent if it was never scanned."""

    digest: str
    scanned_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """The progress of one repository between two steps.

    due: image digests of the next batch, oldest scan first.
    outcomes: their outcomes, in the same order; filled in by ForEachStaleImage.
    waiting: due images after that batch, oldest scan first; no more than can be started.
    undecided: image digests whose last scan ECR did not return, because it throttled.
    missing: how many of them, the first ones, are missing the result of a started scan.
    cursor: ECR's token for the next page of the listing; absent after the last.
    handed_out: images in all batches of this run so far, regardless of outcome.
    results_missing: images whose scan a run started and whose result is overdue.
    results_found: those of them whose result ECR returned and NotifyScan receives.
    finished: nothing is left to start, to evaluate, or to list.
    repository_gone: the repository was deleted after it was listed.
    """

    due: tuple[str, ...] = ()
    outcomes: tuple[Decision, ...] = ()
    waiting: tuple[DueImage, ...] = ()
    undecided: tuple[str, ...] = ()
    missing: int = 0
    cursor: str | None = None
    handed_out: int = 0
    results_missing: int = 0
    results_found: int = 0
    tally: Tally = field(default_factory=Tally)
    finished: bool = False
    repository_gone: bool = False

    @property
    def is_decided(self) -> bool:
        """Return whether every listed image is evaluated and no page is left."""
        return not (self.undecided or self.cursor)

    def folded(self) -> "Progress":
        """Return the progress with the outcomes of the last batch counted."""
        return replace(self, due=(), outcomes=(), tally=self.tally.plus(*self.outcomes))

    def of_deleted_repository(self) -> "Progress":
        """Return the final progress of a repository that was deleted during the run."""
        left = len(self.undecided) + len(self.waiting)
        return Progress(
            tally=self.tally.plus_many(REPOSITORY_GONE, left),
            handed_out=self.handed_out,
            results_missing=self.results_missing,
            results_found=self.results_found,
            finished=True,
            repository_gone=True,
        )
