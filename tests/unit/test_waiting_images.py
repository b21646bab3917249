import json
from datetime import timedelta

import pytest

from ledger.errors import LedgerUnavailable
from rescan_registry.progress import DueImage, Progress
from rescan_registry.waiting_images import MOST_IN_STATE, WaitingImages
from tests.support.builders import any_digest, days_ago
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket


def waiting_images(bucket: FakeBucket, repository: str = "team/api") -> WaitingImages:
    return WaitingImages(bucket.as_bucket, "run-1", repository)


def due_images(how_many: int) -> tuple[DueImage, ...]:
    """Make images of all kinds: with a date, without one, and with a time to wait for."""
    kinds = [(days_ago(8), None), (None, None), (days_ago(1), NOW + timedelta(minutes=3))]
    return tuple(DueImage(any_digest(), *kinds[number % 3]) for number in range(how_many))


@pytest.mark.parametrize("images", [0, 1, MOST_IN_STATE])
def test_stay_in_the_state_while_they_fit(images: int) -> None:
    bucket = FakeBucket()
    progress = Progress(step=3, waiting=due_images(images))
    assert waiting_images(bucket).left_out_of(progress) == progress
    assert waiting_images(bucket).taken_into(progress) == progress
    assert bucket.waiting == {}


def test_are_in_the_bucket_when_they_are_too_many() -> None:
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
