"""Errors of ECR, by names of our own.

The class names are the error names of the state machines: Retry and Catch match on them.
"""

import re
from typing import Self

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9._]{0,49}")
_NO_CODE = "ClientError"  # botocore's name for every error that has none of its own


class EcrError(Exception):
    """ECR refused a call for a reason that has no name here; the class is named by ECR's code.

    code: as ECR names it, and ClientError for an answer without one, such as that of a proxy.
    message: ECR's words.
    """

    def __init__(self, text: str, *, code: str, message: str) -> None:
        super().__init__(text)
        self.code = code
        self.message = message

    @classmethod
    def named(cls, code: str, message: str, *, call: str) -> Self:
        """Make an error whose class is named by the code, which the state machine then shows."""
        if not _CODE.fullmatch(code):
            message = f"HTTP status {code}: {message}"
            code = _NO_CODE
        kind: type[Self] = type(code, (cls,), {})
        return kind(f"{call}: {message}", code=code, message=message)


class PageTokenRefused(Exception):
    """ECR no longer accepts the token of a page; the listing has to start again."""


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


class ScanNotFound(Exception):
    """The image has never been scanned, or its scan is no longer kept."""


class ManualScanningDisabled(Exception):
    """The registry uses enhanced scanning, which accepts no manual scans."""
