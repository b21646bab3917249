"""The page shows every message to whoever opens it, and runs nothing that is in one."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.page.message_page import page, sms_parts
from local.receivers.inbox import Channel, Received
from local.receivers.subscribers import BusEvent, Delivered, Email, TextMessage, TopicMessage
from local.receivers.webhook_services import Answer
from tests.support.html import Shown, any_json

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ACCEPTED = Answer(200)


def a_request(
    channel: Channel,
    message: Any,
    *,
    answer: Answer = ACCEPTED,
    at: datetime = NOON,
    headers: dict[str, str] | None = None,
) -> Received:
    return Received(channel, headers or {}, json.dumps(message).encode(), message, at, answer)


def everything(text: str) -> tuple[Sequence[Received], Delivered]:
    """Make a message of every kind that says the text wherever it can."""
    card = {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": text}]}
    alert = {"summary": text, "severity": text, "source": text, "custom_details": {text: text}}
    link = {"href": text, "text": text}
    notification = {
        "content": {"title": text, "description": text, "nextSteps": [text], "keywords": [text]},
        "metadata": {"threadId": text},
    }
    requests = (
        a_request("slack", {"text": text}),
        a_request("teams", card),
        a_request("pagerduty", {"event_action": text, "payload": alert, "links": [link]}),
        a_request("webhook", {text: text}, headers={"x-name": text}),
        a_request("slack", {"text": text}, answer=Answer(400, text.encode())),
    )
    chatbot = json.dumps(notification)
    delivered = Delivered(
        emails=(Email(text, text, text, NOON),),
        text_messages=(TextMessage(text, text, {}),),
        topic_messages=(TopicMessage(f"arn:{text}", text, text, {text: text}, NOON),),
        chatbot_messages=(TopicMessage("arn", None, chatbot, {}, NOON),),
        events=(BusEvent(text, text, text, {text: text}, (text,), NOON),),
    )
    return requests, delivered


def test_shows_every_kind_with_its_anchor() -> None:
    drawn = page(*everything("team/api"))

    anchors = "slack teams email sms pagerduty chatbot webhook queue events".split()  # noqa: SIM905
    assert all(f'<section id="{anchor}">' in drawn for anchor in anchors)
    assert all(f'href="#{anchor}"' in drawn for anchor in anchors)


def test_shows_nothing_of_what_received_nothing() -> None:
    drawn = page([a_request("slack", {"text": "hello"})])

    assert 'id="slack"' in drawn
    assert 'id="teams"' not in drawn


def test_says_that_nothing_was_received() -> None:
    assert "Nothing was received." in page()
    assert "Nothing was received." in page(only=("slack",))


def test_shows_only_the_section_that_is_asked_for() -> None:
    drawn = Shown.of(page(*everything("team/api"), only=("teams",)))

    assert "Microsoft Teams" in drawn.text
    assert "Slack" not in drawn.text


def test_shows_messages_in_the_order_of_their_time() -> None:
    late = a_request("slack", {"text": "late"}, at=NOON + timedelta(seconds=1))
    drawn = Shown.of(page([late, a_request("slack", {"text": "early"})])).words

    assert drawn.index('UTC { "text": "early" }') < drawn.index('UTC { "text": "late" }')


def a_report(kind: str, title: str, change: str | None = None, **severities: int) -> TopicMessage:
    report = {"kind": kind, "change": change, "severities": severities}
    return TopicMessage("arn", None, json.dumps({"title": title, "report": report}), {}, NOON)


def stories(drawn: str) -> list[str]:
    """Read the stories of the overview, one text each."""
    return [Shown.of(story).words for story in drawn.split('<div class="story ')[1:]]


def test_begins_with_what_there_is_of_new_worse_cleared_and_runs() -> None:
    reports = (
        a_report("scan", "2 high in a", "NEW", HIGH=2),
        a_report("scan", "1 critical in b", "NEW", CRITICAL=1),
        a_report("scan", "nothing in c", "CLEARED"),
        a_report("run", "Rescan finished"),
        a_report("scan", "failed: d", "FAILED"),
    )

    new, cleared, runs, failed = stories(page(delivered=Delivered(topic_messages=reports)))

    assert "New 2 1 critical in b 2 high in a" in new  # the worst first
    assert "Cleared 1 nothing in c" in cleared
    assert "Runs 1 Rescan finished" in runs
    assert "Scan failed 1 failed: d" in failed


def test_counts_the_reports_that_the_overview_has_no_room_for() -> None:
    many = [a_report("scan", f"2 high in {n}", "WORSE", HIGH=2) for n in range(7)]
    reports = (*many, a_report("run", "Rescan finished"))

    worse, _ = stories(page(delivered=Delivered(topic_messages=reports)))

    assert worse.count("2 high in") == 5
    assert "and 2 more" in worse


def test_the_overview_leads_to_the_message_in_slack() -> None:
    def posted(second: int) -> Received:
        message = {"text": "2 high in `a&amp;b`", "blocks": [], "attachments": []}
        return a_request("slack", message, at=NOON + timedelta(seconds=second))

    drawn = page(
        [posted(2), posted(1)],
        Delivered(topic_messages=(a_report("run", "2 high in a&b"), a_report("run", "other")) * 2),
    )

    links = [part.split('"')[0] for part in drawn.split('href="#slack-')[1:]]
    assert links == ["1", "2"]
    assert drawn.index('id="slack-1"') < drawn.index('id="slack-2"')
    assert "other" not in Shown.of(drawn).links


@pytest.mark.parametrize("channel", ["webhook", "events"])
def test_the_overview_needs_no_topic(channel: str) -> None:
    report = {"title": "1 high in a", "report": {"kind": "scan", "severities": {"HIGH": 1}}}
    requests = [a_request("webhook", report)] if channel == "webhook" else []
    event = BusEvent("reports", "ecr-rescan", "any", report, (), NOON)
    delivered = Delivered(events=(event,)) if channel == "events" else Delivered()

    assert "Not compared 1 1 high in a" in stories(page(requests, delivered))[-1]


def test_has_no_overview_without_reports() -> None:
    assert stories(page([a_request("slack", {"text": "hello"})])) == []


def test_says_what_was_refused() -> None:
    refused = a_request("slack", {"text": "hello"}, answer=Answer(429, b"rate_limited"))

    assert "refused: 429 rate_limited" in Shown.of(page([refused])).text


def test_shows_a_body_that_is_no_json() -> None:
    request = Received("webhook", {}, b"\xff<b>", None, NOON, ACCEPTED)

    assert "�<b>" in Shown.of(page([request])).text


def test_shows_the_headers_of_a_webhook_and_its_json() -> None:
    request = a_request(
        "webhook", {"high": 4}, headers={"x-signature": "abc", "host": "127.0.0.1:1"}
    )
    drawn = Shown.of(page([request])).words

    assert 'x-signature abc JSON { "high": 4 }' in drawn
    assert "127.0.0.1" not in drawn


def test_links_from_an_alert_to_its_pages() -> None:
    event = {"payload": {"summary": "2 critical"}, "links": [{"href": "https://a.b", "text": "x"}]}

    assert Shown.of(page([a_request("pagerduty", event)])).links["x"] == "https://a.b"


@given(st.text(min_size=1))
def test_no_text_becomes_html(text: str) -> None:
    clean = Shown.of(page(*everything("team/api"))).tags
    evil = f"<script>{text}</script><img src=x onerror={text}>\"'--><iframe>"

    shown = Shown.of(page(*everything(evil)))

    assert shown.tags <= clean | {"p", "br", "b", "i", "s", "code", "blockquote", "a", "pre"}
    assert "<script>" in shown.text


@given(
    any_json("payload", "links", "content", "metadata", "summary", "nextSteps", "keywords")
    | st.fixed_dictionaries(
        {"title": st.text(), "report": any_json("kind", "change", "severities", "worst_findings")}
    )
)
def test_draws_any_json(message: Any) -> None:
    topic_message = TopicMessage("arn", None, json.dumps(message), {}, NOON)
    delivered = Delivered(chatbot_messages=(topic_message,), topic_messages=(topic_message,))
    channels: tuple[Channel, ...] = ("slack", "teams", "pagerduty", "webhook")

    drawn = page([a_request(channel, message) for channel in channels], delivered)

    assert "script" not in Shown.of(drawn).tags


def test_can_be_written_whatever_is_in_a_message() -> None:
    assert page([a_request("slack", {"text": "half of a character: \ud800"})]).encode()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("x" * 306, 2),
        ("…" + "x" * 69, 1),
        ("…" + "x" * 70, 2),
        ("🔴" * 35, 1),
        ("", 1),
    ],
)
def test_counts_the_parts_of_an_sms(text: str, parts: int) -> None:
    assert sms_parts(text) == parts
