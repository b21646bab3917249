"""What NotifyScan compares a scan with, and what it stores after it.

An image has a record, its findings by name, and tags that point at it; all are in the partition of
its repository and read in one call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ledger.errors import BaselineMoved
from ledger.image_records import Baseline, ImageRecord, image_key, image_record
from ledger.known_findings import (
    KnownFindings,
    UnreadableFindings,
    findings_key,
    known_findings,
    to_store,
)
from ledger.notified_images import notified_key
from ledger.platforms import Child, child, child_key, platform_tags
from ledger.table import Item, Key, Table, Write, ledger_table, unless_later
from runtime import clock
from runtime.clock import is_future
from runtime.log import logger

_IMAGE, _FINDINGS, _CHILD, _TAG = "image#", "findings#", "child#", "tag#"


@dataclass(frozen=True)
class StoredImage:
    """The record of an image, and its findings where they are known by name.

    child: of which indexes it is an image, if it is one.
    """

    record: ImageRecord
    findings: KnownFindings | None = None
    child: Child | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags that the last scan has seen, or those of its platform."""
        return self.record.image_tags or platform_tags(self.child)


@dataclass(frozen=True)
class TagPointer:
    """Which image had a tag last, and when the scan ended that saw it there."""

    image_digest: str
    scanned_at: datetime


@dataclass(frozen=True)
class Recall:
    """What the ledger knows of an image, and which images have had its tags."""

    image: StoredImage
    pointers: Mapping[str, TagPointer] = field(default_factory=dict)


class Baselines:
    """The baselines of images in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer. `repository` is the name
    of a repository of this registry, or account:region:name of one elsewhere. expires_at: seconds
    since 1970, when DynamoDB may delete the item. A date in the future counts as unknown.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def recall(self, repository: str, image_digest: str, tags: Sequence[str]) -> Recall:
        """Read what is known of an image and of its tags, in one consistent call."""
        keys = [*_keys(repository, image_digest), *(_tag_key(repository, tag) for tag in tags)]
        items = {item["sk"]: item for item in self._table.get_many(keys, consistent=True)}
        return Recall(_stored_image(image_digest, items), _pointers(items))

    def images(self, repository: str, image_digests: Sequence[str]) -> list[StoredImage]:
        """Read what is known of some images; those without a record are left out."""
        keys: list[Key] = []
        for image_digest in image_digests:
            keys += _keys(repository, image_digest)
        items = {item["sk"]: item for item in self._table.get_many(keys, consistent=True)}
        return [
            _stored_image(image_digest, items)
            for image_digest in image_digests
            if f"{_IMAGE}{image_digest}" in items
        ]

    def pointers(self, repository: str, tags: Sequence[str]) -> Mapping[str, TagPointer]:
        """Read which images had some tags last."""
        keys = [_tag_key(repository, tag) for tag in tags]
        found = self._table.get_many(keys, consistent=True)
        return _pointers({item["sk"]: item for item in found})

    def note(
        self,
        repository: str,
        image_digest: str,
        baseline: Baseline,
        *,
        seen: Baseline | None,
        scanned_at: datetime,
        also: Sequence[Write] = (),
    ) -> None:
        """Store a baseline together with other writes, or nothing at all.

        seen: the baseline that the caller has compared with. Raises BaselineMoved when the record
        holds another one, or a scan newer than scanned_at: the event of that scan is compared with
        the baseline as it is.
        """
        values: dict[str, object] = {
            ":baseline": baseline,
            ":scanned_at": scanned_at,
            ":latest": clock.latest(),
        }
        is_as_seen = "attribute_not_exists(baseline)"
        if seen:
            is_as_seen = "baseline.revision = :revision"
            values |= {":revision": seen.revision}
        note = self._table.to_update(
            image_key(repository, image_digest),
            "SET baseline = :baseline",
            values,
            when=f"{is_as_seen} AND {unless_later('last_scan.scanned_at', ':scanned_at', '<=')}",
        )
        if reason := self._table.write_together(note, *also):
            raise BaselineMoved(f"{repository}@{image_digest}: {reason}")

    def to_store(
        self, repository: str, image_digest: str, findings: KnownFindings, *, revision: int
    ) -> Write:
        """Return the write that stores the findings of an image with a baseline.

        Raises TooManyFindings.
        """
        return to_store(self._table, repository, image_digest, findings, revision=revision)

    def to_forget(self, repository: str, image_digest: str) -> Write:
        """Return the write that removes the findings of an image: it is compared by number then."""
        return self._table.to_delete(findings_key(repository, image_digest))

    def to_hand_on(self, repository: str, record: ImageRecord) -> Write:
        """Return the write that leaves an image without an incident, if its baseline is as read."""
        return self._table.to_update(
            image_key(repository, record.image_digest),
            "SET baseline.incident = :none",
            {":none": "", ":revision": record.baseline.revision if record.baseline else 0},
            when="baseline.revision = :revision",
        )

    def note_names_missing(
        self, repository: str, image_digest: str, scanned_at: datetime | None
    ) -> None:
        """Record that the names of a scan's findings could not be read, or that they are known."""
        key = image_key(repository, image_digest)
        if scanned_at:
            values = {":at": scanned_at}
            self._table.update(key, "SET names_missing = :at", values, when="attribute_exists(pk)")
        else:
            self._table.update(key, "REMOVE names_missing", {}, when="attribute_exists(pk)")

    def keep_findings(self, repository: str, image_digest: str, *, expires_at: int) -> None:
        """Put off the time when the findings of an image expire."""
        self._table.update(
            findings_key(repository, image_digest),
            "SET expires_at = :expires_at",
            {":expires_at": expires_at},
            when="attribute_exists(pk)",
        )

    def keep_notified(self, repository: str, image_digest: str, *, expires_at: int) -> None:
        """Put off the time when the item of what was delivered about an image expires."""
        self._table.update(
            notified_key(repository, image_digest),
            "SET expires_at = :expires_at",
            {":expires_at": expires_at},
            when="attribute_exists(pk)",
        )

    def keep_child(self, repository: str, image_digest: str, *, expires_at: int) -> None:
        """Put off the time when the release and platform of an image expire."""
        self._table.update(
            child_key(repository, image_digest),
            "SET expires_at = :expires_at",
            {":expires_at": expires_at},
            when="attribute_exists(pk)",
        )

    def move_tags(
        self,
        repository: str,
        image_digest: str,
        tags: Sequence[str],
        *,
        scanned_at: datetime,
        expires_at: int,
    ) -> None:
        """Record that an image has these tags, unless a newer scan found them elsewhere."""
        for tag in tags:
            self._table.update(
                _tag_key(repository, tag),
                "SET image_digest = :digest, scanned_at = :scanned_at, expires_at = :expires_at",
                {
                    ":digest": image_digest,
                    ":scanned_at": scanned_at,
                    ":latest": clock.latest(),
                    ":expires_at": expires_at,
                },
                when=unless_later("scanned_at", ":scanned_at"),
            )


def baselines(table: str) -> Baselines:
    """Make the adapter of a table."""
    return Baselines(ledger_table(table))


def _keys(repository: str, image_digest: str) -> tuple[Key, Key, Key]:
    return (
        image_key(repository, image_digest),
        findings_key(repository, image_digest),
        child_key(repository, image_digest),
    )


def _stored_image(image_digest: str, items: Mapping[str, Item]) -> StoredImage:
    item = items.get(f"{_IMAGE}{image_digest}")
    index = items.get(f"{_CHILD}{image_digest}")
    return StoredImage(
        record=(
            image_record(item).without_future(clock.now()) if item else ImageRecord(image_digest)
        ),
        findings=_findings(items.get(f"{_FINDINGS}{image_digest}")),
        child=child(index) if index else None,
    )


def _findings(item: Item | None) -> KnownFindings | None:
    if item is None:
        return None
    try:
        return known_findings(item)
    except UnreadableFindings as error:
        logger.warning("findings unreadable, compared by number", extra={"error": str(error)})
        return None


def _pointers(items: Mapping[str, Item]) -> dict[str, TagPointer]:
    pointers = {
        sort_key.removeprefix(_TAG): TagPointer(
            item["image_digest"], datetime.fromisoformat(item["scanned_at"])
        )
        for sort_key, item in items.items()
        if sort_key.startswith(_TAG)
    }
    now = clock.now()
    return {tag: each for tag, each in pointers.items() if not is_future(each.scanned_at, now)}


def _tag_key(repository: str, tag: str) -> Key:
    return f"repository#{repository}", f"{_TAG}{tag}"
