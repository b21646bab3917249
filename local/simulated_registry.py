"""An ECR registry in memory: the rules of AWS's basic scanning, operation by operation.

It knows nothing of HTTP, botocore or the local cloud: those are faces on it.
"""

import base64
import binascii
import heapq
import json
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Never

from local.registry_contents import (
    IMAGE_CONFIG,
    IMAGE_INDEX,
    MANIFEST_LIST,
    Fault,
    Finding,
    Image,
    RegistrySettings,
    Repository,
    Scan,
)
from local.token_bucket import TokenBucket

type Message = dict[str, Any]

DAY = timedelta(hours=24)
DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
MOST_NAMES = 100

SCANNABLE_ARTIFACTS = frozenset(
    {
        IMAGE_CONFIG,
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    }
)


class EcrError(Exception):
    """An answer of ECR that is an error, as AWS words it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _discard(_event: Message) -> None:
    """Take an event that nobody wants."""


class SimulatedRegistry:
    """A registry that answers calls as ECR would, at the time that its clock shows.

    `calls` and `throttled` count by operation, `started` by repository and digest.
    `on_event` is handed the EventBridge event of every scan that ends; set it at any time.
    """

    def __init__(
        self,
        repositories: Iterable[Repository] = (),
        settings: RegistrySettings | None = None,
        faults: Iterable[Fault] = (),
        *,
        now: Callable[[], datetime] = _utc_now,
        on_event: Callable[[Message], object] = _discard,
    ) -> None:
        self.settings = settings or RegistrySettings()
        self.repositories = {repository.name: repository for repository in repositories}
        self.on_event = on_event
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.started: Counter[tuple[str, str]] = Counter()
        self._faults = list(faults)
        self._now = now
        self._lock = threading.Lock()
        self._buckets = {
            operation: TokenBucket(throttle, now())
            for operation, throttle in self.settings.throttling.items()
        }
        self._scans_under_way: list[tuple[datetime, int, str, Image, Scan]] = []
        self._recent_starts = deque(
            sorted(
                image.last_scan.started_at
                for repository in self.repositories.values()
                for image in repository.images.values()
                if image.last_scan
            )
        )
        self._operations = {
            "GetRegistryScanningConfiguration": self._get_registry_scanning_configuration,
            "DescribeRepositories": self._describe_repositories,
            "DescribeImages": self._describe_images,
            "DescribeImageScanFindings": self._describe_image_scan_findings,
            "StartImageScan": self._start_image_scan,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """Name the operations that the registry knows."""
        return tuple(self._operations)

    @property
    def scans_under_way(self) -> int:
        """Count the scans whose event has not been handed on yet."""
        with self._lock:
            return len(self._scans_under_way)

    def call(self, operation: str, request: Message) -> Message:
        """Answer one call in botocore's shape, or raise the EcrError that AWS would send."""
        self.settle()
        with self._lock:
            now = self._now()
            self.calls[operation] += 1
            answer = self._operations.get(operation)
            if answer is None:
                raise EcrError(
                    "UnknownOperationException",
                    f"The simulated registry has no operation {operation}. "
                    f"It has {', '.join(self._operations)}.",
                )
            self._throttle(operation, now)
            self._raise_scripted_fault(operation, request)
            return answer(request, now)

    def settle(self) -> None:
        """End every scan whose time has come and hand on its event."""
        with self._lock:
            now = self._now()
            events = []
            while self._scans_under_way and self._scans_under_way[0][0] <= now:
                _, _, repository, image, scan = heapq.heappop(self._scans_under_way)
                events.append(self._scan_event(repository, image, scan))
        # Outside the lock: a receiver may call the registry.
        for event in events:
            self.on_event(event)

    def clear_faults(self, repository: str | None = None) -> None:
        """Let the scripted faults of one repository end, or all of them."""
        with self._lock:
            self._faults = [
                fault
                for fault in self._faults
                if repository is not None and fault.repository != repository
            ]

    # Operations

    def _get_registry_scanning_configuration(self, _request: Message, _now: datetime) -> Message:
        rules = []
        if self.settings.scan_type == "ENHANCED":
            everything = {"filter": "*", "filterType": "WILDCARD"}
            rules = [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [everything]}]
        return {
            "registryId": self.settings.account,
            "scanningConfiguration": {"scanType": self.settings.scan_type, "rules": rules},
        }

    def _describe_repositories(self, request: Message, _now: datetime) -> Message:
        names = request.get("repositoryNames")
        if names is None:
            page, token = _page("DescribeRepositories", sorted(self.repositories), request)
        else:
            _refuse_paging("repositoryNames", names, request)
            page, token = [self._listed_repository(name).name for name in names], None
        described = [self._repository_shape(self.repositories[name]) for name in page]
        return {"repositories": described} | _next(token)

    def _describe_images(self, request: Message, _now: datetime) -> Message:
        repository = self._repository(request)
        identifiers = request.get("imageIds")
        if identifiers is None:
            wanted = request.get("filter", {})
            digests = sorted(
                image.digest
                for image in repository.images.values()
                if _is_selected(image, wanted.get("tagStatus"), wanted.get("imageStatus"))
            )
            page, token = _page(f"DescribeImages {repository.name} {wanted}", digests, request)
        else:
            _refuse_paging("imageIds", identifiers, request)
            page = [self._image(repository, identifier).digest for identifier in identifiers]
            token = None
        details = [self._image_shape(repository, repository.images[digest]) for digest in page]
        return {"imageDetails": details} | _next(token)

    def _describe_image_scan_findings(self, request: Message, now: datetime) -> Message:
        repository = self._repository(request)
        image = self._image(repository, request["imageId"])
        scan = image.last_scan
        if scan is None or self.settings.scan_type == "ENHANCED":
            raise EcrError(
                "ScanNotFoundException",
                f"Image scan does not exist for the image with '{_wording(request['imageId'])}' "
                f"in the repository with name '{repository.name}' "
                f"in the registry with id '{self.settings.account}'",
            )
        answer = {
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "imageId": _identifier(image, request["imageId"]),
            "imageScanStatus": _scan_status(scan, now),
        }
        if scan.ends_at > now or scan.result.status != "COMPLETE":
            return answer
        by_position = {f"{n:06}": finding for n, finding in enumerate(scan.result.findings)}
        scope = f"DescribeImageScanFindings {repository.name} {image.digest}"
        page, token = _page(scope, list(by_position), request)
        answer["imageScanFindings"] = _findings_summary(scan) | {
            "findings": [_finding_shape(by_position[position]) for position in page]
        }
        return answer | _next(token)

    def _start_image_scan(self, request: Message, now: datetime) -> Message:
        if self.settings.scan_type == "ENHANCED":
            raise EcrError("ValidationException", "This feature is disabled")
        repository = self._repository(request)
        image = self._image(repository, request["imageId"])
        if image.vanishes:
            del repository.images[image.digest]
            self._raise_image_not_found(repository, request["imageId"])
        self._refuse_if_unscannable(image)
        self._refuse_if_over_quota(image, now)
        scan = Scan(now, now + self.settings.scan_duration, image.next_result)
        image.last_scan = scan
        self._recent_starts.append(now)
        self.started[repository.name, image.digest] += 1
        order = self.started.total()  # of two scans that end at once the first started ends first
        heapq.heappush(self._scans_under_way, (scan.ends_at, order, repository.name, image, scan))
        return {
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "imageId": _identifier(image, request["imageId"]),
            "imageScanStatus": {"status": "IN_PROGRESS"},
        }

    # Rules

    def _throttle(self, operation: str, now: datetime) -> None:
        bucket = self._buckets.get(operation)
        if bucket is not None and not bucket.take(now):
            self.throttled[operation] += 1
            raise EcrError("ThrottlingException", "Rate exceeded")

    def _raise_scripted_fault(self, operation: str, request: Message) -> None:
        name = request.get("repositoryName")
        repository = self.repositories.get(name or "")
        image = _find(repository, request.get("imageId", {})) if repository else None
        for fault in self._faults:
            if (
                fault.operation == operation
                and fault.repository in {None, name}
                and (fault.digest is None or (image is not None and image.digest == fault.digest))
                and fault.times != 0
            ):
                if fault.times is not None:
                    fault.times -= 1
                if fault.code == "ThrottlingException":
                    self.throttled[operation] += 1
                raise EcrError(fault.code, fault.message, 500 if _is_server_side(fault) else 400)

    def _refuse_if_unscannable(self, image: Image) -> None:
        if image.archived_at is not None:
            raise EcrError(
                "ImageArchivedException",
                "The specified image is archived and cannot be scanned.",
            )
        unscannable = None
        if image.manifest_media_type in {IMAGE_INDEX, MANIFEST_LIST}:
            unscannable = image.manifest_media_type
        elif image.artifact_media_type not in SCANNABLE_ARTIFACTS | {None}:
            unscannable = image.artifact_media_type
        if unscannable:
            raise EcrError(
                "UnsupportedImageTypeException",
                f"An artifact with media type '{unscannable}' cannot be scanned. "
                "For more information, see the Amazon ECR documentation.",
            )

    def _refuse_if_over_quota(self, image: Image, now: datetime) -> None:
        if image.last_scan is not None and now - image.last_scan.started_at < DAY:
            raise EcrError(
                "LimitExceededException",
                "The scan quota per image has been exceeded. Wait and try again.",
            )
        while self._recent_starts and now - self._recent_starts[0] >= DAY:
            self._recent_starts.popleft()
        if len(self._recent_starts) >= self.settings.scans_per_day:
            # AWS's own text is not published; it must only differ from the one per image.
            raise EcrError(
                "LimitExceededException",
                f"The quota of {self.settings.scans_per_day} basic image scans per 24 hours "
                "has been exceeded for this registry.",
            )

    # Things that are there, or not

    def _listed_repository(self, name: str) -> Repository:
        repository = self.repositories.get(name)
        if repository is None:
            raise EcrError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist "
                f"in the registry with id '{self.settings.account}'",
            )
        return repository

    def _repository(self, request: Message) -> Repository:
        repository = self._listed_repository(request["repositoryName"])
        if repository.vanishes:
            del self.repositories[repository.name]
        return self._listed_repository(request["repositoryName"])

    def _image(self, repository: Repository, identifier: Message) -> Image:
        if not identifier.get("imageDigest") and not identifier.get("imageTag"):
            _refuse_parameter("imageId", "Member must have an imageDigest or an imageTag")
        image = _find(repository, identifier)
        if image is None:
            self._raise_image_not_found(repository, identifier)
        return image

    def _raise_image_not_found(self, repository: Repository, identifier: Message) -> Never:
        raise EcrError(
            "ImageNotFoundException",
            f"The image with imageId {_wording(identifier)} does not exist "
            f"within the repository with name '{repository.name}' "
            f"in the registry with id '{self.settings.account}'",
        )

    # Shapes

    def _repository_shape(self, repository: Repository) -> Message:
        suffix = ".cn" if self._partition == "aws-cn" else ""
        host = f"{self.settings.account}.dkr.ecr.{self.settings.region}.amazonaws.com{suffix}"
        return {
            "repositoryArn": self._arn(repository.name),
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "repositoryUri": f"{host}/{repository.name}",
            "createdAt": repository.created_at,
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        }

    def _image_shape(self, repository: Repository, image: Image) -> Message:
        scan = image.last_scan
        shape: Message = {
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "imageDigest": image.digest,
            "imageTags": list(image.tags) or None,
            "imageSizeInBytes": image.size_in_bytes,
            "imagePushedAt": image.pushed_at,
            "imageManifestMediaType": image.manifest_media_type,
            "artifactMediaType": image.artifact_media_type,
            "lastRecordedPullTime": image.pulled_at,
            "subjectManifestDigest": image.subject_digest,
            "imageStatus": _image_status(image),
            "lastArchivedAt": image.archived_at,
        }
        if scan is not None and self.settings.scan_hints:
            now = self._now()
            shape["imageScanStatus"] = _scan_status(scan, now)
            if scan.ends_at <= now and scan.result.status == "COMPLETE":
                shape["imageScanFindingsSummary"] = _findings_summary(scan)
        return {member: value for member, value in shape.items() if value is not None}

    def _scan_event(self, repository: str, image: Image, scan: Scan) -> Message:
        """Word the end of a scan as EventBridge does: what there is none of is left out."""
        counts = scan.result.severity_counts
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "ECR Image Scan",
            "source": "aws.ecr",
            "account": self.settings.account,
            "time": scan.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.settings.region,
            "resources": [self._arn(repository)],
            "detail": {
                "scan-status": scan.result.status,
                "repository-name": repository,
                **({"finding-severity-counts": counts} if counts else {}),
                "image-digest": image.digest,
                "image-tags": list(image.tags),
            },
        }

    @property
    def _partition(self) -> str:
        if self.settings.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.settings.region.startswith("us-gov-") else "aws"

    def _arn(self, repository: str) -> str:
        place = f"{self.settings.region}:{self.settings.account}"
        return f"arn:{self._partition}:ecr:{place}:repository/{repository}"


def _find(repository: Repository, identifier: Message) -> Image | None:
    """Find the image that a digest, a tag, or both together name."""
    digest, tag = identifier.get("imageDigest"), identifier.get("imageTag")
    if digest is None:
        tagged = (image for image in repository.images.values() if tag in image.tags)
        return next(tagged, None)
    image = repository.images.get(digest)
    return image if image is not None and (tag is None or tag in image.tags) else None


def _is_selected(image: Image, tag_status: str | None, image_status: str | None) -> bool:
    tagged = "TAGGED" if image.tags else "UNTAGGED"
    return (tag_status or "ANY") in {"ANY", tagged} and (image_status or "ACTIVE") in {
        "ANY",
        _image_status(image),
    }


def _is_server_side(fault: Fault) -> bool:
    return fault.code in {"ServerException", "InternalFailure", "ServiceUnavailable"}


def _image_status(image: Image) -> str:
    return "ACTIVE" if image.archived_at is None else "ARCHIVED"


def _scan_status(scan: Scan, now: datetime) -> Message:
    if scan.ends_at > now:
        return {"status": "IN_PROGRESS"}
    return {"status": scan.result.status, "description": scan.result.description}


def _findings_summary(scan: Scan) -> Message:
    return {
        "imageScanCompletedAt": scan.ends_at,
        "vulnerabilitySourceUpdatedAt": scan.ends_at,
        "findingSeverityCounts": scan.result.severity_counts,
    }


def _finding_shape(finding: Finding) -> Message:
    return {
        "name": finding.name,
        "description": f"{finding.name} in {finding.package} {finding.version}",
        "uri": f"https://nvd.nist.gov/vuln/detail/{finding.name}",
        "severity": finding.severity,
        "attributes": [
            {"key": "package_name", "value": finding.package},
            {"key": "package_version", "value": finding.version},
        ],
    }


def _identifier(image: Image, asked: Message) -> Message:
    tag = asked.get("imageTag")
    return {"imageDigest": image.digest} | ({"imageTag": tag} if tag else {})


def _wording(identifier: Message) -> str:
    digest, tag = identifier.get("imageDigest", "null"), identifier.get("imageTag", "null")
    return f"{{imageDigest:'{digest}', imageTag:'{tag}'}}"


def _refuse_parameter(name: str, constraint: str) -> Never:
    raise EcrError(
        "InvalidParameterException",
        f"Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'",
    )


def _refuse_paging(selector: str, selected: list[Any], request: Message) -> None:
    """Keep ECR's rule that what is asked for by name does not come in pages."""
    if not 1 <= len(selected) <= MOST_NAMES:
        _refuse_parameter(selector, f"Member must have length between 1 and {MOST_NAMES}")
    for member in ("nextToken", "maxResults"):
        if member in request:
            _refuse_parameter(member, f"Member cannot be used together with {selector}")


def _page(scope: str, keys: list[str], request: Message) -> tuple[list[str], str | None]:
    """Cut a page out of sorted keys, with the token for the rest.

    A token remembers the last key, so what is deleted between two pages hides nothing else.
    """
    size = request.get("maxResults", DEFAULT_PAGE)
    if not 1 <= size <= LARGEST_PAGE:
        _refuse_parameter("maxResults", f"Member must be between 1 and {LARGEST_PAGE}")
    token = request.get("nextToken")
    rest = keys if token is None else [key for key in keys if key > _last_key(scope, token)]
    page = rest[:size]
    if len(rest) <= size:
        return page, None
    return page, base64.urlsafe_b64encode(json.dumps([scope, page[-1]]).encode()).decode()


def _last_key(scope: str, token: str) -> str:
    try:
        issued_for, key = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        issued_for, key = None, None
    if issued_for != scope or not isinstance(key, str):
        _refuse_parameter("nextToken", "Member must be a token of this listing")
    return key


def _next(token: str | None) -> Message:
    return {} if token is None else {"nextToken": token}
