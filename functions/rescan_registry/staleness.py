"""Whether an image is due for a scan: the rule that the product exists for."""

from datetime import datetime

from registry.images import LastScan
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from rescan_registry.policy import RescanPolicy

_UNDER_WAY = frozenset({"IN_PROGRESS", "PENDING"})
# ECR reports what it cannot read as a status of its own, or as a failure with this description:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-troubleshooting.html
_UNSUPPORTED_ERROR = "UnsupportedImageError"
UNSUPPORTED = {
    "UNSUPPORTED_IMAGE": "operating system",
    "IMAGE_SIZE_EXCEEDED": "image size",
}


def why_not_due(last_scan: LastScan | None, policy: RescanPolicy, now: datetime) -> Decision | None:
    """Say why an image needs no scan now; none when it is due.

    Never scanned is due, and so is a scan without a date, whatever came of it. Exactly
    RescanAfter old is due.
    """
    if last_scan is None:
        return None
    if last_scan.status in _UNDER_WAY:
        return Decision(Outcome.FRESH, "scan under way")
    if last_scan.status == "IMAGE_ARCHIVED":
        return ARCHIVED
    scanned_at = last_scan.completed_at
    if unsupported := unsupported_status(last_scan):
        # Without a date nobody can tell when to try again, and trying daily is what nobody wants.
        retry = scanned_at is not None and now - scanned_at >= policy.unsupported_retry_after
        return None if retry else Decision(Outcome.UNSUPPORTED, UNSUPPORTED[unsupported])
    if scanned_at is None or now - scanned_at >= policy.rescan_after:
        return None
    return Decision(Outcome.FRESH, "scanned within RescanAfter")


def unsupported_status(scan: LastScan) -> str | None:
    """Name the status of a scan that ended because ECR cannot read the image; none of any other."""
    if scan.status == "FAILED" and scan.description.startswith(_UNSUPPORTED_ERROR):
        return "UNSUPPORTED_IMAGE"
    return scan.status if scan.status in UNSUPPORTED else None
