"""What somebody must put right in the document of accepted risks; told once each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from accepted_risks.document import AcceptedRisksDocument, RisksInForce
from accepted_risks.risks import DOCUMENT
from notify_scan.interpreted_event import InterpretedEvent
from reporting import console_links
from reporting.reports import NoticeReport
from reporting.text import sendable

# An event brings so many, and later ones the rest. They share the 256 KiB of a state with the
# event's own message: in six channels a notice takes 11 kB, and 33 kB with the longest texts.
MOST_NOTICES = 5

# After that an entry that has expired, and still stands in the document, is told once more.
TOLD_FOR = timedelta(days=365)


def due_notices(
    in_force: RisksInForce,
    interpreted: InterpretedEvent,
    document: AcceptedRisksDocument,
    now: datetime,
) -> tuple[NoticeReport, ...]:
    """Pick a few that nobody has been told of yet; whichever event comes first brings them."""
    report = interpreted.interpretation.scan or interpreted.interpretation.run
    if report is None:
        return ()
    expires_at = int((now + TOLD_FOR).timestamp())
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
            title="Accepted risks are not in force as written: ",
            about=DOCUMENT,
            problem=f"{refusal.sentence} What was accepted before stays in force.",
        )
    for risk in in_force.risks.expired(now.date()):
        where = f" in {risk.repositories}" if risk.repositories else ""
        yield _Notice(
            id=f"expired-{risk.id}",
            title="No longer accepted: ",
            about=risk.vulnerability,
            problem=f"{risk.accepted_by} has accepted {risk.vulnerability}{where} until "
            f"{risk.expires}: {risk.reason} Mend it, or accept it anew.",
        )
