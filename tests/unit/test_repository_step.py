import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.image_records import Attempt, ImageRecord, RecordedScan
from ledger.run_records import Example, Freshness, OldImage
from own_events.scan_result_found import MOST_TAGS
from registry.errors import EcrThrottled, PageTokenRefused, RepositoryNotFound
from registry.images import HELM_CHART_TYPE, Image
from rescan_registry.image_outcomes import ImageOutcomes
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
from rescan_registry.policy import ImageSelection
from rescan_registry.progress import (
    BATCH,
    MOST_EXAMPLES,
    Batch,
    BatchOutcome,
    DueImage,
    Progress,
    StartedBatches,
    UndecidedImage,
)
from rescan_registry.repository_step import (
    DRY_RUN,
    EVENTS_PER_BATCH,
    EVENTS_PER_RETRY,
    EVENTS_PER_STEP,
    HISTORY_FULL,
    IMAGES_A_STEP,
    MOST_EVENTS,
    MOST_RETRIES,
    OUT_OF_BUDGET,
    RepositoryInRun,
    RepositoryStep,
    Surroundings,
)
from rescan_registry.selection import NOT_AMONG_NEWEST
from tests.support.builders import (
    FakeHistory,
    any_cache,
    any_digest,
    any_image,
    any_surroundings,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW
from tests.support.fakes import FakeBus, FakeImageRecords, FakePace, FakeRegistry

FRESH = Decision(Outcome.FRESH, "scanned within RescanAfter")
REFUSED = Decision(Outcome.UNSCANNABLE, "refused by ECR")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def step_of(work: RepositoryInRun | None = None, now: datetime = NOW) -> RepositoryStep:
    work = work or any_work()
    return RepositoryStep(work, ImageOutcomes(work.run, work.repository, now), now)


def evaluated(work: RepositoryInRun, around: Surroundings) -> Progress:
    step = step_of(work)
    step.evaluate_next(around)
    return step.progress


def decided(work: RepositoryInRun, registry: FakeRegistry, history: FakeHistory) -> Progress:
    return evaluated(work, any_surroundings(registry, history))


def decided_with(
    records: FakeImageRecords, work: RepositoryInRun, registry: FakeRegistry, history: FakeHistory
) -> Progress:
    return evaluated(work, any_surroundings(registry, history, records))


def handed_out(
    work: RepositoryInRun | None = None,
    pace: FakePace | None = None,
    now: datetime = NOW,
    **progress: Any,
) -> Progress:
    """Hand out images, all of which are decided."""
    work = work or any_work()
    before = Progress(listed=True) if not progress else Progress(**{"listed": True, **progress})
    step = step_of(RepositoryInRun(work.run, work.repository, work.policy, 0, before), now)
    step.hand_out((pace or FakePace()).as_pace)
    return step.progress


def digests(how_many: int) -> tuple[str, ...]:
    return tuple(any_digest() for _ in range(how_many))


def due_images(how_many: int) -> tuple[DueImage, ...]:
    return tuple(map(DueImage, digests(how_many)))


def undecided_images(*image_digests: str) -> tuple[UndecidedImage, ...]:
    return tuple(map(UndecidedImage, image_digests))


def digests_of(images: Sequence[DueImage | UndecidedImage]) -> tuple[str, ...]:
    return tuple(image.image_digest for image in images)


def in_batches(progress: Progress) -> tuple[str, ...]:
    return tuple(digest for batch in progress.batches for digest in batch.image_digests)


def ended(outcomes: Sequence[BatchOutcome], **given: Any) -> Progress:
    """Make the progress after some batches of three images."""
    batches = tuple(Batch(number, 1, digests(3)) for number in range(1, len(outcomes) + 1))
    return Progress(batches=batches, started=StartedBatches(tuple(outcomes)), **given)


# Deciding a page


@pytest.mark.parametrize("throttle_after", [1, 2, 1_000])
def test_puts_the_image_first_whose_newest_date_is_the_oldest(throttle_after: int) -> None:
    newer, never, oldest, undated, unknown, pushed_lately = (
        any_image(pushed_at=days_ago(age) if age else None) for age in (99, 20, 99, 10, 0, 2)
    )
    history = FakeHistory(
        {
            newer.digest: scanned(days_ago(8)),
            oldest.digest: scanned(days_ago(80)),
            undated.digest: scanned(None, "FAILED"),
        },
        throttle_after=throttle_after,
    )
    page = [newer, never, oldest, undated, unknown, pushed_lately]
    progress, registry = Progress(), FakeRegistry(page)
    while not progress.is_decided:
        progress = decided(any_work(progress), registry, history)
    assert [(image.image_digest, image.since) for image in progress.waiting] == [
        (unknown.digest, None),
        (oldest.digest, days_ago(80)),
        (never.digest, days_ago(20)),
        (undated.digest, days_ago(10)),
        (newer.digest, days_ago(8)),
        (pushed_lately.digest, days_ago(2)),
    ]


def test_puts_an_image_behind_others_by_its_last_attempt() -> None:
    """Case 02: else, images that fail in every run would be tried before all others."""
    failed, never = any_image(pushed_at=days_ago(90)), any_image(pushed_at=days_ago(20))
    attempt = Attempt(days_ago(1), "FAILED", "OddException")
    records = FakeImageRecords(("team/api", ImageRecord(failed.digest, last_attempt=attempt)))
    progress = decided_with(records, any_work(), FakeRegistry([failed, never]), FakeHistory())
    assert progress.waiting == (
        DueImage(never.digest, days_ago(20), is_overdue=True),
        DueImage(failed.digest, days_ago(1), is_overdue=True),
    )


@given(st.lists(st.none() | st.integers(1, 9), max_size=30))
def test_waits_in_the_order_of_dates_and_then_of_digests(ages: list[int | None]) -> None:
    due = [DueImage(any_digest(), days_ago(age) if age else None) for age in ages]
    waiting = Progress(waiting=tuple(due[::2])).queued(due[1::2]).waiting
    assert sorted(digests_of(waiting)) == sorted(digests_of(due))
    turns = [(each.since or days_ago(99), each.image_digest) for each in waiting]
    assert turns == sorted(turns)


def test_notes_until_when_ecr_refuses_an_image_that_is_due() -> None:
    image = any_image(pushed_at=days_ago(90), last_scan=scanned(days_ago(1) + 2 * MINUTE))
    progress = decided(
        any_work(rescan_after=timedelta(days=1)), FakeRegistry([image]), FakeHistory()
    )
    free_at = NOW + 2 * MINUTE + 2 * SECOND
    assert progress.waiting == (DueImage(image.digest, image.last_scan.completed_at, free_at),)


def test_case_01_does_not_ask_again_for_what_ecr_has_refused() -> None:
    refused, real = any_image(), any_image()
    attempt = Attempt(days_ago(29), "UNSCANNABLE", "refused by ECR")
    records = FakeImageRecords(("team/api", ImageRecord(refused.digest, last_attempt=attempt)))
    history = FakeHistory()
    progress = decided_with(records, any_work(), FakeRegistry([refused, real]), history)
    assert history.asked == [real.digest]
    assert digests_of(progress.waiting) == (real.digest,)
    assert progress.tally == Tally().plus(REFUSED)


def test_counts_what_is_not_due_by_its_reason() -> None:
    due, fresh, gone = any_image(), any_image(), any_image()
    helm, archived = any_image(artifact_type=HELM_CHART_TYPE), any_image(status="ARCHIVED")
    untagged = any_image(tags=())
    progress = decided(
        any_work(image_selection=ImageSelection.TAGGED),
        FakeRegistry([due, fresh, gone, helm, archived, untagged]),
        FakeHistory({fresh.digest: scanned(days_ago(6))}, gone=[gone.digest]),
    )
    assert digests_of(progress.waiting) == (due.digest,)
    assert progress.tally == Tally().plus(
        FRESH,
        IMAGE_GONE,
        Decision(Outcome.UNSCANNABLE, "Helm chart"),
        ARCHIVED,
        Decision(Outcome.EXCLUDED, "untagged"),
    )


def test_asks_only_for_images_that_the_listing_says_nothing_of() -> None:
    unknown = any_image()
    hinted_due = any_image(last_scan=scanned(days_ago(9)))
    hinted_fresh = any_image(last_scan=scanned(days_ago(1)))
    left_out = any_image(status="ARCHIVED")
    history = FakeHistory({unknown.digest: scanned(days_ago(8))})
    progress = decided(
        any_work(), FakeRegistry([unknown, hinted_due, hinted_fresh, left_out]), history
    )
    assert history.asked == [unknown.digest]
    assert set(digests_of(progress.waiting)) == {hinted_due.digest, unknown.digest}
    assert progress.tally == Tally().plus(FRESH, ARCHIVED)


def test_asks_for_nothing_when_the_listing_says_it_all() -> None:
    history = FakeHistory()
    decided(any_work(), FakeRegistry([any_image(last_scan=scanned(days_ago(9)))]), history)
    assert history.calls == []


def test_asks_about_the_repository_of_the_work() -> None:
    history = FakeHistory()
    decided(any_work(), FakeRegistry([any_image()]), history)
    assert history.calls == ["team/api"]


def test_leaves_out_what_was_not_pulled_lately_as_of_now() -> None:
    pulled, unused = any_image(pulled_at=days_ago(29)), any_image(pulled_at=days_ago(31))
    work = any_work(pulled_within=timedelta(days=30))
    progress = decided(work, FakeRegistry([pulled, unused]), FakeHistory())
    assert digests_of(progress.waiting) == (pulled.digest,)
    assert progress.tally == Tally().plus(Decision(Outcome.EXCLUDED, "not pulled lately"))


def test_lists_one_page_and_keeps_the_cursor_to_the_next() -> None:
    first, second = any_image(), any_image()
    registry = FakeRegistry([first], [second])
    progress = decided(any_work(), registry, FakeHistory())
    assert (digests_of(progress.waiting), progress.cursor) == ((first.digest,), "1")
    progress = decided(any_work(progress), registry, FakeHistory())
    assert set(digests_of(progress.waiting)) == {first.digest, second.digest}
    assert progress.cursor is None
    assert registry.listed == [None, "1"]


def test_carries_over_what_ecr_did_not_tell() -> None:
    images = [any_image() for _ in range(5)]
    progress = decided(any_work(), FakeRegistry(images, []), FakeHistory(throttle_after=2))
    assert digests_of(progress.waiting) == tuple(image.digest for image in images[:2])
    assert progress.undecided == tuple(
        UndecidedImage(image.digest, image.pushed_at) for image in images[2:]
    )
    assert (progress.wait_seconds, progress.polls) == (0, 0)


def test_asks_again_for_what_is_undecided_without_listing_again() -> None:
    old, fresh, gone, never, lately = digests(5)
    registry = FakeRegistry([any_image()], [any_image()])
    history = FakeHistory(
        {old: scanned(days_ago(8)), fresh: scanned(days_ago(1))},
        gone=[gone],
    )
    undecided = (
        UndecidedImage(fresh, days_ago(90)),
        UndecidedImage(old, days_ago(90), days_ago(9)),
        UndecidedImage(gone),
        UndecidedImage(never, days_ago(3)),
        UndecidedImage(lately, days_ago(0.5), days_ago(0.5)),
    )
    progress = decided(any_work(Progress(undecided=undecided, cursor="1")), registry, history)
    assert registry.listed == []
    assert history.asked == [fresh, old, gone, never, lately]
    too_early = Decision(Outcome.FRESH, "scanned within 24 hours")
    assert progress == Progress(
        step=1,
        events=EVENTS_PER_STEP,
        waiting=(DueImage(old, days_ago(8)), DueImage(never, days_ago(3))),
        cursor="1",
        freshness=Freshness(
            scannable=4,
            never=2,
            oldest_at=days_ago(8),
            oldest=tuple(
                OldImage("team/api", digest, days_ago(age))
                for digest, age in [(old, 8), (fresh, 1)]
            ),
        ),
        tally=Tally().plus(FRESH, IMAGE_GONE, too_early),
    )


def test_waits_for_its_turn_to_ask_ecr() -> None:
    images = [any_image(), any_image()]
    registry, history = FakeRegistry(images), FakeHistory(waits=[17, 30])
    progress = decided(any_work(), registry, history)
    assert (progress.wait_seconds, progress.polls) == (17, 1)
    progress = decided(any_work(progress), registry, history)
    assert (progress.wait_seconds, progress.polls) == (30, 2)
    assert digests_of(progress.undecided) == tuple(image.digest for image in images)
    progress = decided(any_work(progress), registry, history)
    assert (progress.wait_seconds, progress.polls) == (0, 0)
    assert len(progress.waiting) == 2
    assert history.polls == [0, 1, 2]


def test_has_no_image_without_an_outcome_when_ecr_throttles_to_the_last() -> None:
    """What the ledger and the listing know is decided before ECR is asked."""
    unknown, due, fresh = (
        any_image(),
        any_image(last_scan=scanned(days_ago(9))),
        any_image(last_scan=scanned(days_ago(1))),
    )
    archived, refused = any_image(status="ARCHIVED"), any_image()
    attempt = Attempt(days_ago(1), "UNSCANNABLE", "refused by ECR")
    records = FakeImageRecords(("team/api", ImageRecord(refused.digest, last_attempt=attempt)))
    step = step_of()
    around = any_surroundings(
        FakeRegistry([unknown, due, fresh, archived, refused]),
        FakeHistory(refusal=EcrThrottled("any")),
        records,
    )
    with pytest.raises(EcrThrottled):
        step.evaluate_next(around)
    step.end(THROTTLED)
    assert step.progress.tally == Tally().plus(THROTTLED, THROTTLED, FRESH, ARCHIVED, REFUSED)
    assert (step.progress.finished, step.progress.cut_short) == (True, True)


def test_case_20_counts_an_image_on_two_pages_once() -> None:
    shifted = any_image()
    registry = FakeRegistry([any_image(), shifted], [shifted, any_image()], [any_image()])
    progress = Progress()
    for _ in range(3):
        progress = decided(any_work(progress), registry, FakeHistory())
    assert len(progress.waiting) == len(set(digests_of(progress.waiting))) == 4
    assert (progress.listed, progress.last_page) == (True, ())


def test_knows_an_image_on_two_pages_while_ecr_leaves_the_first_undecided() -> None:
    shifted = any_image()
    registry, history = FakeRegistry([any_image(), shifted], [shifted]), FakeHistory(waits=[5])
    progress = Progress()
    for _ in range(3):
        progress = decided(any_work(progress), registry, history)
    assert len(progress.waiting) == 2
    assert progress.is_decided


def test_reads_all_pages_to_find_the_newest_images() -> None:
    pages = [[any_image(pushed_at=days_ago(age)) for age in ages] for ages in ([5, 1], [4, 2], [3])]
    registry = FakeRegistry(*pages)
    progress = decided(any_work(max_images_per_repository=2), registry, FakeHistory())
    assert registry.listed == [None, "1", "2"]
    assert set(digests_of(progress.waiting)) == {pages[0][1].digest, pages[1][1].digest}
    assert progress.cursor is None
    assert progress.tally == Tally().plus_many(NOT_AMONG_NEWEST, 3)


def test_counts_only_images_that_could_be_scanned_among_the_newest() -> None:
    older, newer = any_image(pushed_at=days_ago(5)), any_image(pushed_at=days_ago(4))
    newest = any_image(pushed_at=days_ago(1), artifact_type=HELM_CHART_TYPE)
    progress = decided(
        any_work(max_images_per_repository=2), FakeRegistry([older, newer, newest]), FakeHistory()
    )
    assert set(digests_of(progress.waiting)) == {older.digest, newer.digest}
    assert progress.tally == Tally().plus(Decision(Outcome.UNSCANNABLE, "Helm chart"))


def test_lets_a_deleted_repository_be_known() -> None:
    with pytest.raises(RepositoryNotFound):
        decided(any_work(), FakeRegistry(RepositoryNotFound("any")), FakeHistory())


@pytest.mark.parametrize("newest", [0, 5])
def test_lets_a_refused_token_be_known_and_has_counted_nothing_of_the_page(newest: int) -> None:
    registry = FakeRegistry([any_image(status="ARCHIVED")], PageTokenRefused("any"))
    work = any_work(Progress(cursor=None if newest else "1"), max_images_per_repository=newest)
    step = step_of(work)
    with pytest.raises(PageTokenRefused):
        step.evaluate_next(any_surroundings(registry))
    assert step.progress.tally == Tally()


def test_defers_what_is_due_beyond_the_bound_of_calls() -> None:
    pages = [[any_image(pushed_at=days_ago(20)) for _ in range(800)]]
    pages.append([any_image(pushed_at=days_ago(30)) for _ in range(300)])
    registry, progress = FakeRegistry(*pages), Progress()
    for _ in pages:
        work = any_work(progress, max_scans_per_repository=10)
        progress = decided(work, registry, FakeHistory())
    assert len(progress.waiting) == 1_020
    assert progress.tally == Tally().plus_many(OUT_OF_BUDGET, 80)
    assert {image.since for image in progress.waiting[:300]} == {days_ago(30)}


# What the ledger knows


def known(image: Image, age: float, **given: Any) -> tuple[str, ImageRecord]:
    scan = RecordedScan(days_ago(age), "COMPLETE", "BASIC")
    return "team/api", ImageRecord(image.digest, last_scan=scan, **given)


def started(image: Image, hours_ago: float) -> tuple[str, ImageRecord]:
    at = NOW - timedelta(hours=hours_ago)
    return "team/api", ImageRecord(image.digest, started_at=at, started_by="run-0")


def test_asks_ecr_only_for_images_that_neither_ledger_nor_listing_knows() -> None:
    fresh, due, unknown = any_image(), any_image(), any_image()
    hinted = any_image(last_scan=scanned(days_ago(1)))
    records, history = FakeImageRecords(known(fresh, 6), known(due, 8)), FakeHistory()
    page = [fresh, due, unknown, hinted]
    progress = decided_with(records, any_work(), FakeRegistry(page), history)
    assert history.asked == [unknown.digest]
    assert set(digests_of(progress.waiting)) == {unknown.digest, due.digest}
    assert progress.tally == Tally().plus(FRESH, FRESH)
    assert records.calls == {"records_of": 1}


def test_goes_by_the_newer_of_ledger_and_listing() -> None:
    hint_is_newer = any_image(last_scan=scanned(days_ago(1)))
    record_is_newer = any_image(last_scan=scanned(days_ago(9)))
    records = FakeImageRecords(known(hint_is_newer, 9), known(record_is_newer, 1))
    page = [hint_is_newer, record_is_newer]
    progress = decided_with(records, any_work(), FakeRegistry(page), FakeHistory())
    assert progress.tally == Tally().plus(FRESH, FRESH)


def test_writes_back_what_ecr_tells_so_that_it_is_asked_once() -> None:
    old, never, failed, scratch = (any_image() for _ in range(4))
    page = [old, never, failed, scratch]
    scans = {
        old.digest: scanned(days_ago(8)),
        failed.digest: scanned(None, "FAILED"),
        scratch.digest: scanned(None, "UNSUPPORTED_IMAGE"),
    }
    records = FakeImageRecords()
    first, second = FakeHistory(scans), FakeHistory(scans)
    one = decided_with(records, any_work(), FakeRegistry(page), first)
    assert first.asked == [image.digest for image in page]
    assert records.calls == {"records_of": 1, "note_scan": 2}
    another = decided_with(records, any_work(), FakeRegistry(page), second)
    assert second.asked == [never.digest, failed.digest]
    assert one == another


def test_recalls_nothing_of_a_page_on_which_no_image_is_looked_at() -> None:
    records = FakeImageRecords()
    decided_with(records, any_work(), FakeRegistry([any_image(status="ARCHIVED")]), FakeHistory())
    assert records.calls == {}


def test_recalls_a_page_once_and_not_for_what_ecr_left_undecided() -> None:
    records = FakeImageRecords()
    images = [any_image() for _ in range(5)]
    scans = {image.digest: scanned(days_ago(8)) for image in images}
    registry = FakeRegistry(images, [])
    history = FakeHistory(scans, throttle_after=2)
    progress = decided_with(records, any_work(), registry, history)
    decided_with(records, any_work(progress), registry, history)
    assert records.calls == {"records_of": 1, "note_scan": 4}


@pytest.mark.parametrize("fails", [["records_of"], ["note_scan"], ["records_of", "note_scan"]])
def test_asks_ecr_instead_when_the_ledger_does_not_answer(
    fails: list[str], log: io.StringIO
) -> None:
    fresh, old, never = any_image(), any_image(), any_image()
    scans = {fresh.digest: scanned(days_ago(1)), old.digest: scanned(days_ago(8))}
    history = FakeHistory(scans)
    records = FakeImageRecords(fails=fails)
    page = FakeRegistry([fresh, old, never])
    progress = decided_with(records, any_work(), page, history)
    assert history.asked == [fresh.digest, old.digest, never.digest]
    assert set(digests_of(progress.waiting)) == {never.digest, old.digest}
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert line["message"] == "ledger unavailable"


def test_leaves_a_scan_alone_that_a_run_has_started_lately() -> None:
    image, history = any_image(), FakeHistory()
    progress = decided_with(
        FakeImageRecords(started(image, 5.9)), any_work(), FakeRegistry([image]), history
    )
    assert history.asked == []
    assert progress.tally == Tally().plus(Decision(Outcome.FRESH, "scan under way"))
    assert progress.is_decided


def test_asks_first_for_results_that_are_missing() -> None:
    unknown, first, second = any_image(), any_image(), any_image()
    records = FakeImageRecords(started(first, 24), started(second, 100))
    history = FakeHistory()
    page = [unknown, first, second]
    progress = decided_with(records, any_work(), FakeRegistry(page), history)
    assert history.asked == [first.digest, second.digest, unknown.digest]
    assert (progress.results_missing, progress.results_found) == (2, 0)
    assert set(digests_of(progress.waiting)) == {image.digest for image in page}


def test_finds_a_missing_result_and_leaves_it_to_notify_scan_to_record_it() -> None:
    image = any_image(tags=("v1",))
    scan = scanned(NOW - timedelta(hours=6, minutes=59))
    records, work = FakeImageRecords(started(image, 7)), any_work()
    bus = FakeBus()
    around = any_surroundings(
        FakeRegistry([image]), FakeHistory({image.digest: scan}), records, bus=bus
    )
    progress = evaluated(any_work(Progress(results_missing=1, results_found=1)), around)
    ((kind, found, _),) = bus.events
    assert kind == "Scan Result Found"
    assert (found["image-digest"], found["image-tags"]) == (image.digest, ["v1"])
    assert (found["run"], found["repository-name"]) == ("run-0", work.repository)
    assert records.calls == {"records_of": 1}
    assert (progress.results_missing, progress.results_found) == (2, 2)
    assert progress.tally == Tally().plus(FRESH)


def test_counts_a_missing_result_once_when_ecr_is_asked_again() -> None:
    image = any_image()
    history = FakeHistory({image.digest: scanned(days_ago(2))}, waits=[1])
    records, registry = FakeImageRecords(started(image, 30)), FakeRegistry([image])
    progress = decided_with(records, any_work(), registry, history)
    progress = decided_with(records, any_work(progress), registry, history)
    assert progress.results_missing == 1


def test_goes_by_the_listing_when_ecr_no_longer_keeps_what_is_missing() -> None:
    image = any_image(last_scan=scanned(days_ago(2)))
    records = FakeImageRecords(started(image, 7))
    progress = decided_with(records, any_work(), FakeRegistry([image]), FakeHistory())
    assert progress.tally == Tally().plus(FRESH)
    assert (progress.results_missing, progress.results_found) == (1, 0)


def test_finds_in_another_run_the_missing_results_that_ecr_did_not_tell_at_once() -> None:
    images = [any_image() for _ in range(4)]
    records = FakeImageRecords(*(started(image, 7) for image in images))
    scans = {image.digest: scanned(NOW - timedelta(hours=6, minutes=59)) for image in images}
    registry = FakeRegistry(images, [])
    progress = decided_with(records, any_work(), registry, FakeHistory(scans, throttle_after=1))
    assert (progress.results_missing, progress.results_found) == (4, 1)
    assert digests_of(progress.undecided) == tuple(it.digest for it in images[1:])
    assert progress.missing == 3
    while progress.undecided:
        history = FakeHistory(scans, throttle_after=2)
        progress = decided_with(records, any_work(progress), registry, history)
    assert (progress.results_missing, progress.results_found) == (4, 1)
    assert progress.missing == 0
    assert progress.tally == Tally().plus_many(FRESH, 3 + 1)
    assert records.calls == {"records_of": 1}


# Results whose findings ECR did not list


def unnamed(image: Image, days: float = 2, **given: Any) -> tuple[str, ImageRecord]:
    """Make the record of an image whose findings ECR did not list when it was scanned."""
    scan = RecordedScan(days_ago(days), "COMPLETE", "BASIC", {"HIGH": 3})
    known = {"last_scan": scan, "names_missing": days_ago(days), **given}
    return "team/api", ImageRecord(image.digest, **known)


def put_for(
    record: tuple[str, ImageRecord], image: Image, work: RepositoryInRun | None = None
) -> list[dict[str, Any]]:
    """Evaluate a page of one image, and return the details of the events."""
    bus, history = FakeBus(), FakeHistory({image.digest: scanned(days_ago(1))})
    records, registry = FakeImageRecords(record), FakeRegistry([image])
    evaluated(work or any_work(), any_surroundings(registry, history, records, bus=bus))
    details: list[Any] = [detail for _, detail, _ in bus.events]
    return details


def test_reports_a_known_result_again_whose_findings_are_missing() -> None:
    image = any_image(tags=("v1", "latest"))
    record = unnamed(image, started_at=days_ago(2.1), started_by="run-0")
    assert put_for(record, image) == [
        {
            "repository-name": any_work().repository,
            "image-digest": image.digest,
            "image-tags": ["v1", "latest"],
            "scan-status": "COMPLETE",
            "finding-severity-counts": {"HIGH": 3},
            "scanned-at": days_ago(2).isoformat(timespec="seconds"),
            "run": "run-0",
            "scan-type": "BASIC",
            "tagged-at": None,
        }
    ]


def test_a_result_that_is_reported_again_is_still_fresh_and_not_asked_for() -> None:
    image, history = any_image(), FakeHistory()
    records = FakeImageRecords(unnamed(image))
    progress = decided_with(records, any_work(), FakeRegistry([image]), history)
    assert progress.tally == Tally().plus(FRESH)
    assert (history.asked, progress.results_missing, progress.results_found) == ([], 0, 0)


def test_reports_again_as_many_tags_as_an_event_has_room_for() -> None:
    image = any_image(tags=tuple(f"v{number}" for number in range(MOST_TAGS + 1)))
    (found,) = put_for(unnamed(image), image)
    assert found["image-tags"] == list(image.tags[:MOST_TAGS])


@pytest.mark.parametrize(
    "given",
    [
        {"names_missing": None},
        {"last_scan": RecordedScan(days_ago(2), "UNSUPPORTED_IMAGE", "BASIC")},
        {"last_scan": RecordedScan(days_ago(2), "COMPLETE", "ENHANCED")},
        {"last_scan": None},
        {"started_at": days_ago(0.1), "started_by": "run-0"},
    ],
)
def test_reports_nothing_again_but_a_completed_basic_scan_without_findings(
    given: dict[str, Any],
) -> None:
    image = any_image()
    assert put_for(unnamed(image, **given), image) == []


def test_reports_nothing_again_of_an_image_that_is_due() -> None:
    """A new scan of it will be reported."""
    image = any_image()
    assert put_for(unnamed(image, days=30), image) == []


def test_reports_nothing_again_where_the_listing_shows_a_newer_scan() -> None:
    image = any_image(last_scan=scanned(days_ago(1)))
    assert put_for(unnamed(image), image) == []


def test_reports_nothing_again_in_a_dry_run() -> None:
    image = any_image()
    assert put_for(unnamed(image), image, any_work(dry_run=True)) == []


def test_reports_again_once_per_run() -> None:
    """Images that ECR left undecided need another step; the others of the page do not."""
    known, unknown = any_image(), any_image()
    bus, records = FakeBus(), FakeImageRecords(unnamed(known))
    history = FakeHistory({unknown.digest: scanned(days_ago(1))}, waits=[1])
    around = any_surroundings(FakeRegistry([known, unknown]), history, records, bus=bus)
    progress = evaluated(any_work(), around)
    assert progress.undecided
    progress = evaluated(any_work(progress), around)
    assert not progress.undecided
    assert len(bus.events) == 1


# Handing out


def test_hands_out_batches_with_the_numbers_that_were_drawn() -> None:
    waiting = due_images(BATCH * 2 + 5)
    pace = FakePace(Turn(count=BATCH * 2 + 5, first=700))
    progress = handed_out(pace=pace, waiting=waiting, batches_made=3, asked=7, polls=2)
    of = digests_of(waiting)
    assert progress.batches == (
        Batch(4, 700, of[:BATCH]),
        Batch(5, 700 + BATCH, of[BATCH : 2 * BATCH]),
        Batch(6, 700 + 2 * BATCH, of[2 * BATCH :]),
    )
    assert progress == Progress(
        step=1,
        events=EVENTS_PER_STEP + 3 * EVENTS_PER_BATCH,
        batches=progress.batches,
        listed=True,
        batches_made=6,
        asked=7 + len(waiting),
        finished=True,
    )
    assert pace.draws == [(len(waiting), 2)]


def test_hands_out_those_whose_turn_it_is_and_keeps_the_others() -> None:
    waiting = due_images(BATCH + 9)
    progress = handed_out(pace=FakePace(Turn(count=BATCH, first=1)), waiting=waiting)
    assert in_batches(progress) == digests_of(waiting[:BATCH])
    assert progress.waiting == waiting[BATCH:]
    assert (progress.finished, progress.wait_seconds) == (False, 0)


def test_hands_out_no_more_than_a_state_holds() -> None:
    pace = FakePace()
    progress = handed_out(pace=pace, waiting=due_images(IMAGES_A_STEP + 1))
    assert pace.draws == [(IMAGES_A_STEP, 0)]
    assert (len(in_batches(progress)), len(progress.waiting)) == (IMAGES_A_STEP, 1)
    assert not progress.finished


def test_hands_out_unpaced_batches_without_the_ledger() -> None:
    progress = handed_out(pace=FakePace(Turn(count=BATCH)), waiting=due_images(BATCH + 1))
    (batch,) = progress.batches
    assert batch.first is None


def test_waits_while_the_queue_is_long() -> None:
    waiting = due_images(5)
    pace = FakePace(Turn(count=0, wait_seconds=17))
    progress = handed_out(pace=pace, waiting=waiting, polls=4)
    assert progress == Progress(
        step=1, events=EVENTS_PER_STEP, waiting=waiting, listed=True, wait_seconds=17, polls=5
    )
    assert pace.draws == [(5, 4)]


def test_draws_no_number_when_nothing_waits() -> None:
    pace = FakePace()
    assert handed_out(pace=pace).finished
    assert pace.draws == []


@pytest.mark.parametrize(
    ("left", "finished"),
    [
        ({}, True),
        ({"listed": False, "cursor": "1"}, False),
        ({"undecided": undecided_images(any_digest())}, False),
        ({"waiting": due_images(IMAGES_A_STEP + 1)}, False),
        ({"waiting": due_images(IMAGES_A_STEP)}, True),
    ],
)
def test_is_finished_when_nothing_is_left_to_list_evaluate_or_start(
    left: dict[str, Any], finished: bool
) -> None:
    assert handed_out(**left).finished is finished


def test_is_no_longer_finished_when_images_of_the_last_batch_wait_again() -> None:
    before = ended([BatchOutcome(left=(1,))], listed=True, finished=True)
    step = step_of(any_work(before))
    step.count_batches(any_cache())
    step.hand_out(FakePace(Turn(count=0, wait_seconds=3)).as_pace)
    assert not step.progress.finished


# Images that ECR refuses for some minutes more


def too_early(minutes: int) -> DueImage:
    return DueImage(any_digest(), days_ago(1), NOW + minutes * MINUTE)


def test_hands_out_others_before_images_that_ecr_refuses_for_some_minutes() -> None:
    early, others = too_early(5), due_images(3)
    progress = handed_out(waiting=(early, *others))
    assert in_batches(progress) == digests_of(others)
    assert progress.waiting == (early,)
    assert (progress.finished, progress.wait_seconds) == (False, 0)


def test_waits_until_ecr_accepts_the_first_of_the_others() -> None:
    pace, waiting = FakePace(), (too_early(5), too_early(3), too_early(14))
    progress = handed_out(pace=pace, waiting=waiting, now=NOW + timedelta(seconds=0.5))
    assert (progress.waiting, progress.batches) == (waiting, ())
    assert (progress.wait_seconds, progress.polls) == (180, 0)
    assert pace.draws == []


@pytest.mark.parametrize(("after", "starts"), [(-SECOND, False), (timedelta(0), True)])
def test_hands_them_out_from_the_very_second_that_ecr_accepts_them(
    after: timedelta, starts: bool
) -> None:
    early = too_early(3)
    progress = handed_out(waiting=(early,), now=NOW + 3 * MINUTE + after)
    assert bool(progress.batches) is progress.finished is starts
    assert progress.wait_seconds == (0 if starts else 1)


# When no more are handed out


@pytest.mark.parametrize(("started", "more"), [(0, 7), (4, 3), (6, 1)])
def test_starts_no_more_than_the_budget(started: int, more: int) -> None:
    waiting = due_images(10)
    tally = Tally().plus_many(STARTED, started).plus_many(REFUSED, 5).plus_many(FRESH, 5)
    work = any_work(max_scans_per_repository=7)
    progress = handed_out(work, waiting=waiting, tally=tally)
    assert in_batches(progress) == digests_of(waiting[:more])
    assert progress.waiting == waiting[more:]
    assert not progress.finished


@pytest.mark.parametrize(("budget", "asked"), [(7, 1_014), (8, 50)])
def test_defers_the_rest_when_budget_or_calls_are_used_up(budget: int, asked: int) -> None:
    tally = Tally().plus_many(STARTED, 8)
    work = any_work(max_scans_per_repository=budget)
    progress = handed_out(work, waiting=due_images(10), tally=tally, asked=asked)
    assert (progress.batches, progress.waiting, progress.finished) == ((), (), True)
    assert progress.tally == tally.plus_many(OUT_OF_BUDGET, 10)


@pytest.mark.parametrize(("asked", "more"), [(1_013, 1), (1_010, 4), (1_014, 0)])
def test_asks_ecr_no_more_often_than_the_bound_allows(asked: int, more: int) -> None:
    work = any_work(max_scans_per_repository=7)
    progress = handed_out(work, waiting=due_images(9), asked=asked)
    assert len(in_batches(progress)) == more
    assert progress.tally == Tally().plus_many(OUT_OF_BUDGET, 0 if more else 9)


def test_settles_the_rest_of_a_repository_that_is_gone() -> None:
    decision = REPOSITORY_GONE
    pace, tally = FakePace(), Tally().plus(STARTED, decision)
    waiting = (*due_images(5), too_early(3))
    progress = handed_out(pace=pace, waiting=waiting, tally=tally)
    assert (progress.batches, progress.waiting, progress.finished) == ((), (), True)
    assert progress.tally == tally.plus_many(decision, 6)
    assert pace.draws == []


@pytest.mark.parametrize(
    "decision", [THROTTLED, SCAN_QUOTA, Decision(Outcome.FAILED, "AccessDenied")]
)
def test_goes_on_after_other_outcomes(decision: Decision) -> None:
    progress = handed_out(waiting=due_images(5), tally=Tally().plus(decision))
    assert len(in_batches(progress)) == 5


@pytest.mark.parametrize(("closed", "starts"), [(None, True), (NOW + SECOND, False)])
def test_defers_the_rest_while_another_has_found_the_daily_quota_used_up(
    closed: datetime | None, starts: bool
) -> None:
    pace = FakePace()
    pace.closed = closed
    progress = handed_out(pace=pace, waiting=due_images(5))
    assert progress.finished
    assert len(in_batches(progress)) == (5 if starts else 0)
    assert progress.tally == Tally().plus_many(SCAN_QUOTA, 0 if starts else 5)


def test_starts_nothing_in_a_dry_run_but_counts_what_it_would_start() -> None:
    work, pace = any_work(dry_run=True, max_scans_per_repository=20), FakePace()
    progress = handed_out(work, pace, waiting=(*due_images(49), too_early(3)))
    assert progress == Progress(
        step=1,
        events=EVENTS_PER_STEP,
        listed=True,
        tally=Tally().plus_many(DRY_RUN, 20).plus_many(OUT_OF_BUDGET, 30),
        finished=True,
    )
    assert pace.draws == []


@pytest.mark.parametrize(
    "left",
    [{"listed": False, "cursor": "1"}, {"undecided": undecided_images(any_digest())}],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_starts_nothing_before_all_is_decided(left: dict[str, Any], dry_run: bool) -> None:
    pace, waiting = FakePace(), due_images(7)
    work = any_work(dry_run=dry_run, max_scans_per_repository=5)
    progress = handed_out(work, pace, waiting=waiting, **left)
    assert (progress.waiting, progress.batches, progress.finished) == (waiting, (), False)
    assert progress.tally == Tally()
    assert pace.draws == []


# When the step is over


@pytest.mark.parametrize(
    ("after", "events", "decision"),
    [
        (-SECOND, 0, None),
        (timedelta(0), 0, RUN_TIME),
        (timedelta(minutes=30) + SECOND, 0, None),
        (-SECOND, MOST_EVENTS - EVENTS_PER_STEP - 1, None),
        (-SECOND, MOST_EVENTS - EVENTS_PER_STEP, HISTORY_FULL),
        (timedelta(0), MOST_EVENTS, RUN_TIME),
    ],
)
def test_is_over_when_the_time_is_up_or_the_history_is_full(
    after: timedelta, events: int, decision: Decision | None
) -> None:
    work = any_work(Progress(events=events))
    assert step_of(work, work.policy.stop_at + after).why_over() == decision


@pytest.mark.parametrize(
    ("before", "cut_short"),
    [
        ({"listed": True}, False),
        ({}, True),
        ({"cursor": "1"}, True),
        ({"listed": True, "undecided": undecided_images(*digests(2))}, True),
    ],
)
def test_defers_all_that_waits_when_it_is_over(before: dict[str, Any], cut_short: bool) -> None:
    undecided = len(before.get("undecided", ()))
    step = step_of(any_work(Progress(waiting=due_images(3), missing=undecided, **before)))
    step.end(RUN_TIME)
    assert step.progress.tally == Tally().plus_many(RUN_TIME, 3 + undecided)
    assert (step.progress.waiting, step.progress.undecided, step.progress.missing) == ((), (), 0)
    assert (step.progress.finished, step.progress.cut_short) == (True, cut_short)


def test_counts_what_is_left_as_gone_with_its_repository() -> None:
    before = Progress(
        waiting=due_images(3), undecided=undecided_images(*digests(2)), missing=1, cursor="1"
    )
    step = step_of(any_work(before))
    step.end_with_repository()
    assert step.progress == Progress(
        step=1,
        events=EVENTS_PER_STEP,
        cursor="1",
        tally=Tally().plus_many(REPOSITORY_GONE, 5),
        finished=True,
        repository_gone=True,
    )


def test_forgets_all_but_the_history_when_the_listing_starts_again() -> None:
    before = Progress(
        step=7,
        events=99,
        waiting=due_images(3),
        cursor="3",
        last_page=("any",),
        results_missing=2,
        results_found=1,
        tally=Tally().plus(FRESH),
    )
    step = step_of(any_work(before))
    step.list_again()
    assert step.progress == Progress(step=8, events=99 + EVENTS_PER_STEP, relisted=True)


# What became of the last batches


def counted(
    before: Progress, records: FakeImageRecords | None = None
) -> tuple[Progress, list[dict[str, Any]]]:
    work = any_work(before)
    outcomes: Any = ImageOutcomes(work.run, work.repository, NOW)
    step = RepositoryStep(work, outcomes, NOW)
    step.count_batches(any_cache(records))
    return step.progress, list(outcomes.lines())


def test_counts_the_outcomes_of_all_batches() -> None:
    one, other = Example(any_digest(), "words"), Example(any_digest(), "others")
    before = ended(
        [
            BatchOutcome(Tally().plus(STARTED, FRESH, REFUSED), retries=2),
            BatchOutcome(Tally().plus(STARTED, STARTED), left=(2,), examples={"Odd": one}),
            BatchOutcome(Tally().plus(STARTED), left=(0, 2), examples={"Odd": other}, retries=1),
        ],
        waiting=due_images(2),
        asked=9,
        tally=Tally().plus(FRESH),
    )
    progress, lines = counted(before)
    _, second, third = (batch.image_digests for batch in before.batches)
    assert progress == Progress(
        step=1,
        events=EVENTS_PER_STEP + 3 * EVENTS_PER_RETRY,
        waiting=(*map(DueImage, (second[2], third[0], third[2])), *before.waiting),
        asked=6,
        tally=Tally().plus_many(STARTED, 4).plus_many(FRESH, 2).plus(REFUSED),
        examples={"Odd": one},
    )
    assert lines == []  # the batches have written them


def test_keeps_the_first_few_examples() -> None:
    examples = {f"Odd{number}": Example(any_digest(), "any") for number in range(MOST_EXAMPLES + 2)}
    names = list(examples)
    before = ended(
        [BatchOutcome(examples={name: examples[name]}) for name in names[2:]],
        examples={name: examples[name] for name in names[:2]},
    )
    assert list(counted(before)[0].examples) == names[:MOST_EXAMPLES]


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        ("EcrThrottled", THROTTLED),
        ("EcrUnavailable", Decision(Outcome.FAILED, "EcrUnavailable")),
        ("Sandbox.Timedout", Decision(Outcome.FAILED, "Sandbox.Timedout")),
    ],
)
def test_counts_the_images_of_a_batch_that_failed(error: str, decision: Decision) -> None:
    before = ended([BatchOutcome(left=(0,), error=error)], asked=3, waiting=due_images(2))
    progress, lines = counted(before)
    assert progress == Progress(
        step=1,
        events=EVENTS_PER_STEP + MOST_RETRIES * EVENTS_PER_RETRY,
        waiting=before.waiting,
        asked=3,
        tally=Tally().plus_many(decision, 3),
    )
    assert [(line["image_digest"], line["outcome"], line["reason"]) for line in lines] == [
        (digest, decision.outcome, decision.reason) for digest in before.batches[0].image_digests
    ]


@pytest.mark.parametrize("error", ["EcrThrottled", "Runtime.ExitError"])
def test_counts_no_image_as_failed_whose_scan_was_started(error: str) -> None:
    before = ended([BatchOutcome(left=(0,), error=error)])
    first, second, _ = before.batches[0].image_digests
    records = FakeImageRecords()
    for digest, run in ((first, "run-0"), (second, "run-1")):
        records.note_started("team/api", digest, run=run, at=NOW, expires_at=1)
    progress, lines = counted(before, records)
    assert progress.tally.of_decision(STARTED) == 1
    assert progress.tally.images() == 3
    assert {line["image_digest"] for line in lines if line["outcome"] == "STARTED"} == {second}


def test_asks_the_ledger_only_of_batches_that_failed() -> None:
    records = FakeImageRecords()
    counted(ended([BatchOutcome(Tally().plus_many(STARTED, 3))]), records)
    assert records.calls == {}


def test_counts_the_retries_of_the_step_itself() -> None:
    work = any_work(Progress(events=100, wait_seconds=17))
    retried = RepositoryInRun(work.run, work.repository, work.policy, 4, work.progress)
    progress = step_of(retried).progress
    assert (progress.step, progress.wait_seconds) == (1, 0)
    assert progress.events == 100 + EVENTS_PER_STEP + 4 * EVENTS_PER_RETRY
