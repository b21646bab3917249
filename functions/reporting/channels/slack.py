"""Slack: Block Kit for an incoming webhook.

Limits: https://docs.slack.dev/reference/block-kit/blocks/section-block
External text is put into code spans, where Slack interprets only the escapes of & < >.
"""

import json
import re
from collections.abc import Iterator
from itertools import batched

from reporting.message import Level, Line, Message, Value
from reporting.text import trimmed, within
from runtime.messages import Json

MOST_FIELDS = 10  # of a section
LONGEST_TEXT = 3_000  # characters in a section; a field has 2,000
LONGEST_VALUE = 900  # characters of a value, so that two of them fit a field
LONGEST_MESSAGE = 12_000  # characters in all blocks; Slack's undocumented limit is about 13,200

_COLOURS = {
    Level.CRITICAL: "#c9252d",
    Level.HIGH: "#e8762c",
    Level.MEDIUM: "#e9b824",
    Level.LOW: "#3b7dd8",
    Level.INFO: "#8d8d8d",
    Level.OK: "#2f9e57",
}
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_IN_WORDS = str.maketrans(_ESCAPES)
_IN_CODE = str.maketrans({**_ESCAPES, "`": "\N{PRIME}"})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9./:-]+…?")


def webhook_message(message: Message) -> Json:
    """Return the request body for an incoming webhook."""
    return message.within(
        _rendered, lambda body: len(json.dumps(body, ensure_ascii=False)) <= LONGEST_MESSAGE
    )


def _rendered(message: Message) -> Json:
    return {
        "text": _inline(message.title),
        "blocks": [_section(f"{message.level.sign} {_linked(message)}")],
        "attachments": [
            {
                "color": _COLOURS[message.level],
                "fallback": _inline(message.title),
                "blocks": list(_details(message)),
            }
        ],
    }


def _linked(message: Message) -> str:
    """Return the title, whose first words of our own are the link."""
    parts = [_part(part) for part in message.title]
    number = next(
        number for number, part in enumerate(message.title) if isinstance(part, str) and part
    )
    words = parts[number]
    inner = words.strip()
    before, after = words[: words.index(inner)], words[words.index(inner) + len(inner) :]
    parts[number] = f"{before}*<{message.link}|{inner}>*{after}"
    return "".join(parts)


def _details(message: Message) -> Iterator[Json]:
    if message.lead:
        yield _section(within([_inline(line) for line in message.lead], LONGEST_TEXT))
    for section in message.sections:
        items = [_inline(line) for line in section.lines]
        if section.is_inline:
            opening = f"*{section.heading}:* "
            yield _section(opening + within(items, LONGEST_TEXT - len(opening), ", ", section.more))
        else:
            listed = [f"*{section.heading}*", *(f"• {item}" for item in items)]
            yield _section(within(listed, LONGEST_TEXT, more=section.more))
    if message.counts:
        counts = [f"{level.sign} {_inline(line)}" for level, line in message.counts]
        opening = f"*{message.counts_heading}:*   " if message.counts_heading else ""
        yield _section(opening + within(counts, LONGEST_TEXT - len(opening), "   "))
    fields = [_text(f"*{name}*\n{_inline(line)}") for name, line in message.facts]
    for some in batched(fields, MOST_FIELDS, strict=False):
        yield {"type": "section", "fields": list(some)}
    if message.command:
        command = message.command.translate(_IN_CODE)
        yield _section(f"{message.command_heading}\n```{command}```")
    if message.remarks:
        yield {"type": "context", "elements": [_text(_inline(line)) for line in message.remarks]}


def _section(text: str) -> Json:
    return {"type": "section", "text": _text(text)}


def _text(text: str) -> Json:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _inline(line: Line) -> str:
    return "".join(map(_part, line))


def _part(part: str | Value) -> str:
    if isinstance(part, str):
        return part.translate(_IN_WORDS)
    if not part.text:
        return ""
    if part.link and "&" not in part.link and _PLAIN_NAME.fullmatch(part.text):
        return f"<{part.link}|{part.text}>"
    escaped = part.text.translate(_IN_CODE)
    if len(escaped) > LONGEST_VALUE:
        escaped = trimmed(part.text, LONGEST_VALUE // 5).translate(_IN_CODE)  # & makes five
    return f"`{escaped}`"
