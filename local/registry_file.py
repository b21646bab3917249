"""The file that describes a registry, written and read by people: local/README.md explains it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from local import checked_yaml
from local.checked_yaml import RegistryFileError, Value
from local.registry_contents import (
    HELM_CONFIG,
    IMAGE_CONFIG,
    IMAGE_INDEX,
    IMAGE_MANIFEST,
    IN_TOTO,
    Fault,
    Finding,
    Image,
    RegistrySettings,
    Repository,
    Scan,
    ScanResult,
    ScanStatus,
    ScanType,
    Severity,
    Throttle,
    digest_of,
)
from local.simulated_registry import SimulatedRegistry

__all__ = ["RegistryFileError", "load", "parse"]

REGISTRY_KEYS = (
    "account",
    "region",
    "scanning",
    "scan_duration",
    "scan_hints",
    "scans_per_day",
    "latency",
    "throttling",
    "faults",
    "repositories",
)
REPOSITORY_KEYS = ("name", "count", "created", "vanishes", "faults", "images")
IMAGE_KEYS = (
    "tags",
    "count",
    "kind",
    "platforms",
    "pushed",
    "pulled",
    "archived",
    "size_mb",
    "scanned",
    "last_result",
    "last_findings",
    "result",
    "findings",
    "reason",
    "signed",
    "attested",
    "vanishes",
    "faults",
)
# What can fail: for one image, for a repository, for the registry.
IMAGE_OPERATIONS = ("DescribeImageScanFindings", "StartImageScan")
REPOSITORY_OPERATIONS = ("DescribeImages", *IMAGE_OPERATIONS)
OPERATIONS = ("GetRegistryScanningConfiguration", "DescribeRepositories", *REPOSITORY_OPERATIONS)
SEVERITIES = ("critical", "high", "medium", "low", "informational", "undefined")
RESULTS: dict[str, tuple[ScanStatus, str]] = {
    "complete": ("COMPLETE", "The scan was completed successfully."),
    "failed": ("FAILED", "The scan could not be completed."),
    "unsupported": (
        "UNSUPPORTED_IMAGE",
        "UnsupportedImageError: The operating system and/or package manager are not supported.",
    ),
}
FAULT_KEYS = ("operation", "error", "message", "times")
MEDIA_TYPES: dict[str, tuple[str, str | None]] = {
    "image": (IMAGE_MANIFEST, IMAGE_CONFIG),
    "docker": (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
    ),
    "index": (IMAGE_INDEX, None),
    "helm": (IMAGE_MANIFEST, HELM_CONFIG),
}
PACKAGES = ("openssl", "glibc", "zlib", "curl", "busybox", "libxml2", "expat", "krb5")
# ECR's own pattern, with each separator tried once so that a long wrong name is refused quickly.
_WORD = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
REPOSITORY_NAME = rf"(?=.{{2,256}}$){_WORD}(?:/{_WORD})*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,299}"
MOST_IMAGES = 200_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


def load(path: Path | str, *, now: Callable[[], datetime] = _utc_now) -> SimulatedRegistry:
    """Fill a registry from a file."""
    return parse(checked_yaml.read(Path(path)), name=str(path), now=now)


def parse(
    text: str, *, name: str = "registry.yaml", now: Callable[[], datetime] = _utc_now
) -> SimulatedRegistry:
    """Fill a registry from the text of a file; ages in it count back from now."""
    return _Reader(now()).registry(checked_yaml.compose(text, name), now)


class _Reader:
    """One reading of one file: collects what stands in different places of it."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._faults: list[Fault] = []
        self._image_count = 0

    def registry(self, file: Value, now: Callable[[], datetime]) -> SimulatedRegistry:
        members = file.members("a registry", REGISTRY_KEYS)
        if "repositories" not in members:
            file.refuse("has no `repositories`. Write a list of them, `[]` for none.")
        settings = _settings(members)
        if "faults" in members:
            self._read_faults(members["faults"], OPERATIONS)
        repositories: dict[str, Repository] = {}
        for entry in members["repositories"].items():
            for repository in self._repositories(entry):
                if repository.name in repositories:
                    entry.refuse(f"makes a second repository {repository.name!r}.")
                repositories[repository.name] = repository
        return SimulatedRegistry(repositories.values(), settings, self._faults, now=now)

    def _repositories(self, entry: Value) -> Iterator[Repository]:
        members = entry.members("a repository", REPOSITORY_KEYS)
        if "name" not in members:
            entry.refuse("has no `name`.")
        count = _count(members)
        created = self._times(members, "created", count, default=timedelta(days=365))
        for n in range(count):
            accepted = f"a repository name such as team/api, and {{n}} in it when count is {count}"
            name = members["name"].matching(REPOSITORY_NAME, accepted, n + 1)
            repository = Repository(
                name, created[n] or self._now, vanishes=_flag(members, "vanishes")
            )
            if "faults" in members:
                self._read_faults(members["faults"], REPOSITORY_OPERATIONS, name)
            if "images" in members:
                self._fill(repository, members["images"])
            yield repository

    def _fill(self, repository: Repository, entries: Value) -> None:
        tagged: set[str] = set()
        for position, entry in enumerate(entries.items()):
            members = entry.members("an image", IMAGE_KEYS)
            for image in self._images(repository.name, position, members):
                if not tagged.isdisjoint(image.tags):
                    entry.refuse(
                        f"puts the tag {sorted(tagged.intersection(image.tags))[0]!r} "
                        f"on a second image of {repository.name}. With count, write {{n}} in tags."
                    )
                tagged.update(image.tags)
                repository.images[image.digest] = image
                self._image_count += 1
                if self._image_count > MOST_IMAGES:
                    entry.refuse(f"makes more than {MOST_IMAGES} images in one file.")

    def _images(self, repository: str, position: int, members: dict[str, Value]) -> Iterator[Image]:
        count = _count(members)
        kind = _choice(members, "kind", tuple(MEDIA_TYPES), default="image")
        scanned = self._times(members, "scanned", count, default=None)
        pushed = self._times(members, "pushed", count, default=timedelta(days=30))
        pulled = self._times(members, "pulled", count, default=None)
        archived = self._times(members, "archived", count, default=None)
        result, last_result = _results(members)
        for n in range(count):
            tags = _tags(members, n + 1)
            label = tags[0] if tags else f"{position}.{n}"
            digest = digest_of(repository, label)
            last_scan = scanned[n]
            image = Image(
                digest,
                pushed_at=_earliest(pushed[n], last_scan, self._now),
                tags=tags,
                size_in_bytes=_number(members, "size_mb", 1, 100_000, default=80) * 1_000_000,
                manifest_media_type=MEDIA_TYPES[kind][0],
                artifact_media_type=MEDIA_TYPES[kind][1],
                pulled_at=pulled[n],
                archived_at=archived[n],
                last_scan=Scan(last_scan, last_scan, last_result) if last_scan else None,
                next_result=result,
                vanishes=_flag(members, "vanishes"),
            )
            made = [image]
            if kind == "index":
                image.last_scan = None
                for platform in range(_number(members, "platforms", 0, 100, default=2)):
                    child = replace(
                        image,
                        digest=digest_of(repository, f"{label} platform {platform}"),
                        tags=(),
                        manifest_media_type=IMAGE_MANIFEST,
                        artifact_media_type=IMAGE_CONFIG,
                        last_scan=Scan(last_scan, last_scan, last_result) if last_scan else None,
                    )
                    made.append(child)
            if "faults" in members:
                for target in made:
                    self._read_faults(
                        members["faults"], IMAGE_OPERATIONS, repository, target.digest
                    )
            yield from made
            yield from _companions(image, repository, members)

    def _times(
        self, members: dict[str, Value], key: str, count: int, *, default: timedelta | None
    ) -> list[datetime | None]:
        ages = members[key].durations(count) if key in members else [default] * count
        return [None if age is None else self._now - age for age in ages]

    def _read_faults(
        self,
        faults: Value,
        operations: tuple[str, ...],
        repository: str | None = None,
        digest: str | None = None,
    ) -> None:
        for fault in faults.items():
            members = fault.members("a fault", FAULT_KEYS)
            for key in ("operation", "error"):
                if key not in members:
                    fault.refuse(f"has no `{key}`.")
            code = members["error"].matching(r"[A-Za-z]+", "an error code such as ServerException")
            self._faults.append(
                Fault(
                    members["operation"].choice(operations),
                    code,
                    members["message"].text() if "message" in members else f"Scripted {code}",
                    repository,
                    digest,
                    members["times"].number(1, 1_000_000) if "times" in members else None,
                )
            )


def _settings(members: dict[str, Value]) -> RegistrySettings:
    given: dict[str, Any] = {}
    if "account" in members:
        given["account"] = members["account"].matching(r"\d{12}", "an account id of 12 digits")
    if "region" in members:
        given["region"] = members["region"].matching(
            r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1"
        )
    if "scanning" in members:
        given["scan_type"] = cast("ScanType", members["scanning"].choice(("BASIC", "ENHANCED")))
    if "scan_hints" in members:
        given["scan_hints"] = members["scan_hints"].flag()
    if "scans_per_day" in members:
        given["scans_per_day"] = members["scans_per_day"].number(0, 100_000_000)
    given |= {
        key: members[key].duration() for key in ("scan_duration", "latency") if key in members
    }
    if "throttling" in members:
        limits = members["throttling"].members("throttling", OPERATIONS)
        given["throttling"] = {name: _throttle(limit) for name, limit in limits.items()}
    return RegistrySettings(**given)


def _throttle(limit: Value) -> Throttle:
    members = limit.members("a throttle", ("rate", "burst"))
    for key in ("rate", "burst"):
        if key not in members:
            limit.refuse(f"has no `{key}`. Write {{rate: calls a second, burst: calls at once}}.")
    return Throttle(members["rate"].rate(), members["burst"].number(1, 1_000_000))


def _results(members: dict[str, Value]) -> tuple[ScanResult, ScanResult]:
    """Read how the next scan ends and how the last one did, which is the same unless said."""
    end = _choice(members, "result", tuple(RESULTS), default="complete")
    last_end = _choice(members, "last_result", tuple(RESULTS), default=end)
    findings = _findings(members, "findings")
    last_findings = _findings(members, "last_findings") if "last_findings" in members else findings
    reason = members["reason"].text() if "reason" in members else None
    return _result(end, findings, reason), _result(last_end, last_findings, reason)


def _result(end: str, findings: tuple[Finding, ...], reason: str | None) -> ScanResult:
    status, description = RESULTS[end]
    if status == "COMPLETE":
        return ScanResult(status, description, findings)
    return ScanResult(status, reason or description)


def _findings(members: dict[str, Value], key: str) -> tuple[Finding, ...]:
    if key not in members:
        return ()
    given = members[key].members("findings", (*SEVERITIES, "cves"))
    named = [_cve(cve) for cve in given["cves"].items()] if "cves" in given else []
    counted = [
        Finding(
            f"CVE-2025-{10_000 * (rank + 1) + n}",
            cast("Severity", severity.upper()),
            PACKAGES[n % len(PACKAGES)],
            f"1.{n}.0",
        )
        for rank, severity in enumerate(SEVERITIES)
        for n in range(_number(given, severity, 0, 9_999, default=0))
    ]
    return (*named, *counted)


def _cve(cve: Value) -> Finding:
    keys = ("name", "severity", "package", "version")
    members = cve.members("a CVE", keys)
    for key in keys:
        if key not in members:
            cve.refuse(f"has no `{key}`. A CVE has {', '.join(keys)}.")
    return Finding(
        members["name"].text(),
        cast("Severity", members["severity"].choice(SEVERITIES).upper()),
        members["package"].text(),
        members["version"].text(),
    )


def _companions(image: Image, repository: str, members: dict[str, Value]) -> Iterator[Image]:
    """Make what supply chain tools push beside an image: a cosign signature, an attestation."""
    if _flag(members, "signed"):
        tag = image.digest.replace(":", "-") + ".sig"
        yield Image(digest_of(repository, tag), image.pushed_at, (tag,), size_in_bytes=1_000)
    if _flag(members, "attested"):
        yield Image(
            digest_of(repository, f"attestation of {image.digest}"),
            image.pushed_at,
            size_in_bytes=10_000,
            artifact_media_type=IN_TOTO,
            subject_digest=image.digest,
        )


def _tags(members: dict[str, Value], n: int) -> tuple[str, ...]:
    if "tags" not in members:
        return ()
    tags = members["tags"]
    each = tags.items() if tags.is_list else iter([tags])
    accepted = "a tag (letters, digits, _ . -), where {n} is the number of the image"
    return tuple(tag.matching(TAG, accepted, n) for tag in each)


def _earliest(pushed: datetime | None, scanned: datetime | None, now: datetime) -> datetime:
    return min(pushed or now, scanned or now)


def _count(members: dict[str, Value]) -> int:
    return _number(members, "count", 1, 100_000, default=1)


def _number(members: dict[str, Value], key: str, least: int, most: int, *, default: int) -> int:
    return members[key].number(least, most) if key in members else default


def _flag(members: dict[str, Value], key: str) -> bool:
    return key in members and members[key].flag()


def _choice(members: dict[str, Value], key: str, choices: tuple[str, ...], *, default: str) -> str:
    return members[key].choice(choices) if key in members else default
