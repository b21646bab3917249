"""The rescan policy: computed once per run and passed to each repository."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rescan_registry.image_cache import kept_for
from rescan_registry.request import LEAST_RESCAN_AFTER, RescanRequest
from runtime import settings
from runtime.durations import iso
from runtime.settings import SettingsError


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


def policy_in_force(request: RescanRequest) -> RescanPolicy:
    """Return the policy from the parameters of the stack and the execution input.

    Raises SettingsError for a parameter whose value is not accepted.
    """
    rescan_after = request.rescan_after or settings.duration("RESCAN_AFTER")
    if rescan_after < LEAST_RESCAN_AFTER:
        raise SettingsError(
            "RESCAN_AFTER must be at least 24 hours, because ECR scans an image once in 24 hours, "
            f"not {iso(rescan_after)}"
        )
    unsupported_retry_after = settings.duration("UNSUPPORTED_RETRY_AFTER")
    _refuse_to_forget_too_soon(unsupported_retry_after)
    express = settings.choice("CHILD_EXECUTION_TYPE", ChildExecutionType) == "EXPRESS"
    return RescanPolicy(
        rescan_after=rescan_after,
        unsupported_retry_after=unsupported_retry_after,
        max_scans_per_repository=settings.whole_number(
            "MAX_SCANS_PER_REPOSITORY", least=1, most=1_000
        ),
        image_selection=settings.choice("IMAGE_SELECTION", ImageSelection),
        max_images_per_repository=settings.whole_number(
            "MAX_IMAGES_PER_REPOSITORY", least=0, most=1_000
        ),
        pulled_within=settings.optional_duration("PULLED_WITHIN"),
        exclude_tag_pattern=settings.optional_pattern("EXCLUDE_TAG_PATTERN"),
        time_limit_seconds=int(EXPRESS_TIME_LIMIT.total_seconds()) if express else None,
        dry_run=request.dry_run,
    )


def _refuse_to_forget_too_soon(unsupported_retry_after: timedelta) -> None:
    """Refuse a retention that expires records before they are used.

    A longer rescan_after of a single run is accepted: it only costs calls.
    """
    longest = max(settings.duration("RESCAN_AFTER"), unsupported_retry_after)
    if kept_for() <= longest:
        raise SettingsError(
            "IMAGE_RECORD_RETENTION_DAYS must be longer than RESCAN_AFTER and "
            f"UNSUPPORTED_RETRY_AFTER, not {kept_for().days} days, which is not longer than "
            f"{iso(longest)}"
        )
