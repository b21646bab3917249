"""Which acceptances have expired, or expire within a week, and are in no notice yet."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta

from accepted_risks.risks import AcceptedRisk, AcceptedRisks
from ledger.risk_records import ExpiryNotices

WARNED_BEFORE = timedelta(days=7)

# After this time, an acceptance that is still in the document is in a notice once more.
NOTICED_FOR = timedelta(days=365)

# More than a document has entries. The ledger keeps them in one item, at 32 bytes each.
MOST_KEPT = 3_000


def is_due(risks: AcceptedRisks, known: ExpiryNotices, today: date) -> bool:
    """Return whether today has had no notice yet, and there is something for one."""
    return known.day < today.isoformat() and bool(
        unreported(risks.expired(today), known.reported, today)
        or unreported(risks.expiring(today, WARNED_BEFORE), known.warned_of, today)
    )


def unreported(
    risks: Iterable[AcceptedRisk], days: Mapping[str, str], today: date
) -> tuple[str, ...]:
    """Return the ids of those acceptances that were in no notice.

    days: by id, the day of the notice that an acceptance was in.
    """
    ids = (risk.id for risk in risks)
    return tuple(each for each in ids if not _is_recent(days.get(each), today))


def notices_of(
    risks: AcceptedRisks,
    known: ExpiryNotices | None,
    *,
    today: date,
    event: str,
    reported_singly: Collection[str],
) -> ExpiryNotices:
    """Return the notices of today, and what has been in one by then.

    known: the last notices. Without any, nothing is said of what is about to expire: on the day on
        which ecr-rescan is updated from a version without warnings, they are not expected.
    reported_singly: acceptances that version 0.3.0 has reported as expired.
    """
    day = today.isoformat()
    reported, warned_of = (known.reported, known.warned_of) if known else ({}, {})
    expired = unreported(risks.expired(today), reported, today)
    expiring = unreported(risks.expiring(today, WARNED_BEFORE), warned_of, today) if known else ()
    return ExpiryNotices(
        day=day,
        event=event,
        expired=tuple(each for each in expired if each not in reported_singly),
        expiring=expiring,
        reported=_kept({**reported, **dict.fromkeys(expired, day)}, today),
        warned_of=_kept({**warned_of, **dict.fromkeys(expiring, day)}, today),
    )


def _is_recent(day: str | None, today: date) -> bool:
    return day is not None and today - date.fromisoformat(day) < NOTICED_FOR


def _kept(days: Mapping[str, str], today: date) -> dict[str, str]:
    """Return the newest days that still count."""
    newest = sorted(days.items(), key=lambda item: item[1], reverse=True)[:MOST_KEPT]
    return {each: day for each, day in newest if _is_recent(day, today)}
