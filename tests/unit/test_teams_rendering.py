"""Adaptive Cards are drawn as Teams shows them, and their text never becomes HTML."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.page.teams_rendering import teams_message
from tests.support.html import Shown, any_json


def a_message(*body: object, actions: object = (), **card: object) -> dict[str, Any]:
    content = {
        "$schema": "any",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": list(body),
        "actions": list(actions) if isinstance(actions, tuple) else actions,
        **card,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": content}]}


def text(words: str, **look: object) -> dict[str, object]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": words, **look}]}


def action(title: str, url: str) -> dict[str, object]:
    return {"type": "Action.OpenUrl", "title": title, "url": url}


@pytest.mark.parametrize(
    ("url", "links"), [("https://a.b", {"page": "https://a.b"}), ("javascript:alert(1)", {})]
)
def test_links_to_nothing_but_pages(url: str, links: dict[str, str]) -> None:
    run = text("page", selectAction={"type": "Action.OpenUrl", "url": url})

    for message in (a_message(run), a_message(actions=(action("page", url),))):
        assert Shown.of(teams_message(message)).links == links


def test_draws_the_look_of_text() -> None:
    drawn = teams_message(
        a_message(text("x", color="attention", size="large", weight="bolder", isSubtle=True))
    )

    assert 'class="run color-attention size-large weight-bolder subtle"' in drawn


def test_draws_every_element() -> None:
    columns = [
        {"type": "Column", "width": "110px", "items": [text("Tags")]},
        {"type": "Column", "width": "stretch", "items": [text("v1")]},
    ]
    drawn = teams_message(
        a_message(
            text("**no mark**\nnext line"),
            {
                "type": "Container",
                "spacing": "medium",
                "items": [{"type": "ColumnSet", "spacing": "small", "columns": columns}],
            },
            actions=(action("Open", "https://a.b"),),
        )
    )

    assert Shown.of(drawn).words == "**no mark** next line Tags v1 Open"
    assert "flex: 0 0 110px" in drawn
    assert "spacing-medium" in drawn


@pytest.mark.parametrize(
    "message",
    [
        {"text": "<unknown>"},
        a_message(fallbackText="<unknown>"),
        a_message({"type": "Chart.Pie", "text": "<unknown>"}),
        a_message(text("any") | {"spacing": "<unknown>"}),
        a_message(text("any", strikethrough="<unknown>")),
        a_message({"type": "ColumnSet", "columns": [{"type": "Column", "width": "<unknown>"}]}),
        a_message(actions=({"type": "Action.Submit", "title": "<unknown>"},)),
    ],
)
def test_shows_what_it_cannot_draw(message: object) -> None:
    drawn = teams_message(message)

    assert "<unknown>" in Shown.of(drawn).text
    assert 'class="undrawn"' in drawn


@given(st.text())
def test_no_text_becomes_html(words: str) -> None:
    evil = f"{words}<script>{words}"
    column = {"type": "Column", "width": evil, "items": [text(evil)]}
    message = a_message(
        text(evil, color=evil),
        {"type": "ColumnSet", "columns": [column]},
        actions=(action(evil, evil),),
    )

    assert Shown.of(teams_message(message)).tags <= {"div", "span", "pre", "br"}


@given(any_json("type", "body", "text", "items", "columns", "inlines", "spacing", "width", "url"))
def test_draws_any_json(part: object) -> None:
    for message in (part, a_message(part), a_message(text("any", selectAction=part))):
        assert "script" not in Shown.of(teams_message(message)).tags
