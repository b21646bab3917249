"""Due images that are too many for a state: in the run bucket between two steps.

Each step writes an object of its own, so that a step that is repeated finds what it found before.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from ledger.bucket import RunBucket
from rescan_registry.progress import DueImage, Progress
from runtime.messages import Json

MOST_IN_STATE = 1_000  # images: they take 180 of the 256 KiB that a state holds


class WaitingImages:
    """The due images of one repository in one run that wait for their batch."""

    def __init__(self, bucket: RunBucket, run: str, repository: str) -> None:
        self._bucket = bucket
        self._run = run
        self._repository = repository

    def taken_into(self, progress: Progress) -> Progress:
        """Return the progress with all images that wait."""
        if not progress.waiting_stored:
            return progress
        stored = self._bucket.waiting_images(self._run, self._repository, progress.step)
        waiting = tuple(map(_due_image, stored))
        return replace(progress, waiting=(*progress.waiting, *waiting), waiting_stored=0)

    def left_out_of(self, progress: Progress) -> Progress:
        """Return the progress without the images that wait, if a state does not hold all images."""
        others = len(progress.undecided) + sum(len(it.image_digests) for it in progress.batches)
        if not progress.waiting or len(progress.waiting) + others <= MOST_IN_STATE:
            return progress
        waiting = list(map(_row, progress.waiting))
        self._bucket.write_waiting_images(self._run, self._repository, progress.step, waiting)
        return replace(progress, waiting=(), waiting_stored=len(waiting))


def _row(image: DueImage) -> Json:
    """Write an image in a quarter of the time that a message takes: there may be 40,000."""
    since, not_before = image.since, image.not_before
    return [
        image.image_digest,
        since.isoformat(timespec="seconds") if since else None,
        not_before.isoformat(timespec="seconds") if not_before else None,
        image.is_overdue,
    ]


def _due_image(row: Any) -> DueImage:
    image_digest, since, not_before, is_overdue = row
    return DueImage(
        image_digest,
        datetime.fromisoformat(since) if since else None,
        datetime.fromisoformat(not_before) if not_before else None,
        is_overdue,
    )
