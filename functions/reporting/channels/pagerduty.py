"""PagerDuty Events API v2: one incident per image, and one for the runs of a stack.

Format and limits: https://developer.pagerduty.com/docs/events-api-v2-overview
"""

import hashlib

from reporting.message import Level, Message, plain
from reporting.reports import NoticeReport, RunReport, ScanReport
from reporting.text import trimmed
from runtime.messages import Json, encode

LONGEST_KEY = 255
LONGEST_SUMMARY = 1_024

_SEVERITIES = {
    Level.CRITICAL: "critical",
    Level.HIGH: "error",
    Level.MEDIUM: "warning",
    Level.INFO: "warning",
    Level.LOW: "info",
    Level.OK: "info",
}


def resolve(key: str) -> Json:
    """Return the event that resolves an incident."""
    return {"event_action": "resolve", "dedup_key": key}


def is_resolution(content: Json) -> bool:
    """Return whether an event ends an incident, and so says nothing of what was found."""
    return isinstance(content, dict) and content["event_action"] == "resolve"


def trigger(message: Message, report: ScanReport | RunReport | NoticeReport, key: str) -> Json:
    """Return the event that opens or confirms an incident.

    It has no component if the message is about more than the report. The routing key, which is a
    secret, is added when it is sent.
    """
    time = report.reported_at
    match report:
        case ScanReport():
            component = report.repository
        case RunReport():
            component = report.run
        case _:
            component = report.topic
    return {
        "event_action": "trigger",
        "dedup_key": key,
        "client": "ecr-rescan",
        "client_url": message.link,
        "links": [{"href": message.link, "text": message.link_text}],
        "payload": {
            "summary": trimmed(plain(message.one_liners[0]), LONGEST_SUMMARY),
            "source": f"{report.account}/{report.region}",
            "severity": _SEVERITIES[message.level],
            **({"timestamp": encode(time)} if time else {}),
            **({"component": component} if message.subject == report.subject else {}),
            "group": "Amazon ECR",
            "class": f"{report.kind} report",
            "custom_details": encode(report),
        },
    }


def dedup_key(subject: str, *, most: int = LONGEST_KEY) -> str:
    """Return the deduplication key of a subject; a long one ends in a hash of the whole."""
    if len(subject) <= most:
        return subject
    digest = hashlib.sha256(subject.encode()).hexdigest()
    return f"{subject[: most - len(digest) - 1]}#{digest}"
