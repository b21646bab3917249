import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accepted_risks.document import Refusal
from accepted_risks.risks import LONGEST_TEXT
from notify_scan.accepted_risks_notices import MOST_LISTED, due_notices
from reporting.acceptance_wording import LONGEST_LIST
from reporting.channels import chatbot, slack, sns, teams
from reporting.channels.delivery import Channel
from reporting.message import Message, plain
from reporting.reports import Acceptance, NoticeReport, Reason
from reporting.wording import message_of_notice
from runtime import messages
from tests.support.cases import case_text
from tests.support.clock import NOW
from tests.support.reports import (
    EVERY_CHANNEL,
    STACK,
    FakeAcceptedRisks,
    any_run_report,
    any_scan_report,
    complaints_about,
    interpreted_of,
)

A_DAY = timedelta(days=1)
EXPIRED = """
accepted_risks:
  - {vulnerability: CVE-1, repositories: "team/.*", reason: Not reachable., expires: 2026-03-13,
     accepted_by: jane}
  - {vulnerability: CVE-2, reason: Not today., expires: 2026-03-14, accepted_by: joe}
"""
MOST_OF_A_STATE = 256 * 1024  # bytes
REFUSAL = Refusal("abc", "entry 1, expires must be a day.")


def due(
    document: FakeAcceptedRisks, report: Any = None, event: str = "one", now: Any = NOW
) -> list[NoticeReport]:
    interpreted = interpreted_of(report or any_scan_report(), event)
    fake: Any = document
    return list(due_notices(document.in_force(now), interpreted, fake, STACK, now))


def expiring(number: int, on: str = "2026-03-13", text: str = "any") -> str:
    entries = [
        {
            "vulnerability": f"CVE-{each}",
            "repositories": text,
            "reason": text,
            "expires": on,
            "accepted_by": text,
        }
        for each in range(number)
    ]
    return json.dumps({"accepted_risks": entries}, ensure_ascii=False)


def seen_before(document: FakeAcceptedRisks) -> FakeAcceptedRisks:
    """Let events see the document long ago, when nothing of it was near its end."""
    assert due(document, event="long-ago", now=NOW - 100 * A_DAY) == []
    return document


def shown(message: Message) -> list[str]:
    (section,) = message.sections
    assert section.heading == "Acceptances"
    return [plain(line) for line in section.lines]


def test_reports_an_acceptance_on_the_day_after_its_last() -> None:
    (notice,) = due(FakeAcceptedRisks(EXPIRED))
    assert (notice.title, notice.about) == ("ECR: risk acceptance expired: ", "CVE-1")
    assert notice.problem == (
        "Accepted by jane for team/.* until 13 March. "
        'Reason: "Not reachable". Fix the vulnerability, or renew the acceptance.'
    )
    assert notice.acceptances == (Acceptance("CVE-1", "team/.*", "2026-03-13", "jane"),)
    assert notice.subject.endswith("/accepted-risks/expired-2026-03-14")
    assert "accepted-risks.yaml" in notice.link
    assert message_of_notice(notice).sections == ()


def test_a_day_of_another_year_is_named_with_its_year() -> None:
    document = "accepted_risks:\n" + expiring_entries("2025-12-31", 2)
    (notice,) = due(FakeAcceptedRisks(document))
    assert shown(message_of_notice(notice))[0] == "CVE-70 until 31 December 2025, accepted by any"
    assert notice.acceptances[0].until == "2025-12-31"


def test_warns_of_an_acceptance_a_week_before_it_expires() -> None:
    document = seen_before(FakeAcceptedRisks(expiring(1, "2026-03-21")))
    assert due(document, event="early", now=NOW - A_DAY) == []
    (notice,) = due(document)
    assert (notice.title, notice.about) == (
        "ECR: risk acceptance expires on 21 March: ",
        "CVE-0",
    )
    assert notice.problem == (
        'Accepted by any for any until 21 March. Reason: "any". After that day its findings '
        "count again: fix the vulnerability, or renew the acceptance."
    )
    assert notice.subject.endswith("/accepted-risks/expiring-2026-03-14")


def test_warns_of_an_acceptance_on_its_last_day_if_not_before() -> None:
    document = seen_before(FakeAcceptedRisks(expiring(1, "2026-03-14")))
    assert [notice.title for notice in due(document)] == [
        "ECR: risk acceptance expires on 14 March: "
    ]


def test_on_the_first_day_of_a_document_nothing_is_said_of_what_expires_soon() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    assert [notice.about for notice in due(document)] == ["CVE-1"]
    assert due(document, event="two", now=NOW + A_DAY / 2) == []
    (expired,) = due(document, event="three", now=NOW + A_DAY)
    assert expired.about == "CVE-2"


def test_reports_a_document_that_was_refused() -> None:
    (notice,) = due(FakeAcceptedRisks(refusal=REFUSAL), any_run_report())
    assert notice.problem == f"{REFUSAL.sentence} The last valid version stays in effect."
    assert notice.subject.endswith("/accepted-risks/refused-abc")
    assert notice.acceptances == ()


def test_a_refused_document_is_reported_by_one_event_and_its_retries() -> None:
    document = FakeAcceptedRisks(refusal=REFUSAL)
    assert [len(due(document, event=event)) for event in ("one", "one", "other")] == [1, 1, 0]


def test_the_first_event_of_a_day_brings_the_notices_and_brings_them_again_when_retried() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    brought = [due(document, event=event) for event in ("one", "one", "other")]
    assert [len(notices) for notices in brought] == [1, 1, 0]
    assert brought[0] == brought[1]


def test_a_day_has_one_notice_of_each_kind_and_the_next_day_the_rest() -> None:
    first = EXPIRED + expiring_entries("2026-03-20", 3)
    document = seen_before(FakeAcceptedRisks(first))
    ids = [notice.topic.rpartition("/")[2] for notice in due(document)]
    assert ids == ["expired-2026-03-14", "expiring-2026-03-14"]
    more = FakeAcceptedRisks(first + expiring_entries("2026-03-12", 2, "CVE-9"))
    more.notices = document.notices
    assert due(more, event="later", now=NOW + A_DAY / 2) == []
    (notice,) = due(more, event="later", now=NOW + A_DAY)
    assert notice.title == "ECR: 3 risk acceptances expired: "  # of that day and of the day before
    assert [each.until for each in notice.acceptances] == ["2026-03-12", "2026-03-12", "2026-03-14"]


def expiring_entries(on: str, number: int, name: str = "CVE-7") -> str:
    return "".join(
        f"  - {{vulnerability: {name}{each}, reason: any, expires: {on}, accepted_by: any}}\n"
        for each in range(number)
    )


def test_names_the_day_of_all_or_the_last_of_them() -> None:
    one_day = "accepted_risks:\n" + expiring_entries("2026-03-20", 2)
    (notice,) = due(seen_before(FakeAcceptedRisks(one_day)))
    assert notice.title == "ECR: 2 risk acceptances expire on 20 March: "
    two_days = one_day + expiring_entries("2026-03-18", 1, "CVE-8")
    (notice,) = due(seen_before(FakeAcceptedRisks(two_days)))
    assert notice.title == "ECR: 3 risk acceptances expire by 20 March: "
    assert shown(message_of_notice(notice)) == [
        "CVE-80 until 18 March, accepted by any",
        "CVE-70 until 20 March, accepted by any",
        "CVE-71 until 20 March, accepted by any",
    ]


def test_case_18_two_hundred_that_expire_on_one_day_are_one_message_and_one_warning() -> None:
    document = FakeAcceptedRisks(case_text("18-two-hundred-expire-on-one-day.yaml", "notify"))
    first_day = NOW.replace(year=2026, month=1, day=2)
    brought = {}
    for day in range(60):
        for event in range(3):
            now = first_day + day * A_DAY + timedelta(hours=event)
            for notice in due(document, event=f"{day}-{event}", now=now):
                brought[f"{now:%m-%d %H}"] = notice
    assert list(brought) == ["01-24 03", "02-01 03"]
    warning, report = brought.values()
    assert warning.title == "ECR: 200 risk acceptances expire on 31 January: "
    assert report.title == "ECR: 200 risk acceptances expired: "
    for notice in (warning, report):
        lines = shown(message_of_notice(notice))
        assert lines[0] == "CVE-2026-0000 until 31 January, accepted by platform team"
        assert lines[14:] == [
            "CVE-2026-0014 until 31 January, accepted by platform team",
            "185 more in the document",
        ]
        assert len(notice.acceptances) == MOST_LISTED
        assert notice.acceptances_omitted == 185


@pytest.mark.no_cover
@given(
    last_days=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    events=st.dictionaries(st.integers(0, 60), st.integers(1, 3), min_size=1),
)
def test_every_acceptance_is_warned_of_and_reported_once_on_whichever_days_events_come(
    last_days: list[int], events: dict[int, int]
) -> None:
    """Days are counted from any day; events has their number by day."""
    entries = "".join(
        expiring_entries(f"{(NOW + day * A_DAY):%Y-%m-%d}", 1, f"CVE-{number}-")
        for number, day in enumerate(last_days)
    )
    document = FakeAcceptedRisks("accepted_risks:\n" + entries)
    warned_of, reported = Counter[int](), Counter[int]()
    for day, number in sorted(events.items()):
        today = (NOW + day * A_DAY).date()
        sent = [document.expiry_notices(event=f"{day}-{n}", today=today) for n in range(number)]
        assert sent[1:] == [None] * (number - 1)
        if notices := sent[0]:
            assert document.expiry_notices(event=f"{day}-0", today=today) == notices
            warned_of.update(numbers(document, notices.expiring))
            reported.update(numbers(document, notices.expired))
    _, *later = sorted(events)
    everything = dict(enumerate(last_days))
    assert reported == {each: 1 for each, last in everything.items() if last < max(events)}
    assert warned_of == {
        each: 1
        for each, last in everything.items()
        if any(last - 7 <= day <= last for day in later)
    }


def numbers(document: FakeAcceptedRisks, ids: tuple[str, ...]) -> list[int]:
    by_id = {risk.id: number for number, risk in enumerate(document.in_force(NOW).risks.entries)}
    return [by_id[each] for each in ids]


def test_an_acceptance_that_is_gone_from_the_document_is_left_out_of_a_retry() -> None:
    document = FakeAcceptedRisks(EXPIRED)
    due(document)
    without = FakeAcceptedRisks("accepted_risks: []")
    without.notices = document.notices
    assert due(without) == []


def longest_notices(text: str) -> list[NoticeReport]:
    longest = (text * LONGEST_TEXT)[:LONGEST_TEXT]
    entries = [
        {
            "vulnerability": f"CVE-{each}-" + "x" * 400,
            "repositories": longest,
            "reason": longest,
            "expires": "2026-03-13" if each % 2 else "2026-03-20",
            "accepted_by": longest,
        }
        for each in range(40)
    ]
    raw = json.dumps({"accepted_risks": entries}, ensure_ascii=False)
    return due(seen_before(FakeAcceptedRisks(raw)))


@pytest.mark.parametrize("text", [".", "&", '"', "\N{PARTY POPPER}"])
def test_the_longest_notices_fit_a_state_beside_a_message_and_every_channel(text: str) -> None:
    notices = longest_notices(text)
    assert len(notices) == 2
    deliveries = [
        delivery
        for notice in notices
        for delivery in EVERY_CHANNEL.notice(message_of_notice(notice), notice, now=NOW)
    ]
    assert [problem for each in deliveries for problem in complaints_about(each)] == []
    # Lambda leaves what is not ASCII as it is.
    size = len(json.dumps(messages.encode(tuple(deliveries)), ensure_ascii=False).encode())
    assert size < MOST_OF_A_STATE / 2


@pytest.mark.parametrize("text", [".", "&", '"', "\N{PARTY POPPER}"])
def test_every_channel_shows_the_list_whole_with_one_remainder(text: str) -> None:
    for notice in longest_notices(text):
        message = message_of_notice(notice)
        *lines, more = shown(message)
        assert 5 <= len(lines) <= MOST_LISTED
        assert sum(map(len, lines)) < LONGEST_LIST
        total = len(notice.acceptances) + notice.acceptances_omitted
        assert more == f"{total - len(lines)} more in the document"
        for rendered in (
            slack.webhook_message(message),
            teams.webhook_message(message),
            chatbot.publication(message, notice),
            sns.email(message),
        ):
            assert json.dumps(rendered).count(" more") == 1
            assert more in json.dumps(rendered)


def test_a_silence_brings_nothing() -> None:
    document = FakeAcceptedRisks(EXPIRED, REFUSAL)
    assert due(document, Reason.NOT_AN_IMAGE) == []
    assert document.claims == {}
    assert document.notices is None


def test_every_channel_but_pagerduty_takes_it() -> None:
    (notice,) = due(FakeAcceptedRisks(EXPIRED))
    deliveries = EVERY_CHANNEL.notice(message_of_notice(notice), notice, now=NOW)
    assert {each.channel for each in deliveries} == {*Channel} - {Channel.PAGERDUTY}
    assert [problem for each in deliveries for problem in complaints_about(each)] == []
    assert {each.message_id for each in deliveries} == {"expired-2026-03-14"}
