"""What was known of an image before an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ledger.errors import BaselineMoved
from ledger.image_baselines import Baselines, StoredImage, TagPointer
from ledger.image_records import Note
from ledger.known_findings import KnownFinding, KnownFindings
from notify_scan.scan_record import MOST_TAGS, ScanRecord
from registry.findings import FindingKey
from reporting.changes import Seen, counted_unaccepted
from reporting.thresholds import Thresholds


@dataclass(frozen=True)
class KnownImage:
    """What the ledger knows of an image, and what a scan of it is compared with.

    asked: what the event leaves in the ledger. stored: what is known of the image itself.
    predecessor: the image that had one of its tags before, if the scan is compared with that.
    superseded: images that have no tag left, because this image has taken the last one.
    is_superseded: this image itself had tags, and has none left.
    note: what was stored when the same event was processed before.
    is_late: note is set, and a newer change has been stored since.
    """

    asked: ScanRecord
    stored: StoredImage
    predecessor: StoredImage | None = None
    superseded: tuple[StoredImage, ...] = ()
    is_superseded: bool = False
    note: Note | None = None
    is_late: bool = False

    @property
    def compared_with(self) -> str | None:
        """Return the digest of the image that had the tag before, if that is compared with."""
        return self.predecessor.record.image_digest if self.predecessor else None

    @property
    def before(self) -> Seen | None:
        """Return what the scan is compared with by number; None if nothing is known."""
        if self.note:
            return Seen(self.note.before) if self.note.before else None
        baseline = self._compared.record.baseline
        return Seen(baseline.image_state) if baseline else None

    @property
    def before_by_name(self) -> Seen | None:
        """Return what the scan is compared with by name; None if the names are not known.

        Its counts are those of the names, which may be older than the last scan.
        """
        before, findings = self.before, self.findings_before
        if self.note or before is None or findings is None:
            return None
        counts = counted_unaccepted(findings.findings)
        state = before.image_state
        thresholds = Thresholds(dict(state.thresholds or {}))
        named = replace(
            state,
            counts=counts,
            exceeded=tuple(thresholds.exceeded(counts)),
            scan_type=findings.scan_type,
        )
        return Seen(named, findings.findings, findings.gone)

    @property
    def next_revision(self) -> int:
        """Return the revision of the baseline that the event leaves, or has left before."""
        baseline = self.stored.record.baseline
        if baseline is None:
            return 1
        for age, note in enumerate(baseline.notes):
            if note is self.note:
                return baseline.revision - age
        return baseline.revision + 1

    @property
    def findings_before(self) -> KnownFindings | None:
        """Return the findings by name that the scan is compared with."""
        return self._compared.findings

    @property
    def findings_now(self) -> Mapping[FindingKey, KnownFinding]:
        """Return the findings of the image by name, as far as they are known."""
        known = self.stored.findings or self.findings_before
        return known.findings if known else {}

    def since_notified(self, now: datetime) -> timedelta:
        """Return how long ago the last notification about the image was sent."""
        if self.note:
            return self.note.noted_at - self.note.before_notified_at
        baseline = self._compared.record.baseline
        return now - baseline.notified_at if baseline else timedelta()

    def is_outdated(self, scanned_at: datetime) -> bool:
        """Return whether the ledger has a newer scan, whose event is reported instead."""
        newest = self.stored.record.last_scan
        return self.note is None and newest is not None and newest.scanned_at > scanned_at

    @property
    def _compared(self) -> StoredImage:
        return self.predecessor or self.stored


def recall(
    asked: ScanRecord, event_id: str, baselines: Baselines, *, tagged_at: datetime
) -> KnownImage:
    """Read what was known of the image of an event. tagged_at: when it had the tags.

    Raises LedgerUnavailable, and BaselineMoved if another event has just changed the image.
    """
    repository = asked.repository
    recalled = baselines.recall(repository, asked.image_digest, asked.tags)
    pointers = recalled.pointers
    if not asked.tags and (tags := recalled.image.tags[:MOST_TAGS]):
        asked = replace(asked, tags=tags)
        pointers = baselines.pointers(repository, tags)
    known = KnownImage(asked, recalled.image)
    baseline, findings = recalled.image.record.baseline, recalled.image.findings
    if findings and findings.revision > (baseline.revision if baseline else 0):
        raise BaselineMoved(f"{repository}@{asked.image_digest}: another event was faster")
    for note in baseline.notes if baseline else ():
        if note.event_id == event_id:
            is_late = baseline is not None and note is not baseline.notes[0]
            return replace(known, note=note, is_late=is_late)
    others = _earlier_owners(pointers, asked.image_digest, tagged_at)
    images = [each for each in baselines.images(repository, others) if each.record.baseline]
    return replace(
        known,
        predecessor=_predecessor(images, asked.image_digest),
        superseded=tuple(_without_tags(images, asked, baselines)),
        is_superseded=_is_superseded(recalled.image, asked, pointers, tagged_at),
    )


def _predecessor(images: Sequence[StoredImage], image_digest: str) -> StoredImage | None:
    """Return the newest of some images, with its findings as another image takes them over."""
    newest = max(images, key=_scanned_at, default=None)
    if newest is None or newest.findings is None:
        return newest
    findings = newest.findings.handed_on(newest.record.image_digest, image_digest)
    return replace(newest, findings=findings)


def _earlier_owners(
    pointers: Mapping[str, TagPointer], image_digest: str, tagged_at: datetime
) -> list[str]:
    """Return the other images that had the tags at an earlier scan."""
    owners = {
        pointer.image_digest
        for pointer in pointers.values()
        if pointer.image_digest != image_digest and pointer.scanned_at < tagged_at
    }
    return sorted(owners)


def _without_tags(
    images: list[StoredImage], asked: ScanRecord, baselines: Baselines
) -> list[StoredImage]:
    """Return those of some images that have an incident to hand on, and no tag left."""
    open_ = [
        each for each in images if each.record.baseline and each.record.baseline.incident != ""
    ]
    left = {tag for each in open_ for tag in each.tags} - set(asked.tags)
    owners = baselines.pointers(asked.repository, sorted(left)) if left else {}
    return [
        each
        for each in open_
        if not any(
            tag in owners and owners[tag].image_digest == each.record.image_digest
            for tag in each.tags
            if tag not in asked.tags
        )
    ]


def _is_superseded(
    image: StoredImage,
    asked: ScanRecord,
    pointers: Mapping[str, TagPointer],
    tagged_at: datetime,
) -> bool:
    """Return whether an image had tags, and all of them are gone or another image's by now."""
    if asked.tags:
        owners = [pointers.get(tag) for tag in asked.tags]
        return all(
            owner is not None
            and owner.image_digest != asked.image_digest
            and owner.scanned_at > tagged_at
            for owner in owners
        )
    return image.record.baseline is not None and image.record.baseline.was_tagged


def _scanned_at(image: StoredImage) -> datetime:
    scan = image.record.last_scan
    return scan.scanned_at if scan else datetime.min.replace(tzinfo=UTC)
