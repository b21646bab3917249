"""Errors of ECR, with AWS's texts where they are known."""

from typing import Any, Never


class EcrError(Exception):
    """An error response of ECR."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def repository_not_found(name: str, account: str) -> EcrError:
    """Return the error for a repository that does not exist."""
    return EcrError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{account}'",
    )


def image_not_found(identifier: dict[str, Any], repository: str, account: str) -> EcrError:
    """Return the error for an image that does not exist."""
    return EcrError(
        "ImageNotFoundException",
        f"The image with imageId {_wording(identifier)} does not exist within the repository "
        f"with name '{repository}' in the registry with id '{account}'",
    )


def scan_not_found(identifier: dict[str, Any], repository: str, account: str) -> EcrError:
    """Return the error for an image that was never scanned."""
    return EcrError(
        "ScanNotFoundException",
        f"Image scan does not exist for the image with '{_wording(identifier)}' in the repository "
        f"with name '{repository}' in the registry with id '{account}'",
    )


def image_archived() -> EcrError:
    """Return the error for an archived image."""
    message = "The specified image is archived and cannot be scanned."
    return EcrError("ImageArchivedException", message)


def unsupported_image_type(media_type: str) -> EcrError:
    """Return the error for an artifact that ECR does not scan."""
    return EcrError(
        "UnsupportedImageTypeException",
        f"An artifact with media type '{media_type}' cannot be scanned. "
        "For more information, see the Amazon ECR documentation.",
    )


def image_quota_exceeded() -> EcrError:
    """Return the error for an image that was scanned in the last 24 hours."""
    return EcrError(
        "LimitExceededException", "The scan quota per image has been exceeded. Wait and try again."
    )


def registry_quota_exceeded(scans_per_day: int) -> EcrError:
    """Return the error for an exhausted quota. AWS documents its code, not its text."""
    return EcrError(
        "LimitExceededException",
        f"The quota of {scans_per_day} basic image scans per 24 hours has been exceeded "
        "for this registry.",
    )


def enhanced_scanning() -> EcrError:
    """Return the error for a manual scan in a registry with enhanced scanning."""
    return EcrError("ValidationException", "This feature is disabled")


def rate_exceeded() -> EcrError:
    """Return the error for a throttled call."""
    return EcrError("ThrottlingException", "Rate exceeded")


def refuse_parameter(name: str, constraint: str) -> Never:
    """Raise the error for an invalid request."""
    raise EcrError(
        "InvalidParameterException",
        f"Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'",
    )


def _wording(identifier: dict[str, Any]) -> str:
    digest, tag = identifier.get("imageDigest", "null"), identifier.get("imageTag", "null")
    return f"{{imageDigest:'{digest}', imageTag:'{tag}'}}"
