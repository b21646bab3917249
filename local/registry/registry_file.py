"""The file that describes a registry. local/README.md documents it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from local.registry import checked_yaml
from local.registry.checked_yaml import Members, RegistryFileError, Value
from local.registry.ecr_paging import LARGEST_SIZE
from local.registry.registry_contents import (
    HELM_CONFIG,
    IMAGE_CONFIG,
    IMAGE_INDEX,
    IMAGE_MANIFEST,
    IN_TOTO,
    NEVER,
    Fault,
    Finding,
    Image,
    InspectorState,
    RegistrySettings,
    Repository,
    Scan,
    ScanPart,
    ScanResult,
    ScanStatus,
    ScanType,
    Severity,
    Throttle,
    digest_of,
)
from local.registry.simulated_registry import SimulatedRegistry, utc_now

__all__ = ["RegistryFileError", "load", "parse"]

REGISTRY_KEYS = (
    "account",
    "region",
    "scanning",
    "scan_duration",
    "scan_hints",
    "scans_per_day",
    "scan_limit_from",
    "page_size",
    "latency",
    "throttling",
    "faults",
    "parameters",  # of the stack; local/cloud/stack_parameters.py reads them
    "repositories",
)
REPOSITORY_KEYS = ("name", "count", "created", "vanishes", "shifts", "faults", "images")
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
    "later",
    "result",
    "findings",
    "reason",
    "signed",
    "attested",
    "vanishes",
    "faults",
    "inspector",
)
# Operations that can fail: for an image, a repository, the registry.
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
    "too_large": ("IMAGE_SIZE_EXCEEDED", "The image is larger than the limit of basic scans."),
    "pending": ("PENDING", "Pending start of the image scan."),
}
CVE_KEYS = ("name", "severity", "package", "version")
INSPECTOR_STATES = ("active", "expires", "expired", "returns")
FAULT_KEYS = ("operation", "error", "message", "times", "later_pages")
MEDIA_TYPES: dict[str, tuple[str, str | None]] = {
    "image": (IMAGE_MANIFEST, IMAGE_CONFIG),
    "docker": (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
    ),
    "index": (IMAGE_INDEX, None),
    "helm": (IMAGE_MANIFEST, HELM_CONFIG),
}
PLATFORMS = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/386",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/mips64le",
    "windows/amd64",
)
PACKAGES = ("openssl", "glibc", "zlib", "curl", "busybox", "libxml2", "expat", "krb5")
# ECR's pattern, without its backtracking, which is slow for long invalid names.
_WORD = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
REPOSITORY_NAME = rf"(?=.{{2,256}}$){_WORD}(?:/{_WORD})*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,299}"
MOST_IMAGES = 200_000


def load(path: Path | str, *, now: Callable[[], datetime] = utc_now) -> SimulatedRegistry:
    """Return the registry in a file."""
    return parse(checked_yaml.read(Path(path)), name=str(path), now=now)


def parse(
    text: str, *, name: str = "registry.yaml", now: Callable[[], datetime] = utc_now
) -> SimulatedRegistry:
    """Return the registry in the text of a file; ages count back from now."""
    return _Reader(now()).registry(checked_yaml.compose(text, name), now)


class _Reader:
    """One reading of one file, which collects what several entries define."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._faults: list[Fault] = []
        self._image_count = 0

    def registry(self, file: Value, now: Callable[[], datetime]) -> SimulatedRegistry:
        members = file.members("a registry", REGISTRY_KEYS, required=("repositories",))
        self._read_faults(members, OPERATIONS)
        repositories: dict[str, Repository] = {}
        for entry in members["repositories"].items():
            for repository in self._repositories(entry):
                if repository.name in repositories:
                    entry.refuse(f"makes a second repository {repository.name!r}.")
                repositories[repository.name] = repository
        return SimulatedRegistry(repositories.values(), _settings(members), self._faults, now=now)

    def _repositories(self, entry: Value) -> Iterator[Repository]:
        members = entry.members("a repository", REPOSITORY_KEYS, required=("name",))
        count = members.read("count", _count, 1)
        accepted = f"a repository name such as team/api, and {{n}} in it when count is {count}"
        created = members.read("created", Value.duration, timedelta(days=365))
        for n in range(1, count + 1):
            repository = Repository(
                members["name"].matching(REPOSITORY_NAME, accepted, n),
                self._now - created,
                vanishes=members.read("vanishes", Value.flag, default=False),
                shifts=members.read("shifts", Value.flag, default=False),
            )
            self._read_faults(members, REPOSITORY_OPERATIONS, repository.name)
            if "images" in members:
                self._fill(repository, members["images"])
            yield repository

    def _fill(self, repository: Repository, entries: Value) -> None:
        tagged: set[str] = set()
        for position, entry in enumerate(entries.items()):
            members = entry.members("an image", IMAGE_KEYS)
            for image in self._images(repository.name, f"untagged {position}", members):
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

    def _images(self, repository: str, untagged: str, members: Members) -> Iterator[Image]:
        count = members.read("count", _count, 1)
        kind = members.read("kind", lambda value: value.choice(tuple(MEDIA_TYPES)), "image")
        manifest, artifact = MEDIA_TYPES[kind]
        pushed = self._times(members, "pushed", count, timedelta(days=30))
        pulled = self._times(members, "pulled", count)
        archived = self._times(members, "archived", count)
        scanned = self._times(members, "scanned", count)
        result, last_result = _results(members)
        for n in range(count):
            tags = _tags(members, n + 1)
            label = tags[0] if tags else f"{untagged} {n}"
            ended = scanned[n]
            is_endless = last_result.status == "PENDING"
            ends_at = NEVER if is_endless else ended
            last_scan = Scan(ended, ends_at, last_result) if ended and ends_at else None
            image = Image(
                digest_of(repository, label),
                pushed_at=min(pushed[n] or self._now, ended or self._now),
                tags=tags,
                size_in_bytes=members.read("size_mb", _size, 80) * 1_000_000,
                manifest_media_type=manifest,
                artifact_media_type=artifact,
                pulled_at=pulled[n],
                archived_at=archived[n],
                last_scan=None if kind == "index" else last_scan,
                next_result=result,
                vanishes=members.read("vanishes", Value.flag, default=False),
                inspector=members.read("inspector", _inspector, None),
            )
            platforms = members.read("platforms", _platforms, 2) if kind == "index" else 0
            listed = [
                digest_of(repository, f"{label} platform {platform}")
                for platform in range(platforms)
            ]
            image.lists = dict(zip(listed, PLATFORMS, strict=False))
            made = [image] + [
                replace(
                    image,
                    digest=digest,
                    lists={},
                    tags=(),
                    manifest_media_type=IMAGE_MANIFEST,
                    artifact_media_type=IMAGE_CONFIG,
                    last_scan=last_scan,
                )
                for digest in listed
            ]
            for target in made:
                self._read_faults(members, IMAGE_OPERATIONS, repository, target.digest)
            yield from made
            yield from _companions(image, repository, members)

    def _times(
        self, members: Members, key: str, count: int, default: timedelta | None = None
    ) -> list[datetime | None]:
        ages = members.read(key, lambda value: value.durations(count), [default] * count)
        return [None if age is None else self._now - age for age in ages]

    def _read_faults(
        self,
        members: Members,
        operations: tuple[str, ...],
        repository: str | None = None,
        digest: str | None = None,
    ) -> None:
        if "faults" not in members:
            return
        for entry in members["faults"].items():
            fault = entry.members("a fault", FAULT_KEYS, required=("operation", "error"))
            code = fault["error"].matching(r"[A-Za-z]+", "an error code such as ServerException")
            self._faults.append(
                Fault(
                    fault["operation"].choice(operations),
                    code,
                    fault.read("message", Value.text, f"Scripted {code}"),
                    repository,
                    digest,
                    fault.read("times", _times_of_fault, None),
                    fault.read("later_pages", Value.flag, default=False),
                )
            )


def _settings(members: Members) -> RegistrySettings:
    default = RegistrySettings()
    return RegistrySettings(
        account=members.read("account", _account, default.account),
        region=members.read("region", _region, default.region),
        scan_type=members.read("scanning", _scan_type, default.scan_type),
        scan_duration=members.read("scan_duration", Value.duration, default.scan_duration),
        scans_per_day=members.read("scans_per_day", _quota, default.scans_per_day),
        throttling=members.read("throttling", _throttling, default.throttling),
        scan_limit_from=members.read("scan_limit_from", _scan_part, default.scan_limit_from),
        page_size=members.read("page_size", _page_size, default.page_size),
        scan_hints=members.read("scan_hints", Value.flag, default.scan_hints),
        latency=members.read("latency", Value.duration, default.latency),
    )


def _account(value: Value) -> str:
    return value.matching(r"\d{12}", "an account id of 12 digits")


def _region(value: Value) -> str:
    return value.matching(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1")


def _scan_type(value: Value) -> ScanType:
    return cast("ScanType", value.choice(("BASIC", "ENHANCED")))


def _inspector(value: Value) -> InspectorState:
    return cast("InspectorState", value.choice(INSPECTOR_STATES))


def _scan_part(value: Value) -> ScanPart:
    return cast("ScanPart", value.choice(("start", "end")))


def _page_size(value: Value) -> int:
    return value.number(1, LARGEST_SIZE)


def _quota(value: Value) -> int:
    return value.number(0, 100_000_000)


def _count(value: Value) -> int:
    return value.number(1, 100_000)


def _platforms(value: Value) -> int:
    return value.number(0, 100)


def _size(value: Value) -> int:
    return value.number(1, 100_000)


def _times_of_fault(value: Value) -> int:
    return value.number(1, 1_000_000)


def _throttling(value: Value) -> dict[str, Throttle]:
    return {
        operation: _throttle(limit)
        for operation, limit in value.members("throttling", OPERATIONS).items()
    }


def _throttle(limit: Value) -> Throttle:
    keys = ("rate", "burst")
    members = limit.members("a throttle", (*keys, "others"), required=keys)
    burst = members["burst"].number(1, 1_000_000)
    return Throttle(members["rate"].rate(), burst, members.read("others", Value.rate, 0))


def _results(members: Members) -> tuple[ScanResult, ScanResult]:
    """Read the results of the next scan and of the last one, which default to the same."""
    end = members.read("result", _end, "complete")
    last_end = members.read("last_result", _end, end)
    findings = members.read("findings", _findings, ())
    last_findings = members.read("last_findings", _findings, findings)
    members.read("later", _findings, ())  # local/demo/weeks.py uses them in a later week
    reason = members.read("reason", Value.text, None)
    return _result(end, findings, reason), _result(last_end, last_findings, reason)


def _end(value: Value) -> str:
    return value.choice(tuple(RESULTS))


def _result(end: str, findings: tuple[Finding, ...], reason: str | None) -> ScanResult:
    status, description = RESULTS[end]
    if status == "COMPLETE":
        return ScanResult(status, description, findings)
    return ScanResult(status, reason or description)


def _findings(value: Value) -> tuple[Finding, ...]:
    members = value.members("findings", (*SEVERITIES, "cves"))
    named = [_cve(cve) for cve in members["cves"].items()] if "cves" in members else []
    counted = [
        Finding(
            f"CVE-2025-{10_000 * (rank + 1) + n}",
            cast("Severity", severity.upper()),
            PACKAGES[n % len(PACKAGES)],
            f"1.{n}.0",
        )
        for rank, severity in enumerate(SEVERITIES)
        for n in range(members.read(severity, _finding_count, 0))
    ]
    return (*named, *counted)


def _finding_count(value: Value) -> int:
    return value.number(0, 9_999)


def _cve(cve: Value) -> Finding:
    members = cve.members("a CVE", (*CVE_KEYS, "fixed_in"), required=CVE_KEYS)
    return Finding(
        members["name"].text(),
        cast("Severity", members["severity"].choice(SEVERITIES).upper()),
        members["package"].text(),
        members["version"].text(),
        members.read("fixed_in", Value.text, ""),
    )


def _companions(image: Image, repository: str, members: Members) -> Iterator[Image]:
    """Return what supply chain tools push next to an image: signature and attestation."""
    if members.read("signed", Value.flag, default=False):
        tag = image.digest.replace(":", "-") + ".sig"
        yield Image(digest_of(repository, tag), image.pushed_at, (tag,), size_in_bytes=1_000)
    if members.read("attested", Value.flag, default=False):
        yield Image(
            digest_of(repository, f"attestation of {image.digest}"),
            image.pushed_at,
            size_in_bytes=10_000,
            artifact_media_type=IN_TOTO,
            subject_digest=image.digest,
        )


def _tags(members: Members, n: int) -> tuple[str, ...]:
    if "tags" not in members:
        return ()
    tags = members["tags"]
    each = tags.items() if tags.is_list else iter([tags])
    accepted = "a tag (letters, digits, _ . -), where {n} is the number of the image"
    return tuple(tag.matching(TAG, accepted, n) for tag in each)
