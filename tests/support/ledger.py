"""The ledger table in memory, as NotifyScan sees it: the state RecordScan, records and digests."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from ledger.digest_entries import DigestEntries, DigestEntry, DigestImage
from ledger.errors import BaselineMoved, LedgerUnavailable
from ledger.image_records import (
    Baseline,
    ImageRecord,
    ImageRecords,
    ImageState,
    RecordedScan,
)
from ledger.table import attributes
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.known_image import Ledger


class LedgerInMemory:
    """Both adapters together; `is_lost` makes the table answer nothing, `refused` some calls."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], ImageRecord] = {}
        self.digests: dict[tuple[str, str, str], DigestEntry] = {}
        self.tags: dict[tuple[str, str], tuple[str, datetime]] = {}
        self.expiries: dict[object, int] = {}  # of digests and tags, by the same keys
        self.calls: Counter[str] = Counter()
        self.is_lost = False
        self.refused: set[str] = set()

    @property
    def as_ledger(self) -> Ledger:
        """Stand in for the table."""
        return Ledger(cast("ImageRecords", self), cast("DigestEntries", self))

    def record_scan(self, interpreted: InterpretedEvent) -> InterpretedEvent:
        """Do what the state RecordScan does, and hand on what it hands on."""
        asked, scan = interpreted.record, interpreted.interpretation.scan
        if asked is None or scan is None or self.is_lost:
            return interpreted
        self.calls["RecordScan"] += 1
        before = self.kept.get((asked.repository, asked.image_digest))
        at = datetime.fromisoformat(asked.scanned_at)
        if before and before.last_scan and before.last_scan.scanned_at >= at:
            return interpreted
        recorded = RecordedScan(at, scan.status, scan.scan_type, scan.severities, scan.other)
        self.kept[asked.repository, asked.image_digest] = replace(
            before or ImageRecord(asked.image_digest), last_scan=recorded, image_tags=asked.tags
        )
        return replace(interpreted, known={"Attributes": item(before)} if before else {})

    def get(self, repository: str, digest: str) -> ImageRecord:
        """Read the record of one image."""
        self._count("get")
        return self.kept.get((repository, digest), ImageRecord(digest))

    def note_baseline(
        self,
        repository: str,
        digest: str,
        baseline: Baseline,
        *,
        seen: Baseline | None,
        scanned_at: datetime,
        also: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Note a baseline over the one that was seen, and nothing over another."""
        self._count("note_baseline")
        record = self.kept.get((repository, digest), ImageRecord(digest))
        is_newer = record.last_scan is not None and record.last_scan.scanned_at > scanned_at
        if is_newer or record.baseline != seen:
            raise BaselineMoved("any")
        self.kept[repository, digest] = replace(record, baseline=baseline)
        for change in also:
            change()

    def predecessor(self, repository: str, digest: str, tags: Sequence[str]) -> ImageRecord | None:
        """Read the record of the image that had one of the tags before."""
        self._count("predecessor")
        others = {self.tags[repository, tag][0] for tag in tags if (repository, tag) in self.tags}
        found = [self.kept[repository, each] for each in others - {digest}]
        return max(found, key=_scanned_at, default=None)

    def move_tags(
        self,
        repository: str,
        digest: str,
        tags: Sequence[str],
        *,
        scanned_at: datetime,
        expires_at: int,
    ) -> None:
        """Note who has the tags, unless a newer scan has seen them elsewhere."""
        self._count("move_tags")
        for tag in tags:
            known = self.tags.get((repository, tag))
            if known is None or known[1] < scanned_at:
                self.tags[repository, tag] = digest, scanned_at
                self.expiries[repository, tag] = expires_at

    def put(
        self, mode: str, image: DigestImage, before: ImageState, *, expires_at: int
    ) -> Callable[[], None]:
        """Return the write that puts an image into a digest."""
        key = (mode, image.repository, image.image_digest)

        def change() -> None:
            known = self.digests.get(key)
            self.digests[key] = DigestEntry(
                image,
                known.before if known else before,
                known.first_event if known else image.event_id,
            )
            self.expiries[key] = expires_at

        return change

    def drop(self, mode: str, image: DigestImage) -> Callable[[], None]:
        """Return the write that takes an image out of a digest."""
        return lambda: cast(
            "None", self.digests.pop((mode, image.repository, image.image_digest), None)
        )

    def correct(self, mode: str, image: DigestImage) -> None:
        """Record the current state of an image, if it is in a digest."""
        self._count("correct")
        key = (mode, image.repository, image.image_digest)
        known = self.digests.get(key)
        if known and known.image.scanned_at <= image.scanned_at:
            image = replace(image, is_reminder=known.image.is_reminder)
            self.digests[key] = replace(known, image=image)

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        if self.is_lost or call in self.refused:
            raise LedgerUnavailable("no table today")


def item(record: ImageRecord, repository: str = "any") -> Mapping[str, Any]:
    """Write a record as the item that it is in the table."""
    values = {name: value for name, value in vars(record).items() if value is not None}
    del values["image_digest"]
    keys = {"pk": f"repository#{repository}", "sk": f"image#{record.image_digest}"}
    return attributes({**keys, **values})


def _scanned_at(record: ImageRecord) -> datetime:
    assert record.last_scan
    return record.last_scan.scanned_at
