"""The document of accepted risks, in the run bucket, and what the ledger keeps of it."""

import functools
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from accepted_risks.expiry import is_due, notices_of, unreported
from accepted_risks.risks import (
    DOCUMENT,
    MOST_BYTES,
    TOO_LARGE,
    AcceptedRisks,
    UnusableAcceptedRisks,
)
from ledger.bucket import RunBucket, StoredDocument, run_bucket
from ledger.errors import LedgerUnavailable
from ledger.risk_records import ExpiryNotices, RiskRecords, risk_records
from runtime.log import logger

LOOKED_UP_EVERY = timedelta(seconds=300)

ANOTHER_EVENT = "another event"  # no event has this name
_ABSENT = "absent"  # instead of an ETag, where there is no document


@dataclass(frozen=True)
class Refusal:
    """Why the document in the bucket is not in effect.

    id: the same as long as the document is.
    """

    id: str
    sentence: str


@dataclass(frozen=True)
class RisksInForce:
    """What is accepted; with a refusal, it is what was accepted before the document went bad."""

    risks: AcceptedRisks = field(default_factory=AcceptedRisks)
    refusal: Refusal | None = None


class AcceptedRisksDocument:
    """The document, cached from one invocation to the next."""

    def __init__(self, bucket: RunBucket, records: RiskRecords) -> None:
        self._bucket = bucket
        self._records = records
        # As far as this container knows: which event has claimed a notice, and the last notices.
        self._claimed: dict[str, str] = {}
        self._notices: ExpiryNotices | None = None
        self._in_force = RisksInForce()
        self._last_valid: AcceptedRisks | None = None
        # The ETag of the document that is in effect and kept in the ledger; None while either is
        # left to do, so that the next look reads the document again.
        self._done: str | None = None
        self._looked_up_at: datetime | None = None

    @property
    def bucket(self) -> str:
        """Return the name of the bucket."""
        return self._bucket.name

    def in_force(self, now: datetime) -> RisksInForce:
        """Return what is accepted, as of a few minutes ago.

        Without an answer from AWS, the cached document stays in effect: an extra notification is
        better than a missing one.
        """
        if self._looked_up_at is None or now - self._looked_up_at >= LOOKED_UP_EVERY:
            self._looked_up_at = now
            try:
                self._look_up()
            except LedgerUnavailable as error:
                logger.warning("accepted risks unavailable", extra={"error": str(error)})
        return self._in_force

    def expiry_notices(self, *, event: str, today: date) -> ExpiryNotices | None:
        """Return the notices of today about acceptances that expire, if the event sends them.

        The first event of a day that has something for a notice claims them; a retry of that event
        gets the same. When the table does not answer, no event sends any.
        """
        try:
            return self._expiry_notices(event, today)
        except LedgerUnavailable as error:
            logger.warning("notices unavailable", extra={"error": str(error)})
            return None

    def claim(self, notice: str, *, event: str, expires_at: int) -> bool:
        """Claim a notice for an event, and return whether the event is to send it.

        A retry of the same event sends it again. When the table does not answer, no event does.
        """
        if self._claimed.get(notice, event) != event:
            return False
        try:
            is_claimed = self._records.claim(notice, event=event, expires_at=expires_at)
        except LedgerUnavailable as error:
            logger.warning("notice not claimed", extra={"error": str(error)})
            return False
        self._claimed[notice] = event if is_claimed else ANOTHER_EVENT
        return is_claimed

    def _expiry_notices(self, event: str, today: date) -> ExpiryNotices | None:
        risks = self._in_force.risks
        if not risks.entries:
            return None
        if self._notices is None or is_due(risks, self._notices, today):
            self._notices = self._records.expiry_notices()
        known = self._notices
        if known and (known.day, known.event) == (today.isoformat(), event):
            return known
        if known and not is_due(risks, known, today):
            return None
        unnoticed = unreported(risks.expired(today), known.reported if known else {}, today)
        notices = notices_of(
            risks,
            known,
            today=today,
            event=event,
            reported_singly=self._records.reported_singly(unnoticed),
        )
        is_claimed = self._records.note_expiry_notices(notices, instead_of=known)
        self._notices = notices if is_claimed else None
        return self._notices

    def _look_up(self) -> None:
        known = None if self._done == _ABSENT else self._done
        document = self._bucket.document(DOCUMENT, known=known, most=MOST_BYTES)
        if document is None:
            return
        if document.etag is None:
            self._forget()
            return
        self._done = None
        try:
            self._take(document, document.etag)
        except UnusableAcceptedRisks as error:
            self._fall_back(Refusal(document.etag.strip('"'), str(error)))
        self._done = document.etag

    def _forget(self) -> None:
        """Accept nothing: an operator who deletes the document wants that."""
        self._last_valid = AcceptedRisks()
        self._in_force = RisksInForce()
        if self._done != _ABSENT:
            self._done = None
            self._records.forget()
            self._done = _ABSENT

    def _take(self, document: StoredDocument, etag: str) -> None:
        """Put a valid document into effect, and keep it for containers that start later."""
        if document.content is None:
            raise UnusableAcceptedRisks(TOO_LARGE)
        risks = AcceptedRisks.read(document.content)
        self._last_valid = risks
        self._in_force = RisksInForce(risks)
        self._records.keep(document.content.decode(), etag)

    def _fall_back(self, refusal: Refusal) -> None:
        """Leave the last valid document in effect, as far as it is known."""
        self._in_force = RisksInForce(self._last_valid or AcceptedRisks(), refusal)
        if self._last_valid is None:
            self._last_valid = self._kept()
            self._in_force = RisksInForce(self._last_valid, refusal)

    def _kept(self) -> AcceptedRisks:
        # What an older version of ecr-rescan found valid may be invalid by now.
        with suppress(UnusableAcceptedRisks):
            if kept := self._records.last_valid():
                return AcceptedRisks.read(kept)
        return AcceptedRisks()


@functools.cache
def accepted_risks_document(bucket: str, table: str) -> AcceptedRisksDocument:
    """Make the cached document of a bucket and a table, once per container of the function."""
    return AcceptedRisksDocument(run_bucket(bucket), risk_records(table))
