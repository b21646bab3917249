"""Whose turn it is: daily runs of the real steps and batches, over registries of any kind.

ECR's rules are a few lines here, so that a month of runs takes milliseconds.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Literal
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.image_records import RecordedScan
from registry.ecr import ImagePage
from registry.errors import ImageNotScannable, ImageScannedRecently
from registry.images import Image, LastScan
from rescan_registry.find_stale_images import find_stale_images
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import Outcome, Tally
from rescan_registry.progress import StartedBatches
from rescan_registry.repository_step import Surroundings
from rescan_registry.scan_history import EcrScanHistory
from rescan_registry.scan_starter import BatchInRun
from rescan_registry.start_image_scans import start_image_scans
from tests.support.builders import any_cache, any_digest, any_policy, any_work
from tests.support.clock import NOW, Clock
from tests.support.fakes import FakeBucket, FakeBus, FakeImageRecords, FakePace

DAY = timedelta(days=1)
SCAN = timedelta(seconds=40)

# real: an image; failing: its scans fail, without a date; stuck: they never end; refused: no scan.
type Kind = Literal["real", "failing", "stuck", "refused"]


@dataclass
class KnownImage:
    """An image in ECR. started_at: of its last scan."""

    digest: str
    kind: Kind
    pushed_at: datetime
    started_at: datetime | None = None


@dataclass
class Ecr:
    """One repository in ECR.

    shifts: the last image of a page is also the first of the next one.
    limit_from_end: the 24 hours count from the end of a scan.
    """

    images_known: list[KnownImage]
    clock: Clock
    page_size: int = 1_000
    shifts: bool = False
    limit_from_end: bool = False
    started: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)

    def images(self, _repository: str, cursor: str | None = None) -> ImagePage:
        """List a page."""
        start = int(cursor or 0)
        end = start + self.page_size
        listed = sorted(self.images_known, key=lambda image: image.digest)[start:end]
        page = tuple(Image(image.digest, image.pushed_at) for image in listed)
        more = str(end - self.shifts) if end < len(self.images_known) else None
        return ImagePage(page, more)

    def last_scan(self, _repository: str, digest: str) -> LastScan | None:
        """Return the status of the last scan; a failed one has no date."""
        image = self.image(digest)
        if image.started_at is None:
            return None
        if image.kind == "stuck" or image.started_at + SCAN > self.clock.now():
            return LastScan("PENDING")
        if image.kind == "failing":
            return LastScan("FAILED")
        return LastScan("COMPLETE", image.started_at + SCAN)

    def start_scan(self, _repository: str, digest: str) -> None:
        """Start a scan, or refuse it."""
        image, now = self.image(digest), self.clock.now()
        self.asked[digest] += 1
        if image.kind == "refused":
            raise ImageNotScannable("any")
        if not self.accepts(image, now):
            raise ImageScannedRecently("any")
        image.started_at = now
        self.started.append(digest)

    def accepts(self, image: KnownImage, now: datetime) -> bool:
        """Return whether the 24 hours after the last scan are over."""
        if image.started_at is None:
            return True
        is_ended = image.kind != "stuck" and image.started_at + SCAN <= now
        begin = image.started_at + (SCAN if self.limit_from_end and is_ended else timedelta())
        return now - begin >= DAY

    def image(self, digest: str) -> KnownImage:
        """Pick an image."""
        return next(image for image in self.images_known if image.digest == digest)


@dataclass
class Run:
    """What one run has come to."""

    tally: Tally
    started: list[str]
    deferred: set[str]
    lines: Counter[str]


@dataclass
class Fleet:
    """One repository whose runs go on day by day, with the real decisions."""

    ecr: Ecr
    budget: int
    rescan_after: timedelta = timedelta(days=7)
    records: FakeImageRecords = field(default_factory=FakeImageRecords)

    def run(self, name: str) -> Run:
        """Run until the repository is finished, as the state machine does."""
        clock = self.ecr.clock
        bucket, cache = FakeBucket(), any_cache(self.records)
        registry = self.ecr
        around = Surroundings(
            registry=registry,  # type: ignore[arg-type]
            history=EcrScanHistory(registry, FakePace().as_pace, clock.now()),  # type: ignore[arg-type]
            starts=FakePace().as_pace,
            cache=cache,
            bucket=bucket.as_bucket,
            bus=FakeBus(),  # type: ignore[arg-type]
        )
        policy = any_policy(
            rescan_after=self.rescan_after,
            max_scans_per_repository=self.budget,
            stop_at=clock.now() + timedelta(hours=5, minutes=40),
        )
        work = replace(any_work(), run=name, policy=policy)
        before = len(self.ecr.started)
        with mock.patch("runtime.clock.now", clock.now):
            for _ in range(200):
                progress = find_stale_images(work, around, now=clock.now())
                clock.sleep(progress.wait_seconds)
                outcomes = []
                for batch in progress.batches:
                    noted = ImageOutcomes(name, work.repository, clock.now())
                    outcomes.append(
                        start_image_scans(
                            BatchInRun(name, work.repository, batch, retry=0),
                            registry=registry,  # type: ignore[arg-type]
                            pace=around.starts,
                            cache=cache,
                            outcomes=noted,
                        )
                    )
                    noted.write(bucket.as_bucket, f"batch-{batch.number:04}")
                left = sum(len(outcome.left) for outcome in outcomes)
                started = StartedBatches(tuple(outcomes), left)
                progress = replace(progress, started=started)
                if progress.finished and not left:
                    break
                work = replace(work, progress=progress)
            else:
                raise AssertionError("not finished after 200 steps")
        lines = [line for lines in bucket.outcomes.values() for line in lines if "outcome" in line]
        return Run(
            progress.folded().tally,
            self.ecr.started[before:],
            {line["image_digest"] for line in lines if line["outcome"] == Outcome.DEFERRED},
            Counter(line["image_digest"] for line in lines),
        )

    def record_results(self) -> None:
        """Record what has ended, as NotifyScan does: the event of a failed scan has a date."""
        for image in self.ecr.images_known:
            if image.started_at and image.kind in ("real", "failing"):
                status = "COMPLETE" if image.kind == "real" else "FAILED"
                scan = RecordedScan(image.started_at + SCAN, status, "BASIC")
                self.records.note_scan("team/api", image.digest, scan, expires_at=0)


def check_days(fleet: Fleet, days: int, late: list[int]) -> None:
    """Run day by day, and check every promise on each of them.

    An image that waits is started before `budget` others are started twice: in each run without it,
    `budget` images that waited longer are started, and then wait behind it.
    """
    ecr, first = fleet.ecr, fleet.ecr.clock.now()
    waited: Counter[str] = Counter()
    due_meanwhile: dict[str, set[str]] = {}
    for day in range(days):
        begin = first + day * DAY + timedelta(seconds=late[day % len(late)])
        ecr.clock.move(begin - ecr.clock.now())
        fleet.record_results()
        free = {image.digest for image in ecr.images_known if ecr.accepts(image, begin - SCAN)}
        run = fleet.run(f"run-{day}")

        digests = {image.digest for image in ecr.images_known}
        assert run.tally.images() == len(digests)
        assert run.lines == Counter(digests)
        assert len(run.started) == len(set(run.started)) <= fleet.budget
        assert run.tally.outcomes().get(Outcome.STARTED, 0) == len(run.started)

        due = run.deferred | set(run.started)
        for digest in run.started:
            waited.pop(digest, None)
            due_meanwhile.pop(digest, None)
        for digest in run.deferred & free:
            if ecr.image(digest).kind == "real":
                waited[digest] += 1
                seen = due_meanwhile.setdefault(digest, set())
                seen |= due
                assert waited[digest] < ceil(len(seen) / fleet.budget)


def any_ecr(kinds: list[tuple[Kind, int | None, int]], **given: object) -> Ecr:
    """Make a repository: kind, days since the last scan, and days from the push to it."""
    images = []
    for kind, scanned, older in kinds:
        scan_days = 0 if scanned is None else scanned
        # A few seconds apart, so that the order is clear.
        at = NOW - timedelta(days=scan_days, seconds=len(images))
        pushed_at = at - timedelta(days=older)
        started_at = None if scanned is None or kind == "refused" else at - SCAN
        images.append(KnownImage(any_digest(), kind, pushed_at, started_at))
    return Ecr(images, Clock(), **given)  # type: ignore[arg-type]


KINDS = st.sampled_from(["real", "real", "failing", "stuck", "refused"])
IMAGES = st.lists(
    st.tuples(KINDS, st.none() | st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=14
)


@pytest.mark.no_cover
@settings(deadline=None, max_examples=40)
@given(
    kinds=IMAGES,
    budget=st.integers(1, 5),
    ecr_does=st.fixed_dictionaries(
        {
            "page_size": st.integers(2, 15),
            "shifts": st.booleans(),
            "limit_from_end": st.booleans(),
        }
    ),
    rescan_after=st.integers(1, 10),
    late=st.lists(st.integers(0, 60), min_size=1, max_size=7),
)
def test_no_image_waits_longer_than_its_turn(
    kinds: list[tuple[Kind, int | None, int]],
    budget: int,
    ecr_does: dict[str, int | bool],
    rescan_after: int,
    late: list[int],
) -> None:
    check_days(Fleet(any_ecr(kinds, **ecr_does), budget, timedelta(days=rescan_after)), 16, late)


def test_more_images_are_due_than_a_run_may_start() -> None:
    kinds: list[tuple[Kind, int | None, int]] = [
        *[("stuck", 30, 1)] * 2,
        *[("refused", None, 50)] * 6,
        *[("failing", 9, 20)] * 3,
        ("real", None, 3),
        *[("real", 8, 30)] * 7,
    ]
    ecr = any_ecr(kinds, page_size=5, shifts=True)
    check_days(Fleet(ecr, 3), 14, [0, 60, 7])
    real = {image.digest for image in ecr.images_known if image.kind == "real"}
    assert real <= set(ecr.started)
    # Refused once: they are asked for again after UnsupportedRetryAfter.
    assert {ecr.asked[i.digest] for i in ecr.images_known if i.kind == "refused"} == {1}


@pytest.mark.parametrize("limit_from_end", [False, True])
def test_a_day_between_scans_on_a_daily_schedule(limit_from_end: bool) -> None:
    ecr = any_ecr([("real", 3, 50)], limit_from_end=limit_from_end)
    late = [0, 60, 13, 59, 1, 30, 60, 0]
    check_days(Fleet(ecr, 20_000, DAY), 60, late)
    assert len(ecr.started) >= 57


def test_an_image_on_two_pages_has_one_outcome() -> None:
    ecr = any_ecr([("real", 8, 1)] * 7, page_size=3, shifts=True)
    run = Fleet(ecr, 20_000).run("run-1")
    assert run.tally.outcomes() == {Outcome.STARTED: 7}
    assert set(run.lines.values()) == {1}
