"""A Teams message as Teams shows it, drawn from the JSON of its Adaptive Card."""

import json
import re
from collections.abc import Iterable
from typing import Any

from local.page.markup import Markup, box, element, join, joined, link, span

_CARD = "application/vnd.microsoft.card.adaptive"
_COLOURS = ("accent", "attention", "dark", "good", "light", "warning")
_STYLES = ("accent", "attention", "emphasis", "good", "warning")
_SIZES = ("small", "medium", "large", "extralarge")
_SPACINGS = ("none", "extrasmall", "small", "medium", "large", "extralarge", "padding")
_MARKS = re.compile(
    r"\\(?P<escaped>[\\`*_{}\[\]()#+.!~<>|-])"
    r"|\[(?P<label>(?:[^\]\\\n]|\\.)+)\]\((?P<url>[^)\s]+)\)"
    r"|\*\*(?P<bold>\S(?:[^\n]*?\S)?)\*\*"
    r"|(?<!\w)_(?P<under>[^\s_](?:[^\n]*?[^\s_])?)_(?!\w)"
    r"|(?<![\w*])\*(?P<star>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
)


def teams_message(message: Any) -> Markup:
    """Draw a message that was posted to a workflow: its cards, or what it is instead."""
    if not isinstance(message, dict):
        return _unknown(message)
    if message.get("type") == "AdaptiveCard":
        return _card(message)
    cards = [
        _card(attachment.get("content"))
        for attachment in _list(message.get("attachments"))
        if isinstance(attachment, dict) and attachment.get("contentType") == _CARD
    ]
    return join(*cards) if cards else _unknown(message)


def _card(card: Any) -> Markup:
    if not isinstance(card, dict):
        return _unknown(card)
    teams = card.get("msteams")
    is_wide = isinstance(teams, dict) and str(teams.get("width", "")).lower() == "full"
    return box(
        "card card-wide" if is_wide else "card",
        _elements(card.get("body")),
        _actions(card.get("actions")),
    )


def _elements(elements: Any) -> Markup:
    return join(*(_spaced(part, number == 0) for number, part in enumerate(_list(elements))))


def _spaced(part: Any, is_first: bool) -> Markup:
    if not isinstance(part, dict):
        return _unknown(part)
    class_ = "element" + _choice("spacing", part.get("spacing"), _SPACINGS)
    if part.get("separator") and not is_first:
        class_ += " separated"
    drawn = box(class_, _element(part))
    if part.get("isVisible") is False:
        return element("details", element("summary", "hidden at first"), drawn)
    return drawn


def _element(part: dict[str, Any]) -> Markup:
    match part.get("type"):
        case "TextBlock":
            return _text_block(part)
        case "RichTextBlock":
            return box(f"text{_alignment(part)}", *map(_run, _list(part.get("inlines"))))
        case "Container":
            return _selectable(part, box(f"container{_style(part)}", _elements(part.get("items"))))
        case "ColumnSet":
            columns = map(_column, _list(part.get("columns")))
            return _selectable(part, box(f"columns{_style(part)}", *columns))
        case "FactSet":
            return element("table", *map(_fact, _list(part.get("facts"))), class_="facts")
        case "Table":
            return _table(part)
        case "ActionSet":
            return _actions(part.get("actions"))
        case "Image":
            return span("image", f"▧ {part.get('altText', '')}")
        case "CodeBlock":
            return element("pre", str(part.get("codeSnippet", "")))
        case _:
            return _unknown(part)


def _text_block(part: dict[str, Any]) -> Markup:
    class_ = "text" + _look(part) + _alignment(part)
    if part.get("style") == "heading":
        class_ += " heading"
    if not part.get("wrap"):
        class_ += " unwrapped"
    return box(class_, _markdown(str(part.get("text", ""))))


def _run(part: Any) -> Markup:
    """Draw a TextRun, in which nothing is a mark."""
    if isinstance(part, str):
        return join(part)
    if not isinstance(part, dict) or part.get("type", "TextRun") != "TextRun":
        return _unknown(part)
    content: Markup = joined(str(part.get("text", "")).split("\n"), element("br"))
    for name, tag in {"italic": "i", "strikethrough": "s", "underline": "u"}.items():
        if part.get(name):
            content = element(tag, content)
    if part.get("highlight"):
        content = element("mark", content)
    return _selectable(part, span("run" + _look(part), content), class_=None)


def _column(column: Any) -> Markup:
    if not isinstance(column, dict):
        return _unknown(column)
    content = box(f"container{_style(column)}", _elements(column.get("items")))
    where = str(column.get("verticalContentAlignment", "")).lower()
    place = {"center": "; align-self: center", "bottom": "; align-self: end"}.get(where, "")
    return box("column", _selectable(column, content), style=_width(column.get("width")) + place)


def _width(width: object) -> str:
    """Write the width of a column in CSS."""
    text = str(width or "stretch")
    if text == "auto":
        return "flex: 0 0 auto"
    if re.fullmatch(r"\d{1,4}px", text):
        return f"flex: 0 0 {text}"
    if re.fullmatch(r"\d{1,4}(\.\d{1,4})?", text):
        return f"flex: {text} {text} 0"
    return "flex: 1 1 0"


def _fact(fact: Any) -> Markup:
    if not isinstance(fact, dict):
        return _unknown(fact)
    title, value = (_markdown(str(fact.get(name, ""))) for name in ("title", "value"))
    return element("tr", element("th", title), element("td", value))


def _table(table: dict[str, Any]) -> Markup:
    has_header = table.get("firstRowAsHeader", table.get("firstRowAsHeaders", True))
    rows = []
    for number, row in enumerate(_list(table.get("rows"))):
        cells = _list(row.get("cells")) if isinstance(row, dict) else []
        tag = "th" if has_header and number == 0 else "td"
        rows.append(element("tr", *(_cell(tag, cell) for cell in cells)))
    is_gridded = table.get("showGridLines", True)
    widths = element("colgroup", *_table_columns(table))
    return element("table", widths, *rows, class_="grid" if is_gridded else "grid without-lines")


def _table_columns(table: dict[str, Any]) -> list[Markup]:
    """Give each column its share; a width in pixels is left to the browser."""
    widths = [
        column.get("width", 1) if isinstance(column, dict) else 1
        for column in _list(table.get("columns"))
    ]
    shares = [width if isinstance(width, int) and width > 0 else 1 for width in widths]
    return [element("col", style=f"width: {round(100 * share / sum(shares))}%") for share in shares]


def _cell(tag: str, cell: Any) -> Markup:
    if not isinstance(cell, dict):
        return element(tag, _unknown(cell))
    return element(tag, _elements(cell.get("items")), class_=_style(cell).strip() or None)


def _actions(actions: Any) -> Markup:
    drawn = [_action(action) for action in _list(actions)]
    return box("actions", *drawn) if drawn else join()


def _action(action: Any) -> Markup:
    if not isinstance(action, dict):
        return _unknown(action)
    title = str(action.get("title", ""))
    match action.get("type"):
        case "Action.OpenUrl":
            look = {"positive": " positive", "destructive": " destructive"}
            class_ = "action" + look.get(str(action.get("style")), "")
            return link(action.get("url"), title, class_=class_)
        case "Action.ShowCard":
            return element("details", element("summary", title), _card(action.get("card")))
        case "Action.ToggleVisibility":
            return span("action", title)
        case _:
            return _unknown(action)


def _selectable(
    part: dict[str, Any], drawn: Markup, *, class_: str | None = "selectable"
) -> Markup:
    """Make a part that opens a page a link; of these, only runs of text look like one."""
    action = part.get("selectAction")
    if isinstance(action, dict) and action.get("type") == "Action.OpenUrl":
        return link(action.get("url"), drawn, class_=class_)
    return drawn


def _markdown(text: str) -> Markup:
    """Draw the part of Markdown that a card takes: bold, italic, links, lists."""
    parts: list[Markup] = []
    for paragraph in re.split(r"\n\s*\n|\r", text.replace("\r\n", "\n")):
        lines = paragraph.split("\n")
        for tag, mark in (("ul", r"\s*[-*+] "), ("ol", r"\s*\d+\. ")):
            if all(re.match(mark, line) for line in lines):
                items = (element("li", _marked(re.sub(mark, "", line, count=1))) for line in lines)
                parts.append(element(tag, *items))
                break
        else:
            parts.append(element("p", joined(map(_marked, lines), element("br"))))
    return join(*parts)


def _marked(text: str) -> Markup:
    parts: list[str] = []
    position = 0
    for match in _MARKS.finditer(text):
        parts += [text[position : match.start()], _mark(match)]
        position = match.end()
    return join(*parts, text[position:])


def _mark(match: re.Match[str]) -> Markup:
    content = match.group(match.lastgroup or 0)
    match match.lastgroup:
        case "escaped":
            return join(content)
        case "url":
            return link(content, _marked(match.group("label")))
        case "bold":
            return element("b", _marked(content))
        case _:
            return element("i", _marked(content))


def _look(part: dict[str, Any]) -> str:
    """Name the classes of a text's colour, size, weight and font."""
    class_ = _choice("color", part.get("color"), _COLOURS)
    class_ += _choice("size", part.get("size"), _SIZES)
    class_ += _choice("weight", part.get("weight"), ("bolder", "lighter"))
    class_ += _choice("font", part.get("fontType"), ("monospace",))
    return class_ + (" subtle" if part.get("isSubtle") else "")


def _style(part: dict[str, Any]) -> str:
    return _choice("style", part.get("style"), _STYLES)


def _alignment(part: dict[str, Any]) -> str:
    return _choice("align", part.get("horizontalAlignment"), ("center", "right"))


def _choice(prefix: str, value: object, known: Iterable[str]) -> str:
    """Name the class of a value that Adaptive Cards know, in whatever case it is written."""
    name = str(value or "").lower()
    return f" {prefix}-{name}" if name in known else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unknown(part: object) -> Markup:
    """Show what this page cannot draw."""
    return element("pre", json.dumps(part, indent=2, ensure_ascii=False), class_="undrawn")
