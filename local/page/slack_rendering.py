"""A Slack message as Slack shows it, drawn from its JSON: Block Kit, attachments and mrkdwn."""

import json
import re
from typing import Any

from local.page.markup import Markup, box, element, join, joined, link, span

# Of Slack's thousands, those that ecr-rescan or its like would use; any other shows as its name.
_EMOJI = {
    "bell": "🔔",
    "black_circle": "⚫",
    "clock3": "🕒",
    "exclamation": "❗",
    "fire": "🔥",
    "heavy_check_mark": "✔️",
    "hourglass": "⌛",
    "large_blue_circle": "🔵",
    "large_green_circle": "🟢",
    "large_orange_circle": "🟠",
    "large_purple_circle": "🟣",
    "large_yellow_circle": "🟡",
    "link": "🔗",
    "lock": "🔒",
    "mag": "🔍",
    "no_entry": "⛔",
    "package": "📦",
    "question": "❓",
    "red_circle": "🔴",
    "rotating_light": "🚨",
    "shield": "🛡️",
    "tada": "🎉",
    "warning": "⚠️",
    "whale": "🐳",
    "white_check_mark": "✅",
    "white_circle": "⚪",
    "x": "❌",
}
_COLOURS = {"good": "#2eb886", "warning": "#daa038", "danger": "#a30200"}
_MARKS = re.compile(
    r"```\n?(?P<pre>.+?)\n?```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<target>[^<>|\n]+)(?:\|(?P<label>[^<>\n]*))?>"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<italic>[^\s_](?:[^\n]*?[^\s_])?)_(?!\w)"
    r"|(?<![\w~])~(?P<struck>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])"
    r"|:(?P<emoji>[a-z0-9_+-]+):",
    re.DOTALL,
)
_QUOTE = re.compile(r"(?:&gt;|>) ?")


def slack_message(message: Any) -> Markup:
    """Draw a message that was posted to an incoming webhook."""
    if not isinstance(message, dict):
        return _unknown(message)
    blocks = _list(message.get("blocks"))
    text = message.get("text")
    parts = [_block(block) for block in blocks]
    if not blocks and text:
        parts.append(box("slack-section", mrkdwn(text)))
    parts += [_attachment(attachment) for attachment in _list(message.get("attachments"))]
    if blocks and text:  # what a phone or a screen reader says
        parts.append(box("slack-notification", "Notification: ", _plain(text)))
    return box("slack", *parts)


def mrkdwn(text: object) -> Markup:
    """Draw text with Slack's marks."""
    if not isinstance(text, str):
        return _unknown(text)
    parts: list[Markup] = []
    position = 0
    for block in re.finditer(r"```.+?```", text, re.DOTALL):
        parts += [_lines(text[position : block.start()]), _marked(block.group())]
        position = block.end()
    return join(*parts, _lines(text[position:]))


def _lines(text: str) -> Markup:
    """Draw lines, and those of a quotation as one."""
    parts: list[Markup] = []
    quoted: list[Markup] = []
    plain: list[Markup] = []

    def end_of(lines: list[Markup], tag: str | None) -> None:
        if lines:
            content = joined(lines, element("br"))
            parts.append(element(tag, content) if tag else content)
            lines.clear()

    for line in text.split("\n"):
        if match := _QUOTE.match(line):
            end_of(plain, None)
            quoted.append(_marked(line[match.end() :]))
        else:
            end_of(quoted, "blockquote")
            plain.append(_marked(line))
    end_of(quoted, "blockquote")
    end_of(plain, None)
    return join(*parts)


def _marked(text: str) -> Markup:
    parts: list[str] = []
    position = 0
    for match in _MARKS.finditer(text):
        parts += [_unescaped(text[position : match.start()]), _mark(match)]
        position = match.end()
    return join(*parts, _unescaped(text[position:]))


def _mark(match: re.Match[str]) -> Markup:
    content = match.group(match.lastgroup or 0)
    match match.lastgroup:
        case "pre":
            return element("pre", _unescaped(content))
        case "code":
            return element("code", _unescaped(content))
        case "target" | "label":
            return _link(match.group("target"), match.group("label"))
        case "bold":
            return element("b", _marked(content))
        case "italic":
            return element("i", _marked(content))
        case "struck":
            return element("s", _marked(content))
        case _:
            return _emoji(content)


def _link(target: str, label: str | None) -> Markup:
    if target.startswith(("@", "#", "!")):  # somebody, a channel, everybody, a date
        name = label or target.lstrip("!").split("^")[0]
        is_named = name.startswith(("@", "#")) or target.startswith("!date")
        return span("slack-mention", _unescaped(name if is_named else f"@{name}"))
    return link(_unescaped(target), _unescaped(label or target))


def _emoji(name: str) -> Markup:
    return join(_EMOJI.get(name, f":{name}:"))


def _plain(text: object) -> Markup:
    """Draw text in which only emoji are marks, as in a notification."""
    parts = re.split(r":([a-z0-9_+-]+):", str(text))
    return join(*(_emoji(part) if odd % 2 else _unescaped(part) for odd, part in enumerate(parts)))


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _text(text: Any) -> Markup:
    """Draw a text object."""
    if not isinstance(text, dict):
        return _unknown(text)
    if text.get("type") == "mrkdwn":
        return mrkdwn(text.get("text"))
    lines = str(text.get("text", "")).split("\n")
    is_emoji = text.get("emoji", True)
    return joined(
        (join(*_shortcodes(line)) if is_emoji else join(line) for line in lines), element("br")
    )


def _shortcodes(line: str) -> list[str]:
    """Part a line of plain text, in which nothing is escaped, into text and emoji."""
    parts = re.split(r":([a-z0-9_+-]+):", line)
    return [_emoji(part) if odd % 2 else part for odd, part in enumerate(parts)]


def _block(block: Any) -> Markup:
    if not isinstance(block, dict):
        return _unknown(block)
    match block.get("type"):
        case "header":
            return box("slack-header", _text(block.get("text")))
        case "section":
            return _section(block)
        case "divider":
            return element("hr")
        case "context":
            elements = [_element(each) for each in _list(block.get("elements"))]
            return box("slack-context", *(span("slack-context-element", each) for each in elements))
        case "actions":
            return box("slack-actions", *map(_element, _list(block.get("elements"))))
        case "image":
            title = _text(block["title"]) if "title" in block else ""
            return box("slack-section", title, _element(block))
        case "rich_text":
            return box("slack-section", *map(_rich, _list(block.get("elements"))))
        case _:
            return _unknown(block)


def _section(block: dict[str, Any]) -> Markup:
    text = box("slack-text", _text(block["text"])) if "text" in block else ""
    fields = [box("slack-field", _text(each)) for each in _list(block.get("fields"))]
    body = box("slack-body", text, box("slack-fields", *fields) if fields else "")
    accessory = block.get("accessory")
    return box("slack-section slack-row", body, _element(accessory) if accessory else "")


def _element(part: Any) -> Markup:
    kind = part.get("type") if isinstance(part, dict) else None
    match kind:
        case "button":
            look = {"primary": " slack-primary", "danger": " slack-danger"}
            class_ = "slack-button" + look.get(str(part.get("style")), "")
            return link(part.get("url"), _text(part.get("text")), class_=class_)
        case "mrkdwn" | "plain_text":
            return _text(part)
        case "image":
            return span("image", f"▧ {part.get('alt_text', '')}")
        case _:
            return _unknown(part)


def _rich(part: Any) -> Markup:
    """Draw a part of a rich text: a section, a list, or what stands in one."""
    if not isinstance(part, dict):
        return _unknown(part)
    elements = _list(part.get("elements"))
    match part.get("type"):
        case "rich_text_section":
            return box("slack-rich", *map(_rich, elements))
        case "rich_text_list":
            tag = "ol" if part.get("style") == "ordered" else "ul"
            return element(tag, *(element("li", _rich(each)) for each in elements))
        case "rich_text_preformatted":
            return element("pre", *map(_rich, elements))
        case "rich_text_quote":
            return element("blockquote", *map(_rich, elements))
        case "text":
            return _styled(join(str(part.get("text", ""))), part.get("style"))
        case "link":
            content = part.get("text") or part.get("url", "")
            return link(part.get("url"), _styled(join(str(content)), part.get("style")))
        case "emoji":
            return _emoji(str(part.get("name", "")))
        case _:
            return _unknown(part)


def _styled(content: Markup, style: Any) -> Markup:
    tags = {"bold": "b", "italic": "i", "strike": "s", "code": "code"}
    for name, tag in tags.items():
        if isinstance(style, dict) and style.get(name):
            content = element(tag, content)
    return content


def _attachment(attachment: Any) -> Markup:
    if not isinstance(attachment, dict):
        return _unknown(attachment)
    parts: list[str] = []
    if title := attachment.get("title"):
        parts.append(
            box("slack-title", link(attachment.get("title_link"), _plain(title), class_="title"))
        )
    if text := attachment.get("text"):
        parts.append(box("slack-section", mrkdwn(text)))
    fields = [
        box(
            "slack-field",
            element("b", _plain(each.get("title", ""))),
            element("br"),
            mrkdwn(each.get("value", "")),
        )
        for each in _list(attachment.get("fields"))
        if isinstance(each, dict)
    ]
    if fields:
        parts.append(box("slack-fields", *fields))
    parts += [_block(block) for block in _list(attachment.get("blocks"))]
    if footer := attachment.get("footer"):
        parts.append(box("slack-context", _plain(footer)))
    if not parts:
        parts.append(_plain(attachment.get("fallback", "")))
    before = box("slack-section", mrkdwn(attachment["pretext"])) if "pretext" in attachment else ""
    bar = f"border-left-color: {_colour(attachment.get('color'))}"
    return join(before, box("slack-attachment", *parts, style=bar))


def _colour(colour: object) -> str:
    name = str(colour or "")
    if re.fullmatch(r"#?[0-9A-Fa-f]{6}", name):
        return f"#{name.lstrip('#')}"
    return _COLOURS.get(name, "#dddddd")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unknown(part: object) -> Markup:
    """Show what this page cannot draw."""
    return element("pre", json.dumps(part, indent=2, ensure_ascii=False), class_="undrawn")
