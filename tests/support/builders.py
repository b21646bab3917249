"""Values that tests need and do not care about, and a scan history in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from ledger.run_records import Freshness, RecordStatus, RunRecord
from registry.images import Image, LastScan
from rescan_registry.image_cache import ImageCache
from rescan_registry.policy import RescanPolicy
from rescan_registry.progress import Progress
from rescan_registry.repository_step import RepositoryInRun, Surroundings
from rescan_registry.run_summary import RunFacts
from rescan_registry.scan_history import ScanAnswers
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket, FakeBus, FakeImageRecords, FakePace, FakeRegistry

_numbers = count(1)

# The defaults of the template.
DEFAULT_SETTINGS = {
    "REPOSITORY_FILTER": "",
    "SCHEDULE_INTERVAL_SECONDS": "86400",
    "RESCAN_AFTER": "7d",
    "UNSUPPORTED_RETRY_AFTER": "30d",
    "IMAGE_SELECTION": "ANY",
    "MAX_IMAGES_PER_REPOSITORY": "0",
    "PULLED_WITHIN": "",
    "EXCLUDE_TAG_PATTERN": "",
    "MAX_SCANS_PER_REPOSITORY": "20000",
    "TOLERATED_FAILURE_PERCENTAGE": "20",
    "RUN_RETENTION_DAYS": "30",
    "IMAGE_RECORD_RETENTION_DAYS": "180",
}


def any_digest() -> str:
    """Make a digest that no other image has."""
    return f"sha256:{next(_numbers):064x}"


def any_image(**given: Any) -> Image:
    """Make an image that nothing speaks against scanning."""
    image = Image(digest=any_digest(), pushed_at=days_ago(90), tags=("v1",))
    return replace(image, **given)


def any_policy(**given: Any) -> RescanPolicy:
    """Make the policy that the template's defaults make."""
    policy = RescanPolicy(
        rescan_after=timedelta(days=7),
        schedule_interval=timedelta(days=1),
        unsupported_retry_after=timedelta(days=30),
        stop_at=NOW + timedelta(hours=5, minutes=40),
        max_scans_per_repository=20_000,
    )
    return replace(policy, **given)


def any_work(progress: Progress | None = None, **policy: Any) -> RepositoryInRun:
    """Make the work on a repository that has just started."""
    return RepositoryInRun(
        run="run-1",
        repository="team/api",
        policy=any_policy(**policy),
        progress=progress or Progress(),
    )


def any_record(repository: str, **given: Any) -> RunRecord:
    """Make the record of a repository that finished."""
    record = RunRecord(
        run="run-1",
        repository=repository,
        status=RecordStatus.FINISHED,
        started_at=NOW - timedelta(minutes=5),
        ended_at=NOW,
        freshness=Freshness(),
    )
    return replace(record, **given)


def any_facts(**given: Any) -> RunFacts:
    """Make what is known of a run apart from its records."""
    hour_ago = NOW - timedelta(hours=1)
    facts = RunFacts(
        run="run-1",
        dry_run=False,
        started_at=hour_ago,
        ended_at=NOW,
        moves_the_beginning=True,
    )
    return replace(facts, **given)


def any_cache(records: FakeImageRecords | None = None, repository: str = "team/api") -> ImageCache:
    """Make the memory of a repository; one that knows nothing, if no records are given."""
    kept_until = NOW + timedelta(days=180)
    return ImageCache(records or FakeImageRecords(), repository, kept_until=kept_until)  # type: ignore[arg-type]


def scanned(when: datetime | None, status: str = "COMPLETE", description: str = "") -> LastScan:
    """Make the last scan of an image."""
    return LastScan(status=status, completed_at=when, description=description)


def days_ago(days: float) -> datetime:
    """Count back from the time that tests start at."""
    return NOW - timedelta(days=days)


def any_surroundings(
    registry: FakeRegistry | None = None,
    history: "FakeHistory | None" = None,
    records: FakeImageRecords | None = None,
    **given: Any,
) -> Surroundings:
    """Make an empty registry, where every call has the next number and nothing is kept."""
    surroundings = Surroundings(
        registry=registry or FakeRegistry(),  # type: ignore[arg-type]
        history=history or FakeHistory(),
        starts=FakePace().as_pace,
        cache=any_cache(records),
        bucket=FakeBucket().as_bucket,
        bus=FakeBus(),  # type: ignore[arg-type]
    )
    return replace(surroundings, **given)


class FakeHistory:
    """Scan history with given scans; an image without one was never scanned.

    waits: for how long each of the first calls asks to wait, without an answer.
    """

    def __init__(
        self,
        scans: dict[str, LastScan] | None = None,
        *,
        gone: Sequence[str] = (),
        throttle_after: int = 1_000_000,
        waits: Sequence[int] = (),
        refusal: Exception | None = None,
    ) -> None:
        self.asked: list[str] = []
        self.calls: list[str] = []  # the repository of each
        self.polls: list[int] = []
        self._scans = scans or {}
        self._gone = frozenset(gone)
        self._answers = throttle_after
        self._waits = list(waits)
        self._refusal = refusal

    def last_scans(
        self, repository: str, image_digests: Sequence[str], *, polls: int
    ) -> ScanAnswers:
        """Answer up to a number of images."""
        self.calls.append(repository)
        self.polls.append(polls)
        if self._refusal:
            raise self._refusal
        if self._waits:
            wait_seconds = self._waits.pop(0)
            return ScanAnswers({}, unanswered=tuple(image_digests), wait_seconds=wait_seconds)
        answered, unanswered = image_digests[: self._answers], image_digests[self._answers :]
        self.asked.extend(answered)
        return ScanAnswers(
            scans={
                digest: self._scans.get(digest) for digest in answered if digest not in self._gone
            },
            gone=self._gone & set(answered),
            unanswered=tuple(unanswered),
        )
