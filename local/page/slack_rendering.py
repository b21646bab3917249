"""Slack messages as Slack shows them: the part of Block Kit and mrkdwn that ecr-rescan sends.

An element that ecr-rescan does not send is shown as its JSON, so that nothing is left out of sight.
"""

import re

from markupsafe import Markup

from local.page.elements import LINE_BREAK, box, element, link, undrawn

_CODE_BLOCK = re.compile(r"```(.+?)```", re.DOTALL)
_MARKS = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|<(?P<target>[^<>|\n]+)\|(?P<label>[^<>\n]*)>"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
)


def slack_message(message: object) -> Markup:
    """Draw a message that was posted to an incoming webhook.

    `text` is what Slack shows in a notification on a phone and reads to a screen reader.
    """
    match message:
        case {
            "text": str(text),
            "blocks": list(blocks),
            "attachments": list(attachments),
            **rest,
        } if not rest:
            return box(
                "slack",
                *map(_block, blocks),
                *map(_attachment, attachments),
                box("slack-notification", "Notification: ", _unescaped(text)),
            )
    return undrawn(message)


def mrkdwn(text: str) -> Markup:
    """Draw text with Slack's marks: bold, code, code block, link with a label."""
    parts: list[Markup] = []
    # A split with one group: text and the content of code blocks by turns.
    for number, part in enumerate(_CODE_BLOCK.split(text)):
        if number % 2:
            parts.append(element("pre", _unescaped(part)))
        else:
            parts.append(LINE_BREAK.join(map(_marked, part.split("\n"))))
    return Markup().join(parts)


def _marked(text: str) -> Markup:
    parts: list[str] = []
    position = 0
    for match in _MARKS.finditer(text):
        parts += [_unescaped(text[position : match.start()]), _mark(match)]
        position = match.end()
    return Markup().join([*parts, _unescaped(text[position:])])


def _mark(match: re.Match[str]) -> Markup:
    if match["code"]:
        return element("code", _unescaped(match["code"]))
    if match["target"]:
        return link(_unescaped(match["target"]), _unescaped(match["label"]))
    return element("b", _marked(match["bold"]))


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _block(block: object) -> Markup:
    match block:
        case {"type": "section", "text": text, **rest} if not rest:
            return box("slack-section", _text(text))
        case {"type": "section", "fields": list(fields), **rest} if not rest:
            return box("slack-fields", *(box("slack-field", _text(each)) for each in fields))
        case {"type": "context", "elements": list(elements), **rest} if not rest:
            return box("slack-context", *(element("div", _text(each)) for each in elements))
    return undrawn(block)


def _text(text: object) -> Markup:
    match text:
        case {"type": "mrkdwn", "text": str(marked), "verbatim": True, **rest} if not rest:
            return mrkdwn(marked)
    return undrawn(text)


def _attachment(attachment: object) -> Markup:
    """Draw an attachment; `fallback` is for clients that cannot show it."""
    match attachment:
        case {
            "color": str(colour),
            "fallback": str(),
            "blocks": list(blocks),
            **rest,
        } if not rest and re.fullmatch("#[0-9a-f]{6}", colour):
            bar = f"border-left-color: {colour}"
            return box("slack-attachment", *map(_block, blocks), style=bar)
    return undrawn(attachment)
