"""The selection of images that are evaluated."""

import heapq
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from registry.images import Image, why_unscannable
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from rescan_registry.policy import ImageSelection, RescanPolicy
from runtime.patterns import QUICK, PatternTooSlow, matching_texts
from runtime.settings import SettingsError

NOT_AMONG_NEWEST = Decision(Outcome.EXCLUDED, "not among the newest")
_UNKNOWN = datetime.max.replace(tzinfo=UTC)


def decisions_on(
    images: Collection[Image], policy: RescanPolicy, now: datetime
) -> dict[str, Decision | None]:
    """Return by digest why an image is not evaluated, or None if it is.

    images: of a page, or of all pages for MaxImagesPerRepository. Raises SettingsError.
    """
    tags = excluded_tags(images, policy)
    decisions = {image.digest: left_out(image, policy, now, tags) for image in images}
    if policy.max_images_per_repository:
        kept = [image for image in images if decisions[image.digest] is None]
        among = newest(kept, policy.max_images_per_repository)
        older = {image.digest for image in kept} - {image.digest for image in among}
        decisions |= dict.fromkeys(older, NOT_AMONG_NEWEST)
    return decisions


def left_out(
    image: Image, policy: RescanPolicy, now: datetime, excluded_tags: Collection[str] = ()
) -> Decision | None:
    """Return why an image is not evaluated, from the listing alone, or None if it is."""
    if image.status != "ACTIVE":
        return ARCHIVED
    if reason := why_unscannable(image):
        return Decision(Outcome.UNSCANNABLE, reason)
    if reason := _why_excluded(image, policy, now, excluded_tags):
        return Decision(Outcome.EXCLUDED, reason)
    return None


def excluded_tags(images: Iterable[Image], policy: RescanPolicy) -> frozenset[str]:
    """Return the tags of some images that ExcludeTagPattern matches.

    Raises SettingsError for a pattern that takes too long.
    """
    pattern = policy.exclude_tag_pattern
    if not pattern:
        return frozenset()
    try:
        return matching_texts(pattern, {tag for image in images for tag in image.tags})
    except PatternTooSlow as error:
        raise SettingsError(f"ExcludeTagPattern must be {QUICK}, not {pattern!r}") from error


def newest(images: Iterable[Image], most: int) -> list[Image]:
    """Return the images that were pushed last; one without a known time counts as the newest."""
    return heapq.nlargest(
        most, images, key=lambda image: (image.pushed_at or _UNKNOWN, image.digest)
    )


def _why_excluded(
    image: Image, policy: RescanPolicy, now: datetime, excluded_tags: Collection[str]
) -> str | None:
    if policy.image_selection is ImageSelection.TAGGED and not image.tags:
        return "untagged"
    if policy.image_selection is ImageSelection.UNTAGGED and image.tags:
        return "tagged"
    used_at = image.pulled_at or image.pushed_at
    if policy.pulled_within and used_at and used_at < now - policy.pulled_within:
        return "not pulled lately"
    # All tags must match: one temporary tag must not exclude an image that has a real one.
    if image.tags and all(tag in excluded_tags for tag in image.tags):
        return "tag excluded"
    return None
