"""Adaptive Cards are drawn as Teams shows them, and their text never becomes HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.page.teams_rendering import teams_message
from tests.support.html import Shown, any_json


def a_message(*body: object, **card: object) -> dict[str, object]:
    content = {"type": "AdaptiveCard", "version": "1.4", "body": list(body), **card}
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": content}]}


def text(words: str, **look: object) -> dict[str, object]:
    return {"type": "TextBlock", "text": words, **look}


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ("**bold** _italic_ *italic*", "<p><b>bold</b> <i>italic</i> <i>italic</i></p>"),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2*3*4</p>"),
        (r"\*no\* \[mark\](x) \<", "<p>*no* [mark](x) &lt;</p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("one\n\ntwo", "<p>one</p><p>two</p>"),
    ],
)
def test_draws_the_marks_of_text(words: str, drawn: str) -> None:
    assert drawn in teams_message(a_message(text(words)))


@pytest.mark.parametrize(
    ("url", "links"), [("https://a.b", {"page": "https://a.b"}), ("javascript:alert(1)", {})]
)
def test_links_to_nothing_but_pages(url: str, links: dict[str, str]) -> None:
    run = {
        "type": "TextRun",
        "text": "page",
        "selectAction": {"type": "Action.OpenUrl", "url": url},
    }
    action = {"type": "Action.OpenUrl", "title": "page", "url": url}
    parts = (text(f"[page]({url})"), {"type": "RichTextBlock", "inlines": [run]})

    for message in (*map(a_message, parts), a_message(actions=[action])):
        assert Shown.of(teams_message(message)).links == links


def test_draws_the_look_of_text() -> None:
    drawn = teams_message(
        a_message(text("x", color="Attention", size="ExtraLarge", weight="bolder", isSubtle=True))
    )

    classes = "text color-attention size-extralarge weight-bolder subtle unwrapped"
    assert f'class="{classes}"' in drawn


def test_draws_every_element() -> None:
    columns = [
        {"type": "Column", "width": "auto", "items": [text("2")]},
        {"type": "Column", "width": 3, "items": [text("high")]},
    ]
    cells = [{"type": "TableCell", "items": [text(name)]} for name in ("CVE-1", "xz")]
    drawn = teams_message(
        a_message(
            {"type": "Container", "style": "attention", "items": [text("2 critical")]},
            {"type": "ColumnSet", "columns": columns},
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "**run**"}, "tail"]},
            {"type": "FactSet", "facts": [{"title": "Region", "value": "eu-central-1"}]},
            {"type": "Table", "columns": [{"width": 1}], "rows": [{"cells": cells}]},
            {"type": "Image", "url": "https://a.b/c.png", "altText": "a whale"},
            {"type": "ActionSet", "actions": [{"type": "Action.OpenUrl", "title": "Open"}]},
            actions=[{"type": "Action.OpenUrl", "title": "Go", "url": "https://a.b"}],
        )
    )

    assert Shown.of(drawn).words == (
        "2 critical 2 high **run** tail Region eu-central-1 CVE-1 xz ▧ a whale Open Go"
    )
    assert "style-attention" in drawn
    assert "flex: 0 0 auto" in drawn
    assert "flex: 3 3 0" in drawn


def test_says_what_is_hidden_at_first() -> None:
    drawn = teams_message(a_message(text("more", isVisible=False)))

    assert Shown.of(drawn).words == "hidden at first more"


def test_draws_a_card_that_is_posted_alone() -> None:
    card = {"type": "AdaptiveCard", "body": [text("alone")]}

    assert Shown.of(teams_message(card)).text == "alone"


@pytest.mark.parametrize(
    "message", [{"text": "<no card>"}, a_message({"type": "Chart.Pie", "text": "<no card>"})]
)
def test_shows_what_it_cannot_draw(message: object) -> None:
    assert '"text": "<no card>"' in Shown.of(teams_message(message)).text


@given(st.text())
def test_no_text_becomes_html(words: str) -> None:
    evil = f"{words}<script>{words}"
    run = {"type": "TextRun", "text": evil, "color": evil}
    tags = Shown.of(
        teams_message(
            a_message(
                text(evil, color=evil),
                {"type": "RichTextBlock", "inlines": [run, evil]},
                {"type": "FactSet", "facts": [{"title": evil, "value": evil}]},
                {"type": "ColumnSet", "columns": [{"width": evil, "items": [text(evil)]}]},
                actions=[{"type": "Action.OpenUrl", "title": evil, "url": evil}],
            )
        )
    ).tags

    assert not {"script", "img", "style"} & tags


@given(any_json("type", "body", "text", "items", "columns", "facts", "rows", "cells", "actions"))
def test_draws_any_json(card: object) -> None:
    assert "script" not in Shown.of(teams_message(a_message(card))).tags
    assert "script" not in Shown.of(teams_message(card)).tags
