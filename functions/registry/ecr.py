"""The one adapter to Amazon ECR: calls in, images and named errors out."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from registry import errors
from registry.findings import Finding
from registry.images import Image, LastScan

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef, ImageScanFindingTypeDef

PAGE = 1_000  # the most that a call returns: repositories, images or findings
MOST_FINDINGS = 5_000  # of an image that are looked at: five calls
NAMES_A_CALL = 100  # the most names that DescribeRepositories takes in one call
CONNECTIONS = 16  # the calls that one function has under way at most

# One attempt: the state machine retries, where an operator sees it in the history and no function
# is billed for sleeping. botocore's standard mode would also retry LimitExceededException, which is
# ECR's limit of one scan per image in 24 hours and no throttling.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=3,
    read_timeout=10,
    max_pool_connections=CONNECTIONS,
)

# ThrottlingException is what ECR sends, ThrottleException what its guide says; no service model
# lists either, so botocore raises both as a plain ClientError.
_ERRORS: dict[str, type[Exception]] = {
    "ThrottlingException": errors.EcrThrottled,
    "ThrottleException": errors.EcrThrottled,
    "TooManyRequestsException": errors.EcrThrottled,
    "RequestLimitExceeded": errors.EcrThrottled,
    "ServerException": errors.EcrUnavailable,
    "AccessDeniedException": errors.AccessDenied,
    "RepositoryNotFoundException": errors.RepositoryNotFound,
    "ImageNotFoundException": errors.ImageNotFound,
    "ImageArchivedException": errors.ImageArchived,
    "UnsupportedImageTypeException": errors.ImageNotScannable,
    "ScanNotFoundException": errors.ScanNotFound,
}


@dataclass(frozen=True)
class ImagePage:
    """One page of a repository's images, and ECR's token for the page after it."""

    images: tuple[Image, ...]
    cursor: str | None


class EcrRegistry:
    """A private registry of one account in one region."""

    def __init__(self, client: "ECRClient") -> None:
        self._client = client

    def scan_type(self) -> str:
        """Return the scan type of the registry: BASIC or ENHANCED."""
        with _named_errors("GetRegistryScanningConfiguration", "the registry"):
            response = self._client.get_registry_scanning_configuration()
        return response["scanningConfiguration"]["scanType"]

    def repositories(self) -> Iterator[str]:
        """List the names of all repositories, 1,000 per call."""
        pages = self._client.get_paginator("describe_repositories").paginate(
            PaginationConfig={"PageSize": PAGE}
        )
        with _named_errors("DescribeRepositories", "the registry"):
            for page in pages:
                yield from (repository["repositoryName"] for repository in page["repositories"])

    def confirm(self, names: Sequence[str]) -> None:
        """Raise RepositoryNotFound for a name that the registry does not hold."""
        for some in batched(names, NAMES_A_CALL, strict=False):
            with _named_errors("DescribeRepositories", ", ".join(some)):
                self._client.describe_repositories(repositoryNames=some)

    def images(self, repository: str, cursor: str | None = None) -> ImagePage:
        """List up to a thousand images, archived ones too, from the cursor of the previous page."""
        with _named_errors("DescribeImages", repository):
            # Two calls, because botocore refuses nextToken=None.
            response = (
                self._client.describe_images(
                    repositoryName=repository,
                    maxResults=PAGE,
                    filter={"imageStatus": "ANY"},
                    nextToken=cursor,
                )
                if cursor
                else self._client.describe_images(
                    repositoryName=repository, maxResults=PAGE, filter={"imageStatus": "ANY"}
                )
            )
        return ImagePage(
            images=tuple(_image(detail) for detail in response["imageDetails"]),
            cursor=response.get("nextToken"),
        )

    def last_scan(self, repository: str, digest: str) -> LastScan | None:
        """Return the newest scan of an image, or None if it was never scanned."""
        try:
            with _named_errors("DescribeImageScanFindings", f"{repository}@{digest}"):
                # maxResults is at least 1, and no finding is needed.
                response = self._client.describe_image_scan_findings(
                    repositoryName=repository, imageId={"imageDigest": digest}, maxResults=1
                )
        except errors.ScanNotFound:
            return None
        status, findings = response["imageScanStatus"], response.get("imageScanFindings", {})
        counts = findings.get("findingSeverityCounts", {})
        return LastScan(
            status=status["status"],
            completed_at=findings.get("imageScanCompletedAt"),
            description=status.get("description", ""),
            severities=dict(counts.items()),
        )

    def findings(self, repository: str, digest: str) -> Iterator[Finding]:
        """List the findings of the last basic scan of an image, 1,000 per call."""
        pages = self._client.get_paginator("describe_image_scan_findings").paginate(
            repositoryName=repository,
            imageId={"imageDigest": digest},
            PaginationConfig={"PageSize": PAGE, "MaxItems": MOST_FINDINGS},
        )
        with _named_errors("DescribeImageScanFindings", f"{repository}@{digest}"):
            for page in pages:
                yield from map(_finding, page.get("imageScanFindings", {}).get("findings", ()))

    def start_scan(self, repository: str, digest: str) -> None:
        """Start a basic scan of an image."""
        with _named_errors("StartImageScan", f"{repository}@{digest}"):
            self._client.start_image_scan(
                repositoryName=repository, imageId={"imageDigest": digest}
            )


@functools.cache
def ecr_registry() -> EcrRegistry:
    """Make the registry of the account and region that the function runs in."""
    return EcrRegistry(boto3.client("ecr", config=CLIENT_CONFIG))


@contextmanager
def _named_errors(operation: str, subject: str) -> Iterator[None]:
    """Turn ECR's error codes into the error names of the state machine; pass others through."""
    try:
        yield
    except ClientError as error:
        if name := _name(error):
            raise name(f"{operation} of {subject}: {error.response['Error']['Message']}") from error
        raise
    except (ConnectionError, HTTPClientError) as error:
        raise errors.EcrUnavailable(f"{operation} of {subject}: {error}") from error


def _name(error: ClientError) -> type[Exception] | None:
    code = error.response["Error"]["Code"]
    message = error.response["Error"]["Message"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code == "LimitExceededException":
        # One code, two meanings. Only the text of the per-image rule is known from the field.
        per_image = "scan quota per image" in message
        return errors.ImageScannedRecently if per_image else errors.ScanQuotaExhausted
    if code == "ValidationException" and "feature is disabled" in message:
        return errors.ManualScanningDisabled
    if code in _ERRORS:
        return _ERRORS[code]
    if status == 429:
        return errors.EcrThrottled
    return errors.EcrUnavailable if status >= 500 else None


def _image(detail: "ImageDetailTypeDef") -> Image:
    return Image(
        digest=detail["imageDigest"],
        pushed_at=detail["imagePushedAt"],
        tags=tuple(detail.get("imageTags", ())),
        pulled_at=detail.get("lastRecordedPullTime"),
        media_type=detail.get("imageManifestMediaType"),
        artifact_type=detail.get("artifactMediaType"),
        subject=detail.get("subjectManifestDigest"),
        status=detail.get("imageStatus", "ACTIVE"),
        last_scan=_hint(detail),
    )


def _hint(detail: "ImageDetailTypeDef") -> LastScan | None:
    """Return the scan that the listing showed before basic scanning became AWS native."""
    completed_at = detail.get("imageScanFindingsSummary", {}).get("imageScanCompletedAt")
    if completed_at is None:
        return None
    return LastScan(
        status=detail.get("imageScanStatus", {}).get("status", "COMPLETE"),
        completed_at=completed_at,
    )


def _finding(told: "ImageScanFindingTypeDef") -> Finding:
    attributes = {each["key"]: each.get("value", "") for each in told.get("attributes", ())}
    scores = (attributes.get(f"CVSS{version}_SCORE") for version in (4, 3, 2))
    return Finding(
        name=told.get("name", ""),
        severity=told.get("severity", "UNDEFINED"),
        package=attributes.get("package_name", ""),
        version=attributes.get("package_version", ""),
        uri=told.get("uri", ""),
        score=_number(next(filter(None, scores), "")),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
