import json
from datetime import timedelta

import pytest

from ledger.errors import LedgerUnavailable
from rescan_registry.progress import Batch, DueImage, Progress, UndecidedImage
from rescan_registry.waiting_images import MOST_IN_STATE, WaitingImages
from tests.support.builders import any_digest, days_ago
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket


def waiting_images(bucket: FakeBucket, repository: str = "team/api") -> WaitingImages:
    return WaitingImages(bucket.as_bucket, "run-1", repository)


def due_images(how_many: int) -> tuple[DueImage, ...]:
    """Make images of all kinds: with a date, without one, and with a time to wait for."""
    kinds = [(days_ago(9), None), (None, None), (days_ago(1), NOW + timedelta(minutes=3))]
    return tuple(
        DueImage(any_digest(), *kinds[number % 3], is_overdue=not number % 3)
        for number in range(how_many)
    )


def with_others(waiting: int, undecided: int = 0, started: int = 0) -> Progress:
    """Make the progress of a state with so many images of each kind."""
    batch = Batch(1, 1, tuple(any_digest() for _ in range(started)))
    return Progress(
        step=3,
        waiting=due_images(waiting),
        undecided=tuple(UndecidedImage(any_digest()) for _ in range(undecided)),
        batches=(batch,) if started else (),
    )


@pytest.mark.parametrize(
    "images",
    [
        (0, 0, 0),
        (1, 0, 0),
        (MOST_IN_STATE, 0, 0),
        (MOST_IN_STATE - 50, 20, 30),
        (0, MOST_IN_STATE, 0),
        (0, 0, MOST_IN_STATE + 1),
    ],
)
def test_stay_in_the_state_while_it_holds_all_images(images: tuple[int, int, int]) -> None:
    bucket, progress = FakeBucket(), with_others(*images)
    assert waiting_images(bucket).left_out_of(progress) == progress
    assert waiting_images(bucket).taken_into(progress) == progress
    assert bucket.waiting == {}


@pytest.mark.parametrize(
    "images",
    [(MOST_IN_STATE + 1, 0, 0), (MOST_IN_STATE - 49, 20, 30), (1, MOST_IN_STATE, 0)],
)
def test_are_in_the_bucket_when_the_state_does_not(images: tuple[int, int, int]) -> None:
    bucket, progress = FakeBucket(), with_others(*images)
    left = waiting_images(bucket).left_out_of(progress)
    assert (left.waiting, left.waiting_stored) == ((), images[0])
    assert (left.undecided, left.batches) == (progress.undecided, progress.batches)
    assert waiting_images(bucket).taken_into(left) == progress


def test_are_written_as_json_by_step() -> None:
    bucket, images = FakeBucket(), due_images(MOST_IN_STATE + 1)
    progress = Progress(step=3, waiting=images, asked=7)
    left = waiting_images(bucket).left_out_of(progress)
    assert left == Progress(step=3, waiting_stored=MOST_IN_STATE + 1, asked=7)
    assert bucket.waiting.keys() == {("run-1", "team/api", 3)}
    json.dumps(bucket.waiting["run-1", "team/api", 3])
    assert waiting_images(bucket).taken_into(left) == progress


def test_are_found_again_by_a_step_that_is_repeated() -> None:
    bucket = FakeBucket()
    third = Progress(step=3, waiting=due_images(MOST_IN_STATE + 200))
    left = waiting_images(bucket).left_out_of(third)
    fourth = Progress(step=4, waiting=third.waiting[100:])
    for _ in range(2):
        assert waiting_images(bucket).taken_into(left) == third
        waiting_images(bucket).left_out_of(fourth)


def test_are_kept_apart_by_repository() -> None:
    bucket = FakeBucket()
    for repository in ("team/api", "team/web"):
        progress = Progress(step=1, waiting=due_images(MOST_IN_STATE + 1))
        waiting_images(bucket, repository).left_out_of(progress)
    assert bucket.waiting["run-1", "team/api", 1] != bucket.waiting["run-1", "team/web", 1]


def test_leave_a_bucket_that_does_not_answer_to_the_state_machine() -> None:
    """Without the images, the run would end as if nothing were due."""
    waiting = waiting_images(FakeBucket(fails=["write_waiting_images", "waiting_images"]))
    with pytest.raises(LedgerUnavailable):
        waiting.left_out_of(Progress(waiting=due_images(MOST_IN_STATE + 1)))
    with pytest.raises(LedgerUnavailable):
        waiting.taken_into(Progress(waiting_stored=MOST_IN_STATE + 1))


def test_are_missed_when_the_bucket_no_longer_has_them() -> None:
    with pytest.raises(LedgerUnavailable):
        waiting_images(FakeBucket()).taken_into(Progress(step=1, waiting_stored=501))
