"""Amazon Q Developer in chat applications: its schema for custom notifications.

https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
The same Markdown is read by Slack or by Teams, whichever the channel is, and they escape
differently. So external text is put into code spans, without the few characters that could end a
code span or have a meaning inside it.
"""

import json

from reporting.message import Line, Message, Value
from reporting.reports import Report
from reporting.text import trimmed, within, without_functions
from runtime.messages import Json

LONGEST_TITLE = 250
LONGEST_DESCRIPTION = 8_000
LONGEST_STEP = 350

_HARMLESS = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "`": "\N{PRIME}",
    }
)


def publication(message: Message, report: Report) -> Json:
    """Return the parameters of sns:Publish, except the topic."""
    step = f"{message.link_text}: {message.link}"
    is_step = len(step) <= LONGEST_STEP
    paragraphs = _paragraphs(message) if is_step else [step, *_paragraphs(message)]
    notification = {
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": _title(message),
            "description": within(paragraphs, LONGEST_DESCRIPTION),
            **({"nextSteps": [step]} if is_step else {}),
            "keywords": [report.kind, message.level.lower()],
        },
        "metadata": {
            "threadId": message.subject,
            "summary": _title(message),
            "eventType": f"{report.kind} report",
            "relatedResources": [message.subject],
        },
    }
    return {
        "subject": "ecr-rescan",
        "message": json.dumps(
            {"default": json.dumps(notification, ensure_ascii=False)}, ensure_ascii=False
        ),
        "attributes": {"kind": {"DataType": "String", "StringValue": report.kind}},
    }


def _title(message: Message) -> str:
    """Return the title; a long value is truncated inside its code span."""
    words = "".join(part for part in message.title if isinstance(part, str))
    room = LONGEST_TITLE - len(f"{message.level.sign} {words}``")
    title = tuple(
        part if isinstance(part, str) else Value(trimmed(_harmless(part.text), room))
        for part in message.title
    )
    return f"{message.level.sign} {_inline(title)}"


def _paragraphs(message: Message) -> list[str]:
    paragraphs = [_inline(line) for line in message.lead]
    for section in message.sections:
        if section.is_inline:
            paragraphs.append(f"*{section.heading}:* {', '.join(map(_inline, section.all_lines))}")
        else:
            paragraphs.append(f"*{section.heading}*")
            paragraphs += [f"• {_inline(line)}" for line in section.all_lines]
    counts = [f"{level.sign} {_inline(line)}" for level, line in message.counts]
    if counts and message.counts_heading:
        counts = [f"*{message.counts_heading}:* {'   '.join(counts)}"]
    paragraphs += counts
    paragraphs += [f"*{name}:* {_inline(line)}" for name, line in message.facts]
    if message.command:
        paragraphs += [message.command_heading, _part(Value(message.command))]
    return paragraphs + [_inline(line) for line in message.remarks]


def _inline(line: Line) -> str:
    return "".join(map(_part, line))


def _part(part: str | Value) -> str:
    if isinstance(part, str):
        return part
    return f"`{_harmless(part.text)}`" if part.text else ""


def _harmless(text: str) -> str:
    return without_functions(text.translate(_HARMLESS))
