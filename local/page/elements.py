"""HTML elements: what is not Markup already is escaped on its way in."""

import json
from urllib.parse import urlsplit

from markupsafe import Markup, escape

LINE_BREAK = Markup("<br>")
_WITHOUT_END = frozenset({"br", "meta"})


def element(tag: str, *children: str, **attributes: str | None) -> Markup:
    """Make an element; `class_` is the attribute class, and an attribute that is None is left out.

    Tags and attribute names are the page's own. Children and attribute values are escaped.
    """
    given = Markup().join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), value)
        for name, value in attributes.items()
        if value is not None
    )
    end = "" if tag in _WITHOUT_END else Markup("{}</{}>").format(Markup().join(children), tag)
    return Markup("<{}{}>{}").format(tag, given, end)


def box(class_: str, *children: str, style: str | None = None) -> Markup:
    """Make a block of a class."""
    return element("div", *children, class_=class_, style=style)


def span(class_: str, *children: str) -> Markup:
    """Make a run of text of a class."""
    return element("span", *children, class_=class_)


def link(url: object, *children: str, class_: str | None = None) -> Markup:
    """Make a link, or only its text if a browser could do more with the URL than open a page."""
    if not isinstance(url, str) or not _is_page(url):
        return element("span", *children, class_=class_)
    # `noreferrer`: the path of the page's file must not reach another site.
    return element("a", *children, href=url, class_=class_, rel="noreferrer noopener")


def with_breaks(text: str) -> Markup:
    """Escape text and keep its lines."""
    return LINE_BREAK.join(text.split("\n"))


def undrawn(part: object) -> Markup:
    """Show JSON that the page cannot draw as it is."""
    text = escape(json.dumps(part, indent=2, ensure_ascii=False))
    return element("pre", text, class_="undrawn")


def _is_page(url: str) -> bool:
    try:
        return urlsplit(url).scheme in {"https", "http", "mailto"}
    except ValueError:
        return False
