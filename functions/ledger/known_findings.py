"""The findings of each image by name, as the last scan whose names could be read left them.

Partition key ``repository#<name>``, sort key ``findings#<image digest>``, beside the record of the
image. The item holds what is there with the day it was first seen, what has gone for 30 days, and
the last five changes by the event that reported them, all in one compressed attribute: 500 findings
take 4 to 5 KB.
"""

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from ledger.attributes import Key
from ledger.changes import Cause, Change, FindingsChange
from ledger.image_records import ImageState
from ledger.table import Item, Table, Write
from registry.findings import SEVERITIES, FindingKey
from runtime.messages import decode, encode

REMEMBERED_FOR = timedelta(days=30)  # what has gone, so that it is back and not new
MOST_CHANGES = 5
LARGEST = 350 * 1024  # bytes; DynamoDB takes items of 400 KB
MOST_UNPACKED = (
    8 * 1024 * 1024
)  # bytes; a compressed attribute could hold a thousand times its size
_VERSION = 1
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class UnreadableFindings(Exception):
    """A findings item was written by a later version, or is damaged."""


class TooManyFindings(Exception):
    """The findings of an image do not fit an item."""


@dataclass(frozen=True)
class KnownFinding:
    """A finding that was there at the last scan.

    revision: of the baseline that brought it; 0 where it is not known.
    origin: the digest of the image whose baseline that was, if this image has taken its tag; empty
        for the image itself.
    """

    severity: str
    first_seen: date
    is_accepted: bool = False
    revision: int = 0
    origin: str = ""


@dataclass(frozen=True)
class GoneFinding:
    """A finding that has gone, at most 30 days ago."""

    severity: str
    first_seen: date
    gone_on: date


@dataclass(frozen=True)
class NotedChange:
    """What an event has changed, so that the same event names the same findings again.

    image_state: after the change. compared_with: the digest of the image that had the tag before.
    accepted: findings by severity that are accepted.
    """

    event_id: str
    change: Change
    image_state: ImageState
    by_name: FindingsChange
    cause: Cause | None = None
    compared_with: str | None = None
    accepted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownFindings:
    """The findings of one image.

    revision: of the baseline that was stored together with them.
    scan_type: BASIC or ENHANCED; the two name findings differently and are not compared.
    since: the day of the first scan that was read; what was seen then may be older.
    changes: newest first.
    expires_at: seconds since 1970, when DynamoDB may delete the item.
    """

    revision: int
    scan_type: str
    since: date
    findings: Mapping[FindingKey, KnownFinding] = field(default_factory=dict)
    gone: Mapping[FindingKey, GoneFinding] = field(default_factory=dict)
    changes: tuple[NotedChange, ...] = ()
    expires_at: int = 0

    def change_of(self, event_id: str) -> NotedChange | None:
        """Return what an event has changed, if it is one of the last few."""
        return next((each for each in self.changes if each.event_id == event_id), None)

    def handed_on(self, owner: str, heir: str) -> "KnownFindings":
        """Return the findings as another image has them, which is compared with their owner.

        owner, heir: image digests.
        """

        def origin(each: KnownFinding) -> str:
            came_with = each.origin or owner
            return "" if came_with == heir else came_with

        handed = {key: replace(each, origin=origin(each)) for key, each in self.findings.items()}
        return replace(self, findings=handed)

    def reduced_to(self, left: Mapping[FindingKey, KnownFinding], today: date) -> "KnownFindings":
        """Return only those findings that are left; the others have gone."""
        went = {
            key: GoneFinding(each.severity, each.first_seen, today)
            for key, each in self.findings.items()
            if key not in left
        }
        return replace(self, findings=dict(left), gone={**self.gone, **went})


def next_findings(
    now: Mapping[FindingKey, KnownFinding],
    before: KnownFindings | None,
    *,
    own: KnownFindings | None,
    noted: NotedChange,
    today: date,
    expires_at: int,
) -> KnownFindings:
    """Return the findings to store after a scan.

    before: what the scan was compared with, perhaps of the image that had the tag before. own: what
    is known of the image itself, whose changes are kept.
    """
    earlier, was_gone = (before.findings, before.gone) if before else (_NOTHING, _NOTHING)
    oldest = today - REMEMBERED_FOR
    gone = {
        key: each for key, each in was_gone.items() if key not in now and each.gone_on >= oldest
    } | {
        key: GoneFinding(each.severity, each.first_seen, today)
        for key, each in earlier.items()
        if key not in now
    }
    return KnownFindings(
        revision=0,
        scan_type=noted.image_state.scan_type or "",
        since=before.since if before else today,
        findings=dict(now),
        gone=gone,
        changes=(noted, *(own.changes if own else ()))[:MOST_CHANGES],
        expires_at=expires_at,
    )


def findings_key(repository: str, image_digest: str) -> Key:
    """Return the key of the item of an image's findings."""
    return f"repository#{repository}", f"findings#{image_digest}"


def known_findings(item: Item) -> KnownFindings:
    """Read an item; raises UnreadableFindings."""
    try:
        known = decoded(item["found"])
        return replace(
            known,
            revision=item["revision"],
            scan_type=item["scan_type"],
            expires_at=item["expires_at"],
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zlib.error) as error:
        raise UnreadableFindings(f"{item.get('pk')} {item.get('sk')}: {error!r}") from error


def to_store(
    table: Table, repository: str, image_digest: str, known: KnownFindings, *, revision: int
) -> Write:
    """Return the write that stores findings, unless those of a later baseline are stored.

    Raises TooManyFindings.
    """
    found = encoded(known)
    if len(found) > LARGEST:
        raise TooManyFindings(f"{repository}@{image_digest}: {len(found):,} bytes")
    return table.to_put(
        findings_key(repository, image_digest),
        {
            "revision": revision,
            "scan_type": known.scan_type,
            "found": found,
            "expires_at": known.expires_at,
        },
        when="attribute_not_exists(pk) OR revision < :revision",
        values={":revision": revision},
    )


def encoded(known: KnownFindings) -> bytes:
    """Compress the content of an item."""
    origins = ["", *sorted({each.origin for each in known.findings.values()} - {""})]
    content = [
        _VERSION,
        known.since.toordinal(),
        _by_package(
            {
                key: (
                    _coded(each.severity),
                    each.first_seen.toordinal(),
                    int(each.is_accepted),
                    each.revision,
                    origins.index(each.origin),
                )
                for key, each in known.findings.items()
            }
        ),
        _by_package(
            {
                key: (_coded(each.severity), each.first_seen.toordinal(), each.gone_on.toordinal())
                for key, each in known.gone.items()
            }
        ),
        [encode(each) for each in known.changes],
        origins,
    ]
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode())


def decoded(found: bytes) -> KnownFindings:
    """Read the content of an item; raises ValueError for one that this version cannot read."""
    known, changes = read_apart(found)
    return replace(known, changes=tuple(decode(NotedChange, each) for each in changes))


def read_apart(found: bytes) -> tuple[KnownFindings, list[Any]]:
    """Read the content of an item without its changes, and these as JSON. Raises ValueError.

    Changes take nine tenths of the time of reading an item.
    """
    version, since, present, gone, changes, origins = json.loads(_unpacked(found))
    if version != _VERSION:
        raise ValueError(f"version {version}, not {_VERSION}")
    day = date.fromordinal
    known = KnownFindings(
        revision=0,
        scan_type="",
        since=day(since),
        findings={
            (row[0], package): KnownFinding(
                _severity(row[1]), day(row[2]), bool(row[3]), row[4], origins[row[5]]
            )
            for package, rows in present.items()
            for row in rows
        },
        gone={
            (row[0], package): GoneFinding(_severity(row[1]), day(row[2]), day(row[3]))
            for package, rows in gone.items()
            for row in rows
        },
    )
    return known, changes


def counts_apart(found: bytes) -> tuple[Counter[str], Counter[str]]:
    """Count the findings of an item by severity: all, and the accepted ones. Raises ValueError.

    Six times as fast as reading the item.
    """
    content = _unpacked(found).decode()
    if not content.startswith(f"[{_VERSION},"):
        raise ValueError(f"not version {_VERSION}")
    present, _ = json.JSONDecoder().raw_decode(content, content.index("{"))
    rows = [(_severity(row[1]), row[3]) for rows in present.values() for row in rows]
    return Counter(each for each, _ in rows), Counter(each for each, accepted in rows if accepted)


def mentions(found: bytes, name: str) -> bool:
    """Return whether the content of an item may have a vulnerability; False is certain.

    name: in lower case. Raises ValueError, or zlib.error.
    """
    return json.dumps(name)[1:-1].encode() in _unpacked(found).lower()


def _unpacked(found: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(bytes(found), MOST_UNPACKED)
    if unpacking.unconsumed_tail:
        raise ValueError(f"more than {MOST_UNPACKED:,} bytes")
    if not unpacking.eof:
        raise ValueError("cut off")
    return content


def _by_package(rows: Mapping[FindingKey, tuple[object, ...]]) -> dict[str, list[list[object]]]:
    packages: dict[str, list[list[object]]] = {}
    for (name, package), row in sorted(rows.items()):
        packages.setdefault(package, []).append([name, *row])
    return packages


def _coded(severity: str) -> int | str:
    return SEVERITIES.index(severity) if severity in SEVERITIES else severity


def _severity(coded: int | str) -> str:
    return coded if isinstance(coded, str) else SEVERITIES[coded]
