"""Read an image's baseline before an event, and write the new one after it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from ledger.digest_entries import DAILY, DigestEntries, DigestImage
from ledger.image_records import (
    Baseline,
    ImageRecord,
    ImageRecords,
    ImageState,
    Note,
    image_record,
)
from ledger.table import plain
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.scan_record import ScanRecord
from reporting.channels.in_use import ChannelsInUse
from reporting.decision import Before, Decision, Incident
from reporting.reports import ScanReport

# An event can be processed again as long as no more than this many changes came after it.
MOST_NOTES = 5
LATE = "This result arrived late: a newer scan of the image has been reported."


@dataclass(frozen=True)
class Ledger:
    """The ledger table: the records of images, and the entries of digests."""

    records: ImageRecords
    entries: DigestEntries


@dataclass(frozen=True)
class KnownImage:
    """The record of an image, and what a report on it is compared with.

    asked: what the event leaves in the ledger. event_id: the id of the event.
    compared_with: the digest of the image that had the tag before, if the baseline is from that.
    is_repeated: the event has been processed before, though perhaps without a notification.
    is_late: is_repeated, and a newer change has been noted since.
    """

    asked: ScanRecord
    event_id: str
    record: ImageRecord
    before: Before = field(default_factory=Before)
    compared_with: str | None = None
    is_repeated: bool = False
    is_late: bool = False

    @property
    def is_alarm(self) -> bool:
        """Return whether the image is in ALARM according to the ledger."""
        baseline = self.record.baseline
        return baseline is not None and baseline.image_state.is_alarm

    def is_outdated(self, scanned_at: datetime) -> bool:
        """Return whether the ledger has a newer scan, whose event is reported instead."""
        newest = self.record.last_scan
        return not self.is_repeated and newest is not None and newest.scanned_at > scanned_at

    def compared(self, scan: ScanReport, decision: Decision) -> ScanReport:
        """Return the report with its change, and the remark that it is late if it is."""
        return replace(
            scan,
            change=decision.change,
            difference=decision.difference,
            compared_with=self.compared_with,
            is_reminder=decision.is_reminder,
            remarks=(*scan.remarks, LATE) if self.is_late else scan.remarks,
        )

    def settled(self, decision: Decision) -> Decision:
        """Return the decision; a late one can only confirm the incident of an image in ALARM."""
        is_confirmed = self.is_alarm and decision.incident is Incident.TRIGGER
        if is_confirmed or not self.is_late:
            return decision
        return replace(decision, incident=Incident.NONE)

    def baseline(self, decision: Decision, now: datetime) -> Baseline | None:
        """Return the baseline for the next report, or None if it does not change."""
        is_noted = decision.is_noted or self.record.baseline is None
        if decision.image_state is None or self.is_repeated or not is_noted:
            return None
        notified_at, seen = now - self.before.since_notified, self.record.baseline
        note = Note(self.event_id, now, self.before.image_state, notified_at)
        return Baseline(
            image_state=decision.image_state,
            notified_at=now if decision.notify else notified_at,
            revision=seen.revision + 1 if seen else 1,
            notes=(note, *(seen.notes if seen else ()))[:MOST_NOTES],
        )


def recall(
    interpreted: InterpretedEvent, records: ImageRecords, *, attempt: int, now: datetime
) -> KnownImage | None:
    """Read what was known of the image; None if the event names no image.

    The first attempt uses the record that RecordScan found; a retry reads the table.
    Raises LedgerUnavailable.
    """
    asked = interpreted.record
    if asked is None:
        return None
    record = _record(asked, interpreted.known if attempt == 0 else None, records)
    known = KnownImage(asked, interpreted.event, record)
    baseline = record.baseline
    if baseline is None:
        return _of_new_image(known, records, now)
    for note in baseline.notes:
        if note.event_id == interpreted.event:
            return replace(
                known,
                before=Before(note.before, note.noted_at - note.before_notified_at),
                is_repeated=True,
                is_late=note is not baseline.notes[0],
            )
    return replace(known, before=Before(baseline.image_state, now - baseline.notified_at))


def _record(asked: ScanRecord, found: object | None, records: ImageRecords) -> ImageRecord:
    # The state machine passes on DynamoDB's response in the form that Step Functions gives it.
    with suppress(TypeError, KeyError, ValueError, AttributeError):
        if isinstance(found, Mapping):
            # DynamoDB omits the attributes if there was no item.
            item = plain(found.get("Attributes") or {})
            return image_record(item) if item else ImageRecord(asked.image_digest)
    return records.get(asked.repository, asked.image_digest)


def _of_new_image(known: KnownImage, records: ImageRecords, now: datetime) -> KnownImage:
    asked = known.asked
    earlier = records.predecessor(asked.repository, asked.image_digest, asked.tags)
    if earlier is None or earlier.baseline is None:
        return known
    before = Before(earlier.baseline.image_state, now - earlier.baseline.notified_at)
    return replace(known, before=before, compared_with=earlier.image_digest)


def remember(
    known: KnownImage,
    scan: ScanReport,
    decision: Decision,
    ledger: Ledger,
    channels: ChannelsInUse,
    now: datetime,
) -> None:
    """Store the new baseline, and put the change into the digest, in one transaction.

    Raises BaselineMoved when another event was faster, and LedgerUnavailable.
    """
    asked, baseline = known.asked, known.baseline(decision, now)
    if baseline is None:
        return
    image = _digest_image(known, scan, decision, baseline.image_state)
    before = known.before.image_state or ImageState()
    if not decision.notify or not channels.has_digest:
        changes = []
    elif channels.breaks_through(decision):
        changes = [ledger.entries.drop(DAILY, image)]
    else:
        changes = [ledger.entries.put(DAILY, image, before, expires_at=int(asked.expires_at))]
    ledger.records.note_baseline(
        asked.repository,
        asked.image_digest,
        baseline,
        seen=known.record.baseline,
        scanned_at=scan.scanned_at,
        also=changes,
    )


def keep_up(
    known: KnownImage, scan: ScanReport, decision: Decision, ledger: Ledger, channels: ChannelsInUse
) -> None:
    """Correct what the digest lists of the image, and store which tags it has.

    Called after the baseline is stored. Idempotent. Raises LedgerUnavailable.
    """
    asked, is_corrected = known.asked, decision.is_noted and not decision.notify
    if decision.image_state and is_corrected and channels.has_digest and not known.is_late:
        image = _digest_image(known, scan, decision, decision.image_state)
        ledger.entries.correct(DAILY, image)
    # With every scan: another image may have had the tag meanwhile, and a tag item expires.
    ledger.records.move_tags(
        asked.repository,
        asked.image_digest,
        asked.tags,
        scanned_at=scan.scanned_at,
        expires_at=int(asked.expires_at),
    )


def _digest_image(
    known: KnownImage, scan: ScanReport, decision: Decision, image_state: ImageState
) -> DigestImage:
    return DigestImage(
        repository=known.asked.repository,
        image_digest=known.asked.image_digest,
        image=scan.image,
        link=scan.link,
        account=scan.account,
        region=scan.region,
        scanned_at=scan.scanned_at,
        image_state=image_state,
        event_id=known.event_id,
        is_reminder=decision.is_reminder,
    )
