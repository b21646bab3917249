"""The ledger's records of the images of one repository, used as a cache of ECR."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from ledger.errors import LedgerUnavailable
from ledger.image_records import Attempt, ImageRecord, ImageRecords, RecordedScan, image_records
from rescan_registry.outcomes import Decision
from rescan_registry.settings import ImageSettings
from runtime.log import logger

WRITES_AT_ONCE = 16


class ImageCache:
    """The image records of one repository, for one invocation.

    Without the ledger, every image is unknown and ECR is asked, which costs calls. No method raises
    LedgerUnavailable: the first one is logged, and the table is not called again.
    """

    def __init__(self, records: ImageRecords, repository: str, *, kept_until: datetime) -> None:
        self._records = records
        self._repository = repository
        self._expires_at = int(kept_until.timestamp())
        self._is_lost = False
        self._lock = threading.Lock()

    def recall(self, digests: Collection[str]) -> dict[str, ImageRecord]:
        """Return the records of some images by digest, in one query."""
        return self._attempt(
            lambda: {
                record.image_digest: record
                for record in self._records.records_of(self._repository, digests)
            },
            otherwise={},
        )

    def started_by(self, run: str, digests: Sequence[str]) -> frozenset[str]:
        """Return those of some images whose last scan was started by a run."""
        return self._attempt(
            lambda: self._records.started_by(run, self._repository, digests),
            otherwise=frozenset(),
        )

    def note_attempt(self, digest: str, decision: Decision, *, at: datetime) -> None:
        """Record that ECR has not accepted a scan."""
        attempt = Attempt(at, decision.outcome.value, decision.reason)
        self._attempt(
            lambda: self._records.note_attempt(
                self._repository, digest, attempt, expires_at=self._expires_at
            ),
            otherwise=None,
        )

    def note_started(self, digest: str, *, run: str, at: datetime) -> None:
        """Record that a run has started a scan."""
        self._attempt(
            lambda: self._records.note_started(
                self._repository, digest, run=run, at=at, expires_at=self._expires_at
            ),
            otherwise=None,
        )

    def note_scans(self, scans: Mapping[str, RecordedScan]) -> None:
        """Record scans that ECR has returned, by digest."""

        def note(digest: str) -> None:
            self._attempt(
                lambda: self._records.note_scan(
                    self._repository, digest, scans[digest], expires_at=self._expires_at
                ),
                otherwise=None,
            )

        with ThreadPoolExecutor(max_workers=WRITES_AT_ONCE) as pool:
            list(pool.map(note, scans))

    def _attempt[T](self, call: Callable[[], T], *, otherwise: T) -> T:
        if self._is_lost:
            return otherwise
        try:
            return call()
        except LedgerUnavailable as error:
            with self._lock:
                is_first, self._is_lost = not self._is_lost, True
            if is_first:
                logger.warning(
                    "ledger unavailable",
                    extra={"repository": self._repository, "problem": str(error)},
                )
            return otherwise


def image_cache(settings: ImageSettings, repository: str, now: datetime) -> ImageCache:
    """Return the cache of one repository in the stack's table."""
    kept_for = timedelta(days=settings.image_record_retention_days)
    return ImageCache(image_records(settings.ledger_table), repository, kept_until=now + kept_for)
