"""Notices about the document of accepted risks: an invalid file, an expired acceptance."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from accepted_risks.document import AcceptedRisksDocument, RisksInForce
from accepted_risks.risks import DOCUMENT
from notify_scan.interpreted_event import InterpretedEvent
from reporting import console_links
from reporting.reports import NoticeReport
from reporting.text import sendable

# One event brings at most this many, and later events the rest. They share the 256 KiB of a state
# with the event's own message: in six channels a notice takes 11 kB, and 33 kB with the longest
# texts.
MOST_NOTICES = 5

# After this time, an expired entry that is still in the document is reported once more.
REPORTED_FOR = timedelta(days=365)


def due_notices(
    in_force: RisksInForce,
    interpreted: InterpretedEvent,
    document: AcceptedRisksDocument,
    now: datetime,
) -> tuple[NoticeReport, ...]:
    """Return up to MOST_NOTICES notices that no other event has claimed, and claim them."""
    report = interpreted.interpretation.scan or interpreted.interpretation.run
    if report is None:
        return ()
    expires_at = int((now + REPORTED_FOR).timestamp())
    notices = {notice.id: notice for notice in _due(in_force, now)}
    unclaimed = document.unclaimed(notices, event=interpreted.event, most=MOST_NOTICES)
    return tuple(
        NoticeReport(
            account=report.account,
            region=report.region,
            topic=f"accepted-risks/{due.id}",
            title=due.title,
            about=sendable(due.about),
            problem=sendable(due.problem),
            reported_at=now,
            link=console_links.object_page(report.region, document.bucket, DOCUMENT),
        )
        for due in map(notices.__getitem__, unclaimed)
        if document.claim(due.id, event=interpreted.event, expires_at=expires_at)
    )


@dataclass(frozen=True)
class _Notice:
    id: str
    title: str
    about: str
    problem: str


def _due(in_force: RisksInForce, now: datetime) -> Iterator[_Notice]:
    if refusal := in_force.refusal:
        yield _Notice(
            id=f"refused-{refusal.id}",
            title="ECR: accepted risks not updated, invalid file: ",
            about=DOCUMENT,
            problem=f"{refusal.sentence} The last valid version stays in effect.",
        )
    for risk in in_force.risks.expired(now.date()):
        where = f" for {risk.repositories}" if risk.repositories else ""
        yield _Notice(
            id=f"expired-{risk.id}",
            title="ECR: risk acceptance expired: ",
            about=risk.vulnerability,
            problem=f"Accepted by {risk.accepted_by}{where} until {risk.expires}. "
            f'Reason: "{risk.reason.rstrip(".")}". Fix the vulnerability, or renew the acceptance.',
        )
