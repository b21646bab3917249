"""Images that an earlier run should have scanned, and that this run has left, are counted."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger.run_records import Freshness, RecordStatus
from registry import errors
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import REPOSITORY_GONE, RUN_TIME, SCAN_QUOTA, STARTED, Tally
from rescan_registry.progress import (
    BATCH,
    Batch,
    BatchOutcome,
    DueImage,
    Progress,
    StartedBatches,
    UndecidedImage,
)
from rescan_registry.record_repository import WorkedRepository, record_repository
from rescan_registry.repository_step import RepositoryStep
from rescan_registry.run_summary import summary_of
from rescan_registry.scan_starter import BatchInRun
from rescan_registry.staleness import ScanDates, is_overdue
from rescan_registry.start_image_scans import start_image_scans
from tests.support.builders import (
    any_cache,
    any_digest,
    any_facts,
    any_policy,
    any_record,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW
from tests.support.fakes import FakeImageRecords, FakePace, FakeRecords, FakeRegistry

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)


def due_images(*overdue: bool) -> tuple[DueImage, ...]:
    return tuple(DueImage(any_digest(), days_ago(9), is_overdue=each) for each in overdue)


def left(overdue: int) -> dict[str, Any]:
    """Make the freshness of a repository of which so many overdue images are left."""
    return {"freshness": Freshness(scannable=100, overdue=overdue)}


def step_of(progress: Progress, **policy: Any) -> RepositoryStep:
    work = any_work(progress, **policy)
    return RepositoryStep(work, ImageOutcomes(work.run, work.repository, NOW), NOW)


@pytest.mark.parametrize(
    ("scanned_at", "pushed_at", "expected"),
    [
        (days_ago(9) - SECOND, days_ago(90), True),  # RescanAfter is 7 days, the interval is one
        (days_ago(9), days_ago(90), False),
        (days_ago(9) - SECOND, None, True),
        (NOW, None, False),
        (None, days_ago(9) - SECOND, True),
        (None, days_ago(9), False),
        (None, None, False),
    ],
)
def test_overdue_is_what_two_runs_have_missed(
    scanned_at: datetime | None, pushed_at: datetime | None, *, expected: bool
) -> None:
    ended = scanned(scanned_at) if scanned_at else None
    # A start or an attempt of today is no scan.
    dates = ScanDates(since=NOW, accepted_at=NOW, pushed_at=pushed_at, ended=ended)
    assert is_overdue(dates.aged_from, any_policy(), NOW) is expected


def test_what_waits_at_the_end_of_a_run_is_counted() -> None:
    images = due_images(True, True, False, False)
    step = step_of(Progress(waiting=images, listed=True, **left(5)))
    step.end(RUN_TIME)
    assert step.progress.freshness == Freshness(scannable=100, overdue=5 + 2)


def test_what_waits_in_a_deleted_repository_is_not() -> None:
    undecided = (UndecidedImage(any_digest(), days_ago(90)),)
    before = Progress(waiting=due_images(True), undecided=undecided, listed=True, **left(5))
    step = step_of(before)
    step.end_with_repository()
    assert step.progress.tally.of_decision(REPOSITORY_GONE) == 2
    assert step.progress.freshness == Freshness()


def test_what_a_dry_run_would_start_is_counted() -> None:
    step = step_of(Progress(waiting=due_images(True, False), listed=True), dry_run=True)
    step.hand_out(FakePace().as_pace)
    assert step.progress.freshness.overdue == 1


def test_what_exceeds_the_budget_is_counted() -> None:
    images = due_images(True, True, True)
    before = Progress(waiting=images, listed=True, tally=Tally().plus(STARTED))
    step = step_of(before, max_scans_per_repository=1)
    step.hand_out(FakePace().as_pace)
    assert step.progress.freshness.overdue == 3


def test_an_image_whose_last_scan_is_not_known_is_in_no_number() -> None:
    step = step_of(Progress(undecided=(UndecidedImage(any_digest(), days_ago(90)),), listed=True))
    assert step.give_up(errors.EcrUnavailable("any"))
    assert step.progress.freshness == Freshness()


def test_a_batch_begins_with_its_overdue_images() -> None:
    """What was left of an earlier batch comes first in turn."""
    images = due_images(False, *[True] * (BATCH + 1), False)
    step = step_of(Progress(waiting=images, listed=True))
    step.hand_out(FakePace().as_pace)
    first, second = step.progress.batches
    assert (first.overdue, second.overdue) == (BATCH, 1)
    left, *overdue, due = (image.image_digest for image in images)
    assert first.image_digests + second.image_digests == (*overdue, left, due)


def started(overdue: int, refused: Mapping[int, Exception]) -> BatchOutcome:
    digests = tuple(any_digest() for _ in range(3))
    refusals = {digests[position]: refusal for position, refusal in refused.items()}
    return start_image_scans(
        BatchInRun("run-1", "team/api", Batch(1, 100, digests, overdue), 0),
        registry=FakeRegistry(refusals=refusals),  # type: ignore[arg-type]
        pace=FakePace().as_pace,
        cache=any_cache(FakeImageRecords()),
        outcomes=ImageOutcomes("run-1", "team/api", NOW),
    )


@pytest.mark.parametrize(
    "refusal",
    [
        errors.ScanQuotaExhausted("any"),
        errors.EcrError.named("KmsException", "any", call="StartImageScan"),
    ],
)
def test_what_ecr_does_not_start_stays_overdue(refusal: Exception) -> None:
    assert started(2, {1: refusal, 2: refusal}).overdue == 1


@pytest.mark.parametrize("refusal", [errors.ImageScannedRecently, errors.ImageNotFound])
def test_what_needs_no_scan_is_not_overdue(refusal: type[Exception]) -> None:
    assert started(3, {1: refusal("any")}).overdue == 0


def test_what_has_no_answer_yet_is_counted_later() -> None:
    answer = started(3, {2: errors.EcrUnavailable("any")})
    assert (answer.left, answer.overdue) == ((2,), 0)


def ended(outcome: BatchOutcome, overdue: int) -> Progress:
    batch = Batch(1, 1, tuple(any_digest() for _ in range(3)), overdue)
    return Progress(batches=(batch,), started=StartedBatches((outcome,)), **left(5))


def test_an_image_without_an_answer_stays_overdue() -> None:
    progress = ended(BatchOutcome(Tally().plus(STARTED), left=(1, 2), overdue=7), overdue=2)
    step = step_of(progress)
    step.count_batches(any_cache(FakeImageRecords()))
    assert step.progress.freshness.overdue == 5 + 7
    step.end(SCAN_QUOTA)
    assert step.progress.freshness.overdue == 5 + 7 + 1


def test_the_overdue_images_of_a_batch_that_failed_are_counted_unless_started() -> None:
    progress = ended(BatchOutcome(left=(0,), error="Runtime.ExitError"), overdue=2)
    (first, *_) = progress.batches[0].image_digests
    records = FakeImageRecords()
    records.note_started("team/api", first, run="run-1", at=NOW, expires_at=1)
    step = step_of(progress)
    step.count_batches(any_cache(records))
    assert step.progress.freshness.overdue == 5 + 1


def test_they_are_in_the_record_and_the_summary_of_the_run() -> None:
    records = FakeRecords()
    progress = ended(BatchOutcome(Tally().plus(STARTED), overdue=2), overdue=2)
    work = WorkedRepository("run-1", "team/api", NOW, "1", replace(progress, finished=True))
    record_repository(work, records=records, now=NOW)  # type: ignore[arg-type]
    (record,) = records.kept
    assert record.status is RecordStatus.FINISHED
    assert record.freshness == Freshness(scannable=100, overdue=7)
    other = any_record("team/web", freshness=Freshness(scannable=3, overdue=1))
    summary = summary_of(any_facts(run="run-1"), ["team/api", "team/web"], [record, other])
    assert summary.freshness == Freshness(scannable=103, overdue=8)
