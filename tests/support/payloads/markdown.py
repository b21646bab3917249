"""Read a text as the Markdown of Adaptive Cards.

Teams names bold, italic, lists and links as what it understands, and says that headings, tables,
images, preformatted text and quotes are "not supported"
(https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format,
https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features). That does not mean that
they stay literal in every client, so this reader takes the whole of CommonMark. A backslash
escapes; `{{DATE(…)}}` and `{{TIME(…)}}` are functions, in a TextRun too (`formatText` in the
package adaptivecards 3.0.6, lib/card-elements.js).
"""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .complaints import host_of

_COMMONMARK = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", "table"])
# Turns what text_special left apart back into text, and hides which characters were escaped.
_COMMONMARK.core.ruler.disable("text_join")
_FUNCTION = re.compile(
    r"\{\{(?:DATE|TIME)\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"
    r"(?:, ?(?:COMPACT|LONG|SHORT))?\)\}\}"
)
_AUTO_LINK = re.compile(r"\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)
_NAMES = {
    "strong_open": "bold",
    "em_open": "italic",
    "s_open": "strike",
    "code_inline": "code",
    "code_block": "pre",
    "fence": "pre",
    "heading_open": "heading",
    "blockquote_open": "quote",
    "bullet_list_open": "list",
    "ordered_list_open": "numbered list",
    "list_item_open": "list item",
    "table_open": "table",
    "image": "image",
    "hr": "rule",
    "html_block": "html",
    "html_inline": "html",
    "softbreak": "line break",
    "hardbreak": "line break",
    "paragraph_open": "paragraph",
}


def structure(text: str) -> Iterator[str]:
    """Say what a client makes of the text, without its literal parts."""
    yield from functions(text)
    yield from ("mention <at>" for _ in re.finditer(r"<at\b", text, re.IGNORECASE))
    yield from _tokens(_COMMONMARK.parse(text))


def functions(text: str) -> Iterator[str]:
    """Find what is replaced by a date or a time."""
    yield from ("function" for _ in _FUNCTION.finditer(text))


def _tokens(tokens: list[Token]) -> Iterator[str]:
    within_link = 0
    for token in tokens:
        if token.type == "link_open":
            within_link += 1
            yield f"link {host_of(str(token.attrs['href']))}"
        elif token.type == "link_close":
            within_link -= 1
        elif token.type == "text_special" and token.info == "entity":
            yield "entity"
        elif token.type == "text" and not within_link:
            yield from ("automatic link" for _ in _AUTO_LINK.finditer(token.content))
        elif token.type in _NAMES:
            yield _NAMES[token.type]
        yield from _tokens(token.children or [])
