"""Errors of ECR, by names of our own.

The class names are the error names of the state machines: Retry and Catch match on them.
"""


class EcrThrottled(Exception):
    """ECR refused a call because of its rate limit. The state machine retries it with backoff."""


class EcrUnavailable(Exception):
    """ECR failed on its own side or did not answer. The state machine retries it with backoff."""


class AccessDenied(Exception):
    """The role of the function, or a policy above it, does not allow the call."""


class RepositoryNotFound(Exception):
    """The repository does not exist, or no longer exists."""


class ImageNotFound(Exception):
    """The image does not exist, or no longer exists."""


class ImageArchived(Exception):
    """The image is archived and cannot be scanned until it is restored."""


class ImageNotScannable(Exception):
    """The artifact is of a media type that ECR does not scan."""


class ImageScannedRecently(Exception):
    """ECR refused: the image was scanned in the last 24 hours, on push or manually."""


class ScanQuotaExhausted(Exception):
    """The registry has used up its basic scans of the last 24 hours."""


class PageTokenRefused(Exception):
    """ECR does not continue a listing: its token is too old, or unknown. List from the start."""


class ScanNotFound(Exception):
    """The image has never been scanned, or its scan is no longer kept."""


class ManualScanningDisabled(Exception):
    """The registry uses enhanced scanning, which accepts no manual scans."""
