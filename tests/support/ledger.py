"""The ledger table in memory, as NotifyScan sees it: the state RecordScan, and all its adapters."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from ledger.announcements import Announcements
from ledger.digest_entries import DigestChange, DigestEntries
from ledger.errors import BaselineMoved, LedgerUnavailable
from ledger.image_baselines import Baselines, Recall, StoredImage, TagPointer
from ledger.image_records import Baseline, ImageRecord, ImageRecords, RecordedScan
from ledger.known_findings import KnownFindings, TooManyFindings, decoded, encoded
from ledger.platforms import Child
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.new_baseline import Ledger
from notify_scan.scan_record import recorded_scan
from runtime import clock
from tests.support.announcements import AnnouncementsInMemory

type Name = tuple[str, str]  # repository and image digest, or tag


class LedgerInMemory:
    """All adapters together.

    is_lost: the table answers nothing. is_full: no item holds the findings of an image. refused:
    some calls are not answered.
    """

    def __init__(self) -> None:
        self.kept: dict[Name, ImageRecord] = {}
        self.findings: dict[Name, KnownFindings] = {}
        self.children: dict[Name, Child] = {}
        self.digest: list[DigestChange] = []
        self.tags: dict[Name, TagPointer] = {}
        self.expiries: dict[object, int] = {}  # of images and tags, by the same keys
        self.announcements = AnnouncementsInMemory()
        self.calls: Counter[str] = Counter()
        self.is_lost = False
        self.is_full = False
        self.refused: set[str] = set()

    @property
    def as_ledger(self) -> Ledger:
        """Stand in for the table."""
        return Ledger(
            cast("ImageRecords", self),
            cast("Baselines", self),
            cast("DigestEntries", self),
            cast("Announcements", self.announcements),
        )

    def record_scan(self, interpreted: InterpretedEvent) -> InterpretedEvent:
        """Do what the state RecordScan does, and hand on what it hands on."""
        asked, scan = interpreted.record, interpreted.interpretation.scan
        if asked is None or scan is None or self.is_lost:
            return interpreted
        self.calls["RecordScan"] += 1
        self._note(asked.repository, asked.image_digest, recorded_scan(scan), asked.tags)
        return interpreted

    def note_scan(
        self,
        repository: str,
        digest: str,
        scan: RecordedScan,
        *,
        expires_at: int,
        tags: Sequence[str] = (),
    ) -> None:
        """Record what ECR has returned for an image, unless a newer scan is known."""
        self._count("note_scan")
        self.expiries[repository, digest] = expires_at
        self._note(repository, digest, scan, tags)

    def _note(self, repository: str, digest: str, scan: RecordedScan, tags: Sequence[str]) -> None:
        before = self.kept.get((repository, digest), ImageRecord(digest))
        if before.last_scan and scan.scanned_at <= before.last_scan.scanned_at <= clock.latest():
            return
        self.kept[repository, digest] = replace(before, last_scan=scan, image_tags=tuple(tags))

    def recall(self, repository: str, digest: str, tags: Sequence[str]) -> Recall:
        """Read what is known of an image and of its tags."""
        self._count("recall")
        return Recall(self._image(repository, digest), self._pointers(repository, tags))

    def images(self, repository: str, digests: Sequence[str]) -> list[StoredImage]:
        """Read what is known of some images."""
        self._count("images")
        return [
            self._image(repository, each) for each in digests if (repository, each) in self.kept
        ]

    def pointers(self, repository: str, tags: Sequence[str]) -> Mapping[str, TagPointer]:
        """Read which images had some tags last."""
        self._count("pointers")
        return self._pointers(repository, tags)

    def note(
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
        self._count("note")
        record = self.kept.get((repository, digest), ImageRecord(digest))
        is_newer = record.last_scan is not None and record.last_scan.scanned_at > scanned_at
        if is_newer or record.baseline != seen:
            raise BaselineMoved("any")
        self.kept[repository, digest] = replace(record, baseline=baseline)
        for change in also:
            change()

    def to_store(
        self, repository: str, digest: str, findings: KnownFindings, *, revision: int
    ) -> Callable[[], None]:
        """Return the write that stores the findings of an image, as they are read again."""
        if self.is_full:
            raise TooManyFindings("any")
        read = replace(
            decoded(encoded(findings)),
            revision=revision,
            scan_type=findings.scan_type,
            expires_at=findings.expires_at,
        )
        return lambda: self.findings.update({(repository, digest): read})

    def to_forget(self, repository: str, digest: str) -> Callable[[], None]:
        """Return the write that removes the findings of an image."""

        def forget() -> None:
            self.findings.pop((repository, digest), None)

        return forget

    def to_hand_on(self, repository: str, record: ImageRecord) -> Callable[[], None]:
        """Return the write that leaves an image without an incident."""
        assert record.baseline
        without = replace(record, baseline=replace(record.baseline, incident=""))
        return lambda: self.kept.update({(repository, record.image_digest): without})

    def note_names_missing(self, repository: str, digest: str, scanned_at: datetime | None) -> None:
        """Record that the names of a scan's findings could not be read, or that they are known."""
        self._count("note_names_missing")
        record = self.kept[repository, digest]
        self.kept[repository, digest] = replace(record, names_missing=scanned_at)

    def keep_findings(self, repository: str, digest: str, *, expires_at: int) -> None:
        """Put off the time when the findings of an image expire."""
        self._count("keep_findings")
        known = self.findings[repository, digest]
        self.findings[repository, digest] = replace(known, expires_at=expires_at)

    def keep_notified(self, repository: str, digest: str, *, expires_at: int) -> None:
        """Put off when the deliveries of an image expire."""
        self._count("keep_notified")

    def keep_child(self, repository: str, digest: str, *, expires_at: int) -> None:
        """Put off when the release and platform of an image expire."""
        self._count("keep_child")
        self.children[repository, digest] = replace(
            self.children[repository, digest], expires_at=expires_at
        )

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
            if known is None or known.scanned_at < scanned_at:
                self.tags[repository, tag] = TagPointer(digest, scanned_at)
                self.expiries[repository, tag] = expires_at

    def put(self, change: DigestChange) -> Callable[[], None]:
        """Return the write that puts a change into the digest."""

        def put() -> None:
            self.digest.append(change)

        return put

    def _image(self, repository: str, digest: str) -> StoredImage:
        key = (repository, digest)
        record = self.kept.get(key, ImageRecord(digest))
        return StoredImage(record, self.findings.get(key), self.children.get(key))

    def _pointers(self, repository: str, tags: Sequence[str]) -> dict[str, TagPointer]:
        return {tag: self.tags[repository, tag] for tag in tags if (repository, tag) in self.tags}

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        if self.is_lost or call in self.refused:
            raise LedgerUnavailable("no table today")


def item(record: ImageRecord, repository: str = "any") -> Mapping[str, Any]:
    """Write a record as the item that it is in the table."""
    from ledger.table import attributes  # noqa: PLC0415

    values = {name: value for name, value in vars(record).items() if value is not None}
    del values["image_digest"]
    keys = {"pk": f"repository#{repository}", "sk": f"image#{record.image_digest}"}
    return attributes({**keys, **values})
