"""What a browser would make of a piece of HTML, and JSON to try a drawing with."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

from hypothesis import strategies as st

_TYPES = (
    *("header", "section", "context", "actions", "button", "mrkdwn", "plain_text", "rich_text"),
    *("rich_text_list", "link", "message", "AdaptiveCard", "TextBlock", "Container", "ColumnSet"),
    *("FactSet", "Table", "ActionSet", "RichTextBlock", "Action.OpenUrl", "Action.ShowCard"),
)


@dataclass
class Shown:
    """The tags of a piece of HTML, its text, and its links by their text."""

    tags: set[str] = field(default_factory=set)
    text: str = ""
    links: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, html: str) -> Self:
        """Read HTML."""
        shown = cls()
        reader = _Reader(shown)
        reader.feed(str(html))  # not Markup, which escapes what is added to it
        reader.close()
        return shown

    @property
    def words(self) -> str:
        """Return the text with a space between any two elements, and no other space twice."""
        return " ".join(" ".join(self.texts).split())


class _Reader(HTMLParser):
    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self._shown = shown
        self._href: str | None = None
        self._label = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._shown.tags.add(tag)
        if tag == "a":
            self._href, self._label = dict(attributes).get("href"), ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._href is not None:
            self._shown.links[self._label] = self._href
            self._href = None

    def handle_data(self, data: str) -> None:
        self._shown.text += data
        self._shown.texts.append(data)
        self._label += data


def any_json(*keys: str) -> st.SearchStrategy[object]:
    """Make JSON of any shape, with the keys and types that a drawing looks for."""
    leaves = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(_TYPES)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(keys), inner, max_size=4)
            | st.builds(
                lambda kind, rest: rest | {"type": kind},
                st.sampled_from(_TYPES),
                st.dictionaries(st.sampled_from(keys), inner, max_size=4),
            )
        ),
        max_leaves=12,
    )
