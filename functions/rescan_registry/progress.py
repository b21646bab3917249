"""How far the work on one repository has come, carried from slice to slice."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from rescan_registry.outcomes import REPOSITORY_GONE, Decision, Tally

WAVE = 100  # scans handed out at a time, so that a used-up quota or time limit is soon noticed


@dataclass(frozen=True)
class DueImage:
    """An image whose scan is to be started; absent dates are those of images never scanned."""

    digest: str
    scanned_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """The work on one repository between two slices.

    due: digests whose scans are to be started now, at most a wave; oldest scan first.
    outcomes: what came of them, in the same order; filled in by ForEachStaleImage.
    waiting: the images that are due after them, oldest scan first; no more than can be started.
    undecided: digests whose last scan ECR did not tell, because it throttled.
    missing: for how many of them, the first ones, the result of a started scan is missing too.
    cursor: ECR's token for the next page of the listing; absent after the last.
    handed_out: scans of this repository handed out in this run, whatever came of them.
    results_missing: images whose scan a run has started and whose result has not arrived in time.
    results_found: those of them whose result ECR has told, and which NotifyScan is told of.
    finished: nothing is left to hand out, to decide or to list.
    repository_gone: the repository was deleted since it was listed.
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
        """Tell whether all pages that were begun with have come to their end."""
        return not (self.undecided or self.cursor)

    def folded(self) -> "Progress":
        """Count what came of the last wave."""
        return replace(self, due=(), outcomes=(), tally=self.tally.plus(*self.outcomes))

    def of_deleted_repository(self) -> "Progress":
        """Finish: what was still to be decided or started went with its repository."""
        left = len(self.undecided) + len(self.waiting)
        return Progress(
            tally=self.tally.plus_many(REPOSITORY_GONE, left),
            handed_out=self.handed_out,
            results_missing=self.results_missing,
            results_found=self.results_found,
            finished=True,
            repository_gone=True,
        )
