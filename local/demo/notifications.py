"""What came of a demo's notifications: who was to be told of what, and what everybody received."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.demo.demo_receivers import SECRET_PARAMETERS
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered

# As they are shown: people first. The keys are also the anchors of the page.
CHANNELS = {
    "slack": "Slack",
    "teams": "Microsoft Teams",
    "email": "E-mail",
    "sms": "SMS",
    "pagerduty": "PagerDuty",
    "chatbot": "AWS Chatbot",
    "webhook": "Webhook",
    "queue": "SQS queue",
    "events": "EventBridge bus",
}
# What template.yaml's rule takes, and UNSUPPORTED_IMAGE is not: nobody can act on that.
TAKEN = ("COMPLETE", "FAILED")
OF_THE_TOPIC = ("email", "sms", "queue")
# PagerDuty gets these though nobody is told, because they close an incident.
CLOSING = ("nothing above a threshold", "run finished")


@dataclass(frozen=True)
class Decided:
    """What ComposeNotification decided on one event.

    about: the image or the stack; empty for an event that says nothing new.
    """

    about: str
    tell: bool
    reason: str

    @property
    def is_of_a_scan(self) -> bool:
        """Tell a scan from a run."""
        return self.about.startswith("ecr/")


@dataclass(frozen=True)
class Notifications:
    """Decisions and messages of all executions of NotifyScan in a demo.

    scan_events: by the status of the scan; the rule takes those in TAKEN.
    received: messages that a channel took, of every channel that is on.
    refused: messages that it did not take.
    undelivered: what is in the queue of this name.
    """

    scans_started: int
    scan_events: Mapping[str, int]
    executions: int
    executions_failed: int
    decisions: Sequence[Decided]
    received: Mapping[str, int]
    refused: Mapping[str, int]
    undelivered: Sequence[str] = ()

    @property
    def events_sent(self) -> int:
        """Count the scan events that ECR sent."""
        return sum(self.scan_events.values())

    @property
    def events_taken(self) -> int:
        """Count those that the rule takes."""
        return sum(self.scan_events.get(status, 0) for status in TAKEN)

    @property
    def told_scans(self) -> int:
        """Count the scans that people were told of."""
        return sum(decision.tell and decision.is_of_a_scan for decision in self.decisions)

    @property
    def told_runs(self) -> int:
        """Count the runs that people were told of."""
        return sum(decision.tell and not decision.is_of_a_scan for decision in self.decisions)

    @property
    def told(self) -> Counter[str]:
        """Count what people were told of, by the reason."""
        return Counter(decision.reason for decision in self.decisions if decision.tell)

    @property
    def silent(self) -> Counter[str]:
        """Count what nobody was told of, by the reason."""
        return Counter(decision.reason for decision in self.decisions if not decision.tell)

    @property
    def resolved(self) -> int:
        """Count what nobody was told of but PagerDuty, which closes an incident."""
        return sum(self.silent[reason] for reason in CLOSING)

    def expected(self, channel: str) -> int:
        """Count the messages that a channel has to get."""
        return self.told.total() + (self.resolved if channel == "pagerduty" else 0)

    def surprise(self) -> str | None:
        """Say in one sentence what went wrong, if anything did."""
        if self.events_sent != self.scans_started:
            return (
                f"{self.scans_started} scans were started, and ECR sent {self.events_sent} events."
            )
        if self.executions_failed:
            return f"Of {self.executions} executions of NotifyScan {self.executions_failed} failed."
        if len(self.decisions) != self.executions:
            return (
                f"NotifyScan was to decide {self.executions} times, and did {len(self.decisions)} "
                "times."
            )
        if self.undelivered:
            return (
                f"The queue Undelivered holds {len(self.undelivered)} messages; the first says: "
                f"{_trouble(self.undelivered[0])}"
            )
        for channel, received in self.received.items():
            if received != self.expected(channel):
                return (
                    f"{CHANNELS[channel]} received {received} messages, and not the "
                    f"{self.expected(channel)} that were to be expected."
                )
        return None

    def document(self) -> dict[str, Any]:
        """Put everything together for machines."""
        return {
            "scan_events": dict(self.scan_events),
            "executions": self.executions,
            "executions_failed": self.executions_failed,
            "told": dict(self.told.most_common()),
            "silent": dict(self.silent.most_common()),
            "messages": dict(self.received),
            "refused": dict(self.refused),
            "undelivered": len(self.undelivered),
        }


def channels_on(parameters: Mapping[str, str]) -> list[str]:
    """Name the channels that a stack with these parameters has, in the order of their display."""
    on = dict.fromkeys(OF_THE_TOPIC, parameters.get("NotificationTopicState") != "DISABLED")
    on["chatbot"] = parameters.get("ChatbotTopicState") == "ENABLED"
    on["events"] = bool(parameters.get("ReportEventBusArn"))
    for channel, parameter in SECRET_PARAMETERS.items():
        on[channel] = bool(parameters.get(parameter))
    return [channel for channel in CHANNELS if on[channel]]


def received_by_channel(
    channels: Iterable[str], requests: Sequence[Received], delivered: Delivered
) -> dict[str, int]:
    """Count what each of these channels took."""
    taken = Counter[str](request.channel for request in requests if request.is_accepted)
    taken.update(
        {
            "email": len(delivered.emails),
            "sms": len(delivered.text_messages),
            "queue": len(delivered.topic_messages),
            "chatbot": len(delivered.chatbot_messages),
            "events": len(delivered.events),
        }
    )
    return {channel: taken[channel] for channel in channels}


def refused_by_channel(requests: Iterable[Received]) -> dict[str, int]:
    """Count what the channels did not take; those that took everything are left out."""
    return dict(Counter(request.channel for request in requests if not request.is_accepted))


def _trouble(body: str) -> str:
    """Read why a message is in the queue: its own words, or all of it when EventBridge put it."""
    try:
        kept = json.loads(body)
        return f"{kept['error']}: {kept['cause']}"
    except (ValueError, TypeError, KeyError):
        return body
