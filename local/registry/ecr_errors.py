"""ECR's errors, in AWS's words where they are known."""

from typing import Any, Never


class EcrError(Exception):
    """An answer of ECR that is an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def repository_not_found(name: str, account: str) -> EcrError:
    """Say that there is no such repository."""
    return EcrError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{account}'",
    )


def image_not_found(identifier: dict[str, Any], repository: str, account: str) -> EcrError:
    """Say that the repository holds no such image."""
    return EcrError(
        "ImageNotFoundException",
        f"The image with imageId {_wording(identifier)} does not exist within the repository "
        f"with name '{repository}' in the registry with id '{account}'",
    )


def scan_not_found(identifier: dict[str, Any], repository: str, account: str) -> EcrError:
    """Say that the image was never scanned."""
    return EcrError(
        "ScanNotFoundException",
        f"Image scan does not exist for the image with '{_wording(identifier)}' in the repository "
        f"with name '{repository}' in the registry with id '{account}'",
    )


def image_archived() -> EcrError:
    """Say that an archived image is not scanned."""
    message = "The specified image is archived and cannot be scanned."
    return EcrError("ImageArchivedException", message)


def unsupported_image_type(media_type: str) -> EcrError:
    """Say that this kind of artifact is not scanned."""
    return EcrError(
        "UnsupportedImageTypeException",
        f"An artifact with media type '{media_type}' cannot be scanned. "
        "For more information, see the Amazon ECR documentation.",
    )


def image_quota_exceeded() -> EcrError:
    """Say that the image was scanned within the last 24 hours."""
    return EcrError(
        "LimitExceededException", "The scan quota per image has been exceeded. Wait and try again."
    )


def registry_quota_exceeded(scans_per_day: int) -> EcrError:
    """Say that the registry has had its scans; AWS's own text is not published, only the code."""
    return EcrError(
        "LimitExceededException",
        f"The quota of {scans_per_day} basic image scans per 24 hours has been exceeded "
        "for this registry.",
    )


def enhanced_scanning() -> EcrError:
    """Say that an enhanced registry starts its scans itself."""
    return EcrError("ValidationException", "This feature is disabled")


def rate_exceeded() -> EcrError:
    """Say that the operation is called too fast."""
    return EcrError("ThrottlingException", "Rate exceeded")


def refuse_parameter(name: str, constraint: str) -> Never:
    """Raise the error for a request that ECR would not take."""
    raise EcrError(
        "InvalidParameterException",
        f"Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'",
    )


def _wording(identifier: dict[str, Any]) -> str:
    digest, tag = identifier.get("imageDigest", "null"), identifier.get("imageTag", "null")
    return f"{{imageDigest:'{digest}', imageTag:'{tag}'}}"
