"""What stands in the queue Undelivered: a delivery, or an event that came to nothing."""

import json
from dataclasses import dataclass
from typing import Any


class UnknownMessageError(Exception):
    """A message in the queue is not one that ecr-rescan has put there."""


@dataclass(frozen=True)
class Kept:
    """One message of the queue.

    what: the channel, or the kind of event.
    about: what was to be told.
    why: what went wrong, in one line.
    execution_input: starts NotifyScan so that it tries this again, and nothing else.
    """

    what: str
    about: str
    why: str
    execution_input: Any


def read(body: str, message_id: str) -> Kept:
    """Read a message as NotifyScan, or EventBridge for a rule, has put it there.

    message_id: that of the queue. A delivery is claimed by it, for it has been claimed before by
    whoever could not make it; and what the queue gives out twice is still sent once.
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
    raise UnknownMessageError(f"has none of the forms that are kept: {body[:60]!r}")


def _why(message: dict[str, Any]) -> str:
    cause = message.get("cause", "")
    try:
        told = json.loads(cause)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        told = cause
    return " ".join(f"{message.get('error')}: {told}".split())[:200]


def _kind(event: Any) -> str:
    return str(event.get("detail-type", "event")) if isinstance(event, dict) else "event"


def _subject(event: Any) -> str:
    detail = event.get("detail") if isinstance(event, dict) else None
    if not isinstance(detail, dict):
        return ""
    return str(detail.get("repository-name") or detail.get("run") or detail.get("name") or "")
