"""Read a text as Slack's mrkdwn does.

Rules: https://docs.slack.dev/messaging/formatting-message-text. Only `&`, `<` and `>` have
entities, and `&gt;` at the start of a line still makes a quote; Slack gives no way to escape `*`,
`_`, `~` and backticks (repository yhatt/jsx-slack, docs/about-escape-and-exact-mode.md).
Where the documents leave a case open, this reader finds too much rather than too little.
"""

import re
from collections.abc import Iterator

from .complaints import host_of, is_web_address

_CONTROL = re.compile(r"<([^<>\n]+)>")
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt);)")
_PRE = re.compile(r"```.+?```", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_QUOTE = re.compile(r"(?:>|&gt;)(?:(?:>|&gt;){2})?")
_LIST_MARKER = re.compile(r"\s*(?:[•◦▪*-]|\d+[.)])\s")
_SPANS = {"*": "bold", "_": "italic", "~": "strike"}
_EMOJI = re.compile(r"(?<![\w:]):(?=[a-z0-9_+'-]*[a-z]|[+-]1:|100:|1234:)[a-z0-9_+'-]+:(?![\w:])")
_AUTO_MENTION = re.compile(r"(?<![\w@])@(?:channel|here|everyone|group)\b", re.IGNORECASE)
_AUTO_CHANNEL = re.compile(r"(?<![\w&#])#[a-z0-9][a-z0-9_-]*", re.IGNORECASE)
# Slack links everything that looks like a host, scheme or none: README.md leads to Moldova.
_AUTO_LINK = re.compile(
    r"\bhttps?://\S+|\bmailto:\S+|\S+@(?:[\w-]+\.)+[a-z]{2,}\b|(?<![\w.@/-])(?:[\w-]+\.)+[a-z]{2,24}\b",
    re.IGNORECASE,
)


def badly_escaped(text: str) -> list[str]:
    """Find the control characters that do not control and are not entities."""
    problems = [
        f"{match[0]!r} is neither a mention nor a link"
        for match in _CONTROL.finditer(text)
        if not _control_token(match[1])
    ]
    rest = re.sub(r"(?m)^>(?:>>)?", "", _CONTROL.sub("", text))
    problems += [f"write {c!r} as an entity" for c in "<>" if c in rest]
    if _ENTITY.search(rest):
        problems.append("write '&' as an entity")
    return problems


def structure(text: str, *, verbatim: bool = False) -> Iterator[str]:
    """Say what Slack makes of the text, without its literal parts."""
    yield f"{text.count('\n') + 1} lines"
    # Mentions and links are read before anything else, so they work within code too.
    for match in _CONTROL.finditer(text):
        yield _control_token(match[1]) or "stray control"
        if "|" in match[1]:
            yield from _spans(match[1].partition("|")[2])
    text = _CONTROL.sub("\ufffc", text)
    yield from ("pre" for _ in _PRE.finditer(text))
    text = _PRE.sub("\ufffc", text)
    yield from ("code" for _ in _CODE.finditer(text))
    text = _CODE.sub("\ufffc", text)
    yield from ("unpaired backtick" for _ in range(text.count("`")))
    for quoted in text.split("\n"):
        mark = _QUOTE.match(quoted)
        line = quoted[mark.end() :] if mark else quoted
        if mark:
            yield "quote"
        if _LIST_MARKER.match(line):
            yield "list marker"
        yield from _spans(line)
        if not verbatim:
            yield from (f"mention {match[0].lower()}" for match in _AUTO_MENTION.finditer(line))
            yield from ("automatic channel link" for _ in _AUTO_CHANNEL.finditer(line))
            yield from ("automatic link" for _ in _AUTO_LINK.finditer(line))


def plain_structure(text: str) -> Iterator[str]:
    """Say what Slack makes of a plain text: emoji, and no other markup."""
    yield f"{text.count('\n') + 1} lines"
    yield from ("emoji" for _ in _EMOJI.finditer(text))


def _control_token(content: str) -> str:
    target, _, _ = content.partition("|")
    if re.fullmatch(r"@[UW][A-Z0-9]+|#C[A-Z0-9]+", target):
        return f"mention <{target}>"
    if target in {"!channel", "!here", "!everyone"} or target.startswith("!subteam^"):
        return f"mention <{target}>"
    if target.startswith("!date^"):
        return "date"
    if is_web_address(target) or re.fullmatch(r"(?:mailto|tel):[^\s<>|]+", target):
        return f"link {host_of(target)}"
    return ""


def _spans(line: str) -> Iterator[str]:
    """Find the formatted spans: a mark opens before a word and closes after it, on one line."""
    for mark, name in _SPANS.items():
        m = re.escape(mark)
        yield from (
            name
            for _ in re.finditer(
                rf"(?<![\w{m}]){m}(?![\s{m}])[^{m}\n]*?(?<!\s){m}(?![\w{m}])", line
            )
        )
    yield from ("emoji" for _ in _EMOJI.finditer(line))
