"""Alert events of PagerDuty's Events API v2.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events (repository
PagerDuty/developer-docs, docs/events-API-v2): lengths, required fields, PD-CEF and 512 KB.
"""

import re
from datetime import datetime

from .complaints import Complaints, Fields

# "512 KB": read it the small way.
MOST_BYTES = 512_000
_TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)"


def complaints_about_pagerduty(payload: object, *, with_key: bool = True) -> list[str]:
    """Hold an alert event against the API; without its key, as it is before the secret is added."""
    found = Complaints()
    required = ["event_action", *(["routing_key"] if with_key else [])]
    event = found.fields(
        "",
        payload,
        required=required,
        optional=["dedup_key", "payload", "images", "links", "client", "client_url"],
    )
    if with_key and not re.fullmatch(r"[0-9A-Za-z]{32}", str(event.get("routing_key", "0" * 32))):
        found.say("routing_key", "32 letters and digits are accepted")
    if "event_action" in event:
        actions = ["trigger", "acknowledge", "resolve"]
        found.one_of("event_action", event["event_action"], actions)
    needed = "payload" if event.get("event_action") == "trigger" else "dedup_key"
    if needed not in event:
        found.say(needed, f"required to {event.get('event_action')}")
    for name, most in (("dedup_key", 255), ("client", 1_024)):
        if name in event:
            found.text(name, event[name], most=most)
    if "client_url" in event:
        found.url("client_url", event["client_url"], most=3_000)
    if "payload" in event:
        _payload(found, event["payload"])
    _links(found, event)
    found.size("event", payload, below=MOST_BYTES)
    return found.said


def _payload(found: Complaints, value: object) -> None:
    texts = ["component", "group", "class"]
    payload = found.fields(
        "payload",
        value,
        required=["summary", "source", "severity"],
        optional=["timestamp", "custom_details", *texts],
    )
    if "severity" in payload:
        severities = ["critical", "error", "warning", "info"]
        found.one_of("payload.severity", payload["severity"], severities)
    for name, most in (("summary", 1_024), *((name, 1_024) for name in ["source", *texts])):
        if name in payload:
            found.text(f"payload.{name}", payload[name], most=most)
    if "timestamp" in payload and not _is_timestamp(payload["timestamp"]):
        found.say("payload.timestamp", "an ISO 8601 time with its zone is accepted")
    if not isinstance(payload.get("custom_details", {}), dict):
        found.say("payload.custom_details", "an object is accepted")


def _links(found: Complaints, event: Fields) -> None:
    if "links" in event:
        for number, link in enumerate(found.items("links", event["links"], most=100, least=0)):
            path = f"links[{number}]"
            fields = found.fields(path, link, required=["href"], optional=["text"])
            if "href" in fields:
                found.url(f"{path}.href", fields["href"], most=3_000)
            if "text" in fields:
                found.text(f"{path}.text", fields["text"], most=1_024)
    if "images" in event:
        for number, image in enumerate(found.items("images", event["images"], most=100, least=0)):
            path = f"images[{number}]"
            fields = found.fields(path, image, required=["src"], optional=["href", "alt"])
            if not str(fields.get("src", "https://")).startswith("https://"):
                found.say(f"{path}.src", "an https address is accepted")


def _is_timestamp(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(_TIMESTAMP, value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
