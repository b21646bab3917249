"""Staleness: the rule that decides whether an image is due for a scan."""

from datetime import datetime

from registry.images import LastScan
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from rescan_registry.policy import RescanPolicy

_UNDER_WAY = frozenset({"IN_PROGRESS", "PENDING"})
# ECR reports an image that it cannot scan by a status, or by a failure with this description:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-troubleshooting.html
_UNSUPPORTED_ERROR = "UnsupportedImageError"
UNSUPPORTED = {
    "UNSUPPORTED_IMAGE": "operating system",
    "IMAGE_SIZE_EXCEEDED": "image size",
}


def why_not_due(last_scan: LastScan | None, policy: RescanPolicy, now: datetime) -> Decision | None:
    """Return why an image needs no scan now, or None if it is due.

    An image is due if it was never scanned, if its last scan has no date, or if that scan is at
    least RescanAfter old.
    """
    if last_scan is None:
        return None
    if last_scan.status in _UNDER_WAY:
        return Decision(Outcome.FRESH, "scan under way")
    if last_scan.status == "IMAGE_ARCHIVED":
        return ARCHIVED
    scanned_at = last_scan.completed_at
    if unsupported := unsupported_status(last_scan):
        # Without a date, UnsupportedRetryAfter cannot be applied, and a daily attempt is a waste.
        retry = scanned_at is not None and now - scanned_at >= policy.unsupported_retry_after
        return None if retry else Decision(Outcome.UNSUPPORTED, UNSUPPORTED[unsupported])
    if scanned_at is None or now - scanned_at >= policy.rescan_after:
        return None
    return Decision(Outcome.FRESH, "scanned within RescanAfter")


def unsupported_status(scan: LastScan) -> str | None:
    """Return the status of a scan that ended because ECR cannot scan the image, else None."""
    if scan.status == "FAILED" and scan.description.startswith(_UNSUPPORTED_ERROR):
        return "UNSUPPORTED_IMAGE"
    return scan.status if scan.status in UNSUPPORTED else None
