"""HTML in which only the page's own words are HTML: any other text is escaped on its way in."""

import html
from collections.abc import Iterable
from urllib.parse import urlsplit

_WITHOUT_END = frozenset({"br", "col", "hr", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def join(*parts: str) -> Markup:
    """Put parts together; those that are not markup are escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Put parts together with something between them."""
    return Markup(join(between).join(join(part) for part in parts))


def escape(text: str) -> Markup:
    """Turn text into markup that shows it."""
    return Markup(html.escape(text))


def element(tag: str, *children: str, **attributes: str | None) -> Markup:
    """Make an element; `class_` is the attribute class, and what is None is left out."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    end = "" if tag in _WITHOUT_END else f"{join(*children)}</{tag}>"
    return Markup(f"<{tag}{given}>{end}")


def box(class_: str, *children: str, style: str | None = None) -> Markup:
    """Make a block of a class."""
    return element("div", *children, class_=class_, style=style)


def span(class_: str, *children: str, style: str | None = None) -> Markup:
    """Make a run of text of a class."""
    return element("span", *children, class_=class_, style=style)


def link(url: object, *children: str, class_: str | None = None) -> Markup:
    """Make a link, or only its text when a browser could do anything but open a page with it."""
    if not isinstance(url, str) or not _is_page(url):
        return element("span", *children, class_=class_)
    # `noreferrer`: the page may be a file with a name that says something.
    return element("a", *children, href=url, class_=class_, rel="noreferrer noopener")


def with_breaks(text: str) -> Markup:
    """Escape text and keep its lines."""
    return joined(text.split("\n"), element("br"))


def _is_page(url: str) -> bool:
    try:
        return urlsplit(url).scheme in {"https", "http", "mailto"}
    except ValueError:
        return False
