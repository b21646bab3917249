import json
from collections.abc import Iterable
from typing import Any

import pytest

from accepted_risks.document import Refusal
from accepted_risks.risks import LONGEST_TEXT
from notify_scan.accepted_risks_notices import MOST_NOTICES, due_notices
from reporting.channels.delivery import Channel
from reporting.reports import NoticeReport, Reason
from reporting.wording import message_of_notice
from runtime import messages
from tests.support.clock import NOW
from tests.support.reports import (
    EVERY_CHANNEL,
    FakeAcceptedRisks,
    any_run_report,
    any_scan_report,
    complaints_about,
    interpreted_of,
)

EXPIRED = """
accepted_risks:
  - {vulnerability: CVE-1, repositories: "team/.*", reason: Not reachable., expires: 2026-03-13,
     accepted_by: jane}
  - {vulnerability: CVE-2, reason: Not today., expires: 2026-03-14, accepted_by: joe}
"""
MOST_OF_A_STATE = 256 * 1024  # bytes
REFUSAL = Refusal("abc", "entry 1, expires must be a day.")


def due(document: FakeAcceptedRisks, report: Any = None, event: str = "one") -> list[NoticeReport]:
    interpreted = interpreted_of(report or any_scan_report(), event)
    fake: Any = document
    return list(due_notices(document.in_force(NOW), interpreted, fake, NOW))


def test_reports_an_entry_on_the_day_after_its_last() -> None:
    (notice,) = due(FakeAcceptedRisks(EXPIRED))
    assert (notice.title, notice.about) == ("ECR: risk acceptance expired: ", "CVE-1")
    assert notice.problem == (
        "Accepted by jane for team/.* until 2026-03-13. "
        'Reason: "Not reachable". Fix the vulnerability, or renew the acceptance.'
    )
    assert "accepted-risks.yaml" in notice.link


def test_reports_a_document_that_was_refused() -> None:
    (notice,) = due(FakeAcceptedRisks(refusal=REFUSAL), any_run_report())
    assert notice.problem == f"{REFUSAL.sentence} The last valid version stays in effect."
    assert notice.subject.endswith("/accepted-risks/refused-abc")


def test_the_first_event_brings_a_notice_and_brings_it_again_when_it_is_retried() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    assert [len(due(document, event=event)) for event in ("one", "one", "other")] == [1, 1, 0]


def many_expired(number: int, text: str = "any") -> str:
    entries = [
        {
            "vulnerability": f"CVE-{each}",
            "repositories": text,
            "reason": text,
            "expires": "2026-03-13",
            "accepted_by": text,
        }
        for each in range(number)
    ]
    return json.dumps({"accepted_risks": entries}, ensure_ascii=False)


def test_an_event_brings_a_few_notices_and_later_ones_the_rest() -> None:
    document = FakeAcceptedRisks(many_expired(2 * MOST_NOTICES + 1))
    brought = [due(document, event=event) for event in ("one", "one", "two", "three", "four")]
    assert [len(notices) for notices in brought] == [MOST_NOTICES] * 3 + [1, 0]
    assert brought[0] == brought[1]
    about = {notice.about for notices in brought for notice in notices}
    assert len(about) == 2 * MOST_NOTICES + 1


class Raced(FakeAcceptedRisks):
    def unclaimed(self, notices: Iterable[str], *, event: str, most: int) -> list[str]:
        free = super().unclaimed(notices, event=event, most=most)
        self.claims[free[0]] = "another that is faster"
        return free


def test_leaves_a_notice_to_the_event_that_claims_it_first() -> None:
    (notice,) = due(Raced(many_expired(2)))
    assert notice.about == "CVE-1"


@pytest.mark.parametrize("text", ["Not reachable. ", '"', "\N{PARTY POPPER}"])
def test_the_longest_notices_fit_a_state_beside_a_message(text: str) -> None:
    longest = (text * LONGEST_TEXT)[:LONGEST_TEXT]
    notices = due(FakeAcceptedRisks(many_expired(MOST_NOTICES, longest)))
    assert len(notices) == MOST_NOTICES
    deliveries = [
        delivery
        for notice in notices
        for delivery in EVERY_CHANNEL.notice(message_of_notice(notice), notice, now=NOW)
    ]
    # Lambda leaves what is not ASCII as it is.
    size = len(json.dumps(messages.encode(tuple(deliveries)), ensure_ascii=False).encode())
    assert size < MOST_OF_A_STATE * 2 / 3


def test_a_silence_brings_nothing() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    assert due(document, Reason.NOT_AN_IMAGE) == []
    assert document.claims == {}


def test_every_channel_but_pagerduty_takes_it() -> None:
    (notice,) = due(FakeAcceptedRisks(EXPIRED))
    deliveries = EVERY_CHANNEL.notice(message_of_notice(notice), notice, now=NOW)
    assert {each.channel for each in deliveries} == {*Channel} - {Channel.PAGERDUTY}
    assert [problem for each in deliveries for problem in complaints_about(each)] == []
    assert len({each.message_id for each in deliveries}) == 1
