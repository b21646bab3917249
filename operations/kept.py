"""Messages in the dead-letter queue Undelivered: a delivery, or an event."""

import json
from dataclasses import dataclass
from typing import Any


class UnknownMessageError(Exception):
    """A message in the queue is not one of ecr-rescan's."""


@dataclass(frozen=True)
class Kept:
    """One message of the queue.

    what: the channel, or the detail type of the event.
    about: the image, the run or the digest.
    why: what went wrong, in one line.
    execution_input: the input with which NotifyScan retries this message and nothing else.
    """

    what: str
    about: str
    why: str
    execution_input: Any


def read(body: str, message_id: str) -> Kept:
    """Read a message that NotifyScan, or EventBridge on behalf of a rule, has put there.

    message_id: that of the queue, which becomes part of the new delivery claim. The claim of the
    failed delivery still exists, and a message that the queue returns twice must be sent once.
    """
    try:
        message = json.loads(body)
    except ValueError as error:
        raise UnknownMessageError(f"is not JSON: {body[:60]!r}") from error
    match message:
        case {"delivery": {"channel": str(channel), "about": str(about)} as delivery}:
            again = {**delivery, "message_id": f"redelivery-{message_id}"}
            return Kept(channel, about, _why(message), {"deliveries": [again]})
        case {"event": event, "error": str()}:
            return Kept(_kind(event), _subject(event), _why(message), event)
        case {"detail-type": str(), "detail": _}:
            why = "EventBridge could not start NotifyScan"
            return Kept(_kind(message), _subject(message), why, message)
    raise UnknownMessageError(f"has an unknown form: {body[:60]!r}")


def _why(message: dict[str, Any]) -> str:
    cause = message.get("cause", "")
    try:
        message_of_error = json.loads(cause)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        message_of_error = cause
    return " ".join(f"{message.get('error')}: {message_of_error}".split())[:200]


def _kind(event: Any) -> str:
    return str(event.get("detail-type", "event")) if isinstance(event, dict) else "event"


def _subject(event: Any) -> str:
    detail = event.get("detail") if isinstance(event, dict) else None
    if not isinstance(detail, dict):
        return ""
    return str(detail.get("repository-name") or detail.get("run") or detail.get("name") or "")
