"""Notices about the document of accepted risks: an invalid file, acceptances that expire."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from accepted_risks.document import AcceptedRisksDocument, Refusal, RisksInForce
from accepted_risks.risks import DOCUMENT, AcceptedRisk
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.own_stack import OwnStack
from reporting import console_links
from reporting.phrases import day
from reporting.reports import Acceptance, NoticeReport
from reporting.text import sendable, trimmed

# The acceptances that a notice lists. Notices share the 256 KiB of a state with the message of
# their event.
MOST_LISTED = 15
_LONGEST_NAME = 40  # characters, of what a list names

# After this time, an invalid file that is still there is reported once more.
REPORTED_FOR = timedelta(days=365)


def due_notices(
    in_force: RisksInForce,
    interpreted: InterpretedEvent,
    document: AcceptedRisksDocument,
    stack: OwnStack,
    now: datetime,
) -> tuple[NoticeReport, ...]:
    """Return the notices that no other event sends, and claim them.

    They are three at most: about an invalid file, and once a day about the acceptances that have
    expired, and about those that expire within a week.
    """
    said = interpreted.interpretation
    if not (said.scan or said.run or said.found_image or said.finished_run):
        return ()
    due = [
        *_of_refusal(in_force.refusal, interpreted.event, document, now),
        *_of_expiry(in_force, interpreted.event, document, now),
    ]
    return tuple(
        NoticeReport(
            account=stack.account,
            region=stack.region,
            topic=f"accepted-risks/{notice.id}",
            title=notice.title,
            about=sendable(notice.about),
            problem=sendable(notice.problem),
            reported_at=now,
            link=console_links.object_page(stack.region, document.bucket, DOCUMENT),
            acceptances=tuple(map(_acceptance, notice.risks[:MOST_LISTED])),
            acceptances_omitted=max(0, len(notice.risks) - MOST_LISTED),
        )
        for notice in due
    )


@dataclass(frozen=True)
class _Notice:
    id: str
    title: str
    about: str
    problem: str
    risks: tuple[AcceptedRisk, ...] = ()


def _of_refusal(
    refusal: Refusal | None, event: str, document: AcceptedRisksDocument, now: datetime
) -> Iterator[_Notice]:
    if refusal is None:
        return
    notice = _Notice(
        id=f"refused-{refusal.id}",
        title="ECR: accepted risks not updated, invalid file: ",
        about=DOCUMENT,
        problem=f"{refusal.sentence} The last valid version stays in effect.",
    )
    if document.claim(notice.id, event=event, expires_at=int((now + REPORTED_FOR).timestamp())):
        yield notice


def _of_expiry(
    in_force: RisksInForce, event: str, document: AcceptedRisksDocument, now: datetime
) -> Iterator[_Notice]:
    notices = document.expiry_notices(event=event, today=now.date())
    if notices is None:
        return
    by_id = {risk.id: risk for risk in in_force.risks.entries}
    if expired := _listed(by_id[each] for each in notices.expired if each in by_id):
        yield _expired(expired, date.fromisoformat(notices.day))
    if expiring := _listed(by_id[each] for each in notices.expiring if each in by_id):
        yield _expiring(expiring, date.fromisoformat(notices.day))


def _listed(risks: Iterable[AcceptedRisk]) -> tuple[AcceptedRisk, ...]:
    return tuple(
        sorted(risks, key=lambda risk: (risk.expires, risk.vulnerability, risk.repositories or ""))
    )


def _expired(risks: tuple[AcceptedRisk, ...], today: date) -> _Notice:
    first, *others = risks
    if not others:
        title, about = "ECR: risk acceptance expired: ", first.vulnerability
        problem = f"{_origin(first, today)} Fix the vulnerability, or renew the acceptance."
    else:
        title, about = f"ECR: {len(risks):,} risk acceptances expired: ", DOCUMENT
        problem = "Their findings count again. Fix the vulnerabilities, or renew the acceptances."
    return _Notice(f"expired-{today}", title, about, problem, risks)


def _expiring(risks: tuple[AcceptedRisk, ...], today: date) -> _Notice:
    first, *others = risks
    last = max(risk.expires for risk in risks)
    last_day = day(last.isoformat(), today)
    if not others:
        title, about = f"ECR: risk acceptance expires on {last_day}: ", first.vulnerability
        problem = (
            f"{_origin(first, today)} After that day its findings count again: fix the "
            "vulnerability, or renew the acceptance."
        )
    else:
        when = "on" if first.expires == last else "by"
        title, about = f"ECR: {len(risks):,} risk acceptances expire {when} {last_day}: ", DOCUMENT
        problem = (
            "After their last day, their findings count again: fix the vulnerabilities, or renew "
            "the acceptances."
        )
    return _Notice(f"expiring-{today}", title, about, problem, risks)


def _origin(risk: AcceptedRisk, today: date) -> str:
    where = f" for {risk.repositories}" if risk.repositories else ""
    return (
        f"Accepted by {risk.accepted_by}{where} until {day(risk.expires.isoformat(), today)}. "
        f'Reason: "{risk.reason.rstrip(".")}".'
    )


def _acceptance(risk: AcceptedRisk) -> Acceptance:
    return Acceptance(
        vulnerability=_short(risk.vulnerability),
        repositories=_short(risk.repositories) if risk.repositories else None,
        until=risk.expires.isoformat(),
        accepted_by=_short(risk.accepted_by),
    )


def _short(text: str) -> str:
    return trimmed(sendable(text), _LONGEST_NAME)
