"""The rescan policy: computed once per run and passed to each repository."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class ImageSelection(StrEnum):
    """Which images are evaluated, by tag status as ECR names it."""

    ANY = "ANY"
    TAGGED = "TAGGED"
    UNTAGGED = "UNTAGGED"


# So that RescanAfter=24h is a scan per day although a run starts a little earlier or later than the
# one before. Runs that are more frequent wait for less: others wait for the place of a repository.
WORTH_WAITING = timedelta(minutes=15)
# A run that is redriven later than this after its time was over has its full time again.
REDRIVEN_AFTER = timedelta(minutes=30)


@dataclass(frozen=True)
class RescanPolicy:
    """When an image is due, and limits for one repository.

    rescan_after: the age that no scan is to reach.
    schedule_interval: the longest time until the next run. A scan that would be older than
        rescan_after by then is renewed now.
    max_scans_per_repository: most scans that a run starts; the other due images are deferred.
    stop_at: when a run stops to start scans, and defers the other due images.
    max_images_per_repository: most images that are evaluated, newest first; 0 is no limit.
    pulled_within: only images pulled within this time are evaluated; of an image that was never
        pulled, the push counts.
    exclude_tag_pattern: a regular expression, anchored at the start; an image all of whose tags
        match is excluded.
    """

    rescan_after: timedelta
    schedule_interval: timedelta
    unsupported_retry_after: timedelta
    stop_at: datetime
    max_scans_per_repository: int
    image_selection: ImageSelection = ImageSelection.ANY
    max_images_per_repository: int = 0
    pulled_within: timedelta | None = None
    exclude_tag_pattern: str | None = None
    dry_run: bool = False

    @property
    def due_after(self) -> timedelta:
        """Return the age after which a scan is renewed."""
        return max(self.rescan_after - self.schedule_interval, timedelta(0))

    @property
    def overdue_after(self) -> timedelta:
        """Return the age that a scan has only if two runs in succession did not renew it."""
        return self.rescan_after + 2 * self.schedule_interval

    @property
    def longest_wait(self) -> timedelta:
        """Return how long a run waits at most for ECR to accept a scan of an image again."""
        return min(WORTH_WAITING, self.schedule_interval / 24)

    @property
    def most_calls(self) -> int:
        """Return how often a run asks ECR for a scan in a repository, refusals included."""
        return 2 * self.max_scans_per_repository + 1_000

    def is_time_over(self, now: datetime) -> bool:
        """Return whether the run is to start no more scans."""
        return self.stop_at <= now <= self.stop_at + REDRIVEN_AFTER
