"""The selection of images that are evaluated."""

import heapq
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from registry.images import Image, why_unscannable
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from rescan_registry.policy import ImageSelection, RescanPolicy

_UNKNOWN = datetime.max.replace(tzinfo=UTC)


def left_out(image: Image, policy: RescanPolicy, now: datetime) -> Decision | None:
    """Return why an image is not evaluated, from the listing alone, or None if it is."""
    if image.status != "ACTIVE":
        return ARCHIVED
    if reason := why_unscannable(image):
        return Decision(Outcome.UNSCANNABLE, reason)
    if reason := _why_excluded(image, policy, now):
        return Decision(Outcome.EXCLUDED, reason)
    return None


def newest(images: Iterable[Image], most: int) -> list[Image]:
    """Return the images that were pushed last; one without a known time counts as the newest."""
    return heapq.nlargest(
        most, images, key=lambda image: (image.pushed_at or _UNKNOWN, image.digest)
    )


def _why_excluded(image: Image, policy: RescanPolicy, now: datetime) -> str | None:
    if policy.image_selection is ImageSelection.TAGGED and not image.tags:
        return "untagged"
    if policy.image_selection is ImageSelection.UNTAGGED and image.tags:
        return "tagged"
    used_at = image.pulled_at or image.pushed_at
    if policy.pulled_within and used_at and used_at < now - policy.pulled_within:
        return "not pulled lately"
    pattern = policy.exclude_tag_pattern
    # All tags must match: one temporary tag must not exclude an image that has a real one.
    if pattern and image.tags and all(re.match(pattern, tag) for tag in image.tags):
        return "tag excluded"
    return None
