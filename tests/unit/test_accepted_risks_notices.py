from typing import Any

from notify_scan.accepted_risks_document import Refusal
from notify_scan.accepted_risks_notices import due_notices
from notify_scan.channels.delivery import Channel
from notify_scan.reports import NoticeReport
from notify_scan.wording import message_of_notice
from tests.support.clock import NOW
from tests.support.reports import (
    EVERY_CHANNEL,
    FakeAcceptedRisks,
    any_run_report,
    any_scan_report,
    complaints_about,
    understood_of,
)

EXPIRED = """
accepted_risks:
  - {vulnerability: CVE-1, repositories: "team/.*", reason: Not reachable., expires: 2026-03-13,
     accepted_by: jane}
  - {vulnerability: CVE-2, reason: Not today., expires: 2026-03-14, accepted_by: joe}
"""
REFUSAL = Refusal("abc", "entry 1, expires must be a day.")


def due(document: FakeAcceptedRisks, report: Any = None, event: str = "one") -> list[NoticeReport]:
    understood = understood_of(report or any_scan_report(), event)
    fake: Any = document
    return list(due_notices(document.in_force(NOW), understood, fake, NOW))


def test_tells_of_an_entry_on_the_day_after_its_last() -> None:
    (notice,) = due(FakeAcceptedRisks(EXPIRED))
    assert (notice.title, notice.about) == ("No longer accepted: ", "CVE-1")
    assert notice.problem == (
        "jane has accepted CVE-1 in team/.* until 2026-03-13: Not reachable. "
        "Mend it, or accept it anew."
    )
    assert "accepted-risks.yaml" in notice.link


def test_tells_of_a_document_that_was_refused() -> None:
    (notice,) = due(FakeAcceptedRisks(refusal=REFUSAL), any_run_report())
    assert notice.problem == f"{REFUSAL.sentence} What was accepted before stays in force."
    assert notice.subject.endswith("/accepted-risks/refused-abc")


def test_the_first_event_brings_a_notice_and_brings_it_again_when_it_is_retried() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    assert [len(due(document, event=event)) for event in ("one", "one", "other")] == [1, 1, 0]


def test_a_silence_brings_nothing() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    assert due(document, "of no interest") == []
    assert document.claims == {}


def test_every_channel_but_pagerduty_takes_it() -> None:
    (notice,) = due(FakeAcceptedRisks(EXPIRED))
    deliveries = EVERY_CHANNEL.notice(message_of_notice(notice), notice, now=NOW)
    assert {each.channel for each in deliveries} == {*Channel} - {Channel.PAGERDUTY}
    assert [problem for each in deliveries for problem in complaints_about(each)] == []
    assert len({each.message_id for each in deliveries}) == 1
