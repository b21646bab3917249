"""Microsoft Teams: an Adaptive Card for a Workflows webhook.

Limits: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
External text is put into runs of rich text, which Teams does not interpret as Markdown.
"""

from collections.abc import Iterator

from reporting.message import Level, Line, Message, Section, Value
from reporting.text import without_functions
from runtime.messages import Json, wire

LARGEST = 25_000  # bytes, of 28 KB

_COLOURS = {
    Level.CRITICAL: "attention",
    Level.HIGH: "attention",
    Level.MEDIUM: "warning",
    Level.LOW: "accent",
    Level.INFO: "default",
    Level.OK: "good",
}


def webhook_message(message: Message) -> Json:
    """Return the request body for a Workflows webhook."""
    return message.within(_rendered, lambda body: len(wire(body)) <= LARGEST)


def _rendered(message: Message) -> Json:
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "msteams": {"width": "Full"},
                    "body": _body(message),
                    "actions": [
                        {
                            "type": "Action.OpenUrl",
                            "title": message.link_text,
                            "url": message.link,
                        }
                    ],
                },
            }
        ],
    }


def _body(message: Message) -> list[Json]:
    title = _rich(
        (f"{message.level.sign} ", *message.title),
        size="large",
        weight="bolder",
        color=_COLOURS[message.level],
    )
    body: list[Json] = [title, *map(_rich, message.lead)]
    for section in message.sections:
        body.extend(_listed(section))
    if message.counts:
        body.append({"type": "RichTextBlock", "inlines": _counts(message)})
    body.append(
        {
            "type": "Container",
            "spacing": "medium",
            "items": [_fact(name, line) for name, line in message.facts],
        }
    )
    if message.command:
        body.append(_rich((message.command_heading,)))
        body.append(_rich((Value(message.command),), spacing="small", fontType="monospace"))
    body.extend(_rich(line, isSubtle=True) for line in message.remarks)
    return body


def _listed(section: Section) -> Iterator[Json]:
    if section.is_inline:
        runs = _runs((f"{section.heading}: ",), weight="bolder")
        for number, line in enumerate(section.all_lines):
            runs += _runs((", " if number else "", *line))
        yield {"type": "RichTextBlock", "inlines": runs}
    else:
        yield _rich((section.heading,), weight="bolder")
        yield from (_rich(("• ", *line), spacing="small") for line in section.all_lines)


def _counts(message: Message) -> list[Json]:
    heading = f"{message.counts_heading}:  " if message.counts_heading else ""
    runs = _runs((heading,), weight="bolder")
    for number, (level, line) in enumerate(message.counts):
        runs += _runs((f"{'  ·  ' if number else ''}{level.sign} ", *line))
    return runs


def _fact(name: str, line: Line) -> Json:
    return {
        "type": "ColumnSet",
        "spacing": "small",
        "columns": [
            {"type": "Column", "width": "120px", "items": [_rich((name,), weight="bolder")]},
            {"type": "Column", "width": "stretch", "items": [_rich(line)]},
        ],
    }


def _rich(line: Line, *, spacing: str | None = None, **style: Json) -> dict[str, Json]:
    block: dict[str, Json] = {"type": "RichTextBlock", "inlines": _runs(line, **style)}
    return {**block, "spacing": spacing} if spacing else block


def _runs(line: Line, **style: Json) -> list[Json]:
    return [_run(part, style) for part in line if part not in ("", Value(""))]


def _run(part: str | Value, style: dict[str, Json]) -> Json:
    if isinstance(part, str):
        return {"type": "TextRun", "text": part, **style}
    run: dict[str, Json] = {"type": "TextRun", "text": without_functions(part.text), **style}
    if part.link:
        run["selectAction"] = {"type": "Action.OpenUrl", "url": part.link}
    return run
