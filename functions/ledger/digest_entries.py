"""What the next digest contains: one item per image, in the ledger table.

Partition key ``digest#<mode>``, sort key ``image#<repository>@<image digest>``. An image that
changes several times before a digest has one entry, with its state before the first change. The
item ``digest-under-way``, ``mode#<mode>`` names the digest that is composed and whose entries are
not yet removed.
"""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from ledger.changes import Cause, Change, FindingsChange
from ledger.errors import DigestAlreadyBegun
from ledger.image_records import ImageState
from ledger.table import Item, Key, Table, Write, ledger_table
from runtime.messages import decode, formerly

CONNECTIONS = 16  # concurrent calls of one function at most
DAILY = "DAILY"
AFTER_RUN = "AFTER_RUN"  # the other digest that version 0.3.0 had


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
    """An image, and its state when a digest last reported it.

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
        each other out are seen.
    is_told: it has been sent immediately, and only what it takes back of earlier changes counts.
    is_first_sight: a run has scanned the image for the first time.
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


class DigestEntries:
    """The entries of all digests in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, mode: str, image: DigestImage, before: ImageState, *, expires_at: int) -> Write:
        """Return the write that puts an image into a digest; an existing entry keeps `before`."""
        return self._table.to_update(
            _key(mode, image),
            "SET image = :image, #before = if_not_exists(#before, :before), "
            "first_event = if_not_exists(first_event, :event_id), expires_at = :expires_at",
            {
                ":image": image,
                ":before": before,
                ":event_id": image.event_id,
                ":expires_at": expires_at,
            },
        )

    def drop(self, mode: str, image: DigestImage) -> Write:
        """Return the write that removes an image from a digest, if it is in it."""
        return self._table.to_delete(_key(mode, image))

    def correct(self, mode: str, image: DigestImage) -> None:
        """Update the state of an image that is in a digest, after an event that sends nothing.

        The state of a newer scan is not overwritten, and a reminder remains one.
        """
        self._table.update(
            _key(mode, image),
            "SET image.image = :name, image.scanned_at = :scanned_at, "
            "image.image_state = :image_state, image.event_id = :event_id REMOVE image.standing",
            {
                ":name": image.image,
                ":scanned_at": image.scanned_at,
                ":image_state": image.image_state,
                ":event_id": image.event_id,
            },
            when="attribute_exists(pk) AND image.scanned_at <= :scanned_at",
        )

    def entries_of(self, mode: str) -> Iterator[DigestEntry]:
        """Read the entries of a digest."""
        for item in self._table.query(f"digest#{mode}"):
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

    def forget(self, mode: str, sent: Sequence[DigestEntry]) -> None:
        """Remove entries that were sent; changes since then remain for the next digest.

        Can run repeatedly and late: an entry that was created after this one is not changed.
        """
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            list(pool.map(functools.partial(self._forget, mode), sent))

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


def _key(mode: str, image: DigestImage) -> Key:
    return f"digest#{mode}", f"image#{image.repository}@{image.image_digest}"


def _under_way_key(mode: str) -> Key:
    return "digest-under-way", f"mode#{mode}"
