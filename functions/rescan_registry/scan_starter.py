"""Start scans one by one, and turn ECR's answers into outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ledger.run_records import Example
from registry.ecr import EcrRegistry
from registry.errors import (
    AccessDenied,
    EcrError,
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
from rescan_registry.image_cache import ImageCache
from rescan_registry.outcomes import (
    ARCHIVED,
    IMAGE_GONE,
    REPOSITORY_GONE,
    SCAN_QUOTA,
    STARTED,
    Decision,
    Outcome,
)
from rescan_registry.paced_calls import Pace
from rescan_registry.progress import MOST_EXAMPLES, Batch
from runtime import clock

_CLOSED_FOR = timedelta(hours=1)  # ECR does not say when its quota of 24 hours is free again
_LONGEST_MESSAGE = 200  # characters of ECR's that a record keeps

_REFUSALS: dict[type[Exception], Decision] = {
    ImageScannedRecently: Decision(Outcome.RECENT, "scanned within 24 hours"),
    ScanQuotaExhausted: SCAN_QUOTA,
    ImageNotScannable: Decision(Outcome.UNSCANNABLE, "refused by ECR"),
    ImageArchived: ARCHIVED,
    ImageNotFound: IMAGE_GONE,
    RepositoryNotFound: REPOSITORY_GONE,
    AccessDenied: Decision(Outcome.FAILED, "AccessDenied"),
    ManualScanningDisabled: Decision(Outcome.FAILED, "ManualScanningDisabled"),
}
# ECR would answer the same for every other image of the batch.
_FOR_ALL = (RepositoryNotFound, AccessDenied, ManualScanningDisabled)
# ECR has one code for the quota of the registry and for that of an image, and separates them by a
# text that it does not document. So one refusal is not enough to stop all runs for an hour.
_CERTAIN_OF_QUOTA = 3
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
    """Starts the scans of one batch, and keeps what ECR answers.

    decisions: by image digest.
    examples: one image per reason of FAILED, for the first few reasons.
    """

    def __init__(
        self, work: BatchInRun, registry: EcrRegistry, cache: ImageCache, pace: Pace
    ) -> None:
        self._work = work
        self._registry = registry
        self._cache = cache
        self._pace = pace
        self._for_all: Decision | None = None
        self._over_quota = 0
        self.decisions: dict[str, Decision] = {}
        self.examples: dict[str, Example] = {}

    def start_all(
        self, image_digests: Sequence[str], first: int | None, *, seconds: float
    ) -> Exception | None:
        """Start scans by numbers from the first on, and keep the decisions.

        Returns the last EcrThrottled or EcrUnavailable, if there was one.
        """
        made = self._pace.calls(
            image_digests,
            self.start,
            first=first,
            seconds=seconds,
            is_over=lambda: self._for_all is not None,
        )
        for position, image_digest in enumerate(image_digests):
            if decision := made.answers.get(position, self._for_all):
                self.decisions[image_digest] = decision
        return made.refusal

    def start(self, image_digest: str) -> Decision:
        """Start one scan and return its outcome; raise EcrThrottled or EcrUnavailable."""
        try:
            self._registry.start_scan(self._work.repository, image_digest)
        except (EcrThrottled, EcrUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 one image must not stop the others
            return self._refused(image_digest, error)
        self._cache.note_started(image_digest, run=self._work.run, at=clock.now())
        return STARTED

    def _refused(self, image_digest: str, error: Exception) -> Decision:
        decision = _REFUSALS.get(type(error)) or Decision(
            Outcome.FAILED,
            type(error).__name__,  # of an EcrError: the code
        )
        if decision.outcome is Outcome.FAILED and len(self.examples) < MOST_EXAMPLES:
            words = error.message if isinstance(error, EcrError) else str(error)
            message = " ".join(words.split())[:_LONGEST_MESSAGE]
            self.examples.setdefault(decision.reason, Example(image_digest, message))
        if isinstance(error, _FOR_ALL):
            self._for_all = decision
        elif decision == SCAN_QUOTA:
            self._note_quota()
        elif decision.outcome in _REMEMBERED:
            self._cache.note_attempt(image_digest, decision, at=clock.now())
        return decision

    def _note_quota(self) -> None:
        """Make no further calls for a while, if it is not a matter of single images."""
        self._over_quota += 1
        if self._over_quota == _CERTAIN_OF_QUOTA:
            self._for_all = SCAN_QUOTA
            self._pace.close(clock.now() + _CLOSED_FOR)
