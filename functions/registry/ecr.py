"""The one adapter to Amazon ECR: calls in, images and named errors out."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import batched, chain
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004
from botocore.retries.standard import (
    RetryContext,
    ThrottledRetryableChecker,
    TransientRetryableChecker,
)

from registry import errors
from registry.findings import Finding, ScanFindings
from registry.images import Image, LastScan
from registry.manifests import INDEXES, UnreadableIndex, platforms_of

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import (
        DescribeImageScanFindingsRequestTypeDef,
        DescribeImagesRequestTypeDef,
        EnhancedImageScanFindingTypeDef,
        ImageDetailTypeDef,
        ImageScanFindingsTypeDef,
        ImageScanFindingTypeDef,
        ImageScanStatusTypeDef,
        VulnerablePackageTypeDef,
    )

PAGE = 1_000  # the most that a call returns: repositories, images or findings
MOST_FINDINGS = 10_000  # of an image that are read: ten calls
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

# botocore's own lists of throttling and of transient errors. No service model lists ECR's
# ThrottlingException, so that botocore raises it as a plain ClientError.
_THROTTLING = ThrottledRetryableChecker()
_TRANSIENT = TransientRetryableChecker()
_ERRORS: dict[str, type[Exception]] = {
    "ThrottleException": errors.EcrThrottled,  # as ECR's guide has it, and botocore has not
    "ServerException": errors.EcrUnavailable,
    "UnableToGetUpstreamImageException": errors.EcrUnavailable,
    "AccessDeniedException": errors.AccessDenied,
    "RepositoryNotFoundException": errors.RepositoryNotFound,
    "ImageNotFoundException": errors.ImageNotFound,
    "ImageArchivedException": errors.ImageArchived,
    "UnsupportedImageTypeException": errors.ImageNotScannable,
    "ScanNotFoundException": errors.ScanNotFound,
}
# Amazon Inspector monitors the image, or has stopped to: no basic scan has such a status.
_ENHANCED_STATUSES = frozenset({"ACTIVE", "SCAN_ELIGIBILITY_EXPIRED"})
# What Amazon Inspector says for the version of a package that fixes it if there is none.
_NO_VERSION = "notavailable"


class UnreadableAnswer(Exception):
    """ECR's answer was cut off on its way."""


@dataclass(frozen=True)
class ImagePage:
    """One page of a repository's images, and ECR's token for the page after it."""

    images: tuple[Image, ...]
    cursor: str | None


@dataclass(frozen=True)
class RepositoryPage:
    """The names on one page of the registry, and ECR's token for the page after it."""

    names: tuple[str, ...]
    cursor: str | None


class EcrRegistry:
    """A private registry of one account in one region."""

    def __init__(self, client: "ECRClient") -> None:
        self._client = client
        client.meta.events.register("after-call.ecr", _reject_unreadable, unique_id=__name__)
        # botocore knows imageStatus from 1.41.0 on, and refuses what it does not know. Without it,
        # ECR lists no archived images.
        known = getattr(client.meta.service_model.shape_for("DescribeImagesFilter"), "members", {})
        self._lists_archived = "imageStatus" in known

    def scan_type(self) -> str:
        """Return the scan type of the registry: BASIC, which is ECR's default, or ENHANCED."""
        with _named_errors("GetRegistryScanningConfiguration", "the registry"):
            response = self._client.get_registry_scanning_configuration()
        return response.get("scanningConfiguration", {}).get("scanType", "BASIC")

    def repositories(self, cursor: str | None = None) -> RepositoryPage:
        """List up to a thousand repositories, from the cursor of the previous page."""
        with _named_errors("DescribeRepositories", "the registry"):
            # Two calls, because botocore refuses nextToken=None.
            response = (
                self._client.describe_repositories(maxResults=PAGE, nextToken=cursor)
                if cursor
                else self._client.describe_repositories(maxResults=PAGE)
            )
        return RepositoryPage(
            names=tuple(
                name
                for repository in response.get("repositories", ())
                if (name := repository.get("repositoryName"))
            ),
            cursor=response.get("nextToken"),
        )

    def confirm(self, names: Sequence[str]) -> None:
        """Raise RepositoryNotFound for a name that the registry does not hold."""
        for some in batched(names, NAMES_A_CALL, strict=False):
            with _named_errors("DescribeRepositories", ", ".join(some)):
                self._client.describe_repositories(repositoryNames=some)

    def images(self, repository: str, cursor: str | None = None) -> ImagePage:
        """List up to a thousand images, archived ones too, from the cursor of the previous page.

        Raises PageTokenRefused for a cursor that ECR no longer accepts.
        """
        request: DescribeImagesRequestTypeDef = {"repositoryName": repository, "maxResults": PAGE}
        if self._lists_archived:
            request["filter"] = {"imageStatus": "ANY"}
        if cursor:
            request["nextToken"] = cursor
        try:
            with _named_errors("DescribeImages", repository):
                response = self._client.describe_images(**request)
        except errors.EcrError as error:
            # The other parameters are those of the page before, which ECR accepted.
            if cursor and error.code == "InvalidParameterException":
                raise errors.PageTokenRefused(str(error)) from error
            raise
        return ImagePage(
            images=tuple(map(_image, filter(_digest, response.get("imageDetails", ())))),
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
        status = response.get("imageScanStatus", {})
        findings = response.get("imageScanFindings", {})
        return _last_scan(
            status, findings.get("imageScanCompletedAt"), findings.get("findingSeverityCounts", {})
        )

    def image(self, repository: str, image_digest: str) -> Image | None:
        """Return an image as a listing shows it; None if ECR shows nothing of it."""
        with _named_errors("DescribeImages", f"{repository}@{image_digest}"):
            response = self._client.describe_images(
                repositoryName=repository, imageIds=[{"imageDigest": image_digest}]
            )
        return next(map(_image, response.get("imageDetails", ())), None)

    def findings(self, repository: str, image_digest: str) -> ScanFindings:
        """Read what the newest scan of an image found, 1,000 findings per call."""
        request: DescribeImageScanFindingsRequestTypeDef = {
            "repositoryName": repository,
            "imageId": {"imageDigest": image_digest},
            "maxResults": PAGE,
        }
        basic: list[Finding] = []
        enhanced: list[Finding] = []
        has_enhanced, status = False, ""
        for _ in range(MOST_FINDINGS // PAGE):
            with _named_errors("DescribeImageScanFindings", f"{repository}@{image_digest}"):
                page = self._client.describe_image_scan_findings(**request)
            found = page.get("imageScanFindings", {})
            # The status of the last page: a scan that began in between replaces the findings.
            status = page.get("imageScanStatus", {}).get("status", _status_untold(found))
            basic += map(_finding, found.get("findings", ()))
            has_enhanced = has_enhanced or bool(found.get("enhancedFindings"))
            enhanced += chain.from_iterable(map(_of_inspector, found.get("enhancedFindings", ())))
            if not (cursor := page.get("nextToken")):
                break
            request["nextToken"] = cursor
        is_enhanced = has_enhanced or (not basic and status in _ENHANCED_STATUSES)
        return ScanFindings(
            status=status,
            scan_type="ENHANCED" if is_enhanced else "BASIC",
            findings=tuple(enhanced if is_enhanced else basic),
            is_whole=not cursor,
            scan=_last_scan(
                page.get("imageScanStatus", {}),
                found.get("imageScanCompletedAt"),
                found.get("findingSeverityCounts", {}),
            ),
        )

    def platforms(self, repository: str, digest: str) -> dict[str, str]:
        """Return the platform of each image that an index lists, by digest.

        ECR counts the call as a pull of the index. Raises UnreadableIndex.
        """
        call = f"BatchGetImage of {repository}@{digest}"
        with _named_errors("BatchGetImage", f"{repository}@{digest}"):
            response = self._client.batch_get_image(
                repositoryName=repository,
                imageIds=[{"imageDigest": digest}],
                acceptedMediaTypes=INDEXES,
            )
        for image in response.get("images", ()):
            return platforms_of(image.get("imageManifest", ""))
        # An image that cannot be returned is named in an answer without an error.
        for failure in response.get("failures", ()):
            code, reason = failure.get("failureCode", ""), failure.get("failureReason", "")
            if code == "ImageNotFound":
                raise errors.ImageNotFound(f"{call}: {reason}")
            raise errors.EcrError.named(code, reason, call=call)
        raise UnreadableIndex(f"{call}: the answer has no image")

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
    """Turn ECR's error codes into the error names of the state machine."""
    call = f"{operation} of {subject}"
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code, message = told.get("Code", ""), told.get("Message", "")
        if name := _name(error, code, message):
            raise name(f"{call}: {message}") from error
        raise errors.EcrError.named(code, message, call=call) from error
    except (ConnectionError, HTTPClientError, UnreadableAnswer) as error:
        raise errors.EcrUnavailable(f"{call}: {error}") from error


def _name(error: ClientError, code: str, message: str) -> type[Exception] | None:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "LimitExceededException":
        # One code, two meanings, and no throttling, which botocore takes it for. Only the text of
        # the per-image rule is known from the field.
        per_image = "scan quota per image" in message
        return errors.ImageScannedRecently if per_image else errors.ScanQuotaExhausted
    if code == "ValidationException" and "feature is disabled" in message:
        return errors.ManualScanningDisabled
    if code in _ERRORS:
        return _ERRORS[code]
    answer = RetryContext(attempt_number=1, parsed_response=error.response)
    if status == 429 or _THROTTLING.is_retryable(answer):
        return errors.EcrThrottled
    if status >= 500 or _TRANSIENT.is_retryable(answer):
        return errors.EcrUnavailable
    # A proxy or an endpoint policy answers in HTML, and botocore takes the status for the code.
    return errors.AccessDenied if code == "403" else None


def _reject_unreadable(
    http_response: AWSResponse, parsed: Mapping[str, object], **_: object
) -> None:
    """Raise for an answer that was cut off, which botocore takes for one without members."""
    if parsed.keys() <= {"ResponseMetadata"} and http_response.content:
        try:
            json.loads(http_response.content)
        except ValueError as error:
            raise UnreadableAnswer(f"the answer is not JSON: {error}") from error


def _digest(detail: "ImageDetailTypeDef") -> str | None:
    """Return an image's digest, without which no call can name it."""
    return detail.get("imageDigest")


def _image(detail: "ImageDetailTypeDef") -> Image:
    return Image(
        digest=detail["imageDigest"],
        pushed_at=detail.get("imagePushedAt"),
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


def _last_scan(
    status: "ImageScanStatusTypeDef", completed_at: datetime | None, counts: Mapping[Any, int]
) -> LastScan | None:
    """Return a scan, or None if its status and its time are not known."""
    if "status" not in status and completed_at is None:
        return None
    return LastScan(
        status=status.get("status", "COMPLETE"),
        completed_at=completed_at,
        description=status.get("description", ""),
        severities=dict(counts),
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


def _status_untold(found: "ImageScanFindingsTypeDef") -> str:
    """Return the status of a scan without one: only a completed scan has a time."""
    return "COMPLETE" if "imageScanCompletedAt" in found else ""


def _of_inspector(told: "EnhancedImageScanFindingTypeDef") -> Iterator[Finding]:
    """Return a finding of Amazon Inspector, which is of one vulnerability, once per package.

    A closed one is of the past: it is fixed, or the image is no longer monitored.
    """
    if told.get("status") == "CLOSED":
        return
    details = told.get("packageVulnerabilityDetails", {})
    packages: dict[str, list[VulnerablePackageTypeDef]] = {}
    for package in details.get("vulnerablePackages", ()):
        packages.setdefault(package.get("name", ""), []).append(package)
    # A package may be in several places of an image, and the versions there may differ.
    for name, places in (packages or {"": []}).items():
        yield Finding(
            name=details.get("vulnerabilityId", ""),
            severity=told.get("severity", "UNDEFINED"),
            package=name,
            version=next(filter(None, map(_version, places)), ""),
            uri=details.get("sourceUrl", ""),
            score=told.get("score", 0.0),
            fixed_in=next(filter(None, map(_fixed_in, places)), ""),
            related=tuple(details.get("relatedVulnerabilities", ())),
            is_suppressed=told.get("status") == "SUPPRESSED",
            has_exploit=told.get("exploitAvailable") == "YES",
        )


def _version(package: "VulnerablePackageTypeDef") -> str:
    """Return the version as package managers write it: [epoch:]version[-release]."""
    version = "-".join(filter(None, (package.get("version"), package.get("release"))))
    epoch = package.get("epoch", 0)
    return f"{epoch}:{version}" if epoch and version else version


def _fixed_in(package: "VulnerablePackageTypeDef") -> str:
    version = package.get("fixedInVersion", "")
    return "" if version.lower() == _NO_VERSION else version


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
