"""What the next digest contains: one item per change of an image, in the ledger table.

Partition key ``digest#<mode>``, sort key ``change#<repository>@<image digest>#<noted at>#<event>``.
An item is never changed: SendDigest reads the changes of an image in the order in which they came,
and removes the ones that it has sent. The item ``digest-under-way``, ``mode#<mode>`` names the
digest that is composed and whose entries are not yet removed.

Version 0.3.0 kept one item per image instead, with the sort key ``image#<repository>@<image
digest>``, its state before the first change and its latest state.
"""

import functools
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from ledger.changes import LISTS, Cause, Change, ChangedFinding, FindingsChange
from ledger.errors import DigestAlreadyBegun
from ledger.image_records import ImageState
from ledger.table import Item, Key, Table, Write, ledger_table
from runtime.messages import decode, encode, formerly

CONNECTIONS = 16  # concurrent calls of one function at most
DAILY = "DAILY"
AFTER_RUN = "AFTER_RUN"  # the other digest that version 0.3.0 had
MOST_STILL_OPEN = 20  # findings that a reminder keeps


@dataclass(frozen=True)
class DigestImage:
    """One image in the next digest.

    repository, image_digest: as the ledger names them. image: as messages name it.
    event_id: the event that reported its state.
    is_reminder: nothing has changed for longer than RemindAfter.
    """

    repository: str
    image_digest: str = field(metadata=formerly("digest"))
    image: str
    link: str
    account: str
    region: str
    scanned_at: datetime
    image_state: ImageState = field(metadata=formerly("standing"))
    event_id: str
    is_reminder: bool = False


@dataclass(frozen=True)
class DigestEntry:
    """An image of version 0.3.0, and its state when a digest last reported it.

    first_event: the event that reported the first change since then, and so created the entry.
    """

    image: DigestImage
    before: ImageState = field(metadata=formerly("before_it"))
    first_event: str


@dataclass(frozen=True)
class DigestChange:
    """One change of one image, for the next digest. Each event that changes an image leaves one.

    before: the image state before. change, cause, by_name: as the event was reported; by_name is
        absent where the scans were compared by number alone.
    notify: whether NotifyOn reports the change. It is kept in any case, so that changes that cancel
        each other out are seen. What is one line for all images, such as a moved threshold, is
        reported in any case.
    is_told: it has been sent immediately, and only what it takes back of earlier changes counts.
    is_first_sight: the first result that is known of the image, and no push.
    still_open: the worst findings that are open, of a reminder; MOST_STILL_OPEN of them at most.
    revision: of the baseline that was stored together with the change.
    expires_at: seconds since 1970, when DynamoDB may delete what is kept of the image.
    """

    image: DigestImage
    before: ImageState
    noted_at: datetime
    change: Change
    cause: Cause | None = None
    by_name: FindingsChange | None = None
    notify: bool = True
    is_told: bool = False
    is_first_sight: bool = False
    still_open: tuple[ChangedFinding, ...] = ()
    revision: int = 0
    expires_at: int = 0


class DigestEntries:
    """The entries of all digests in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, change: DigestChange) -> Write:
        """Return the write that puts a change into the next digest. Idempotent."""
        item = {each.name: getattr(change, each.name) for each in fields(change)}
        if change.by_name is not None:
            item["by_name"] = _packed(change.by_name)
        item["still_open"] = _compressed(_rows(change.still_open)) if change.still_open else None
        key = f"digest#{DAILY}", sort_key(change)
        return self._table.to_put(key, item)

    def changes_of(self, mode: str) -> Iterator[DigestChange]:
        """Read the changes of a digest, those of an image one after the other, the oldest first."""
        changes = map(_change, self._table.query(f"digest#{mode}", "change#"))
        for _, of_image in itertools.groupby(changes, _image):
            yield from sorted(of_image, key=_age)

    def entries_of(self, mode: str) -> Iterator[DigestEntry]:
        """Read the entries of a digest that are as version 0.3.0 has written them."""
        for item in self._table.query(f"digest#{mode}", "image#"):
            yield decode(DigestEntry, item)

    def adopt(self, mode: str, *, left_in: str) -> None:
        """Move the entries of a digest that is no longer sent into one that is.

        An image that is in both keeps the entry of the one that is sent. Can run twice.
        """
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            list(
                pool.map(
                    functools.partial(self._move, mode), self._table.query(f"digest#{left_in}")
                )
            )

    def forget(self, mode: str, sent: Iterable[str], entries: Sequence[DigestEntry] = ()) -> None:
        """Remove what was sent; changes since then remain for the next digest.

        sent: the sort keys of changes. entries: those of version 0.3.0. Can run repeatedly and
        late: an entry that was created after this one is not changed.
        """
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            keys = ((f"digest#{mode}", key) for key in sent)
            list(pool.map(self._table.delete, keys))
            list(pool.map(functools.partial(self._forget, mode), entries))

    def under_way(self, mode: str) -> str | None:
        """Return the name of the digest that is composed, perhaps sent, and not yet finished."""
        item = self._table.get(_under_way_key(mode))
        return item["digest"] if item else None

    def begin(self, mode: str, digest: str, *, instead_of: str | None) -> None:
        """Record that a digest is composed, before it is sent.

        instead_of: what under_way has returned. Raises DigestAlreadyBegun when it is another by
        now.
        """
        is_as_seen = "digest = :instead_of" if instead_of else "attribute_not_exists(pk)"
        if not self._table.put(
            _under_way_key(mode),
            {"digest": digest},
            when=is_as_seen,
            values={":instead_of": instead_of},
        ):
            raise DigestAlreadyBegun(f"{mode}: another execution has begun a digest")

    def finish(self, mode: str, digest: str) -> None:
        """Record that a digest is sent and its entries removed, unless another has begun by now."""
        self._table.delete(
            _under_way_key(mode), when="digest = :digest", values={":digest": digest}
        )

    def _move(self, mode: str, item: Item) -> None:
        entry = {name: value for name, value in item.items() if name not in ("pk", "sk")}
        self._table.put((f"digest#{mode}", item["sk"]), entry, when="attribute_not_exists(pk)")
        self._table.delete((item["pk"], item["sk"]))

    def _forget(self, mode: str, sent: DigestEntry) -> None:
        """Remove an entry of version 0.3.0, which changed entries that a digest was to send."""
        is_deleted = self._table.delete(
            _key(mode, sent.image),
            when="attribute_not_exists(pk) OR image.event_id = :event_id",
            values={":event_id": sent.image.event_id},
        )
        if not is_deleted:
            # It has changed since; the condition fails if that was after its removal.
            self._table.update(
                _key(mode, sent.image),
                "SET #before = :before, first_event = :event_id REMOVE before_it",
                {
                    ":before": sent.image.image_state,
                    ":event_id": sent.image.event_id,
                    ":first_event": sent.first_event,
                },
                when="first_event = :first_event",
            )


def digest_entries(table: str) -> DigestEntries:
    """Make the adapter of a table."""
    return DigestEntries(ledger_table(table))


def sort_key(change: DigestChange) -> str:
    """Return the sort key of a change, which its event determines."""
    image, noted_at = change.image, change.noted_at.astimezone(UTC)
    return f"change#{image.repository}@{image.image_digest}#{encode(noted_at)}#{image.event_id}"


def _change(item: Item) -> DigestChange:
    by_name, still_open = item.pop("by_name", None), item.pop("still_open", None)
    change = decode(DigestChange, item)
    if by_name is not None:
        change = replace(change, by_name=_unpacked(by_name))
    if still_open is not None:
        change = replace(change, still_open=_findings(_decompressed(still_open)))
    return change


def _image(change: DigestChange) -> tuple[str, str]:
    return change.image.repository, change.image.image_digest


def _age(change: DigestChange) -> tuple[datetime, datetime]:
    """Return what rises from change to change, also between two that are noted in one second."""
    return change.image.scanned_at, change.noted_at


def _packed(change: FindingsChange) -> bytes:
    """Compress a change with as many findings as an item is to hold."""
    kept = change.cut()
    lists = {name: _rows(getattr(kept, name)) for name in LISTS}
    content = {name: found for name, found in lists.items() if found} | (
        {"omitted": kept.omitted} if kept.omitted else {}
    )
    return _compressed(content)


def _unpacked(packed: bytes) -> FindingsChange:
    content = _decompressed(packed)
    lists = {name: _findings(content.get(name, ())) for name in LISTS}
    return FindingsChange(**lists, omitted=content.get("omitted"))


def _rows(findings: Iterable[ChangedFinding]) -> list[list[Any]]:
    """Return each finding as the list of its fields in their order; a new one must be the last."""
    return [[getattr(finding, each) for each in _FIELDS] for finding in findings]


def _findings(rows: Iterable[Iterable[Any]]) -> tuple[ChangedFinding, ...]:
    return tuple(ChangedFinding(*row) for row in rows)


def _compressed(content: object) -> bytes:
    return zlib.compress(json.dumps(content, ensure_ascii=False).encode())


def _decompressed(packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed))


_FIELDS = tuple(each.name for each in fields(ChangedFinding))


def _key(mode: str, image: DigestImage) -> Key:
    return f"digest#{mode}", f"image#{image.repository}@{image.image_digest}"


def _under_way_key(mode: str) -> Key:
    return "digest-under-way", f"mode#{mode}"
