"""Which images have a vulnerability, by the findings that the ledger keeps of each.

Read on demand, from the whole table. An index by vulnerability would cost a write per finding
instead of one per image and change.
"""

import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

from ledger.changes import LISTS
from ledger.image_records import ImageRecord, image_key, image_record
from ledger.known_findings import KnownFindings, UnreadableFindings, known_findings, mentions
from ledger.platforms import child, child_key
from ledger.table import Item, Key, Table
from registry.findings import FindingKey

SEGMENTS = 8  # of the table, read at the same time
_PARTITION, _FINDINGS = "repository#", "findings#"


@dataclass(frozen=True)
class AffectedFinding:
    """A finding of the vulnerability.

    version: of the package, where one of the last changes names it; else empty.
    first_seen: with is_seen_later, it may have been there before that day.
    """

    name: str
    package: str
    severity: str
    version: str
    first_seen: date
    is_seen_later: bool
    is_accepted: bool


@dataclass(frozen=True)
class AffectedImage:
    """An image that had the vulnerability at its last scan.

    repository: of this registry, or account:region:name of one elsewhere.
    scanned_at, scan_type: of the last scan; absent where the record of the image has expired.
    notified_at: when a notification about the image was last sent, or it was first seen.
    is_monitored: whether Amazon Inspector scans the image, where it ever has.
    has_incident: an incident of the image is open in PagerDuty.
    """

    repository: str
    image_digest: str
    findings: tuple[AffectedFinding, ...]
    tags: tuple[str, ...] = ()
    platform: str | None = None
    scanned_at: datetime | None = None
    scan_type: str | None = None
    notified_at: datetime | None = None
    is_monitored: bool = True
    has_incident: bool = False


@dataclass(frozen=True)
class AffectedImages:
    """All images that have a vulnerability, by repository and digest.

    searched: how many images have findings by name. unreadable: those whose findings could not be
    read. read_units: what DynamoDB has counted.
    """

    images: tuple[AffectedImage, ...]
    searched: int
    unreadable: tuple[str, ...]
    read_units: float


def affected_images(table: Table, vulnerability: str) -> AffectedImages:
    """Find the images that have a vulnerability, by its name in any case.

    Raises LedgerUnavailable.
    """
    wanted = vulnerability.casefold()
    with ThreadPoolExecutor(max_workers=SEGMENTS) as pool:
        parts = list(pool.map(lambda segment: _searched(table, segment, wanted), range(SEGMENTS)))
    found = {key: known for part in parts for key, known in part.found.items()}
    return AffectedImages(
        images=tuple(sorted(_joined(table, found, wanted), key=_name)),
        searched=sum(part.searched for part in parts),
        unreadable=tuple(sorted(name for part in parts for name in part.unreadable)),
        read_units=sum(part.read_units for part in parts),
    )


@dataclass(frozen=True)
class _Part:
    found: dict[Key, KnownFindings]
    searched: int
    unreadable: list[str]
    read_units: float


def _searched(table: Table, segment: int, wanted: str) -> _Part:
    found: dict[Key, KnownFindings] = {}
    unreadable: list[str] = []
    searched, read_units = 0, 0.0
    for items, units in table.scan(_FINDINGS, segment=segment, segments=SEGMENTS):
        read_units += units
        for item in items:
            key = item["pk"].removeprefix(_PARTITION), item["sk"].removeprefix(_FINDINGS)
            searched += 1
            try:
                # Few images have it, and reading all findings takes twenty times as long.
                if mentions(item["found"], wanted):
                    found[key] = known_findings(item)
            except (UnreadableFindings, ValueError, TypeError, KeyError, zlib.error):
                unreadable.append("@".join(key))
    return _Part(found, searched, unreadable, read_units)


def _joined(table: Table, found: dict[Key, KnownFindings], wanted: str) -> Iterable[AffectedImage]:
    findings = {key: _findings_of(known, wanted) for key, known in found.items()}
    affected = {key: each for key, each in findings.items() if each}
    keys = [make(*key) for key in affected for make in (image_key, child_key)]
    items = {(item["pk"], item["sk"]): item for item in table.get_many(keys)}
    for key, each in affected.items():
        yield _image(key, each, items.get(image_key(*key)), items.get(child_key(*key)))


def _findings_of(known: KnownFindings, wanted: str) -> tuple[AffectedFinding, ...]:
    return tuple(
        AffectedFinding(
            name=name,
            package=package,
            severity=each.severity,
            version=_version(known, (name, package)),
            first_seen=each.first_seen,
            is_seen_later=each.first_seen <= known.since,
            is_accepted=each.is_accepted,
        )
        for (name, package), each in known.findings.items()
        if name.casefold() == wanted
    )


def _version(known: KnownFindings, key: FindingKey) -> str:
    """Return the version of a package as the newest change that names the finding has it."""
    named = (
        finding.version
        for change in known.changes
        for listed in LISTS
        for finding in getattr(change.by_name, listed)
        if finding.key == key
    )
    return next(filter(None, named), "")


def _image(
    key: Key, findings: tuple[AffectedFinding, ...], item: Item | None, index: Item | None
) -> AffectedImage:
    repository, image_digest = key
    record = image_record(item) if item else ImageRecord(image_digest)
    of, scan, baseline = child(index) if index else None, record.last_scan, record.baseline
    return AffectedImage(
        repository=repository,
        image_digest=image_digest,
        findings=findings,
        tags=record.image_tags or (of.tags if of else ()),
        platform=of.platform if of else None,
        scanned_at=scan.scanned_at if scan else None,
        scan_type=scan.scan_type if scan else None,
        notified_at=baseline.notified_at if baseline else None,
        is_monitored=baseline.image_state.is_monitored if baseline else True,
        has_incident=bool(baseline and baseline.incident),
    )


def _name(image: AffectedImage) -> Key:
    return image.repository, image.image_digest
