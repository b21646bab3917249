import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.image_records import ImageRecord, RecordedScan
from registry.errors import RepositoryNotFound
from registry.images import HELM_CHART_TYPE, Image
from rescan_registry.outcomes import ARCHIVED, IMAGE_GONE, SCAN_QUOTA, Decision, Outcome, Tally
from rescan_registry.policy import ImageSelection
from rescan_registry.progress import BATCH, DueImage, Progress
from rescan_registry.repository_step import (
    DRY_RUN,
    NOT_AMONG_NEWEST,
    OUT_OF_BUDGET,
    OUT_OF_TIME,
    RepositoryInRun,
    decide_next,
    hand_out,
)
from runtime.log import logger
from runtime.messages import encode
from tests.support.builders import (
    FakeHistory,
    any_cache,
    any_digest,
    any_image,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW
from tests.support.fakes import FakeImageRecords, FakeRegistry

FRESH = Decision(Outcome.FRESH, "scanned within RescanAfter")
SECOND = timedelta(seconds=1)


def decided(work: RepositoryInRun, registry: FakeRegistry, history: FakeHistory) -> Progress:
    return decided_with(FakeImageRecords(), work, registry, history)


def decided_with(
    records: FakeImageRecords, work: RepositoryInRun, registry: FakeRegistry, history: FakeHistory
) -> Progress:
    progress, _ = decide_next(
        work,
        work.progress,
        registry=registry,
        history=history,
        cache=any_cache(records),
        now=NOW,
    )
    return progress


def digests(how_many: int) -> tuple[str, ...]:
    return tuple(any_digest() for _ in range(how_many))


def due_images(how_many: int) -> tuple[DueImage, ...]:
    return tuple(map(DueImage, digests(how_many)))


def digests_of(images: tuple[DueImage, ...]) -> tuple[str, ...]:
    return tuple(image.digest for image in images)


# Deciding a page


def test_puts_images_never_scanned_first_and_then_the_oldest_scan() -> None:
    newer, never, oldest, undated = (any_image() for _ in range(4))
    history = FakeHistory(
        {
            newer.digest: scanned(days_ago(8)),
            oldest.digest: scanned(days_ago(80)),
            undated.digest: scanned(None, "FAILED"),
        }
    )
    progress = decided(any_work(), FakeRegistry([newer, never, oldest, undated]), history)
    assert digests_of(progress.waiting) == (
        never.digest,
        undated.digest,
        oldest.digest,
        newer.digest,
    )


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
    assert digests_of(progress.waiting) == (hinted_due.digest, unknown.digest)
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
    assert progress.undecided == tuple(image.digest for image in images[2:])


def test_asks_again_for_what_is_undecided_without_listing_again() -> None:
    old, fresh, gone = digests(3)
    registry = FakeRegistry([any_image()], [any_image()])
    history = FakeHistory(
        {old: scanned(days_ago(8)), fresh: scanned(days_ago(1))},
        gone=[gone],
    )
    work = any_work(Progress(undecided=(fresh, old, gone), cursor="1"))
    progress = decided(work, registry, history)
    assert registry.listed == []
    assert history.asked == [fresh, old, gone]
    assert progress == Progress(
        waiting=(DueImage(old, days_ago(8)),),
        undecided=(),
        cursor="1",
        tally=Tally().plus(FRESH, IMAGE_GONE),
    )


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


def test_asks_for_no_dates_when_time_is_up() -> None:
    unknown, hinted = any_image(), any_image(last_scan=scanned(days_ago(1)))
    history = FakeHistory()
    work = any_work(time_limit_seconds=120)
    progress, _ = decide_next(
        work,
        work.progress,
        registry=FakeRegistry([unknown, hinted]),
        history=history,
        cache=any_cache(),
        now=NOW + timedelta(seconds=121),
    )
    assert history.asked == []
    assert (digests_of(progress.waiting), progress.undecided) == ((), ())
    assert progress.tally == Tally().plus(OUT_OF_TIME, FRESH)


def test_lets_a_deleted_repository_be_known() -> None:
    with pytest.raises(RepositoryNotFound):
        decided(any_work(), FakeRegistry(RepositoryNotFound("any")), FakeHistory())


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
    assert digests_of(progress.waiting) == (unknown.digest, due.digest)
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
    assert digests_of(progress.waiting) == (never.digest, old.digest)
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert line["message"] == "ledger unavailable"


def test_leaves_a_scan_alone_that_a_run_has_started_lately() -> None:
    image, history = any_image(), FakeHistory()
    progress = decided_with(
        FakeImageRecords(started(image, 5.9)), any_work(), FakeRegistry([image]), history
    )
    assert history.asked == []
    assert progress == Progress(tally=Tally().plus(Decision(Outcome.FRESH, "scan under way")))


def test_asks_first_for_results_that_are_missing() -> None:
    unknown, first, second = any_image(), any_image(), any_image()
    records = FakeImageRecords(started(first, 6), started(second, 100))
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
    progress, (found,) = decide_next(
        work,
        Progress(results_missing=1, results_found=1),
        registry=FakeRegistry([image]),
        history=FakeHistory({image.digest: scan}),
        cache=any_cache(records),
        now=NOW,
    )
    assert (found.image_digest, found.image_tags, found.run) == (image.digest, ("v1",), "run-0")
    assert found.repository == work.repository
    assert records.calls == {"records_of": 1}
    assert progress == Progress(results_missing=2, results_found=2, tally=Tally().plus(FRESH))


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
    assert progress.undecided == tuple(it.digest for it in images[1:])
    assert progress.missing == 3
    while progress.undecided:
        history = FakeHistory(scans, throttle_after=2)
        progress = decided_with(records, any_work(progress), registry, history)
    assert (progress.results_missing, progress.results_found) == (4, 1)
    assert progress.missing == 0
    assert progress.tally == Tally().plus_many(FRESH, 3 + 1)
    assert records.calls == {"records_of": 1}


# What an operator reads


def decide_three(log: io.StringIO) -> tuple[list[dict[str, Any]], Image, Image]:
    """Decide an image that is due, one that is fresh and one that is archived."""
    due, fresh, archived = any_image(), any_image(), any_image(status="ARCHIVED")
    history = FakeHistory({fresh.digest: scanned(days_ago(6))})
    decided(any_work(), FakeRegistry([due, fresh, archived]), history)
    return [json.loads(line) for line in log.getvalue().splitlines()], fresh, archived


@pytest.fixture
def at_debug() -> Iterator[None]:
    level = logger.log_level
    logger.setLevel("DEBUG")
    yield
    logger.setLevel(level)


def test_says_at_debug_which_image_came_to_what_and_why(at_debug: None, log: io.StringIO) -> None:
    lines, fresh, archived = decide_three(log)
    assert [(line["image_digest"], line["outcome"], line["reason"]) for line in lines] == [
        (archived.digest, "ARCHIVED", "archived"),
        (fresh.digest, "FRESH", "scanned within RescanAfter"),
    ]
    assert {(line["message"], line["run"], line["repository"]) for line in lines} == {
        ("settled", "run-1", "team/api")
    }


def test_says_nothing_of_single_images_otherwise(log: io.StringIO) -> None:
    assert decide_three(log)[0] == []


# Handing out


def test_hands_out_a_wave_at_a_time() -> None:
    waiting = due_images(BATCH + 5)
    progress = hand_out(any_work(), Progress(waiting=waiting), NOW)
    assert progress == Progress(
        due=digests_of(waiting[:BATCH]), waiting=waiting[BATCH:], handed_out=BATCH
    )
    assert hand_out(any_work(), progress, NOW) == Progress(
        due=digests_of(waiting[BATCH:]), handed_out=BATCH + 5, finished=True
    )


@pytest.mark.parametrize(
    ("left", "finished"),
    [
        ({}, True),
        ({"cursor": "1"}, False),
        ({"undecided": digests(1)}, False),
        ({"waiting": due_images(BATCH + 1)}, False),
        ({"waiting": due_images(BATCH)}, True),
    ],
)
def test_is_finished_when_nothing_is_left_to_list_decide_or_hand_out(
    left: dict[str, object], finished: bool
) -> None:
    assert hand_out(any_work(), Progress(**left), NOW).finished is finished


@pytest.mark.parametrize(("handed_out", "more"), [(0, 7), (4, 3), (7, 0)])
def test_hands_out_no_more_than_the_budget(handed_out: int, more: int) -> None:
    waiting = due_images(10)
    progress = Progress(waiting=waiting, handed_out=handed_out)
    assert hand_out(any_work(max_scans_per_repository=7), progress, NOW) == Progress(
        due=digests_of(waiting[:more]),
        handed_out=7,
        tally=Tally().plus_many(OUT_OF_BUDGET, 10 - more),
        finished=True,
    )


def test_hands_out_the_oldest_when_the_budget_is_short() -> None:
    waiting = due_images(BATCH * 2)
    work = any_work(max_scans_per_repository=BATCH + 1)
    progress = hand_out(work, Progress(waiting=waiting), NOW)
    assert progress.due == digests_of(waiting[:BATCH])
    assert progress.waiting == waiting[BATCH : BATCH + 1]
    assert progress.tally == Tally().plus_many(OUT_OF_BUDGET, BATCH - 1)


def test_defers_the_rest_once_the_quota_of_the_registry_was_refused() -> None:
    tally = Tally().plus(SCAN_QUOTA)
    progress = hand_out(any_work(), Progress(waiting=due_images(5), tally=tally), NOW)
    assert progress == Progress(tally=Tally().plus_many(SCAN_QUOTA, 6), finished=True)


@pytest.mark.parametrize(
    ("after", "limit", "stops"),
    [
        (timedelta(seconds=120), 120, False),
        (timedelta(seconds=120) + SECOND, 120, True),
        (timedelta(days=300), None, False),
    ],
)
def test_defers_the_rest_once_the_execution_is_out_of_time(
    after: timedelta, limit: int | None, stops: bool
) -> None:
    waiting = due_images(5)
    work = any_work(time_limit_seconds=limit)
    progress = hand_out(work, Progress(waiting=waiting), NOW + after)
    assert progress.finished
    assert progress.due == (() if stops else digests_of(waiting))
    assert progress.tally == Tally().plus_many(OUT_OF_TIME, 5 if stops else 0)


def test_starts_nothing_in_a_dry_run_but_counts_what_it_would_start() -> None:
    work = any_work(dry_run=True, max_scans_per_repository=BATCH + 20)
    progress = hand_out(work, Progress(waiting=due_images(BATCH + 50)), NOW)
    assert progress == Progress(
        handed_out=BATCH + 20,
        tally=Tally().plus_many(DRY_RUN, BATCH + 20).plus_many(OUT_OF_BUDGET, 30),
        finished=True,
    )


@pytest.mark.parametrize("left", [{"cursor": "1"}, {"undecided": digests(1)}])
@pytest.mark.parametrize("dry_run", [True, False])
def test_starts_nothing_before_all_is_decided(left: dict[str, Any], dry_run: bool) -> None:
    waiting = due_images(7)
    work = any_work(dry_run=dry_run, max_scans_per_repository=5)
    progress = hand_out(work, Progress(waiting=waiting, **left), NOW)
    assert progress == Progress(
        waiting=waiting[:5], tally=Tally().plus_many(OUT_OF_BUDGET, 2), **left
    )


@pytest.mark.parametrize(("after", "starts"), [(60 * SECOND, False), (61 * SECOND, True)])
def test_waits_no_longer_for_the_last_page_than_half_of_the_time_limit(
    after: timedelta, starts: bool
) -> None:
    work, waiting = any_work(time_limit_seconds=120), due_images(7)
    progress = hand_out(work, Progress(waiting=waiting, cursor="1"), NOW + after)
    assert (progress.due, progress.waiting) == (
        (digests_of(waiting), ()) if starts else ((), waiting)
    )


def test_what_is_carried_from_slice_to_slice_fits_a_state() -> None:
    """As many images as can wait, beside a page of which ECR has told nothing."""
    images = [any_image() for _ in range(1_000)]
    waiting = tuple(DueImage(digest, days_ago(8)) for digest in digests(1_000))
    progress = decided_with(
        FakeImageRecords(*(started(image, 7) for image in images)),
        any_work(Progress(waiting=waiting)),
        FakeRegistry(images),
        FakeHistory(throttle_after=0),
    )
    assert (len(progress.waiting), progress.missing) == (1_000, 1_000)
    progress = replace(progress, cursor="x" * 4_000)
    assert len(json.dumps(encode(progress))) < 0.9 * 256 * 1024
