"""What the ledger knows of all images, read from the whole table.

The notes in baselines are left out: with them, reading takes five times as long.
"""

import gc
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.report.named_findings import NamedFindings, are_of_last_scan, has_found, of_last_scan
from ledger.attributes import Item, Key, plain
from ledger.changes import LISTS
from ledger.image_records import ImageRecord, image_record
from ledger.known_findings import (
    KnownFinding,
    KnownFindings,
    counts_apart,
    mentions,
    read_apart,
)
from ledger.notified_images import SLOTS, NotifiedImage, notified_image
from ledger.platforms import Child, child
from ledger.table import unavailable
from registry.findings import FindingKey, severity_rank
from reporting.channels.delivery import Channel
from reporting.text import visible

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SEGMENTS = 8  # of the table, read at the same time
_PARTITION = "repository#"
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError, zlib.error)
_KINDS = ("image", "child", "notified", "findings")
_NAMES = (
    *("pk", "sk"),
    # Of the record of an image; the second name of an attribute is that of version 0.3.0.
    *("last_scan", "last_attempt", "image_tags", "started_at", "started_by", "names_missing"),
    *("baseline.image_state", "baseline.standing", "baseline.notified_at", "baseline.told_at"),
    *("baseline.revision", "baseline.incident", "baseline.was_tagged"),
    # Of its findings, and of an image that an index lists.
    *("found", "revision", "scan_type", "expires_at", "platform", "tags"),
    *(f"{channel}_{slot}" for channel in Channel for slot in ("first", *range(SLOTS))),
)


@dataclass(frozen=True)
class WantedFindings:
    """Which findings are kept in memory.

    lowest: severity. names: vulnerabilities that are kept at any severity.
    mentioning: a vulnerability in lower case; the findings of images without it are not read.
    in_any_case: vulnerabilities in lower case, whose spelling is looked for.
    """

    lowest: str
    names: frozenset[str] = frozenset()
    mentioning: str = ""
    in_any_case: frozenset[str] = frozenset()

    def keeps(self, name: str, finding: KnownFinding) -> bool:
        """Return whether a finding is kept: also one that may be accepted, to be counted so."""
        return (
            severity_rank(finding.severity) <= severity_rank(self.lowest)
            or name in self.names
            or (bool(self.in_any_case) and name.casefold() in self.in_any_case)
            or finding.is_accepted
            or bool(self.mentioning)
        )


@dataclass
class Inventory:
    """All images of this registry in the ledger, by repository and digest.

    A record may be there without findings. Images of other accounts and Regions are left out.

    counts: of findings that are not read, because they do not mention what is looked for: all, and
        those accepted.
    searched: how many images have findings by name.
    unreadable: images of which an item cannot be read. read_units: as DynamoDB counts them.
    """

    records: dict[Key, ImageRecord] = field(default_factory=dict)
    findings: dict[Key, NamedFindings] = field(default_factory=dict)
    children: dict[Key, Child] = field(default_factory=dict)
    notified: dict[Key, NotifiedImage] = field(default_factory=dict)
    counts: dict[Key, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    searched: int = 0
    unreadable: list[str] = field(default_factory=list)
    read_units: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Return whether the ledger knows no image."""
        return not (self.records or self.searched)

    def record(self, key: Key) -> ImageRecord:
        """Return the record of an image; an empty one if there is none."""
        return self.records.get(key, ImageRecord(key[1]))

    def known_by_number(self, now: datetime) -> Iterator[Key]:
        """Name the images whose last scan has findings of which the names are not known.

        Those of which an item cannot be read are in `unreadable`.
        """
        unreadable = set(self.unreadable)
        for key, stored in self.records.items():
            record = stored.without_future(now)
            if not has_found(record) or "@".join(key) in unreadable:
                continue
            counts = self.counts.get(key)
            is_named = (
                are_of_last_scan(*counts, record)
                if counts
                else of_last_scan(self.findings.get(key), record) is not None
            )
            if not is_named:
                yield key

    def missing(self) -> Iterator[str]:
        """Say what could not be read, one sentence for each image."""
        yield from map(incomplete, self.unreadable)

    def add(self, other: "Inventory") -> None:
        """Add what another part of the table holds."""
        self.records |= other.records
        self.findings |= other.findings
        self.children |= other.children
        self.notified |= other.notified
        self.counts |= other.counts
        self.searched += other.searched
        self.unreadable += other.unreadable
        self.read_units += other.read_units


def incomplete(image: str) -> str:
    """Say that an item of an image cannot be read. image: repository@digest."""
    return f"What the ledger knows of {visible(image)} is incomplete: an item cannot be read."


def read_inventory(client: "DynamoDBClient", table: str, wanted: WantedFindings) -> Inventory:
    """Read the whole table; raise LedgerUnavailable if it does not answer."""
    inventory = Inventory()
    with ThreadPoolExecutor(SEGMENTS) as pool:
        parts = [_Part(client, table, wanted, number) for number in range(SEGMENTS)]
        for part in pool.map(_Part.read, parts):
            inventory.add(part)
    inventory.unreadable.sort()
    # What was read is kept to the end: looking for garbage in it doubles the time.
    gc.freeze()
    return inventory


class _Part:
    """The reading of one segment of the table."""

    def __init__(
        self, client: "DynamoDBClient", table: str, wanted: WantedFindings, segment: int
    ) -> None:
        self._client = client
        self._table = table
        self._wanted = wanted
        self._segment = segment
        self._found = Inventory()

    def read(self) -> Inventory:
        """Read the segment."""
        for item in self._items():
            kind, _, image_digest = item["sk"].partition("#")
            key = item["pk"].removeprefix(_PARTITION), image_digest
            # Digests name images in their sort keys, too.
            if kind not in _KINDS or key[0] == item["pk"]:
                continue
            # Of a registry elsewhere, account:region:name: its images cannot be listed.
            if ":" in key[0]:
                continue
            try:
                self._take(kind, key, item)
            except UNREADABLE:
                self._found.unreadable.append("@".join(key))
        return self._found

    def _items(self) -> Iterator[Item]:
        parts = {part for name in _NAMES for part in name.split(".")}
        request: Any = {
            "TableName": self._table,
            # DynamoDB reserves hundreds of words as names.
            "ProjectionExpression": ", ".join(f"#{name.replace('.', '.#')}" for name in _NAMES),
            "ExpressionAttributeNames": {f"#{part}": part for part in parts},
            "Segment": self._segment,
            "TotalSegments": SEGMENTS,
            "ReturnConsumedCapacity": "TOTAL",
        }
        with unavailable():
            for page in self._client.get_paginator("scan").paginate(**request):
                consumed = page.get("ConsumedCapacity", {})
                self._found.read_units += consumed.get("CapacityUnits", 0.0)
                yield from map(plain, page["Items"])

    def _take(self, kind: str, key: Key, item: Item) -> None:
        match kind:
            case "image":
                self._found.records[key] = _record(item)
            case "child":
                self._found.children[key] = child(item)
            case "notified":
                self._found.notified[key] = notified_image(item)
            case _:
                self._found.searched += 1
                # Few images have it, and reading all findings takes twenty times as long.
                wanted = self._wanted.mentioning
                if not wanted or mentions(item["found"], wanted):
                    self._found.findings[key] = self._named(item)
                else:
                    self._found.counts[key] = counts_apart(item["found"])

    def _named(self, item: Item) -> NamedFindings:
        known, changes = read_apart(item["found"])
        return NamedFindings(
            scan_type=item["scan_type"],
            since=known.since,
            counts=Counter(each.severity for each in known.findings.values()),
            kept={
                key: finding
                for key, finding in known.findings.items()
                if self._wanted.keeps(key[0], finding)
            },
            versions=_versions(known, changes),
        )


def _record(item: Item) -> ImageRecord:
    """Read the record of an image, whose baseline comes without its notes."""
    if baseline := item.get("baseline"):
        item = item | {"baseline": baseline | {"notes": []}}
    return image_record(item)


def _versions(known: KnownFindings, changes: Sequence[Any]) -> dict[FindingKey, str]:
    """Return the versions of packages as the newest change that names a finding has them."""
    return {
        (finding["name"], finding["package"]): finding["version"]
        for change in reversed(changes)
        for listed in LISTS
        for finding in change["by_name"][listed]
        if finding["version"] and (finding["name"], finding["package"]) in known.findings
    }
