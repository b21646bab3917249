"""Teams messages as Teams shows them: the part of Adaptive Cards that ecr-rescan sends.

An element that ecr-rescan does not send is shown as its JSON, so that nothing is left out of sight.
"""

import re
from collections.abc import Mapping

from markupsafe import Markup

from local.page.elements import LINE_BREAK, box, link, span, undrawn

_SPACINGS = ("small", "medium")
# Values of a TextRun's properties that have a class on the page.
_LOOKS = {
    "color": ("accent", "attention", "good", "warning"),
    "size": ("large",),
    "weight": ("bolder",),
    "fontType": ("monospace",),
}
_WIDTH = re.compile(r"[0-9]{1,4}px")


def teams_message(message: object) -> Markup:
    """Draw a message that was posted to a workflow."""
    match message:
        case {
            "type": "message",
            "attachments": [
                {
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "content": {
                        "$schema": str(),
                        "type": "AdaptiveCard",
                        "version": str(),
                        "msteams": {"width": "Full"},
                        "body": list(body),
                        "actions": list(actions),
                        **rest,
                    },
                }
            ],
        } if not rest:
            return box("card", *map(_element, body), box("actions", *map(_action, actions)))
    return undrawn(message)


def _element(part: object) -> Markup:
    match part:
        case {"type": "RichTextBlock", "inlines": list(runs), **rest} if _is_spaced(rest):
            return box(_class(rest), *map(_run, runs))
        case {"type": "Container", "items": list(items), **rest} if _is_spaced(rest):
            return box(_class(rest), *map(_element, items))
        case {"type": "ColumnSet", "columns": list(columns), **rest} if _is_spaced(rest):
            return box(f"{_class(rest)} columns", *map(_column, columns))
    return undrawn(part)


def _column(column: object) -> Markup:
    match column:
        case {"type": "Column", "width": "stretch", "items": list(items), **rest} if not rest:
            return box("column", *map(_element, items), style="flex: 1 1 0")
        case {
            "type": "Column",
            "width": str(width),
            "items": list(items),
            **rest,
        } if not rest and _WIDTH.fullmatch(width):
            return box("column", *map(_element, items), style=f"flex: 0 0 {width}")
    return undrawn(column)


def _run(run: object) -> Markup:
    """Draw a TextRun, in which nothing is a mark."""
    match run:
        case {
            "type": "TextRun",
            "text": str(text),
            "selectAction": {"type": "Action.OpenUrl", "url": str(url), **more},
            **look,
        } if not more:
            return link(url, _run({"type": "TextRun", "text": text, **look}))
        case {"type": "TextRun", "text": str(text), **look} if look.keys() <= {*_LOOKS, "isSubtle"}:
            classes = [
                f"{name.lower()}-{look[name]}"
                for name, known in _LOOKS.items()
                if look.get(name) in known
            ]
            classes += ["subtle"] if look.get("isSubtle") else []
            return span(" ".join(["run", *classes]), LINE_BREAK.join(text.split("\n")))
    return undrawn(run)


def _action(action: object) -> Markup:
    match action:
        case {"type": "Action.OpenUrl", "title": str(title), "url": str(url), **rest} if not rest:
            return link(url, title, class_="action")
    return undrawn(action)


def _is_spaced(rest: Mapping[object, object]) -> bool:
    """Return whether nothing is left of an element but its spacing, if that."""
    return not rest or (rest.keys() == {"spacing"} and rest["spacing"] in _SPACINGS)


def _class(rest: Mapping[object, object]) -> str:
    return " ".join(["element", *(f"spacing-{spacing}" for spacing in rest.values())])
