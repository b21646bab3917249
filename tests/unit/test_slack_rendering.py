"""Slack messages are drawn as Slack shows them, and their text never becomes HTML."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.page.slack_rendering import mrkdwn, slack_message
from tests.support.html import Shown, any_json


def text(words: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": words, "verbatim": True}


def section(words: str) -> dict[str, object]:
    return {"type": "section", "text": text(words)}


def a_message(*blocks: object, **given: object) -> dict[str, Any]:
    attachment = {"color": "#c9252d", "fallback": "any", "blocks": list(blocks)}
    return {"text": "any", "blocks": [], "attachments": [attachment], **given}


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ("*bold* plain", "<b>bold</b> plain"),
        ("*bold `code`*", "<b>bold <code>code</code></b>"),
        ("2*3*4", "2*3*4"),
        ("* not bold *", "* not bold *"),
        ("`*code* &amp; &lt;b&gt;`", "<code>*code* &amp; &lt;b&gt;</code>"),
        ("run:\n```*line*```", "run:<br><pre>*line*</pre>"),
        ("a\nb", "a<br>b"),
        ("&amp;lt; &lt;b&gt; &quot;", "&amp;lt; &lt;b&gt; &amp;quot;"),
    ],
)
def test_draws_the_marks_of_text(words: str, drawn: str) -> None:
    assert mrkdwn(words) == drawn


def test_draws_a_link_with_its_label() -> None:
    shown = Shown.of(mrkdwn("*<https://a.b/?x=1&amp;y=2|the *page*>* and more"))

    assert shown.links == {"the *page*": "https://a.b/?x=1&y=2"}


@pytest.mark.parametrize("target", ["javascript:alert(1)", "data:text/html,x", "//a.b", "file:///"])
def test_links_to_nothing_but_pages(target: str) -> None:
    shown = Shown.of(mrkdwn(f"<{target}|text>"))

    assert (shown.links, shown.text) == ({}, "text")


def test_draws_every_block() -> None:
    shown = Shown.of(
        slack_message(
            a_message(
                section("*found*"),
                {"type": "section", "fields": [text("*Tags*\n`v1`"), text("*Region*\nany")]},
                {"type": "context", "elements": [text("remark 1"), text("remark 2")]},
                text="2 critical",
                blocks=[section("title")],
            )
        )
    )

    assert shown.words == (
        "title found Tags v1 Region any remark 1 remark 2 Notification: 2 critical"
    )


def test_draws_the_colour_of_an_attachment() -> None:
    assert 'style="border-left-color: #c9252d"' in slack_message(a_message())


@pytest.mark.parametrize(
    "message",
    [
        {"text": "<unknown>"},
        a_message(colour="<unknown>"),
        a_message({"type": "video", "title": "<unknown>"}),
        a_message(section("any") | {"accessory": "<unknown>"}),
        a_message({"type": "section", "text": {"type": "plain_text", "text": "<unknown>"}}),
        a_message(attachments=[{"color": "<unknown>", "fallback": "any", "blocks": []}]),
    ],
)
def test_shows_what_it_cannot_draw(message: object) -> None:
    drawn = slack_message(message)

    assert "<unknown>" in Shown.of(drawn).text
    assert 'class="undrawn"' in drawn


@given(st.text())
def test_no_text_becomes_html(words: str) -> None:
    evil = f"{words}<script>{words}"
    message = a_message(section(evil), text=evil, blocks=[section(f"*<{evil}|{evil}>*")])

    tags = Shown.of(slack_message(message)).tags

    assert tags <= {"div", "span", "a", "b", "code", "pre", "br"}


@given(any_json("type", "text", "blocks", "attachments", "elements", "fields", "color", "fallback"))
def test_draws_any_json(part: object) -> None:
    for message in (part, a_message(part), a_message(attachments=[part])):
        assert not {"script", "img"} & Shown.of(slack_message(message)).tags
