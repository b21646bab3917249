"""Slack messages are drawn as Slack shows them, and their text never becomes HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.page.slack_rendering import mrkdwn, slack_message
from tests.support.html import Shown, any_json


def a_message(*blocks: object) -> dict[str, object]:
    return {"blocks": list(blocks)}


def plain(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text}


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("*bold* _italic_ ~struck~", "<b>bold</b> <i>italic</i> <s>struck</s>"),
        ("*bold _and italic_*", "<b>bold <i>and italic</i></b>"),
        ("2*3*4 snake_case_name a~b~c", "2*3*4 snake_case_name a~b~c"),
        ("* not bold *", "* not bold *"),
        ("`*code* &amp; &lt;b&gt;`", "<code>*code* &amp; &lt;b&gt;</code>"),
        ("```\nline\n*line*\n```", "<pre>line\n*line*</pre>"),
        ("a\nb", "a<br>b"),
        ("&gt; quoted\n> *too*\nnot", "<blockquote>quoted<br><b>too</b></blockquote>not"),
        ("&amp;lt; &lt;b&gt; &quot;", "&amp;lt; &lt;b&gt; &amp;quot;"),
        (":red_circle: :no_such: 10:30:00", "🔴 :no_such: 10:30:00"),
        ("<!here>", '<span class="slack-mention">@here</span>'),
        ("<#C1|general>", '<span class="slack-mention">@general</span>'),
        ("<!date^0^{date}|1 Jan>", '<span class="slack-mention">1 Jan</span>'),
    ],
)
def test_draws_the_marks_of_text(text: str, drawn: str) -> None:
    assert mrkdwn(text) == drawn


def test_draws_a_link_with_its_label() -> None:
    shown = Shown.of(mrkdwn("<https://a.b/?x=1&amp;y=2|*the* page> and <https://c.d>"))

    assert shown.links == {"*the* page": "https://a.b/?x=1&y=2", "https://c.d": "https://c.d"}


@pytest.mark.parametrize("target", ["javascript:alert(1)", "data:text/html,x", "//a.b", "file:///"])
def test_links_to_nothing_but_pages(target: str) -> None:
    shown = Shown.of(mrkdwn(f"<{target}|text>"))

    assert (shown.links, shown.text) == ({}, "text")


def test_draws_every_block() -> None:
    shown = Shown.of(
        slack_message(
            a_message(
                {"type": "header", "text": plain(":warning: Header *no mark*")},
                {
                    "type": "section",
                    "text": {"type": "mrkdwn", "text": "*text*"},
                    "fields": [plain("field 1"), {"type": "mrkdwn", "text": "`field 2`"}],
                    "accessory": {"type": "button", "text": plain("Open"), "url": "https://a.b"},
                },
                {"type": "divider"},
                {
                    "type": "context",
                    "elements": [plain("context"), {"type": "image", "alt_text": "a whale"}],
                },
                {
                    "type": "actions",
                    "elements": [{"type": "button", "text": plain("Go"), "url": "https://c.d"}],
                },
            )
        )
    )

    assert shown.words == ("⚠️ Header *no mark* text field 1 field 2 Open context ▧ a whale Go")
    assert shown.links == {"Open": "https://a.b", "Go": "https://c.d"}
    assert {"hr", "code", "b"} <= shown.tags


def test_draws_a_rich_text() -> None:
    bold = {"type": "text", "text": "bold", "style": {"bold": True}}
    page = {"type": "link", "url": "https://a.b", "text": "page"}
    section = {"type": "rich_text_section", "elements": [bold, page]}
    items = {"type": "rich_text_list", "style": "bullet", "elements": [section]}
    drawn = slack_message(a_message({"type": "rich_text", "elements": [section, items]}))

    assert {"b", "ul", "li"} <= Shown.of(drawn).tags
    assert Shown.of(drawn).links == {"page": "https://a.b"}


def test_draws_an_attachment_with_its_colour() -> None:
    attachment = {
        "color": "#A30200",
        "pretext": "before",
        "title": "Title",
        "title_link": "https://a.b",
        "text": "*text*",
        "fields": [{"title": "High", "value": "4", "short": True}],
        "footer": "ecr-rescan",
    }
    drawn = slack_message({"attachments": [attachment]})

    assert "border-left-color: #A30200" in drawn
    assert Shown.of(drawn).words == "before Title text High 4 ecr-rescan"
    assert Shown.of(drawn).links == {"Title": "https://a.b"}


@pytest.mark.parametrize("colour", ["red; background: url(x)", None, 5])
def test_takes_no_colour_that_is_none(colour: object) -> None:
    drawn = slack_message({"attachments": [{"color": colour, "text": "text"}]})

    assert 'style="border-left-color: #dddddd"' in drawn


def test_says_what_the_notification_says() -> None:
    drawn = slack_message(a_message({"type": "header", "text": plain("Header")}) | {"text": "Say"})

    assert Shown.of(drawn).text == "HeaderNotification: Say"


def test_draws_text_without_blocks() -> None:
    assert Shown.of(slack_message({"text": "*only* text"})).tags == {"div", "b"}


def test_shows_what_it_cannot_draw() -> None:
    shown = Shown.of(slack_message(a_message({"type": "video", "title": "<film>"})))

    assert '"title": "<film>"' in shown.text


@given(st.text())
def test_no_text_becomes_html(text: str) -> None:
    header = {"type": "header", "text": plain(f"{text}<script>")}
    section = {"type": "section", "text": {"type": "mrkdwn", "text": f"{text}<script>"}}
    attachment = {"color": text, "text": f"<img src={text}>", "footer": "<script>"}
    message = {"text": f"<script>{text}", "attachments": [attachment]}

    tags = Shown.of(slack_message(a_message(header, section) | message)).tags

    assert tags <= {"div", "span", "a", "b", "i", "s", "code", "pre", "br", "blockquote"}


@given(any_json("type", "text", "blocks", "attachments", "elements", "fields", "accessory"))
def test_draws_any_json(message: object) -> None:
    assert not {"script", "img"} & Shown.of(slack_message(message)).tags
