"""Messages to an incoming webhook of Slack.

Fields and lengths: the declarations of the package @slack/types 3.2.0, and
https://docs.slack.dev/reference/block-kit/blocks. 50 blocks per message, and `msg_blocks_too_long`
above about 13,200 characters of all blocks together, which no document names:
https://github.com/slackapi/bolt-js/issues/2509. An app's webhook cannot choose channel, user name
or icon: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import mrkdwn
from .complaints import Complaints, Fields, host_of, objects

MOST_BLOCKS = 50
MOST_BLOCK_TEXT = 13_200
_BUTTON = ("action_id", "url", "value", "style", "confirm", "accessibility_label")


def complaints_about_slack(payload: object) -> list[str]:
    """Hold a webhook message against what Slack accepts."""
    found = Complaints()
    message = found.fields(
        "",
        payload,
        required=["text"],
        optional=["blocks", "attachments", "mrkdwn", "unfurl_links", "unfurl_media", "thread_ts"],
    )
    if "text" in message and found.text("text", message["text"], most=40_000):
        _mrkdwn(found, "text", message["text"])
    for flag in ("mrkdwn", "unfurl_links", "unfurl_media"):
        if flag in message:
            found.boolean(flag, message[flag])
    if "blocks" in message:
        _blocks(found, "blocks", message["blocks"])
    if "attachments" in message:
        _attachments(found, message["attachments"])
    blocks = [*_found_blocks(message)]
    if len(blocks) > MOST_BLOCKS:
        found.say("blocks", f"{MOST_BLOCKS} in the whole message are accepted, not {len(blocks)}")
    for name in ("block_id", "action_id"):
        _unique(found, name, blocks)
    total = sum(len(text) for _, _, text in _texts(blocks))
    if total > MOST_BLOCK_TEXT:
        found.say("blocks", f"{MOST_BLOCK_TEXT} characters in all are accepted, not {total}")
    return found.said


def slack_structure(payload: Fields) -> list[str]:
    """Say what Slack reads in the texts of the message, without their literal parts."""
    return [*_structure(payload)]


def _structure(payload: Fields) -> Iterator[str]:
    # Without mrkdwn the text is still searched for mentions and links: find too much.
    yield from (f"text: {token}" for token in mrkdwn.structure(payload.get("text", "")))
    for number, attachment in enumerate(payload.get("attachments", [])):
        yield f"attachments[{number}]: attachment"
        for name in ("pretext", "text"):
            # mrkdwn is what Slack takes these for by default.
            found = mrkdwn.structure(attachment.get(name, ""))
            yield from (f"attachments[{number}].{name}: {token}" for token in found)
    blocks = [*_found_blocks(payload)]
    yield from (f"{path}: {block['type']}" for path, block in blocks)
    for path, kind, text in _texts(blocks):
        if kind == "rich_text":
            yield f"{path}: text"
        elif kind == "plain_text":
            yield from (f"{path}: {token}" for token in mrkdwn.plain_structure(text))
        else:
            verbatim = kind == "verbatim"
            found = mrkdwn.structure(text, verbatim=verbatim)
            yield from (f"{path}: {token}" for token in found)
    for path, element in _elements(blocks):
        if "url" in element:
            yield f"{path}: {element['type']} to {host_of(element['url'])}"
        elif element.get("type") in {"user", "usergroup", "broadcast", "channel", "emoji"}:
            yield f"{path}: {element['type']}"


# --- blocks -----------------------------------------------------------------------------------


def _blocks(found: Complaints, path: str, value: object) -> None:
    for number, block in enumerate(found.items(path, value, most=MOST_BLOCKS)):
        at = f"{path}[{number}]"
        if not isinstance(block, Mapping):
            found.say(at, "an object is accepted")
            continue
        if found.one_of(f"{at}.type", block.get("type"), sorted(_BLOCKS)):
            _BLOCKS[block["type"]](found, at, block)
        if "block_id" in block:
            found.text(f"{at}.block_id", block["block_id"], most=255)


def _section(found: Complaints, path: str, value: Fields) -> None:
    found.fields(
        path,
        value,
        required=["type"],
        optional=["block_id", "text", "fields", "accessory", "expand"],
    )
    if "text" not in value and "fields" not in value:
        found.say(path, "text or fields is required")
    if "text" in value:
        _text(found, f"{path}.text", value["text"], most=3_000)
    if "fields" in value:
        for number, field in enumerate(found.items(f"{path}.fields", value["fields"], most=10)):
            _text(found, f"{path}.fields[{number}]", field, most=2_000)
    if "accessory" in value:
        _element(found, f"{path}.accessory", value["accessory"], ["button", "image"])
    if "expand" in value:
        found.boolean(f"{path}.expand", value["expand"])


def _header(found: Complaints, path: str, value: Fields) -> None:
    found.fields(path, value, required=["type", "text"], optional=["block_id"])
    _text(found, f"{path}.text", value.get("text"), most=150, kinds=["plain_text"])


def _divider(found: Complaints, path: str, value: Fields) -> None:
    found.fields(path, value, required=["type"], optional=["block_id"])


def _context(found: Complaints, path: str, value: Fields) -> None:
    found.fields(path, value, required=["type", "elements"], optional=["block_id"])
    for number, element in enumerate(
        found.items(f"{path}.elements", value.get("elements"), most=10)
    ):
        at = f"{path}.elements[{number}]"
        if isinstance(element, Mapping) and element.get("type") == "image":
            _element(found, at, element, ["image"])
        else:
            # No document names a length; section texts and alt texts stop here.
            _text(found, at, element, most=2_000)


def _actions(found: Complaints, path: str, value: Fields) -> None:
    found.fields(path, value, required=["type", "elements"], optional=["block_id"])
    for number, element in enumerate(
        found.items(f"{path}.elements", value.get("elements"), most=25)
    ):
        _element(found, f"{path}.elements[{number}]", element, ["button"])


def _rich_text(found: Complaints, path: str, value: Fields) -> None:
    found.fields(path, value, required=["type", "elements"], optional=["block_id"])
    found.items(f"{path}.elements", value.get("elements"), most=MOST_BLOCK_TEXT)


_BLOCKS: dict[str, Callable[[Complaints, str, Fields], None]] = {
    "actions": _actions,
    "context": _context,
    "divider": _divider,
    "header": _header,
    "rich_text": _rich_text,
    "section": _section,
}


# --- what is in blocks ------------------------------------------------------------------------


def _text(
    found: Complaints,
    path: str,
    value: object,
    *,
    most: int,
    kinds: tuple[str, ...] | list[str] = (),
) -> None:
    if not isinstance(value, Mapping):
        found.say(path, "a text object is accepted")
        return
    if not found.one_of(f"{path}.type", value.get("type"), kinds or ["plain_text", "mrkdwn"]):
        return
    plain = value["type"] == "plain_text"
    flag = "emoji" if plain else "verbatim"
    found.fields(path, value, required=["type", "text"], optional=[flag])
    if flag in value:
        found.boolean(f"{path}.{flag}", value[flag])
    if found.text(f"{path}.text", value.get("text"), most=most) and not plain:
        _mrkdwn(found, f"{path}.text", value["text"])


def _mrkdwn(found: Complaints, path: str, text: str) -> None:
    for problem in mrkdwn.badly_escaped(text):
        found.say(path, problem)


def _element(found: Complaints, path: str, value: object, kinds: list[str]) -> None:
    if not isinstance(value, Mapping):
        found.say(path, f"an element is accepted: {', '.join(kinds)}")
        return
    if not found.one_of(f"{path}.type", value.get("type"), kinds):
        return
    if value["type"] == "image":
        found.fields(path, value, required=["type", "image_url", "alt_text"])
        found.url(f"{path}.image_url", value.get("image_url"), most=3_000)
        found.text(f"{path}.alt_text", value.get("alt_text"), most=2_000)
        return
    found.fields(path, value, required=["type", "text"], optional=_BUTTON)
    _text(found, f"{path}.text", value.get("text"), most=75, kinds=["plain_text"])
    if "url" in value:
        found.url(f"{path}.url", value["url"], most=3_000)
    for name, most in (("action_id", 255), ("value", 2_000), ("accessibility_label", 75)):
        if name in value:
            found.text(f"{path}.{name}", value[name], most=most)
    if "style" in value:
        found.one_of(f"{path}.style", value["style"], ["primary", "danger"])


def _attachments(found: Complaints, value: object) -> None:
    for number, attachment in enumerate(found.items("attachments", value, most=100)):
        path = f"attachments[{number}]"
        known = ["color", "blocks", "fallback", "pretext", "text", "mrkdwn_in"]
        fields = found.fields(path, attachment, optional=known)
        color = fields.get("color", "good")
        if not re.fullmatch(r"good|warning|danger|#[0-9A-Fa-f]{6}", str(color)):
            found.say(f"{path}.color", "good, warning, danger or #rrggbb is accepted")
        for name in ("fallback", "pretext", "text"):
            if name in fields:
                found.text(f"{path}.{name}", fields[name], most=3_000)
        for name in ("pretext", "text"):
            _mrkdwn(found, f"{path}.{name}", str(fields.get(name, "")))
        if "blocks" in fields:
            _blocks(found, f"{path}.blocks", fields["blocks"])
        elif not {"text", "fallback"} & {*fields}:
            found.say(path, "blocks, text or fallback is required")


def _unique(found: Complaints, name: str, blocks: list[tuple[str, Fields]]) -> None:
    seen: dict[object, str] = {}
    carriers = blocks if name == "block_id" else _elements(blocks)
    for path, carrier in carriers:
        if name in carrier:
            other = seen.setdefault(carrier[name], path)
            if other != path:
                found.say(f"{path}.{name}", f"unique ones are accepted; {other} has the same")


# --- walks ------------------------------------------------------------------------------------


def _found_blocks(message: Fields) -> Iterator[tuple[str, Fields]]:
    places: list[tuple[str, Any]] = [("blocks", message.get("blocks"))]
    attachments = message.get("attachments")
    for number, attachment in enumerate(attachments if isinstance(attachments, list) else []):
        if isinstance(attachment, Mapping):
            places.append((f"attachments[{number}].blocks", attachment.get("blocks")))
    for path, blocks in places:
        for number, block in enumerate(blocks if isinstance(blocks, list) else []):
            if isinstance(block, Mapping):
                yield f"{path}[{number}]", block


def _elements(blocks: list[tuple[str, Fields]]) -> Iterator[tuple[str, Fields]]:
    """Find every object within the blocks that has a type and is no text object."""
    for path, block in blocks:
        for at, inner in objects(path, block):
            if at != path and inner.get("type") not in {"plain_text", "mrkdwn"}:
                yield at, inner


def _texts(blocks: list[tuple[str, Fields]]) -> Iterator[tuple[str, str, str]]:
    """Find every text within the blocks, with how it is read."""
    for path, block in blocks:
        for at, inner in objects(path, block):
            text = inner.get("text")
            if isinstance(text, str):
                kind = str(inner.get("type"))
                if kind not in {"plain_text", "mrkdwn"}:
                    kind = "rich_text"
                yield at, "verbatim" if kind == "mrkdwn" and inner.get("verbatim") else kind, text
