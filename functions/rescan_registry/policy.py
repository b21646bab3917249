"""The rescan policy: computed once per run and passed to each repository."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ImageSelection(StrEnum):
    """Which images are evaluated, by tag status as ECR names it."""

    ANY = "ANY"
    TAGGED = "TAGGED"
    UNTAGGED = "UNTAGGED"


class ChildExecutionType(StrEnum):
    """How Step Functions runs the child execution of a repository."""

    STANDARD = "STANDARD"
    EXPRESS = "EXPRESS"


# Step Functions stops an Express execution after 5 minutes, and nothing is recorded then. No new
# batch starts after this time, which leaves the last batch three minutes for its retries.
EXPRESS_TIME_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True)
class RescanPolicy:
    """When an image is due, and limits for one repository.

    max_scans_per_repository: most scans that a run starts; the other due images are deferred.
    max_images_per_repository: most images that are evaluated, newest first; 0 is no limit.
    pulled_within: only images pulled within this time are evaluated; of an image that was never
        pulled, the push counts.
    exclude_tag_pattern: a regular expression, anchored at the start; an image all of whose tags
        match is excluded.
    time_limit_seconds: of a child execution; absent if it has no limit.
    """

    rescan_after: timedelta
    unsupported_retry_after: timedelta
    max_scans_per_repository: int
    image_selection: ImageSelection = ImageSelection.ANY
    max_images_per_repository: int = 0
    pulled_within: timedelta | None = None
    exclude_tag_pattern: str | None = None
    time_limit_seconds: int | None = None
    dry_run: bool = False
