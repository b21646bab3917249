"""Responses of Slack, Teams, PagerDuty and a plain webhook, and what they refuse."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any

TEAMS_MOST_BYTES = 28 * 1024


@dataclass(frozen=True)
class Answer:
    """The response to a request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Posted:
    """A request; header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """Return the body as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def slack(posted: Posted) -> Answer:
    """Respond as an incoming webhook of Slack does.

    It refuses blocks that exceed its limits: https://docs.slack.dev/reference/block-kit/blocks
    """
    message = posted.json
    if not isinstance(message, dict):
        return _text(HTTPStatus.BAD_REQUEST, "invalid_payload")
    if not (message.get("text") or message.get("blocks") or message.get("attachments")):
        return _text(HTTPStatus.BAD_REQUEST, "no_text")
    try:
        groups = [message, *message.get("attachments", ())]
        is_refused = any(_break_the_limits(group.get("blocks", ())) for group in groups)
    except (AttributeError, TypeError):  # such as a list instead of an object
        is_refused = True
    if is_refused:
        return _text(HTTPStatus.BAD_REQUEST, "invalid_blocks")
    return _text(HTTPStatus.OK, "ok")


def teams(posted: Posted) -> Answer:
    """Respond as a workflow of Teams does, which accepts a message and posts it later."""
    if not isinstance(posted.json, dict):
        return _text(HTTPStatus.BAD_REQUEST, "The input is not valid JSON.")
    if len(posted.body) > TEAMS_MOST_BYTES:
        return _text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message is too large.")
    return Answer(HTTPStatus.ACCEPTED)


def pagerduty(posted: Posted, routing_key: str) -> Answer:
    """Respond as PagerDuty's Events API v2 does for this routing key."""
    event = posted.json
    errors = list(_pagerduty_errors(event, routing_key)) if isinstance(event, dict) else ["no JSON"]
    if errors:
        refusal = {"status": "invalid event", "message": "Event object is invalid"}
        return _json(HTTPStatus.BAD_REQUEST, {**refusal, "errors": errors})
    key = event.get("dedup_key") or hashlib.sha256(posted.body).hexdigest()[:32]
    taken = {"status": "success", "message": "Event processed", "dedup_key": key}
    return _json(HTTPStatus.ACCEPTED, taken)


def webhook() -> Answer:
    """Respond as a plain receiver does."""
    return Answer(HTTPStatus.NO_CONTENT)


def _pagerduty_errors(event: dict[str, Any], routing_key: str) -> Iterator[str]:
    if event.get("routing_key") != routing_key:
        yield "'routing_key' is invalid"
    if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
        yield "'event_action' is missing or invalid"
    elif event["event_action"] != "trigger":
        if not event.get("dedup_key"):
            yield "'dedup_key' is missing"
    else:
        payload = event.get("payload")
        given = payload if isinstance(payload, dict) else {}
        yield from (
            f"'payload.{name}' is missing or blank"
            for name in ("summary", "source", "severity")
            if not given.get(name)
        )
        if given.get("severity") not in {None, "critical", "error", "warning", "info"}:
            yield "'payload.severity' is invalid (must be one of critical, warning, error or info)"
        if len(given.get("summary") or "") > 1024:
            yield "'payload.summary' is too long"
    if len(event.get("dedup_key") or "") > 255:
        yield "'dedup_key' is too long"


def _break_the_limits(blocks: Any) -> bool:
    return len(blocks) > 50 or any(_breaks_the_limits(block) for block in blocks)


def _breaks_the_limits(block: dict[str, Any]) -> bool:
    text = _length(block.get("text"))
    match block.get("type"):
        case "header":
            return not 1 <= text <= 150
        case "section":
            fields = block.get("fields", ())
            return (
                text > 3000
                or not (text or fields)
                or len(fields) > 10
                or any(not 1 <= _length(field) <= 2000 for field in fields)
            )
        case "context":
            return not 1 <= len(block.get("elements", ())) <= 10
        case "actions":
            elements = block.get("elements", ())
            return not 1 <= len(elements) <= 25 or any(
                _length(element.get("text")) > 75 or len(element.get("url", "")) > 3000
                for element in elements
            )
        case None:
            return True
        case _:
            return False


def _length(text: Any) -> int:
    return len(text.get("text", "")) if isinstance(text, dict) else 0


def _text(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, text.encode(), {"Content-Type": "text/html"})


def _json(status: HTTPStatus, content: object) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
