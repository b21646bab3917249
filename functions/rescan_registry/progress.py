"""The progress of one repository in a run, passed from step to step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from ledger.run_records import Example, Freshness, RecordStatus
from rescan_registry.outcomes import REPOSITORY_GONE, STILL_DUE, Decision, Outcome, Tally

BATCH = 50  # images per batch: a crash strands no more, and most repositories have one batch
MOST_EXAMPLES = 5  # of reasons of FAILED; a state holds no long list of them
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class DueImage:
    """An image that is due.

    since: the newest of its last scan, last attempt, and push; absent if none of them is known.
    not_before: when ECR accepts a scan again; absent if it does so already.
    is_overdue: two runs have missed it.
    """

    image_digest: str
    since: datetime | None = None
    not_before: datetime | None = None
    is_overdue: bool = False


@dataclass(frozen=True)
class UndecidedImage:
    """An image whose last scan ECR has not returned yet. since, accepted_at: as in ScanDates."""

    image_digest: str
    since: datetime | None = None
    accepted_at: datetime | None = None


@dataclass(frozen=True)
class Batch:
    """Images whose scans one invocation starts.

    number: 1 is the first batch of the repository in this run.
    first: the number of the first image in the queue of StartImageScan; absent if the ledger does
        not answer.
    overdue: how many of the images are overdue: the first ones.
    """

    number: int
    first: int | None
    image_digests: tuple[str, ...]
    overdue: int = 0

    def still_overdue(self, decisions: Mapping[str, Decision]) -> int:
        """Count the overdue images that are still due, by decisions on some of the images."""
        made = [decisions.get(digest) for digest in self.image_digests[: self.overdue]]
        return sum(each is not None and each.outcome in STILL_DUE for each in made)


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a batch, at most a few hundred bytes.

    left: positions, in the batch, of the images for which ECR has given no answer.
    overdue: overdue images of the batch that are still due.
    examples: by reason, for the first few reasons of FAILED.
    retries: how often the invocation was retried.
    error: name of the error, if the batch failed.
    """

    tally: Tally = field(default_factory=Tally)
    left: tuple[int, ...] = ()
    overdue: int = 0
    examples: dict[str, Example] = field(default_factory=dict)
    retries: int = 0
    error: str | None = None


@dataclass(frozen=True)
class StartedBatches:
    """What became of the batches of a step. left_count: images that are left of all of them."""

    outcomes: tuple[BatchOutcome, ...] = ()
    left_count: int = 0


@dataclass(frozen=True)
class Progress:
    """The progress of one repository between two steps.

    step: the number of steps so far.
    events: an upper estimate of the events in the history of the child execution.
    batches: what is started next.
    started: what became of them, in the same order; filled in by ForEachBatch.
    waiting: due images after these batches, whose turn came longest ago first; no more than can be
        started.
    waiting_stored: how many there are, if they are stored in the run bucket instead of the state.
    undecided: images whose last scan ECR has not returned, because it throttled.
    missing: how many of them, the first ones, are missing the result of a started scan.
    cursor: ECR's token for the next page of the listing; absent after the last.
    listed: every page is listed.
    relisted: the listing was started again, because ECR refused the token of a page.
    last_page: the ends of the image digests on the last page, where another one follows.
    batches_made: how many batches there were so far.
    asked: images for which ECR was asked to start a scan, regardless of its answer.
    wait_seconds: how long to wait before the next step, until it is this repository's turn.
    polls: how often it has waited in a row.
    results_missing: images whose scan a run started and whose result is overdue.
    results_found: those of them whose result ECR returned and NotifyScan receives.
    freshness: of the images that are evaluated so far.
    examples: by reason, for the first few reasons of FAILED.
    finished: nothing is left to start, to evaluate, or to list.
    repository_gone: the repository was deleted after it was listed.
    cut_short: the run stopped before every page was listed and evaluated.
    """

    step: int = 0
    events: int = 0
    batches: tuple[Batch, ...] = ()
    started: StartedBatches = field(default_factory=StartedBatches)
    waiting: tuple[DueImage, ...] = ()
    waiting_stored: int = 0
    undecided: tuple[UndecidedImage, ...] = ()
    missing: int = 0
    cursor: str | None = None
    listed: bool = False
    relisted: bool = False
    last_page: tuple[str, ...] = ()
    batches_made: int = 0
    asked: int = 0
    wait_seconds: int = 0
    polls: int = 0
    results_missing: int = 0
    results_found: int = 0
    freshness: Freshness = field(default_factory=Freshness)
    tally: Tally = field(default_factory=Tally)
    examples: dict[str, Example] = field(default_factory=dict)
    finished: bool = False
    repository_gone: bool = False
    cut_short: bool = False

    @property
    def record_status(self) -> RecordStatus:
        """Return how the work on the repository ended, as its record states it."""
        if self.tally.counts.get(Outcome.FAILED):
            return RecordStatus.FAILED
        if self.repository_gone or self.tally.of_decision(REPOSITORY_GONE):
            return RecordStatus.GONE
        return RecordStatus.DEFERRED if self.cut_short else RecordStatus.FINISHED

    @property
    def is_decided(self) -> bool:
        """Return whether every page is listed and every image on it evaluated."""
        return self.listed and not self.undecided

    def folded(self) -> "Progress":
        """Return the progress with the outcomes of the last batches counted.

        An image for which ECR has given no answer waits again, before all others. Batches that
        failed are not counted.
        """
        tally, examples, left = self.tally, self.examples, list[DueImage]()
        overdue = 0
        for batch, outcome in self.ended_batches():
            if not outcome.error:
                tally = tally.merged(outcome.tally)
                overdue += outcome.overdue
                both = examples | outcome.examples | examples  # the first one of each reason
                examples = dict(islice(both.items(), MOST_EXAMPLES))
                left += [
                    # A batch has no dates: that an image is overdue is what is left of its own.
                    DueImage(batch.image_digests[position], is_overdue=position < batch.overdue)
                    for position in outcome.left
                ]
        return replace(
            self,
            batches=(),
            started=StartedBatches(),
            waiting=(*left, *self.waiting),
            asked=self.asked - len(left),
            tally=tally,
            examples=examples,
        ).with_overdue(overdue)

    def with_overdue(self, images: int) -> "Progress":
        """Return the progress with more overdue images that are still due."""
        return replace(
            self, freshness=replace(self.freshness, overdue=self.freshness.overdue + images)
        )

    def ended_batches(self) -> tuple[tuple[Batch, BatchOutcome], ...]:
        """Return the last batches, each with its outcome."""
        return tuple(zip(self.batches, self.started.outcomes, strict=True))

    def queued(self, due: Iterable[DueImage]) -> "Progress":
        """Return the progress with more images that are due."""
        return replace(self, waiting=tuple(sorted((*self.waiting, *due), key=_turn)))


def _turn(image: DueImage) -> tuple[datetime, str]:
    """Sort by the time since when an image waits; by its digest, if that is the same."""
    return image.since or _NEVER, image.image_digest
