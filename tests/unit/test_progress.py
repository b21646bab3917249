"""What is passed from step to step fits the 256 KiB of a state, however much there is of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ledger.run_records import Example
from rescan_registry.outcomes import Decision, Outcome, Tally
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
from rescan_registry.repository_step import IMAGES_A_STEP, RepositoryInRun
from rescan_registry.waiting_images import MOST_IN_STATE, WaitingImages
from runtime.messages import encode
from tests.support.builders import any_digest, any_work, days_ago
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket

MOST_BYTES = 256 * 1024
PAGE = 1_000
NUMBER = 1_000_000_000

# More reasons than there are, each longer than the longest, and codes of ECR.
REASONS = [
    Decision(outcome, f"{reason} {'x' * 30}")
    for outcome in Outcome
    for reason in ("one", "two", "three", "four")
]


def tally_of(images: int, reasons: Sequence[Decision] = REASONS) -> Tally:
    tally = Tally()
    for decision in reasons:
        tally = tally.plus_many(decision, images)
    return tally


def examples(letter: str) -> dict[str, Example]:
    return {
        f"{number}{'C' * 60}Exception": Example(any_digest(), letter * 200)
        for number in range(MOST_EXAMPLES)
    }


def due_images(how_many: int) -> tuple[DueImage, ...]:
    return tuple(DueImage(any_digest(), days_ago(1), NOW) for _ in range(how_many))


def undecided_images(how_many: int) -> tuple[UndecidedImage, ...]:
    return tuple(UndecidedImage(any_digest(), days_ago(8), NOW) for _ in range(how_many))


def batches(images: int) -> tuple[Batch, ...]:
    return tuple(
        Batch(number, NUMBER, tuple(any_digest() for _ in range(BATCH)))
        for number in range(images // BATCH)
    )


def ended(some: tuple[Batch, ...], letter: str) -> StartedBatches:
    """Make outcomes of batches that leave half of their images, and others for each reason."""
    outcome = BatchOutcome(
        tally=tally_of(BATCH, REASONS[::4]),
        left=tuple(range(0, BATCH, 2)),
        examples=examples(letter),
        retries=99,
    )
    return StartedBatches((outcome,) * len(some), len(some) * BATCH)


def largest(letter: str, **given: Any) -> Progress:
    last_page = tuple(any_digest()[-16:] for _ in range(PAGE))
    progress = Progress(
        step=10_000,
        events=25_000,
        cursor="x" * 4_000,
        last_page=last_page if given.get("undecided") else (),
        asked=NUMBER,
        tally=tally_of(100_000),
        examples=examples(letter),
    )
    return replace(progress, **given)


def size_of(progress: Progress) -> int:
    """Measure the state with the names that it has beside the progress, with escapes and spaces."""
    bucket = FakeBucket()
    held = WaitingImages(bucket.as_bucket, "run-1", "team/api").left_out_of(progress)
    work: RepositoryInRun = replace(
        any_work(held, exclude_tag_pattern="x" * 500), run="r" * 80, repository="n" * 256
    )
    return len(json.dumps(encode(work)))


@pytest.mark.parametrize(("letter", "share"), [("x", 0.8), ("ü", 0.95)])
@pytest.mark.parametrize(
    ("waiting", "undecided", "started"),
    [
        (500, PAGE, 0),
        (MOST_IN_STATE, 0, 0),
        (41_000, PAGE, 0),
        (500, 0, IMAGES_A_STEP),
        (41_000, 0, IMAGES_A_STEP),
        (MOST_IN_STATE - 500, 0, 500),
        (0, 0, IMAGES_A_STEP),
    ],
)
def test_fits_a_state(
    letter: str, share: float, waiting: int, undecided: int, started: int
) -> None:
    some = batches(started)
    progress = largest(
        letter,
        waiting=due_images(waiting),
        undecided=undecided_images(undecided),
        batches=some,
        started=ended(some, letter),
    )
    assert size_of(progress) < share * MOST_BYTES


def test_takes_all_images_of_a_repository_that_is_not_large_without_the_bucket() -> None:
    bucket = FakeBucket()
    waiting = WaitingImages(bucket.as_bucket, "run-1", "team/api")
    progress = Progress(waiting=due_images(400), undecided=undecided_images(600))
    assert waiting.left_out_of(progress) == progress
    assert bucket.waiting == {}
