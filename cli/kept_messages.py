"""Messages in the dead-letter queue Undelivered: what each is, and what takes it again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.deliveries import DeliveryKey
from reporting.text import visible
from runtime.causes import message_in

MOST_CHARACTERS = 200
# What EventBridge, its Scheduler, and Lambda call the reason, as attributes of a message:
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
REASONS = (("ERROR_CODE", "ERROR_MESSAGE"), ("ErrorCode", "ErrorMessage"))


class UnknownMessageError(Exception):
    """A message in the queue is not one of this stack."""


class Taker(StrEnum):
    """What a message of the queue was meant for, and takes it again."""

    NOTIFY_SCAN = "NotifyScan"
    RESCAN_REGISTRY = "RescanRegistry"
    SEND_DIGEST = "SendDigest"
    RECORD_PLATFORMS = "RecordPlatforms"
    INSPECTOR_FINDINGS = "InspectorFindings"


@dataclass(frozen=True)
class Message:
    """A message as SQS returns it, with its attributes by name."""

    message_id: str
    body: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Kept:
    """One message of the queue.

    what: the channel, the detail type of the event, or what was not started.
    about: the image, the run or the digest.
    why: what went wrong, in one line.
    content: what the taker is given, so that it retries this message and nothing else.
    delivery: what NotifyScan claims to send it; absent for what is more, or less, than one message.
    """

    what: str
    about: str
    why: str
    taker: Taker
    content: Any
    delivery: DeliveryKey | None = None


def read(message: Message, scheduled: Mapping[str, Taker]) -> Kept:
    """Read a message that ecr-rescan, or a service of AWS on its behalf, has put into the queue.

    scheduled: what the schedules of the stack start, by ARN. What else is to be started is unknown.
    Raises UnknownMessageError.
    """
    if "SCHEDULE_ARN" in message.attributes:
        return _unstarted(message, scheduled)
    try:
        content = json.loads(message.body)
    except ValueError as error:
        raise UnknownMessageError(f"is not JSON: {message.body[:60]!r}") from error
    match content:
        case {"delivery": {"channel": str(channel), "about": str(about)} as delivery}:
            # The claim of the failed delivery still exists, and a message that the queue returns
            # twice must be sent once.
            claim = DeliveryKey(f"redelivery-{message.message_id}", channel)
            return Kept(
                _line(channel.lower()),
                _line(about),
                _cause(content),
                Taker.NOTIFY_SCAN,
                {"deliveries": [{**delivery, "message_id": claim.message_id}]},
                claim,
            )
        case {"event": event, "error": str()}:
            return Kept(_kind(event), _subject(event), _cause(content), Taker.NOTIFY_SCAN, event)
        case {"detail-type": str(), "detail": _}:
            taker = _taker(content)
            why = _reason(message.attributes) or f"{taker} did not process it"
            return Kept(_kind(content), _subject(content), why, taker, content)
    raise UnknownMessageError(f"has an unknown form: {message.body[:60]!r}")


def _unstarted(message: Message, scheduled: Mapping[str, Taker]) -> Kept:
    """Read what EventBridge Scheduler sends; the body is its request, whose form AWS does not say.

    Both schedules of the stack give the input {}.
    """
    target = message.attributes.get("TARGET_ARN", "")
    if target not in scheduled:
        raise UnknownMessageError(
            f"is for {target[:120]!r}, which no schedule of this stack starts"
        )
    taker = scheduled[target]
    at = _line(message.attributes.get("SCHEDULED_TIME", ""))
    why = _reason(message.attributes) or "EventBridge Scheduler could not start it"
    return Kept(f"start of {taker}", at, why, taker, {})


def _taker(event: Mapping[str, Any]) -> Taker:
    """Return what a rule of the stack gives an event to."""
    match event:
        case {"detail-type": "Inspector2 Finding"}:
            return Taker.INSPECTOR_FINDINGS
        case {"detail-type": "ECR Image Action", "detail": {"action-type": "PUSH"}}:
            return Taker.RECORD_PLATFORMS
    return Taker.NOTIFY_SCAN


def _reason(attributes: Mapping[str, str]) -> str:
    for code, text in REASONS:
        if code in attributes:
            return _line(f"{attributes[code]}: {attributes.get(text, '')}")
    return ""


def _cause(message: Mapping[str, Any]) -> str:
    cause = message.get("cause")
    text = message_in(cause) if isinstance(cause, str) else ""
    return _line(f"{message.get('error')}: {text}")


def _kind(event: Any) -> str:
    return _line(event.get("detail-type", "event")) if isinstance(event, dict) else "event"


def _subject(event: Any) -> str:
    """Name the image's repository, the run, or the first resource of an event."""
    detail = event.get("detail") if isinstance(event, dict) else None
    if not isinstance(detail, dict):
        return ""
    named = detail.get("repository-name") or detail.get("run") or detail.get("name")
    resources = event.get("resources")
    if not named and isinstance(resources, list) and resources:
        named = resources[0]
    return _line(named or "")


def _line(text: object) -> str:
    """Put text from outside into one line that no terminal takes for a command."""
    return visible(" ".join(str(text).split())[:MOST_CHARACTERS])
