"""Store what a scan has changed: the baseline, the findings by name, the digest, and the tags."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.announcements import Announcements
from ledger.changes import Cause, Change, ChangedFinding
from ledger.digest_entries import MOST_STILL_OPEN, DigestChange, DigestEntries, DigestImage
from ledger.image_baselines import Baselines
from ledger.image_records import Baseline, ImageRecord, ImageRecords, ImageState, Note
from ledger.known_findings import KnownFindings, TooManyFindings
from ledger.platforms import Child
from notify_scan.compared_scan import ComparedScan
from notify_scan.incidents import IncidentChange
from notify_scan.known_image import KnownImage
from registry.findings import severity_rank
from reporting.changes import Seen, open_findings
from reporting.decision import Decision
from runtime.log import logger

# An event can be processed again as long as no more than this many changes came after it.
MOST_NOTES = 5
UNSUPPORTED = "unsupported"  # the topic of the repositories whose images ECR cannot scan


@dataclass(frozen=True)
class Ledger:
    """The ledger table: scans, baselines, digest entries, and what was announced lately."""

    images: ImageRecords
    baselines: Baselines
    entries: DigestEntries
    announcements: Announcements


@dataclass(frozen=True)
class Conclusion:
    """What follows from a scan that was compared.

    is_first_sight: nothing was known of the image, and it was not just pushed.
    is_immediate: the report goes to the channels with a digest, too.
    triggered, resolved: the keys of incidents that get the message, and that end.
    handed_on: images whose incident the image takes over.
    """

    scan: ComparedScan
    decision: Decision
    incident: IncidentChange
    is_first_sight: bool = False
    is_immediate: bool = False
    triggered: str | None = None
    resolved: tuple[str, ...] = ()
    handed_on: tuple[ImageRecord, ...] = ()


def remember(
    known: KnownImage,
    conclusion: Conclusion,
    ledger: Ledger,
    *,
    event_id: str,
    now: datetime,
    has_digest: bool,
) -> None:
    """Store everything that a scan has changed, in one transaction; nothing if it changed nothing.

    Raises BaselineMoved when another event was faster, and LedgerUnavailable.
    """
    asked, scan = known.asked, conclusion.scan
    findings = scan.next_findings(
        known, event_id=event_id, today=now.date(), expires_at=int(asked.expires_at)
    )
    baseline = _baseline(known, conclusion, event_id, now)
    if not findings and not _is_noted(known, conclusion, baseline):
        return
    repository, image_digest = asked.repository, asked.image_digest
    also = [ledger.baselines.to_hand_on(repository, record) for record in conclusion.handed_on]
    change = _digest_change(known, conclusion, event_id, now)
    if has_digest and _is_in_digest(change, ledger, known):
        also.append(ledger.entries.put(change))
    if findings:
        try:
            stored = ledger.baselines.to_store(
                repository, image_digest, findings, revision=baseline.revision
            )
            also.append(stored)
        except TooManyFindings as error:
            logger.warning("findings not stored by name", extra={"error": str(error)})
            also.append(ledger.baselines.to_forget(repository, image_digest))
    ledger.baselines.note(
        repository,
        image_digest,
        baseline,
        seen=known.stored.record.baseline,
        scanned_at=scan.report.scanned_at,
        also=also,
    )


def keep_up(
    known: KnownImage,
    scan: ComparedScan,
    ledger: Ledger,
    *,
    is_missing: bool,
    now: datetime,
) -> None:
    """Store which tags the image has, and whether the names of its findings are missing.

    Called after the baseline is stored. Idempotent. Raises LedgerUnavailable.
    """
    asked, record = known.asked, known.stored.record
    if is_missing and record.names_missing is None:
        at = scan.report.scanned_at
        ledger.baselines.note_names_missing(asked.repository, asked.image_digest, at)
    elif record.names_missing and scan.findings is not None:
        ledger.baselines.note_names_missing(asked.repository, asked.image_digest, None)
    if (stored := known.stored.findings) and _is_half_gone(stored, int(asked.expires_at), now):
        ledger.baselines.keep_findings(
            asked.repository, asked.image_digest, expires_at=int(asked.expires_at)
        )
    if (child := known.stored.child) and _is_half_gone(child, int(asked.expires_at), now):
        ledger.baselines.keep_child(
            asked.repository, asked.image_digest, expires_at=int(asked.expires_at)
        )
    kept_for = timedelta(seconds=int(asked.expires_at) - now.timestamp())
    if known.since_notified(now) > kept_for / 2:
        ledger.baselines.keep_notified(
            asked.repository, asked.image_digest, expires_at=int(asked.expires_at)
        )
    # With every scan: another image may have had the tag meanwhile, and a tag item expires.
    ledger.baselines.move_tags(
        asked.repository,
        asked.image_digest,
        asked.tags,
        scanned_at=scan.report.had_tags_at,
        expires_at=int(asked.expires_at),
    )


def with_note(
    seen: Baseline, note: Note, *, incident: str, notified_at: datetime | None = None
) -> Baseline:
    """Return a baseline with one more note, in the same state."""
    return Baseline(
        image_state=seen.image_state,
        notified_at=notified_at or seen.notified_at,
        revision=seen.revision + 1,
        notes=(note, *seen.notes)[:MOST_NOTES],
        incident=incident,
        was_tagged=seen.was_tagged,
    )


def _baseline(known: KnownImage, conclusion: Conclusion, event_id: str, now: datetime) -> Baseline:
    """Return the baseline for the next report."""
    notified_at = now - known.since_notified(now)
    before, seen = known.before, known.stored.record.baseline
    note = Note(
        event_id=event_id,
        noted_at=now,
        before=before.image_state if before else None,
        before_notified_at=notified_at,
        is_immediate=conclusion.is_immediate,
        triggered=conclusion.triggered,
        resolved=conclusion.resolved,
    )
    return Baseline(
        image_state=conclusion.scan.image_state,
        notified_at=now if conclusion.decision.notify else notified_at,
        revision=known.next_revision,
        notes=(note, *(seen.notes if seen else ()))[:MOST_NOTES],
        incident=conclusion.incident.key,
        was_tagged=bool(known.asked.tags) or (seen is not None and seen.was_tagged),
    )


def _is_noted(known: KnownImage, conclusion: Conclusion, baseline: Baseline) -> bool:
    """Return whether anything of a baseline is new but its notes."""
    seen = known.stored.record.baseline
    if seen is None or conclusion.decision.notify or conclusion.resolved or conclusion.triggered:
        return True
    is_changed = conclusion.scan.comparison.change is not Change.UNCHANGED
    return is_changed or (
        (seen.image_state, seen.incident, seen.was_tagged)
        != (baseline.image_state, baseline.incident, baseline.was_tagged)
    )


def _is_in_digest(change: DigestChange, ledger: Ledger, known: KnownImage) -> bool:
    """Return whether the next digest must know of a change."""
    if change.cause is Cause.UNSUPPORTED:
        if change.before.failed:
            return False  # which was reported, for the same reason in version 0.3.0
        repository = known.asked.repository
        return ledger.announcements.is_first(
            UNSUPPORTED,
            repository,
            event=change.image.image_digest,
            expires_at=int(known.asked.expires_at),
        )
    has_names = change.by_name is not None and not change.by_name.is_empty
    is_changed = change.change is not Change.UNCHANGED or change.cause is not None
    return change.notify or is_changed or has_names


def _digest_change(
    known: KnownImage, conclusion: Conclusion, event_id: str, now: datetime
) -> DigestChange:
    report, scan = conclusion.scan.report, conclusion.scan
    before = known.before
    return DigestChange(
        image=DigestImage(
            repository=known.asked.repository,
            image_digest=known.asked.image_digest,
            image=report.image,
            link=report.link,
            account=report.account,
            region=report.region,
            scanned_at=report.scanned_at,
            image_state=scan.image_state,
            event_id=event_id,
            is_reminder=conclusion.decision.is_reminder,
        ),
        before=before.image_state if before else ImageState(),
        noted_at=now,
        change=scan.comparison.change,
        cause=scan.comparison.cause,
        by_name=scan.by_name,
        notify=conclusion.decision.notify,
        is_told=conclusion.is_immediate,
        is_first_sight=conclusion.is_first_sight,
        still_open=_still_open(known, scan) if conclusion.decision.is_reminder else (),
        revision=known.next_revision,
        expires_at=int(known.asked.expires_at),
    )


def _still_open(known: KnownImage, scan: ComparedScan) -> tuple[ChangedFinding, ...]:
    """Return the worst findings that are open, the first seen first; none if not known by name."""
    findings = scan.findings or {}
    since = known.findings_before.since if known.findings_before else None
    worst_first = sorted(
        open_findings(Seen(scan.image_state, findings)),
        key=lambda key: (severity_rank(findings[key].severity), findings[key].first_seen, key),
    )
    return tuple(
        ChangedFinding(
            name=name,
            package=package,
            severity=findings[name, package].severity,
            first_seen=findings[name, package].first_seen.isoformat(),
            is_seen_later=findings[name, package].first_seen == since,
        )
        for name, package in worst_first[:MOST_STILL_OPEN]
    )


def _is_half_gone(kept: KnownFindings | Child, expires_at: int, now: datetime) -> bool:
    """Return whether less than half of the retention of an item is left."""
    kept_for = timedelta(seconds=expires_at - now.timestamp())
    left = timedelta(seconds=kept.expires_at - now.timestamp())
    return left < kept_for / 2
