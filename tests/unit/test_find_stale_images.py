import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.image_records import ImageRecord
from own_events.event_bus import EventRefused
from registry.errors import EcrThrottled, RepositoryNotFound
from registry.images import HELM_CHART_TYPE, Image
from registry.scan_history import ScanAnswers
from rescan_registry import find_stale_images as module
from rescan_registry.find_stale_images import find_stale_images
from rescan_registry.outcomes import (
    IMAGE_GONE,
    REPOSITORY_GONE,
    SCAN_QUOTA,
    Decision,
    Outcome,
    Tally,
)
from rescan_registry.progress import BATCH, DueImage, Progress
from rescan_registry.repository_step import OUT_OF_TIME, RepositoryInRun
from rescan_registry.start_image_scan import STARTED
from runtime.messages import decode, encode
from tests.support.builders import (
    FakeHistory,
    any_cache,
    any_digest,
    any_image,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW, Clock
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBus, FakeImageRecords, FakeRegistry

FAILED = Decision(Outcome.FAILED, "EcrThrottled")


def found(
    work: RepositoryInRun, registry: FakeRegistry, history: FakeHistory | None = None
) -> Progress:
    return find_stale_images(
        work,
        registry=registry,
        history=history or FakeHistory(),
        cache=any_cache(),
        bus=FakeBus(),
        now=NOW,
    )


@dataclass
class Drive:
    """A repository driven to its end, as the state machine does."""

    registry: FakeRegistry
    history: FakeHistory = field(default_factory=FakeHistory)
    answer: Callable[[str], Decision] = lambda _: STARTED
    step: timedelta = timedelta()
    records: FakeImageRecords = field(default_factory=FakeImageRecords)
    bus: FakeBus = field(default_factory=FakeBus)
    batches: list[tuple[str, ...]] = field(default_factory=list)

    def to_its_end(self, work: RepositoryInRun, *, most_steps: int) -> Progress:
        """Loop until it is finished, and count the last batch as RecordRepository does."""
        clock = Clock()
        for _ in range(most_steps):
            progress = find_stale_images(
                work,
                registry=self.registry,
                history=self.history,
                cache=any_cache(self.records),
                bus=self.bus,
                now=clock.now(),
            )
            # Through JSON, as the state machine carries it.
            progress = decode(Progress, json.loads(json.dumps(encode(progress))))
            self.batches.append(progress.due)
            progress = replace(progress, outcomes=tuple(map(self.answer, progress.due)))
            if progress.finished:
                return progress.folded()
            work = replace(work, progress=progress)
            clock.move(self.step)
        raise AssertionError(f"not finished after {most_steps} steps")

    @property
    def handed_out(self) -> list[str]:
        return list(chain.from_iterable(self.batches))


# One step


def test_counts_the_last_wave_before_anything_else() -> None:
    last_wave, next_wave = any_digest(), any_digest()
    work = any_work(Progress(due=(last_wave,), outcomes=(STARTED,), waiting=(DueImage(next_wave),)))
    progress = found(work, FakeRegistry())
    assert progress.due == (next_wave,)
    assert progress.outcomes == ()
    assert progress.tally == Tally().plus(STARTED)


def test_lists_no_more_once_all_is_decided() -> None:
    registry = FakeRegistry([any_image()])
    found(any_work(Progress(waiting=(DueImage(any_digest()),))), registry)
    assert registry.listed == []


def test_hands_out_the_first_wave_with_the_last_page() -> None:
    first, last = DueImage(any_digest(), days_ago(8)), any_image()
    progress = found(any_work(Progress(waiting=(first,), cursor="1")), FakeRegistry([], [last], []))
    assert (progress.due, progress.cursor) == ((), "2")
    progress = found(any_work(progress), FakeRegistry([], [], []))
    assert progress.due == (last.digest, first.digest)
    assert progress.finished


def test_has_nothing_to_do_in_an_empty_repository() -> None:
    assert found(any_work(), FakeRegistry([])) == Progress(finished=True)


def test_ends_when_the_repository_is_deleted_before_its_first_page() -> None:
    progress = found(any_work(), FakeRegistry(RepositoryNotFound("any")))
    assert progress == Progress(finished=True, repository_gone=True)


def test_ends_when_the_repository_is_deleted_half_way() -> None:
    registry = FakeRegistry([any_image()], RepositoryNotFound("any"))
    work = any_work(Progress(due=(any_digest(),), outcomes=(STARTED,), cursor="1", handed_out=1))
    assert found(work, registry) == Progress(
        handed_out=1, tally=Tally().plus(STARTED), finished=True, repository_gone=True
    )


class DeletedRepository(FakeHistory):
    def last_scans(self, repository: str, digests: Sequence[str]) -> ScanAnswers:
        raise RepositoryNotFound("any")


def test_counts_undecided_and_waiting_images_as_gone_with_their_repository() -> None:
    waiting = (DueImage(any_digest()),)
    work = any_work(Progress(waiting=waiting, undecided=(any_digest(), any_digest()), cursor="1"))
    assert found(work, FakeRegistry(), DeletedRepository()) == Progress(
        tally=Tally().plus_many(REPOSITORY_GONE, 3), finished=True, repository_gone=True
    )


def test_leaves_throttling_to_the_state_machine() -> None:
    with pytest.raises(EcrThrottled):
        found(any_work(), FakeRegistry(EcrThrottled("any")))


# Missing results


def missing(*images: Image) -> FakeImageRecords:
    """Remember scans that were started yesterday, and whose results never came."""
    record = ImageRecord("any", started_at=days_ago(1), started_by="run-0")
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
    work = any_work(Progress(results_missing=2, results_found=1, cursor="1"))
    assert found(work, registry) == Progress(
        results_missing=2, results_found=1, finished=True, repository_gone=True
    )


# A whole repository


def test_hands_out_waves_of_the_oldest_scans_of_all_pages() -> None:
    ages = [[*range(8, 8 + BATCH * 2)], [*range(300, 300 + BATCH)], [*range(500, 530)]]
    pages = [[any_image() for _ in page] for page in ages]
    scans = {
        image.digest: scanned(days_ago(age))
        for page, of_page in zip(pages, ages, strict=True)
        for image, age in zip(page, of_page, strict=True)
    }
    drive = Drive(FakeRegistry(*pages), FakeHistory(scans))
    progress = drive.to_its_end(any_work(), most_steps=6)
    assert [len(batch) for batch in drive.batches] == [0, 0, BATCH, BATCH, BATCH, 30]
    assert drive.handed_out == [image.digest for image in reversed([*chain.from_iterable(pages)])]
    assert progress.tally == Tally().plus_many(STARTED, BATCH * 3 + 30)


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
        times.update(drive.handed_out)
        # In the order of the runs, though all of them take place now: it is 8 days ago at least.
        scans |= dict.fromkeys(drive.handed_out, scanned(days_ago(20 - day)))
    assert set(times.values()) == {2}
    assert len(times) == 100


def test_notices_after_a_wave_that_the_quota_is_used_up() -> None:
    pages = [[any_image() for _ in range(BATCH * 2)], [any_image() for _ in range(10)]]
    answers = chain([STARTED] * 40, cycle([SCAN_QUOTA]))
    drive = Drive(FakeRegistry(*pages), answer=lambda _: next(answers))
    progress = drive.to_its_end(any_work(), most_steps=4)
    assert [len(batch) for batch in drive.batches] == [0, BATCH, 0]
    assert progress.tally == Tally().plus_many(STARTED, 40).plus_many(SCAN_QUOTA, 170)


def test_starts_no_wave_after_the_time_limit() -> None:
    pages = [[any_image() for _ in range(BATCH * 3)], [any_image() for _ in range(10)]]
    drive = Drive(FakeRegistry(*pages), step=timedelta(seconds=70))
    progress = drive.to_its_end(any_work(time_limit_seconds=120), most_steps=5)
    assert [len(batch) for batch in drive.batches] == [0, BATCH, 0, 0]
    assert progress.tally == Tally().plus_many(STARTED, BATCH).plus_many(OUT_OF_TIME, 210)


def test_lists_each_page_once_whatever_ecr_leaves_undecided() -> None:
    registry = FakeRegistry([any_image() for _ in range(10)], [any_image() for _ in range(10)])
    drive = Drive(registry, FakeHistory(throttle_after=3))
    drive.to_its_end(any_work(), most_steps=8)
    assert registry.listed == [None, "1"]
    assert [len(batch) for batch in drive.batches] == [0, 0, 0, 0, 0, 0, 0, 20]


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
            return any_image(last_scan=scanned(days_ago(1)))
    return any_image()


SCANS = {
    "scanned long ago": scanned(days_ago(8)),
    "scanned lately": scanned(days_ago(2)),
    "unsupported": scanned(days_ago(9), "UNSUPPORTED_IMAGE"),
}

runs_of_images = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 130))
pages_of_kinds = st.lists(
    st.lists(runs_of_images, max_size=3).map(
        lambda runs: [kind for kind, images in runs for _ in range(images)]
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40)
@given(
    pages=pages_of_kinds,
    deleted_at=st.none() | st.integers(0, 2),
    answers=st.lists(
        st.sampled_from([STARTED, STARTED, IMAGE_GONE, FAILED, SCAN_QUOTA]), min_size=1
    ),
    throttle_after=st.integers(1, 150) | st.just(1_000),
    seconds_a_step=st.integers(0, 60),
    budget=st.integers(1, 300),
    newest=st.just(0) | st.integers(1, 100),
    time_limit=st.none() | st.just(120),
    dry_run=st.booleans(),
)
def test_brings_every_image_to_one_outcome_and_ends(
    *,
    pages: list[list[str]],
    deleted_at: int | None,
    answers: list[Decision],
    throttle_after: int,
    seconds_a_step: int,
    budget: int,
    newest: int,
    time_limit: int | None,
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
    )
    work = any_work(
        max_scans_per_repository=budget,
        max_images_per_repository=newest,
        time_limit_seconds=time_limit,
        dry_run=dry_run,
    )

    # Each step lists a page, decides an image or hands one out.
    progress = drive.to_its_end(work, most_steps=len(pages) + 2 * len(kinds))

    assert progress.repository_gone == is_deleted
    assert progress.tally.images() == len(listed)
    assert len(drive.handed_out) == len(set(drive.handed_out))
    assert all(KINDS[kinds[digest]] is None for digest in drive.handed_out)
    assert len(drive.handed_out) <= (0 if dry_run else budget)
    assert all(len(batch) <= BATCH for batch in drive.batches)
    assert progress.handed_out <= budget
    expected = Counter(outcome for kind in listed if (outcome := KINDS[kind]))
    counted = progress.tally.outcomes()
    for outcome in (Outcome.UNSCANNABLE, Outcome.ARCHIVED):
        assert counted.get(outcome, 0) == expected[outcome]
    for outcome in (Outcome.FRESH, Outcome.UNSUPPORTED):
        # Out of time, nobody asks; and not all are among the newest.
        assert counted.get(outcome, 0) <= expected[outcome]
        if not newest and not progress.tally.of_decision(OUT_OF_TIME):
            assert counted.get(outcome, 0) == expected[outcome]


def test_answers_the_state_machine_with_the_next_wave(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    image = any_image(last_scan=scanned(days_ago(8)))
    monkeypatch.setattr(module, "ecr_registry", lambda: FakeRegistry([image]))
    monkeypatch.setattr(module, "event_bus", FakeBus)
    monkeypatch.setattr(
        "rescan_registry.image_cache.image_records", lambda table: FakeImageRecords()
    )
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)
    event = {
        "run": "run-1",
        "repository": "team/api",
        "started_at": "2026-03-14T03:00:00.000Z",
        "policy": encode(any_work().policy),
        "progress": {},
    }
    answer = module.handler(event, any_lambda_context())
    assert (answer["due"], answer["finished"]) == ([image.digest], True)
    assert image.digest not in log.getvalue()
