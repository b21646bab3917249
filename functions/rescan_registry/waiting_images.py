"""Due images that are too many for a state: in the run bucket between two steps.

Each step writes an object of its own, so that a step that is repeated finds what it found before.
"""

from dataclasses import replace

from ledger.bucket import RunBucket
from rescan_registry.progress import DueImage, Progress
from runtime.messages import decode, encode

# 500 due images and a page of undecided ones take 205 of the 256 KiB that a state holds.
MOST_IN_STATE = 500


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
        waiting = tuple(decode(DueImage, image) for image in stored)
        return replace(progress, waiting=(*progress.waiting, *waiting), waiting_stored=0)

    def left_out_of(self, progress: Progress) -> Progress:
        """Return the progress without the images that wait, if they are too many for a state."""
        if len(progress.waiting) <= MOST_IN_STATE:
            return progress
        waiting = [encode(image) for image in progress.waiting]
        self._bucket.write_waiting_images(self._run, self._repository, progress.step, waiting)
        return replace(progress, waiting=(), waiting_stored=len(waiting))
