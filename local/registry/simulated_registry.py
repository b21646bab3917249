"""An ECR registry in memory, with the rules of its scanning for each operation.

It is independent of HTTP, botocore and the local cloud: botocore_face.py and
local/cloud/ecr_provider.py connect it to them.
"""

import heapq
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from local.registry import ecr_errors, ecr_shapes
from local.registry.ecr_errors import EcrError, refuse_parameter
from local.registry.ecr_paging import page, refuse_paging
from local.registry.ecr_shapes import EcrShapes
from local.registry.inspector import Inspector
from local.registry.registry_contents import (
    IMAGE_CONFIG,
    IMAGE_INDEX,
    MANIFEST_LIST,
    NEVER,
    Fault,
    Image,
    RegistrySettings,
    Repository,
    Scan,
)
from local.registry.token_bucket import TokenBucket

__all__ = ["EcrError", "Message", "SimulatedRegistry", "utc_now"]

type Message = dict[str, Any]

DAY = timedelta(hours=24)
SCAN_TYPE_VERSION = "BASIC_SCAN_TYPE_VERSION"  # the account setting
SCANNABLE_ARTIFACTS = {
    IMAGE_CONFIG,
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
}


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def _discard(_event: Message) -> None:
    """Discard an event."""


class SimulatedRegistry:
    """A registry that answers calls as ECR would, at the time of an injected clock.

    `on_event` is called with the EventBridge event of every scan that ends.
    """

    def __init__(
        self,
        repositories: Iterable[Repository] = (),
        settings: RegistrySettings | None = None,
        faults: Iterable[Fault] = (),
        *,
        now: Callable[[], datetime] = utc_now,
        on_event: Callable[[Message], object] = _discard,
    ) -> None:
        self.settings = settings or RegistrySettings()
        self.repositories = {repository.name: repository for repository in repositories}
        self.on_event = on_event
        self._calls: Counter[tuple[str, str | None]] = Counter()
        self._throttled: Counter[str] = Counter()
        self._started: Counter[tuple[str, str]] = Counter()
        self._shapes = EcrShapes(self.settings)
        self._inspector = Inspector(self.settings)
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
            "GetAccountSetting": self._get_account_setting,
            "GetRegistryScanningConfiguration": self._get_registry_scanning_configuration,
            "DescribeRepositories": self._describe_repositories,
            "DescribeImages": self._describe_images,
            "DescribeImageScanFindings": self._describe_image_scan_findings,
            "StartImageScan": self._start_image_scan,
            "BatchGetImage": self._batch_get_image,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """Return the names of the supported operations."""
        return tuple(self._operations)

    @property
    def calls(self) -> Counter[str]:
        """Return the number of calls by operation, including refused ones."""
        calls: Counter[str] = Counter()
        for (operation, _), count in self.calls_by_repository.items():
            calls[operation] += count
        return calls

    @property
    def calls_by_repository(self) -> Counter[tuple[str, str | None]]:
        """Return the number of calls by operation and repository, which may be None."""
        with self._lock:
            return self._calls.copy()

    @property
    def throttled(self) -> Counter[str]:
        """Return the number of throttled calls by operation."""
        with self._lock:
            return self._throttled.copy()

    @property
    def started(self) -> Counter[tuple[str, str]]:
        """Return the number of started scans by repository and image digest."""
        with self._lock:
            return self._started.copy()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the scripted faults that are left."""
        with self._lock:
            return tuple(map(replace, self._faults))

    @property
    def scans_under_way(self) -> int:
        """Return the number of scans whose event has not been sent yet."""
        with self._lock:
            return len(self._scans_under_way)

    def call(self, operation: str, request: Message) -> Message:
        """Return the response to a call in botocore's shape, or raise EcrError."""
        self.settle()
        with self._lock:
            now = self._now()
            self._calls[operation, request.get("repositoryName")] += 1
            answer = self._operations.get(operation)
            if answer is None:
                raise EcrError(
                    "UnknownOperationException",
                    f"The simulated registry does not support {operation}. "
                    f"It supports {', '.join(self._operations)}.",
                )
            self._throttle(operation, now)
            self._raise_scripted_fault(operation, request)
            return answer(request, now)

    def settle(self) -> None:
        """End every scan that is due and send its event."""
        with self._lock:
            now = self._now()
            events = []
            while self._scans_under_way and self._scans_under_way[0][0] <= now:
                _, _, repository, image, scan = heapq.heappop(self._scans_under_way)
                events.append(self._shapes.scan_event(repository, image, scan))
        # Outside the lock, because the receiver may call the registry.
        for event in events:
            self.on_event(event)

    def inspect(self) -> int:
        """Let Amazon Inspector scan its images again; send its events, and return their number."""
        with self._lock:
            now = self._now()
            events = [
                event
                for repository in self.repositories.values()
                for image in repository.images.values()
                if image.inspector
                for event in self._inspector.inspect(repository, image, now)
            ]
        for event in events:
            self.on_event(event)
        return len(events)

    def push(self, repository: str, *images: Image) -> None:
        """Add images to a repository, and send the events of their push; tags move to them."""
        with self._lock:
            now, events = self._now(), []
            for image in images:
                kept = self.repositories[repository].images
                for other in kept.values():
                    other.tags = tuple(tag for tag in other.tags if tag not in image.tags)
                self.repositories[repository].images = {**kept, image.digest: image}
                events += self._shapes.image_events(repository, image, "PUSH", now)
        for event in events:
            self.on_event(event)

    def delete(self, repository: str, digest: str) -> None:
        """Delete an image, and send the events of its deletion."""
        with self._lock:
            images = dict(self.repositories[repository].images)
            image = images.pop(digest)
            self.repositories[repository].images = images
            events = self._shapes.image_events(repository, image, "DELETE", self._now())
        for event in events:
            self.on_event(event)

    def clear_faults(self, repository: str | None = None) -> None:
        """End the scripted faults of one repository, or all."""
        with self._lock:
            self._faults = [
                fault
                for fault in self._faults
                if repository is not None and fault.repository != repository
            ]

    def _get_registry_scanning_configuration(self, _request: Message, _now: datetime) -> Message:
        rules = []
        if self.settings.scan_type == "ENHANCED":
            everything = {"filter": "*", "filterType": "WILDCARD"}
            rules = [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [everything]}]
        return {
            "registryId": self.settings.account,
            "scanningConfiguration": {"scanType": self.settings.scan_type, "rules": rules},
        }

    def _get_account_setting(self, request: Message, _now: datetime) -> Message:
        name = request["name"]
        if name != SCAN_TYPE_VERSION:
            refuse_parameter("name", f"only {SCAN_TYPE_VERSION} is simulated")
        return {"name": name, "value": "AWS_NATIVE"}

    def _describe_repositories(self, request: Message, _now: datetime) -> Message:
        names = request.get("repositoryNames")
        more: dict[str, str] = {}
        if names is None:
            most = self.settings.page_size
            names, more = page(
                "DescribeRepositories", sorted(self.repositories), request, most=most
            )
        else:
            refuse_paging("repositoryNames", names, request)
        repositories = [self._shapes.repository(self._listed(name)) for name in names]
        return {"repositories": repositories} | more

    def _describe_images(self, request: Message, now: datetime) -> Message:
        repository = self._opened(request)
        asked = request.get("imageIds")
        more: dict[str, str] = {}
        if asked is None:
            wanted = request.get("filter", {})
            selected = (image for image in repository.images.values() if _passes(image, wanted))
            digests = sorted(image.digest for image in selected)
            digests, more = page(
                f"DescribeImages {repository.name} {wanted}",
                digests,
                request,
                most=self.settings.page_size,
                shifts=repository.shifts,
            )
        else:
            refuse_paging("imageIds", asked, request)
            digests = [self._image(repository, identifier).digest for identifier in asked]
        details = [self._shapes.image(repository, repository.images[it], now) for it in digests]
        return {"imageDetails": details} | more

    def _describe_image_scan_findings(self, request: Message, now: datetime) -> Message:
        repository = self._opened(request)
        image = self._image(repository, request["imageId"])
        scan = image.last_scan
        is_enhanced = self.settings.scan_type == "ENHANCED"
        # Results of basic scans are unavailable after a change to enhanced scanning.
        if scan is None or (is_enhanced and image.inspector is None):
            raise ecr_errors.scan_not_found(
                request["imageId"], repository.name, self.settings.account
            )
        answer = self._shapes.of_image(repository, image, request["imageId"])
        if is_enhanced:
            return answer | self._enhanced(repository, image, scan, request)
        answer["imageScanStatus"] = ecr_shapes.scan_status(scan, now)
        if not ecr_shapes.is_complete(scan, now):
            return answer
        by_key = {f"{n:06}": finding for n, finding in enumerate(scan.result.findings)}
        scope = f"DescribeImageScanFindings {repository.name} {image.digest}"
        keys, more = page(scope, list(by_key), request)
        findings = [ecr_shapes.finding(by_key[key]) for key in keys]
        answer["imageScanFindings"] = ecr_shapes.findings_summary(scan) | {"findings": findings}
        return answer | more

    def _enhanced(
        self, repository: Repository, image: Image, scan: Scan, request: Message
    ) -> Message:
        """Return status and findings of an image that Amazon Inspector has scanned."""
        found = self._inspector.findings(image, scan)
        scope = f"DescribeImageScanFindings {repository.name} {image.digest}"
        names, more = page(scope, sorted(found), request)
        findings = [self._inspector.finding(repository, image, found[name]) for name in names]
        # An empty list is that of basic findings.
        listed = {"enhancedFindings": findings} if found else {"findings": []}
        return {
            "imageScanStatus": self._inspector.status(image),
            "imageScanFindings": self._inspector.summary(image, scan) | listed,
            **more,
        }

    def _start_image_scan(self, request: Message, now: datetime) -> Message:
        if self.settings.scan_type == "ENHANCED":
            raise ecr_errors.enhanced_scanning()
        repository = self._opened(request)
        image = self._image(repository, request["imageId"])
        if image.vanishes:
            # A new dict, because another thread may be iterating over the old one.
            repository.images = {
                digest: it for digest, it in repository.images.items() if it is not image
            }
            image = self._image(repository, request["imageId"])
        _refuse_unscannable(image)
        self._refuse_over_quota(image, now)
        is_endless = image.next_result.status == "PENDING"
        ends_at = NEVER if is_endless else now + self.settings.scan_duration
        scan = Scan(now, ends_at, image.next_result)
        image.last_scan = scan
        self._recent_starts.append(now)
        self._started[repository.name, image.digest] += 1
        order = (
            self._started.total()
        )  # of two scans that end at the same time, the first started ends first
        if not is_endless:
            ends = (ends_at, order, repository.name, image, scan)
            heapq.heappush(self._scans_under_way, ends)
        answer = self._shapes.of_image(repository, image, request["imageId"])
        return answer | {"imageScanStatus": {"status": "IN_PROGRESS"}}

    def _batch_get_image(self, request: Message, now: datetime) -> Message:
        repository = self._opened(request)
        answer: Message = {"images": [], "failures": []}
        for asked in request["imageIds"]:
            image = _find(repository, asked)
            if image is None:
                answer["failures"].append(
                    {
                        "imageId": asked,
                        "failureCode": "ImageNotFound",
                        "failureReason": "Requested image not found",
                    }
                )
                continue
            image.pulled_at = now
            told = {
                "imageManifest": ecr_shapes.manifest(image),
                "imageManifestMediaType": image.manifest_media_type,
            }
            answer["images"].append(self._shapes.of_image(repository, image, asked) | told)
        return answer

    def _throttle(self, operation: str, now: datetime) -> None:
        bucket = self._buckets.get(operation)
        if bucket is not None and not bucket.take(now):
            self._throttled[operation] += 1
            raise ecr_errors.rate_exceeded()

    def _raise_scripted_fault(self, operation: str, request: Message) -> None:
        name = request.get("repositoryName")
        repository = self.repositories.get(name or "")
        image = _find(repository, request.get("imageId", {})) if repository else None
        for fault in self._faults:
            if (
                fault.operation == operation
                and fault.repository in {None, name}
                and fault.digest in {None, image.digest if image else None}
                and fault.times != 0
                and not (fault.later_pages and "nextToken" not in request)
            ):
                if fault.times is not None:
                    fault.times -= 1
                if fault.code == "ThrottlingException":
                    self._throttled[operation] += 1
                raise EcrError(
                    fault.code, fault.message, 500 if fault.code == "ServerException" else 400
                )

    def _refuse_over_quota(self, image: Image, now: datetime) -> None:
        if image.last_scan is not None:
            begin = image.last_scan.begin_of_limit(self.settings.scan_limit_from, now)
            if now - begin < DAY:
                raise ecr_errors.image_quota_exceeded()
        while self._recent_starts and now - self._recent_starts[0] >= DAY:
            self._recent_starts.popleft()
        if len(self._recent_starts) >= self.settings.scans_per_day:
            raise ecr_errors.registry_quota_exceeded(self.settings.scans_per_day)

    def _listed(self, name: str) -> Repository:
        """Return a repository that a listing contains, also one that is deleted when opened."""
        if name not in self.repositories:
            raise ecr_errors.repository_not_found(name, self.settings.account)
        return self.repositories[name]

    def _opened(self, request: Message) -> Repository:
        """Return the repository of a request, or raise if it does not exist any more."""
        repository = self._listed(request["repositoryName"])
        if repository.vanishes:
            # A new dict, because another thread may be iterating over the old one.
            self.repositories = {
                name: it for name, it in self.repositories.items() if it is not repository
            }
        return self._listed(request["repositoryName"])

    def _image(self, repository: Repository, asked: Message) -> Image:
        if not asked.get("imageDigest") and not asked.get("imageTag"):
            refuse_parameter("imageId", "Member must have an imageDigest or an imageTag")
        image = _find(repository, asked)
        if image is None:
            raise ecr_errors.image_not_found(asked, repository.name, self.settings.account)
        return image


def _find(repository: Repository, asked: Message) -> Image | None:
    """Return the image with a digest, a tag, or both."""
    digest, tag = asked.get("imageDigest"), asked.get("imageTag")
    if digest is None:
        tagged = (image for image in repository.images.values() if tag in image.tags)
        return next(tagged, None)
    image = repository.images.get(digest)
    return image if image is not None and (tag is None or tag in image.tags) else None


def _passes(image: Image, wanted: Message) -> bool:
    """Apply the filter of DescribeImages, which lists active images by default."""
    tag_status = "TAGGED" if image.tags else "UNTAGGED"
    return wanted.get("tagStatus", "ANY") in {"ANY", tag_status} and wanted.get(
        "imageStatus", "ACTIVE"
    ) in {"ANY", ecr_shapes.image_status(image)}


def _refuse_unscannable(image: Image) -> None:
    if image.archived_at is not None:
        raise ecr_errors.image_archived()
    if image.manifest_media_type in {IMAGE_INDEX, MANIFEST_LIST}:
        raise ecr_errors.unsupported_image_type(image.manifest_media_type)
    artifact = image.artifact_media_type
    if artifact is not None and artifact not in SCANNABLE_ARTIFACTS:
        raise ecr_errors.unsupported_image_type(artifact)
