import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import LedgerUnavailable
from ledger.image_records import Attempt, ImageRecord, RecordedScan
from own_events.event_bus import EventRefused
from registry.errors import (
    AccessDenied,
    EcrThrottled,
    EcrUnavailable,
    PageTokenRefused,
    RepositoryNotFound,
)
from registry.images import HELM_CHART_TYPE, Image
from rescan_registry import find_stale_images as module
from rescan_registry.find_stale_images import RETRIES, find_stale_images
from rescan_registry.outcomes import (
    ARCHIVED,
    IMAGE_GONE,
    REPOSITORY_GONE,
    RUN_TIME,
    SCAN_QUOTA,
    STARTED,
    THROTTLED,
    Decision,
    Outcome,
    Tally,
)
from rescan_registry.paced_calls import Turn
from rescan_registry.progress import (
    BATCH,
    Batch,
    BatchOutcome,
    DueImage,
    Progress,
    StartedBatches,
    UndecidedImage,
)
from rescan_registry.repository_step import HISTORY_FULL, MOST_EVENTS, RepositoryInRun
from rescan_registry.waiting_images import MOST_IN_STATE
from runtime.messages import decode, encode
from tests.support.builders import (
    FakeHistory,
    any_digest,
    any_image,
    any_surroundings,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW, Clock
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket, FakeBus, FakeImageRecords, FakePace, FakeRegistry

FAILED = Decision(Outcome.FAILED, "OddException")
RECENT = Decision(Outcome.RECENT, "scanned within 24 hours")
FRESH = Decision(Outcome.FRESH, "scanned within RescanAfter")


def found(
    work: RepositoryInRun,
    registry: FakeRegistry | None = None,
    history: FakeHistory | None = None,
    **given: Any,
) -> Progress:
    return find_stale_images(work, any_surroundings(registry, history, **given), now=NOW)


def due_images(how_many: int) -> tuple[DueImage, ...]:
    return tuple(DueImage(any_digest(), days_ago(8)) for _ in range(how_many))


def in_batches(progress: Progress) -> list[str]:
    return [digest for batch in progress.batches for digest in batch.image_digests]


class Killed(Exception):
    """The invocations of a batch are killed, each after it has started some scans."""


@dataclass
class Drive:
    """A repository driven to its end, as the state machine does.

    answer: what ECR answers for an image; an exception for no answer.
    """

    registry: FakeRegistry
    history: FakeHistory = field(default_factory=FakeHistory)
    answer: Callable[[str], Decision | Exception] = lambda _: STARTED
    step: timedelta = timedelta()
    records: FakeImageRecords = field(default_factory=FakeImageRecords)
    bus: FakeBus = field(default_factory=FakeBus)
    bucket: FakeBucket = field(default_factory=FakeBucket)
    pace: FakePace = field(default_factory=FakePace)
    clock: Clock = field(default_factory=Clock)
    steps: list[list[str]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    def to_its_end(self, work: RepositoryInRun, *, most_steps: int) -> Progress:
        """Loop until it is finished, and count the last batches as RecordRepository does."""
        around = any_surroundings(
            self.registry,
            self.history,
            self.records,
            bus=self.bus,
            bucket=self.bucket,
            starts=self.pace,
        )
        for _ in range(most_steps):
            progress = find_stale_images(work, around, now=self.clock.now())
            # Through JSON, as the state machine carries it.
            progress = decode(Progress, json.loads(json.dumps(encode(progress))))
            assert not progress.wait_seconds or not progress.batches
            self.steps.append(in_batches(progress))
            outcomes = tuple(map(self._outcome, progress.batches))
            left = sum(len(outcome.left) for outcome in outcomes)
            progress = replace(progress, started=StartedBatches(outcomes, left))
            if progress.finished and not left:
                return progress.folded()
            work = replace(work, progress=progress)
            self.clock.move(self.step + timedelta(seconds=progress.wait_seconds))
        raise AssertionError(f"not finished after {most_steps} steps")

    def _outcome(self, batch: Batch) -> BatchOutcome:
        """Return what becomes of a batch."""
        decisions: dict[int, Decision] = {}
        for place, digest in enumerate(batch.image_digests):
            answer = self.answer(digest)
            if isinstance(answer, Killed):
                return BatchOutcome(left=(0,), error="Runtime.ExitError")
            if isinstance(answer, Exception):
                continue
            decisions[place] = answer
            if answer == STARTED:
                self.started.append(digest)
                at = self.clock.now()
                self.records.note_started("team/api", digest, run="run-1", at=at, expires_at=1)
        if not decisions:
            return BatchOutcome(left=(0,), error="EcrThrottled")
        left = tuple(n for n in range(len(batch.image_digests)) if n not in decisions)
        return BatchOutcome(Tally().plus(*decisions.values()), left)

    @property
    def handed_out(self) -> list[str]:
        return list(chain.from_iterable(self.steps))


# One step


def test_counts_the_last_batches_before_anything_else() -> None:
    batch, next_image = Batch(1, 1, (any_digest(), any_digest())), due_images(1)
    started = StartedBatches((BatchOutcome(Tally().plus(STARTED), left=(1,)),), 1)
    before = Progress(listed=True, batches=(batch,), started=started, waiting=next_image, asked=2)
    progress = found(any_work(before))
    assert in_batches(progress) == [batch.image_digests[1], next_image[0].image_digest]
    assert progress.started == StartedBatches()
    assert (progress.tally, progress.asked) == (Tally().plus(STARTED), 3)


def test_lists_no_more_once_all_is_decided() -> None:
    registry = FakeRegistry([any_image()])
    found(any_work(Progress(listed=True, waiting=due_images(1))), registry)
    assert registry.listed == []


def test_hands_out_the_first_batch_with_the_last_page() -> None:
    first, last = due_images(1), any_image(pushed_at=days_ago(90))
    registry = FakeRegistry([], [last], [])
    progress = found(any_work(Progress(waiting=first, cursor="1")), registry)
    assert (progress.batches, progress.cursor) == ((), "2")
    progress = found(any_work(progress), registry)
    assert in_batches(progress) == [last.digest, first[0].image_digest]
    assert progress.finished


def test_has_nothing_to_do_in_an_empty_repository() -> None:
    bucket = FakeBucket()
    progress = found(any_work(), FakeRegistry([]), bucket=bucket)
    assert (progress.finished, progress.listed, progress.tally) == (True, True, Tally())
    assert bucket.outcomes == {}


def test_writes_the_outcomes_of_its_images_under_the_number_of_the_step() -> None:
    bucket, due, archived = FakeBucket(), any_image(), any_image(status="ARCHIVED")
    found(any_work(Progress(step=3)), FakeRegistry([due, archived]), bucket=bucket)
    ((place, lines),) = bucket.outcomes.items()
    assert place == ("run-1", "team/api", "step-0004")
    assert [(line["image_digest"], line.get("outcome")) for line in lines] == [
        (due.digest, None),
        (archived.digest, "ARCHIVED"),
    ]


def test_repeats_a_step_that_failed_after_it_had_written_its_objects() -> None:
    """It may be killed, too: what it has written is written again, and nothing counts twice."""
    images = [any_image() for _ in range(MOST_IN_STATE + 2)]
    archived = any_image(status="ARCHIVED")
    registry, bucket = FakeRegistry([*images, archived], []), FakeBucket()
    records = FakeImageRecords()
    first = found(any_work(), registry, records=records, bucket=bucket)
    kept = (dict(bucket.outcomes), dict(bucket.waiting))
    again = found(replace(any_work(), retry=1), registry, records=records, bucket=bucket)
    assert (bucket.outcomes, bucket.waiting) == kept
    assert replace(again, events=first.events) == first
    last = [found(any_work(again), registry, records=records, bucket=bucket) for _ in range(2)]
    assert last[0] == last[1]
    assert len(in_batches(last[0])) == 1_000
    assert last[0].waiting_stored == 2


def test_keeps_images_in_the_bucket_that_are_too_many_for_a_state() -> None:
    bucket, pages = FakeBucket(), [[any_image() for _ in range(600)] for _ in range(3)]
    drive = Drive(FakeRegistry(*pages), bucket=bucket)
    progress = drive.to_its_end(any_work(), most_steps=4)
    assert [len(step) for step in drive.steps] == [0, 0, 1_000, 800]
    assert sorted(drive.handed_out) == sorted(image.digest for page in pages for image in page)
    assert progress.tally == Tally().plus_many(STARTED, 1_800)
    assert [step for _, _, step in bucket.waiting] == [2, 3]


def test_fails_rather_than_forget_images_that_do_not_fit_a_state() -> None:
    bucket = FakeBucket(fails=["write_waiting_images"])
    before = Progress(waiting=due_images(MOST_IN_STATE + 1))
    with pytest.raises(LedgerUnavailable):
        found(any_work(before), FakeRegistry([], []), bucket=bucket)


# Deleted midway


def test_ends_when_the_repository_is_deleted_before_its_first_page() -> None:
    progress = found(any_work(), FakeRegistry(RepositoryNotFound("any")))
    assert (progress.finished, progress.repository_gone) == (True, True)
    assert progress.tally == Tally()


def test_ends_when_the_repository_is_deleted_half_way() -> None:
    registry = FakeRegistry([any_image()], RepositoryNotFound("any"))
    undecided = (UndecidedImage(any_digest()), UndecidedImage(any_digest()))
    before = Progress(
        waiting=due_images(1), undecided=undecided, cursor="1", tally=Tally().plus(ARCHIVED)
    )
    progress = found(any_work(before), registry, FakeHistory(throttle_after=1))
    progress = found(any_work(progress), registry)
    progress = found(any_work(progress), registry)
    assert (progress.finished, progress.repository_gone) == (True, True)
    assert progress.tally == Tally().plus_many(REPOSITORY_GONE, 3).plus(ARCHIVED)


def test_counts_undecided_images_as_gone_with_their_repository() -> None:
    undecided = (UndecidedImage(any_digest()), UndecidedImage(any_digest()))
    before = Progress(waiting=due_images(1), undecided=undecided, missing=1, cursor="1")
    history = FakeHistory(refusal=RepositoryNotFound("any"))
    progress = found(any_work(before), history=history)
    assert progress.tally == Tally().plus_many(REPOSITORY_GONE, 3)
    assert (progress.undecided, progress.missing, progress.waiting) == ((), 0, ())


def test_asks_for_no_batch_more_when_the_repository_is_deleted_while_scans_start() -> None:
    answers = chain([STARTED] * 70, cycle([REPOSITORY_GONE]))
    drive = Drive(
        FakeRegistry([any_image() for _ in range(200)]),
        answer=lambda _: next(answers),
        pace=FakePace(Turn(count=2 * BATCH, first=1)),
    )
    progress = drive.to_its_end(any_work(), most_steps=2)
    assert [len(step) for step in drive.steps] == [2 * BATCH, 0]
    assert progress.tally == Tally().plus_many(STARTED, 70).plus_many(REPOSITORY_GONE, 130)


# When ECR does not answer


@pytest.mark.parametrize("retry", [0, RETRIES - 1])
def test_leaves_throttling_to_the_state_machine(retry: int) -> None:
    with pytest.raises(EcrThrottled):
        found(replace(any_work(), retry=retry), FakeRegistry(EcrThrottled("any")))


def test_defers_what_waits_when_ecr_throttles_the_listing_to_the_last() -> None:
    registry = FakeRegistry([], EcrThrottled("any"), [])
    bucket = FakeBucket()
    work = replace(any_work(Progress(waiting=due_images(2), cursor="1")), retry=RETRIES)
    progress = found(work, registry, bucket=bucket)
    assert (progress.finished, progress.cut_short) == (True, True)
    assert progress.tally == Tally().plus_many(THROTTLED, 2)
    ((_, lines),) = bucket.outcomes.items()
    assert [line["reason"] for line in lines] == ["ECR throttles"] * 2


@pytest.mark.parametrize(
    ("refusal", "decision"),
    [
        (EcrThrottled("any"), THROTTLED),
        (EcrUnavailable("any"), Decision(Outcome.FAILED, "EcrUnavailable")),
    ],
)
def test_images_whose_last_scan_ecr_does_not_return_stop_no_others(
    refusal: Exception, decision: Decision
) -> None:
    image, waiting = any_image(), due_images(2)
    registry = FakeRegistry([], [image], [])
    work = replace(any_work(Progress(waiting=waiting, cursor="1")), retry=RETRIES)
    progress = found(work, registry, FakeHistory(refusal=refusal))
    assert (progress.finished, progress.undecided, progress.waiting) == (False, (), waiting)
    assert progress.tally == Tally().plus(decision)
    progress = found(any_work(progress), registry)
    assert progress.tally == Tally().plus(decision)
    assert in_batches(progress) == [image.image_digest for image in waiting]


@pytest.mark.parametrize("fault", [EcrUnavailable("any"), AccessDenied("any")])
@pytest.mark.parametrize("retry", [0, RETRIES])
def test_leaves_other_errors_to_the_state_machine(fault: Exception, retry: int) -> None:
    with pytest.raises(type(fault)):
        found(replace(any_work(), retry=retry), FakeRegistry(fault))


def test_case_11_lists_again_once_when_ecr_refuses_the_token_of_a_page() -> None:
    pages: list[Any] = [[any_image() for _ in range(3)], PageTokenRefused("any"), [any_image()]]
    registry = FakeRegistry(*pages)
    work = any_work(Progress(step=1, cursor="1", waiting=due_images(3), tally=Tally().plus(FRESH)))
    progress = found(work, registry)
    assert (progress.relisted, progress.cursor, progress.waiting) == (True, None, ())
    assert (progress.tally, progress.finished, progress.wait_seconds) == (Tally(), False, 0)
    progress = found(any_work(progress), registry)
    assert (progress.relisted, len(progress.waiting), progress.step) == (True, 3, 3)
    with pytest.raises(PageTokenRefused):
        found(any_work(progress), registry)


# When the time is over


def test_lists_nothing_when_it_begins_after_the_time_of_the_run() -> None:
    registry = FakeRegistry([any_image()])
    progress = found(any_work(stop_at=NOW), registry)
    assert registry.listed == []
    assert (progress.finished, progress.cut_short, progress.tally) == (True, True, Tally())


def test_counts_the_last_batches_and_defers_the_rest_when_the_time_is_over() -> None:
    drive = Drive(
        FakeRegistry([any_image() for _ in range(2 * BATCH)]),
        step=timedelta(hours=1),
        pace=FakePace(Turn(count=BATCH, first=1)),
    )
    progress = drive.to_its_end(any_work(stop_at=NOW + timedelta(hours=1)), most_steps=2)
    assert progress.tally == Tally().plus_many(STARTED, BATCH).plus_many(RUN_TIME, BATCH)
    assert not progress.cut_short


def test_goes_on_when_the_run_is_redriven_long_after_its_time() -> None:
    before = Progress(listed=True, waiting=due_images(3))
    progress = found(any_work(before, stop_at=NOW - timedelta(minutes=31)))
    assert len(in_batches(progress)) == 3


def test_defers_the_rest_when_the_history_is_full() -> None:
    before = Progress(events=MOST_EVENTS, waiting=due_images(3), cursor="1")
    registry = FakeRegistry([any_image()], [any_image()])
    progress = found(any_work(before), registry)
    assert registry.listed == []
    assert progress.tally == Tally().plus_many(HISTORY_FULL, 3)
    assert (progress.finished, progress.cut_short) == (True, True)


# Missing results


def missing(*images: Image) -> FakeImageRecords:
    """Remember scans that were started yesterday, and whose results never came."""
    record = ImageRecord("any", started_at=days_ago(1.1), started_by="run-0")
    return FakeImageRecords(
        *(("team/api", replace(record, image_digest=it.digest)) for it in images)
    )


def test_puts_an_event_for_each_missing_result_that_ecr_tells() -> None:
    images = [any_image() for _ in range(12)]
    ended = scanned(days_ago(0.9))
    drive = Drive(
        FakeRegistry(images),
        FakeHistory({image.digest: ended for image in images[1:]}),
        records=missing(*images),
    )
    progress = drive.to_its_end(any_work(), most_steps=1)
    kinds = {(kind, tuple(resources)) for kind, _, resources in drive.bus.events}
    assert kinds == {("Scan Result Found", ())}
    told = [detail["image-digest"] for _, detail, _ in drive.bus.events]
    assert told == [image.digest for image in images[1:]]
    assert (progress.results_missing, progress.results_found) == (12, 11)
    assert drive.handed_out == [images[0].digest]


def test_tells_once_of_a_result_whose_image_is_due_again() -> None:
    images = [any_image() for _ in range(BATCH + 1)]
    record = ImageRecord("any", started_at=days_ago(9), started_by="run-0")
    drive = Drive(
        FakeRegistry(images),
        FakeHistory({image.digest: scanned(days_ago(8.9)) for image in images}),
        records=FakeImageRecords(
            *(("team/api", replace(record, image_digest=image.digest)) for image in images)
        ),
    )
    drive.to_its_end(any_work(), most_steps=2)
    assert len(drive.handed_out) == len(drive.bus.events) == BATCH + 1


def test_puts_no_event_in_a_dry_run_but_counts_what_it_would_tell() -> None:
    image = any_image()
    drive = Drive(
        FakeRegistry([image]),
        FakeHistory({image.digest: scanned(days_ago(0.9))}),
        records=missing(image),
    )
    progress = drive.to_its_end(any_work(dry_run=True), most_steps=1)
    assert drive.bus.events == []
    assert (progress.results_missing, progress.results_found) == (1, 1)


def test_leaves_an_event_that_is_refused_to_the_state_machine() -> None:
    image = any_image()
    drive = Drive(
        FakeRegistry([image]),
        FakeHistory({image.digest: scanned(days_ago(0.9))}),
        records=missing(image),
        bus=FakeBus(EventRefused("try later")),
    )
    with pytest.raises(EventRefused):
        drive.to_its_end(any_work(), most_steps=1)


def test_keeps_its_counts_when_the_repository_is_deleted_half_way() -> None:
    registry = FakeRegistry([any_image()], RepositoryNotFound("any"))
    progress = found(any_work(Progress(results_missing=2, results_found=1, cursor="1")), registry)
    assert (progress.results_missing, progress.results_found) == (2, 1)
    assert progress.repository_gone


# A whole repository


def test_hands_out_batches_of_the_oldest_scans_of_all_pages() -> None:
    ages = [[*range(8, 8 + BATCH * 2)], [*range(300, 300 + BATCH)], [*range(500, 530)]]
    pages = [[any_image(pushed_at=days_ago(900)) for _ in page] for page in ages]
    scans = {
        image.digest: scanned(days_ago(age))
        for page, of_page in zip(pages, ages, strict=True)
        for image, age in zip(page, of_page, strict=True)
    }
    pace = FakePace(*(Turn(count=BATCH, first=n * BATCH) for n in range(3)))
    drive = Drive(FakeRegistry(*pages), FakeHistory(scans), pace=pace)
    progress = drive.to_its_end(any_work(), most_steps=6)
    assert [len(step) for step in drive.steps] == [0, 0, BATCH, BATCH, BATCH, 30]
    assert drive.handed_out == [image.digest for image in reversed([*chain.from_iterable(pages)])]
    assert progress.tally == Tally().plus_many(STARTED, BATCH * 3 + 30)
    assert progress.batches_made == 4


def test_no_image_waits_for_ever_where_more_are_due_than_a_run_starts() -> None:
    """Ten runs, a day each, of 20 scans a run; 100 images that ECR lists 30 a page."""
    images = [any_image() for _ in range(100)]
    scans = {image.digest: scanned(days_ago(30)) for image in images}
    times: Counter[str] = Counter()
    for day in range(10):
        drive = Drive(
            FakeRegistry(*(images[at : at + 30] for at in range(0, 100, 30))), FakeHistory(scans)
        )
        drive.to_its_end(any_work(max_scans_per_repository=20), most_steps=10)
        times.update(drive.started)
        # In the order of the runs, though all of them take place now: it is 8 days ago at least.
        scans |= dict.fromkeys(drive.started, scanned(days_ago(20 - day)))
    assert set(times.values()) == {2}
    assert len(times) == 100


def test_refused_images_take_no_budget_from_the_others() -> None:
    images = [any_image() for _ in range(60)]
    refused = frozenset(image.digest for image in images[:40])
    drive = Drive(
        FakeRegistry(images),
        answer=lambda digest: RECENT if digest in refused else STARTED,
    )
    progress = drive.to_its_end(any_work(max_scans_per_repository=20), most_steps=5)
    assert [len(step) for step in drive.steps] == [20, 20, 20]
    assert progress.tally == Tally().plus_many(RECENT, 40).plus_many(STARTED, 20)


def test_notices_after_its_batches_that_the_quota_is_used_up() -> None:
    pages = [[any_image() for _ in range(BATCH * 2)], [any_image() for _ in range(10)]]
    answers = chain([STARTED] * 40, cycle([SCAN_QUOTA]))
    pace = FakePace(Turn(count=BATCH, first=1))

    def answer(_: object) -> Decision:
        decision = next(answers)
        if decision == SCAN_QUOTA:
            pace.close(NOW + timedelta(hours=1))
        return decision

    drive = Drive(FakeRegistry(*pages), answer=answer, pace=pace)
    progress = drive.to_its_end(any_work(), most_steps=4)
    assert [len(step) for step in drive.steps] == [0, BATCH, 0]
    assert progress.tally == Tally().plus_many(STARTED, 40).plus_many(SCAN_QUOTA, 70)


def test_hands_out_again_what_is_left_and_counts_each_image_once() -> None:
    images = [any_image() for _ in range(3 * BATCH)]
    answers = cycle([STARTED, EcrUnavailable("any"), STARTED])
    drive = Drive(FakeRegistry(images), answer=lambda _: next(answers))
    progress = drive.to_its_end(any_work(), most_steps=20)
    assert progress.tally == Tally().plus_many(STARTED, 3 * BATCH)
    assert sorted(drive.started) == sorted(image.digest for image in images)
    assert progress.asked == 3 * BATCH


def test_counts_as_started_what_a_batch_has_started_before_it_was_killed() -> None:
    images = [any_image() for _ in range(2 * BATCH)]
    answers = chain([STARTED] * 20, [Killed()], cycle([STARTED]))
    drive = Drive(FakeRegistry(images), answer=lambda _: next(answers))
    progress = drive.to_its_end(any_work(), most_steps=2)
    killed = Decision(Outcome.FAILED, "Runtime.ExitError")
    assert progress.tally == Tally().plus_many(STARTED, 20 + BATCH).plus_many(killed, BATCH - 20)
    attempts = [record.last_attempt for record in drive.records.kept["team/api"].values()]
    # So that the next run begins with other images.
    assert attempts.count(Attempt(NOW, "FAILED", "Runtime.ExitError")) == BATCH - 20


def test_case_18_waits_for_the_end_of_the_24_hours_and_asks_last() -> None:
    early = [
        any_image(last_scan=scanned(NOW - timedelta(hours=24) + timedelta(minutes=minutes)))
        for minutes in (14, 2)
    ]
    others = [any_image(last_scan=scanned(days_ago(2))) for _ in range(3)]
    drive = Drive(FakeRegistry([*early, *others]))
    work = any_work(rescan_after=timedelta(days=1))
    progress = drive.to_its_end(work, most_steps=8)
    assert [len(step) for step in drive.steps] == [3, 0, 1, 0, 1]
    assert drive.handed_out[3:] == [early[1].digest, early[0].digest]
    assert progress.tally == Tally().plus_many(STARTED, 5)
    assert drive.clock.now() == NOW + timedelta(minutes=14, seconds=2)


def test_lists_each_page_once_whatever_ecr_leaves_undecided() -> None:
    registry = FakeRegistry([any_image() for _ in range(10)], [any_image() for _ in range(10)])
    drive = Drive(registry, FakeHistory(throttle_after=3))
    drive.to_its_end(any_work(), most_steps=8)
    assert registry.listed == [None, "1"]
    assert [len(step) for step in drive.steps] == [0, 0, 0, 0, 0, 0, 0, 20]


# Any repository. A kind of image, and the outcome that it must come to; none where it is due.
KINDS: dict[str, Outcome | None] = {
    "never scanned": None,
    "scanned long ago": None,
    "hinted long ago": None,
    "scanned lately": Outcome.FRESH,
    "hinted lately": Outcome.FRESH,
    "chart": Outcome.UNSCANNABLE,
    "archived": Outcome.ARCHIVED,
    "gone": Outcome.GONE,
    "unsupported": Outcome.UNSUPPORTED,
    "accepted lately": None,  # after a wait
    "without dates": None,
}


def image_of(kind: str) -> Image:
    match kind:
        case "chart":
            return any_image(artifact_type=HELM_CHART_TYPE)
        case "archived":
            return any_image(status="ARCHIVED")
        case "hinted long ago":
            return any_image(last_scan=scanned(days_ago(9)))
        case "hinted lately":
            return any_image(last_scan=scanned(days_ago(1.5)))
        case "without dates":
            return any_image(pushed_at=None)
    return any_image()


SCANS = {
    "scanned long ago": scanned(days_ago(8)),
    "scanned lately": scanned(days_ago(2)),
    "unsupported": scanned(days_ago(9), "UNSUPPORTED_IMAGE"),
}

runs_of_images = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 70))
pages_of_kinds = st.lists(
    st.lists(runs_of_images, max_size=3).map(
        lambda runs: [kind for kind, images in runs for _ in range(images)]
    ),
    min_size=1,
    max_size=3,
)


ACCEPTED_LATELY = ImageRecord(
    "any", started_at=days_ago(1) + timedelta(minutes=5), started_by="run-0"
)
ANSWERS: list[Decision | Exception] = [
    STARTED,
    STARTED,
    STARTED,
    IMAGE_GONE,
    RECENT,
    FAILED,
    SCAN_QUOTA,
    EcrUnavailable("any"),
    Killed(),
]


@settings(max_examples=40)
@given(
    pages=pages_of_kinds,
    deleted_at=st.none() | st.integers(0, 2),
    answers=st.lists(st.sampled_from(ANSWERS), min_size=1),
    throttle_after=st.integers(1, 150) | st.just(1_000),
    turns=st.lists(st.integers(0, 120), max_size=6),
    seconds_a_step=st.integers(0, 60),
    budget=st.integers(1, 150),
    newest=st.just(0) | st.integers(1, 100),
    minutes=st.none() | st.integers(0, 20),
    dry_run=st.booleans(),
)
def test_brings_every_image_to_one_outcome_and_ends(
    *,
    pages: list[list[str]],
    deleted_at: int | None,
    answers: list[Decision | Exception],
    throttle_after: int,
    turns: list[int],
    seconds_a_step: int,
    budget: int,
    newest: int,
    minutes: int | None,
    dry_run: bool,
) -> None:
    images = [[(kind, image_of(kind)) for kind in page] for page in pages]
    kinds = {image.digest: kind for kind, image in chain.from_iterable(images)}
    listing: list[Sequence[Image] | Exception] = [[image for _, image in page] for page in images]
    listed = list(chain.from_iterable(pages))
    is_deleted = deleted_at is not None and deleted_at < len(pages)
    if is_deleted:
        listing[deleted_at] = RepositoryNotFound("any")
        # Only the newest are wanted: all pages are read before any image is counted.
        listed = [] if newest else list(chain.from_iterable(pages[:deleted_at]))
    replies = cycle(answers)
    drive = Drive(
        FakeRegistry(*listing),
        FakeHistory(
            {digest: SCANS[kind] for digest, kind in kinds.items() if kind in SCANS},
            gone=[digest for digest, kind in kinds.items() if kind == "gone"],
            throttle_after=throttle_after,
        ),
        answer=lambda _: next(replies),
        step=timedelta(seconds=seconds_a_step),
        records=FakeImageRecords(
            *(
                ("team/api", replace(ACCEPTED_LATELY, image_digest=digest))
                for digest, kind in kinds.items()
                if kind == "accepted lately"
            )
        ),
        pace=FakePace(*(Turn(it, first=1, wait_seconds=0 if it else 7) for it in turns)),
    )
    work = any_work(
        max_scans_per_repository=budget,
        max_images_per_repository=newest,
        stop_at=NOW + (timedelta(days=1) if minutes is None else timedelta(minutes=minutes)),
        dry_run=dry_run,
    )

    # Each step lists a page, decides an image, starts one, or waits; a batch may start one image.
    progress = drive.to_its_end(work, most_steps=len(pages) + 2 * len(kinds) + len(turns) + 60)

    images_counted = progress.tally.images()
    cut_short = progress.cut_short and not progress.tally.of_decision(THROTTLED)
    if not cut_short:
        assert progress.repository_gone == is_deleted
        assert images_counted == len(listed)
    assert images_counted <= len(kinds)
    assert len(drive.started) == len(set(drive.started)) <= (0 if dry_run else budget)
    assert progress.tally.of_decision(STARTED) == len(drive.started)
    assert all(KINDS[kinds[digest]] is None for digest in drive.handed_out)
    assert progress.asked <= work.policy.most_calls
    assert all(len(step) <= 1_000 for step in drive.steps)
    expected = Counter(outcome for kind in listed if (outcome := KINDS[kind]))
    counted = progress.tally.outcomes()
    for outcome in (Outcome.UNSCANNABLE, Outcome.ARCHIVED, Outcome.FRESH, Outcome.UNSUPPORTED):
        assert counted.get(outcome, 0) <= expected[outcome]
        is_selected = not newest or outcome in (Outcome.UNSCANNABLE, Outcome.ARCHIVED)
        if is_selected and not progress.cut_short:
            assert counted.get(outcome, 0) == expected[outcome]


FUTURE = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "known",
    [
        ImageRecord("", last_scan=RecordedScan(FUTURE, "COMPLETE", "BASIC")),
        ImageRecord("", last_scan=RecordedScan(FUTURE, "UNSUPPORTED_IMAGE", "BASIC")),
        ImageRecord("", last_attempt=Attempt(FUTURE, "UNSCANNABLE", "refused by ECR")),
        ImageRecord("", started_at=FUTURE, started_by="run-0"),
    ],
)
def test_rescans_an_image_that_the_ledger_dates_in_the_future(known: ImageRecord) -> None:
    image = any_image(pushed_at=days_ago(90))
    history = FakeHistory({image.digest: scanned(days_ago(8))})
    records = FakeImageRecords(("team/api", replace(known, image_digest=image.digest)))
    drive = Drive(FakeRegistry([image]), history, records=records)
    drive.to_its_end(any_work(), most_steps=9)
    assert (history.asked, drive.started) == ([image.digest], [image.digest])


def test_answers_the_state_machine_with_the_next_batches(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    image, bucket, paces = any_image(last_scan=scanned(days_ago(8))), FakeBucket(), []

    def pace(table: str, operation: str) -> FakePace:
        paces.append((table, operation))
        return FakePace()

    monkeypatch.setattr(module, "ecr_registry", lambda: FakeRegistry([image]))
    monkeypatch.setattr(module, "event_bus", FakeBus)
    monkeypatch.setattr(module, "pace", pace)
    monkeypatch.setattr(module, "run_bucket", lambda name: bucket)
    monkeypatch.setattr(
        "rescan_registry.image_cache.image_records", lambda table: FakeImageRecords()
    )
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)
    event = {
        "run": "run-1",
        "repository": "team/api",
        "policy": encode(any_work().policy),
        "progress": {},
        "retry": 0,
    }
    answer = module.handler(event, any_lambda_context())
    assert answer["batches"] == [
        {"number": 1, "first": 1, "image_digests": [image.digest], "overdue": 0}
    ]
    assert answer["finished"] is True
    assert paces == [
        ("ledger-table", "DescribeImageScanFindings"),
        ("ledger-table", "StartImageScan"),
    ]
    assert list(bucket.outcomes) == [("run-1", "team/api", "step-0001")]
    assert image.digest not in log.getvalue()
