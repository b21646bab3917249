"""The policy in force in a run: decided once, carried to every repository of it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rescan_registry.image_cache import kept_for
from rescan_registry.request import LEAST_RESCAN_AFTER, RescanRequest
from runtime import settings
from runtime.durations import iso
from runtime.settings import SettingsError


class ImageSelection(StrEnum):
    """Which images are looked at, in ECR's words for a tag status."""

    ANY = "ANY"
    TAGGED = "TAGGED"
    UNTAGGED = "UNTAGGED"


class ChildExecutionType(StrEnum):
    """How Step Functions runs the child execution of a repository."""

    STANDARD = "STANDARD"
    EXPRESS = "EXPRESS"


# Step Functions kills an Express execution after 5 minutes, and then nobody records what it did.
# No new wave of scans starts after this time, which leaves one wave three minutes for its retries.
EXPRESS_TIME_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True)
class RescanPolicy:
    """What makes an image due, and how much is done for one repository.

    max_scans_per_repository: scans started in a run at most; the rest is deferred.
    max_images_per_repository: only so many of the newest images are looked at; 0 is no limit.
    pulled_within: only images pulled, or else pushed, within this time are looked at.
    exclude_tag_pattern: a regular expression, anchored at the start; an image all of whose tags
        match is left out.
    time_limit_seconds: what a child execution has; absent where it has no limit.
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
    """Take the stack's parameters, and what the request sets instead.

    Raises SettingsError for a parameter that makes no sense.
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
    """Refuse a retention that ends before what is remembered is of use.

    A longer rescan_after of a single run costs calls, and is nobody's mistake.
    """
    longest = max(settings.duration("RESCAN_AFTER"), unsupported_retry_after)
    if kept_for() <= longest:
        raise SettingsError(
            "IMAGE_RECORD_RETENTION_DAYS must be longer than RESCAN_AFTER and "
            f"UNSUPPORTED_RETRY_AFTER, not {kept_for().days} days, which is not longer than "
            f"{iso(longest)}"
        )
