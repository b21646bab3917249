"""Start the scans of one batch of images, at the pace that all callers share."""

from dataclasses import dataclass
from datetime import timedelta

from ledger.bucket import run_bucket
from ledger.run_records import Example
from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import (
    AccessDenied,
    EcrThrottled,
    EcrUnavailable,
    ImageArchived,
    ImageNotFound,
    ImageNotScannable,
    ImageScannedRecently,
    ManualScanningDisabled,
    RepositoryNotFound,
    ScanQuotaExhausted,
)
from rescan_registry.image_cache import ImageCache, image_cache
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import (
    ARCHIVED,
    IMAGE_GONE,
    REPOSITORY_GONE,
    SCAN_QUOTA,
    Decision,
    Outcome,
    Tally,
)
from rescan_registry.paced_calls import Pace, pace
from rescan_registry.pacing import Operation
from rescan_registry.progress import Batch, BatchOutcome
from rescan_registry.settings import StartImageScansSettings
from runtime import clock
from runtime.entrypoint import entrypoint

STARTED = Decision(Outcome.STARTED, "accepted")

START_FOR_SECONDS = 150.0  # the ledger may take 22 s before and after, and the function ends at 200
_CLOSED_FOR = timedelta(hours=1)  # ECR does not say when its quota of 24 hours is free again
_LONGEST_MESSAGE = 200  # characters of ECR's that a record keeps

_REFUSALS: dict[type[Exception], Decision] = {
    ImageScannedRecently: Decision(Outcome.RECENT, "scanned within 24 hours"),
    ScanQuotaExhausted: SCAN_QUOTA,
    ImageNotScannable: Decision(Outcome.UNSCANNABLE, "refused by ECR"),
    ImageArchived: ARCHIVED,
    ImageNotFound: IMAGE_GONE,
    RepositoryNotFound: REPOSITORY_GONE,
}
# ECR would answer the same for every other image of the batch.
_FOR_ALL = (ScanQuotaExhausted, RepositoryNotFound, AccessDenied, ManualScanningDisabled)
# Outcomes of which the next run must know when they were.
_REMEMBERED = frozenset({Outcome.RECENT, Outcome.UNSCANNABLE, Outcome.FAILED})


@dataclass(frozen=True)
class BatchInRun:
    """One batch of a repository in a run. retry: 0 is the first attempt."""

    run: str
    repository: str
    batch: Batch
    retry: int


class ScanStarter:
    """Starts the scans of one batch, and keeps what ECR answers."""

    def __init__(self, work: BatchInRun, registry: EcrRegistry, cache: ImageCache) -> None:
        self._work = work
        self._registry = registry
        self._cache = cache
        self._for_all: Decision | None = None
        self.examples: dict[str, Example] = {}

    def start(self, image_digest: str) -> Decision:
        """Start one scan and return its outcome; raise EcrThrottled or EcrUnavailable."""
        if self._for_all:
            return self._for_all
        try:
            self._registry.start_scan(self._work.repository, image_digest)
        except (EcrThrottled, EcrUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 one image must not stop the others
            decision = self._decision(error, image_digest)
        else:
            self._cache.note_started(image_digest, run=self._work.run, at=clock.now())
            return STARTED
        if decision.outcome in _REMEMBERED and self._for_all is None:
            self._cache.note_attempt(image_digest, decision, at=clock.now())
        return decision

    def _decision(self, error: Exception, image_digest: str) -> Decision:
        decision = _REFUSALS.get(type(error)) or Decision(
            Outcome.FAILED, getattr(error, "code", type(error).__name__)
        )
        if decision.outcome is Outcome.FAILED:
            message = " ".join(str(error).split())[:_LONGEST_MESSAGE]
            self.examples.setdefault(decision.reason, Example(image_digest, message))
        if isinstance(error, _FOR_ALL):
            self._for_all = decision
        return decision


def start_image_scans(
    work: BatchInRun,
    *,
    registry: EcrRegistry,
    pace: Pace,
    cache: ImageCache,
    outcomes: ImageOutcomes,
) -> BatchOutcome:
    """Start the scans of a batch, and return how many images had which outcome.

    A repeated invocation draws new numbers, and asks ECR only for what the one before has not
    started. Raises EcrThrottled or EcrUnavailable if ECR has answered for no image.
    """
    digests, first = work.batch.image_digests, work.batch.first
    decisions: dict[str, Decision] = {}
    if work.retry:
        started = cache.started_by(work.run, digests)
        decisions = {digest: STARTED for digest in digests if digest in started}
    asked = [digest for digest in digests if digest not in decisions]
    if work.retry and asked:
        turn = pace.draw(len(asked), polls=work.retry)
        if not turn.count:
            raise EcrThrottled("StartImageScan: the other calls of ECR take its whole rate")
        asked, first = asked[: turn.count], turn.first

    starter = ScanStarter(work, registry, cache)
    made = pace.calls(asked, starter.start, first=first, seconds=START_FOR_SECONDS)
    decisions |= {asked[position]: decision for position, decision in made.answers.items()}
    if made.refusal and not decisions:
        raise made.refusal
    if SCAN_QUOTA in decisions.values():
        pace.close(clock.now() + _CLOSED_FOR)
    outcomes.note(decisions)
    left = tuple(place for place, digest in enumerate(digests) if digest not in decisions)
    return BatchOutcome(
        tally=Tally().plus(*decisions.values()),
        left=left,
        left_count=len(left),
        examples=starter.examples,
        retries=work.retry,
    )


@entrypoint(BatchInRun)
def handler(work: BatchInRun) -> BatchOutcome:
    """Run as StartImageScans, once per batch."""
    settings, now = StartImageScansSettings.load(), clock.now()
    outcomes = ImageOutcomes(work.run, work.repository, now)
    outcome = start_image_scans(
        work,
        registry=ecr_registry(),
        pace=pace(settings.ledger_table, Operation.START_IMAGE_SCAN),
        cache=image_cache(settings, work.repository, now),
        outcomes=outcomes,
    )
    outcomes.write(run_bucket(settings.run_bucket), f"batch-{work.batch.number:04}")
    return outcome
