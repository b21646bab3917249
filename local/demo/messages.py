"""Messages in a demo: who receives them, what NotifyScan decided, and which of them are shown."""

import html
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.cloud.engine import Engine
from local.demo.run import RescanRun, pause_after
from local.page.message_page import page
from local.page.overview import reports_in, slack_title, weight
from local.page.page_screenshots import take_screenshots
from local.receivers.inbox import Channel, Inbox, Received
from local.receivers.subscribers import Delivered, Email, Subscribers
from local.receivers.webhook_services import Answer

ADDRESS = "team@example.com"
NUMBER = "+15555550100"
BUS = "reports"
# The template's parameter with the ARN of each webhook's secret.
SECRET_PARAMETERS: Mapping[Channel, str] = {
    "slack": "SlackWebhookSecretArn",
    "teams": "TeamsWebhookSecretArn",
    "pagerduty": "PagerDutySecretArn",
    "webhook": "WebhookSecretArn",
}
# One trouble, so that a retry can be seen: the first message to Teams has to be sent twice.
TROUBLED: Channel = "teams"
TROUBLE = Answer(HTTPStatus.SERVICE_UNAVAILABLE)
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
SECONDS_BETWEEN_READS = 0.5
# An execution lasts 5 minutes at most, and of many that are under way one ends long before.
STILL_SECONDS = 90
# What an Express execution logs first, and last.
STARTED = "ExecutionStarted"
ENDED_WELL = "ExecutionSucceeded"
ENDED_BADLY = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
_MARKS = str.maketrans("", "", "*`")


class DemoReceivers:
    """The receivers of every channel, as long as a `with` lasts."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def __enter__(self) -> Self:
        """Begin to listen."""
        self.inbox.__enter__()
        self.inbox.script(TROUBLED, TROUBLE, times=1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening; what was received can still be read."""
        self.inbox.__exit__(kind, error, trace)

    def parameters(self, engine: Engine) -> dict[str, str]:
        """Do what an operator does before a deployment, and give the parameters that come of it."""
        secrets = engine.client("secretsmanager")
        arns = {
            SECRET_PARAMETERS[channel]: secrets.create_secret(
                Name=f"ecr-rescan/{channel}", SecretString=secret
            )["ARN"]
            for channel, secret in self.inbox.secrets().items()
        }
        bus = engine.client("events").create_event_bus(Name=BUS)
        return arns | {"ChatbotTopicState": "ENABLED", "ReportEventBusArn": bus["EventBusArn"]}

    @staticmethod
    def subscribe(engine: Engine, outputs: Mapping[str, str]) -> Subscribers:
        """Subscribe to what the stack has, by its outputs."""
        subscribers = Subscribers(engine)
        if topic := outputs.get("NotificationTopicArn"):
            subscribers.subscribe_email(topic, ADDRESS)
            subscribers.subscribe_sms(topic, NUMBER)
            subscribers.subscribe_queue(topic)
        if chatbot_topic := outputs.get("ChatbotTopicArn"):
            subscribers.subscribe_chatbot(chatbot_topic)
        subscribers.watch_bus(BUS)
        return subscribers


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


class NotificationsTimeoutError(Exception):
    """Executions of NotifyScan are missing, or do not end: the message says how many."""


class NotifyWatch:
    """What NotifyScan leaves in its log and in that of its functions."""

    def __init__(self, engine: Engine, outputs: Mapping[str, str]) -> None:
        self._logs = engine.client("logs")
        self._sqs = engine.client("sqs")
        self._outputs = outputs

    def failed_executions(self, expected: int) -> int:
        """Wait until so many executions have ended, and all that have started; count the failed."""
        last, last_change = Counter[str](), time.monotonic()
        while True:
            polled_at = time.monotonic()
            events = self._executions()
            failed = sum(events[name] for name in ENDED_BADLY)
            ended = events[ENDED_WELL] + failed
            if ended >= max(expected, events[STARTED]):
                return failed
            if events != last:
                last, last_change = events, polled_at
            if polled_at - last_change > STILL_SECONDS:
                raise NotificationsTimeoutError(
                    f"{expected} executions of NotifyScan were to be expected, but only {ended} "
                    f"have ended, of {events[STARTED]} that have started, and for "
                    f"{STILL_SECONDS} s none has ended."
                )
            time.sleep(pause_after(time.monotonic() - polled_at))

    def decisions(self, expected: int, *, within_seconds: float = 10.0) -> tuple[Decided, ...]:
        """Read what ComposeNotification decided, once it is so much or the time is over."""
        deadline = time.monotonic() + within_seconds
        while True:
            decisions = tuple(decisions_in(self._messages("FunctionLogGroup", '"tell"')))
            if len(decisions) >= expected or time.monotonic() > deadline:
                return decisions
            time.sleep(SECONDS_BETWEEN_READS)

    def undelivered(self) -> tuple[str, ...]:
        """Read what is in the queue Undelivered, without taking it out."""
        url = self._outputs["UndeliveredQueueUrl"]
        bodies: list[str] = []
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60
            )
            messages = answer.get("Messages", [])
            if not messages:
                return tuple(bodies)
            bodies += [message["Body"] for message in messages]

    def _executions(self) -> Counter[str]:
        types = Counter[str]()
        pattern = " ".join(f"?{name}" for name in (STARTED, ENDED_WELL, *ENDED_BADLY))
        for message in self._messages("NotifyScanLogGroup", pattern):
            types[json.loads(message)["type"]] += 1
        return types

    def _messages(self, log_group: str, pattern: str) -> Iterator[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._outputs[log_group], filterPattern=pattern
        )
        for each in pages:
            for event in each["events"]:
                yield event["message"]


def executions_caused(scan_events: Mapping[str, int], runs: Sequence[RescanRun]) -> int:
    """Count the executions of NotifyScan: one a scan, one a summary, one a run that went red."""
    return sum(scan_events.get(status, 0) for status in TAKEN) + sum(
        _events_of(run) for run in runs
    )


def decisions_in(lines: Iterator[str]) -> Iterator[Decided]:
    """Read the decisions from the functions' log lines."""
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:  # of a process that died: not one of ours
            continue
        if isinstance(said, dict) and {"tell", "reason", "about"} <= said.keys():
            yield Decided(about=said["about"], tell=said["tell"], reason=said["reason"])


def _events_of(run: RescanRun) -> int:
    went_red = run.status != "SUCCEEDED"
    has_summary = run.is_incomplete or "conclusion" in (run.output or {})
    return went_red + has_summary


@dataclass(frozen=True)
class Highlights:
    """The titles of the worst scan and of the run, and what the channels made of them."""

    scan_title: str | None = None
    run_title: str | None = None
    requests: Sequence[Received] = field(default=(), repr=False)
    emails: Sequence[Email] = field(default=(), repr=False)

    @classmethod
    def of(cls, requests: Sequence[Received], delivered: Delivered) -> "Highlights":
        """Pick the scan with the worst findings, and a run that did not finish if there is one."""
        reports = reports_in(requests, delivered)
        scans = [each for each in reports if each["report"]["kind"] == "scan"]
        runs = [each for each in reports if each["report"]["kind"] == "run"]
        scan = max(scans, key=weight, default=None)
        run = max(runs, key=lambda each: each["report"]["status"] != "FINISHED", default=None)
        return cls(
            scan["title"] if scan else None,
            run["title"] if run else None,
            tuple(request for request in requests if request.is_accepted),
            delivered.emails,
        )

    def pictured(self) -> tuple[Received, ...]:
        """Give the two messages as Slack and Teams took them."""
        titles = [title for title in (self.scan_title, self.run_title) if title]
        return tuple(
            request
            for channel in ("slack", "teams")
            for title in titles
            for request in self._posted(channel, title)[:1]
        )

    def slack_scan(self) -> str | None:
        """Give the texts of the scan's message in Slack, as they are in its blocks."""
        posted = self._posted("slack", self.scan_title)
        return "\n".join(_texts_of_slack(posted[0].json)) if posted else None

    def run_email(self) -> Email | None:
        """Give the e-mail on the run."""
        title = self.run_title
        return next((each for each in self.emails if title and each.text.startswith(title)), None)

    def _posted(self, channel: str, title: str | None) -> list[Received]:
        return [
            request
            for request in self.requests
            if request.channel == channel and title and _title(channel, request.json) == title
        ]


def draw(
    directory: Path, requests: Sequence[Received], delivered: Delivered, highlights: Highlights
) -> str:
    """Draw all messages on a page, and picture those two; say what there is to look at."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "inbox.html").write_text(page(requests, delivered))
    pictures = take_screenshots(highlights.pictured(), None, directory)
    return f"every message as its receiver got it: {directory.name}/inbox.html. {pictures}"


def _title(channel: str, message: Any) -> str:
    """Read the title of a message, without what the channel needs around it."""
    if channel == "slack":
        return slack_title(message)
    title = message["attachments"][0]["content"]["body"][0]["inlines"]
    return "".join(run["text"] for run in title).partition(" ")[2]


def _texts_of_slack(message: Any) -> Iterator[str]:
    parts = [message, *message.get("attachments", [])]
    for block in (block for part in parts for block in part.get("blocks", [])):
        if "text" in block:
            yield _shown_by_slack(block["text"]["text"])
        for text in [*block.get("fields", []), *block.get("elements", [])]:
            yield _shown_by_slack(text["text"]).replace("\n", "  ")


def _shown_by_slack(marked: str) -> str:
    """Leave out the marks of text, and of links all but their labels."""
    return html.unescape(re.sub(r"<[^<>|]+\|([^<>]*)>", r"\1", marked)).translate(_MARKS)
