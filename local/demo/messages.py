"""Notifications in a demo: their receivers, NotifyScan's decisions, and the ones that are shown."""

import html
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.cloud.engine import Engine
from local.demo.inspector_scene import Rechecks
from local.demo.run import RescanRun, pause_after
from local.page.message_page import page
from local.page.overview import reports_in, slack_title, weight
from local.page.page_screenshots import take_screenshots
from local.receivers.inbox import Channel, Inbox, Received
from local.receivers.subscribers import Delivered, Email, Subscribers
from local.receivers.webhook_services import Answer

PAGE = "inbox.html"
ADDRESS = "team@example.com"
NUMBER = "+15555550100"
BUS = "reports"
# The template parameter that takes the ARN of each webhook's secret.
SECRET_PARAMETERS: Mapping[Channel, str] = {
    "slack": "SlackWebhookSecretArn",
    "teams": "TeamsWebhookSecretArn",
    "pagerduty": "PagerDutySecretArn",
    "webhook": "WebhookSecretArn",
}
# Teams answers the first message with 503, so that the demo shows a retry.
REFUSING: Channel = "teams"
REFUSAL = Answer(HTTPStatus.SERVICE_UNAVAILABLE)
# In the order of display, those that a team reads first. The keys are also anchors of the page.
CHANNELS = {
    "slack": "Slack",
    "teams": "Microsoft Teams",
    "email": "Email",
    "sms": "SMS",
    "pagerduty": "PagerDuty",
    "chatbot": "Amazon Q Developer",
    "webhook": "Webhook",
    "queue": "SQS queue",
    "events": "EventBridge bus",
}
# The channels that a name in DigestChannels means, and its default in template.yaml.
OF_DIGESTS: Mapping[str, tuple[str, ...]] = {
    "SNS": ("email", "sms", "queue"),
    "CHATBOT": ("chatbot",),
    "SLACK": ("slack",),
    "TEAMS": ("teams",),
    "WEBHOOK": ("webhook",),
    "EVENTBRIDGE": ("events",),
}
DEFAULT_DIGEST_CHANNELS = "SNS,CHATBOT,SLACK,TEAMS"
# Scan statuses that template.yaml's rule matches. UNSUPPORTED_IMAGE is not among them.
TAKEN = ("COMPLETE", "FAILED")
OF_THE_TOPIC = ("email", "sms", "queue")
# Several of them show what is sent to one channel.
SENT_TO = {
    "slack": "SLACK",
    "teams": "TEAMS",
    "email": "SNS",
    "sms": "SNS",
    "pagerduty": "PAGERDUTY",
    "chatbot": "CHATBOT",
    "webhook": "WEBHOOK",
    "queue": "SNS",
    "events": "EVENTBRIDGE",
}
SECONDS_BETWEEN_READS = 0.5
# Give up when no execution has ended for this long. One takes 5 minutes at most, and of several
# that are running one ends much sooner.
STILL_SECONDS = 300
# The first and the last event in the log of an Express execution.
STARTED = "ExecutionStarted"
ENDED_WELL = "ExecutionSucceeded"
ENDED_BADLY = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
_MARKS = str.maketrans("", "", "*`")


class DemoReceivers:
    """The receivers of all channels: an inbox on this machine, subscribers in its cloud."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def __enter__(self) -> Self:
        """Start to listen."""
        self.inbox.__enter__()
        self.inbox.script(REFUSING, REFUSAL, times=1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening. Received messages can still be read."""
        self.inbox.__exit__(kind, error, trace)

    def parameters(self, engine: Engine) -> dict[str, str]:
        """Create the secrets and the bus that a deployment needs; return them as parameters."""
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
        """Subscribe to the topics and the bus of a stack."""
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

    about: the image or the stack; empty for an event that brings nothing new.
    channels: those that a message is sent to, once for each message.
    """

    about: str
    notify: bool
    reason: str
    channels: tuple[str, ...] = ()

    @property
    def is_of_a_scan(self) -> bool:
        """Return whether the event was about a scan, and not about a run."""
        return self.about.startswith("ecr/")


@dataclass(frozen=True)
class Notifications:
    """Decisions and messages of all executions of NotifyScan in a demo.

    scan_events: by the status of the scan; the rule matches those in TAKEN.
    received: messages that a channel accepted, of every channel that is on.
    refused: messages that a channel refused.
    undelivered: bodies of the messages in the dead-letter queue Undelivered.
    digests: that were sent, to the digest_channels.
    rechecks: what became of the events of Amazon Inspector; None with basic scanning.
    """

    scans_started: int
    scan_events: Mapping[str, int]
    executions: int
    executions_failed: int
    decisions: Sequence[Decided]
    received: Mapping[str, int]
    refused: Mapping[str, int]
    undelivered: Sequence[str] = ()
    digests: int = 0
    digest_channels: frozenset[str] = frozenset()
    rechecks: Rechecks | None = None

    @property
    def events_sent(self) -> int:
        """Count the scan events that ECR sent."""
        return sum(self.scan_events.values())

    @property
    def events_taken(self) -> int:
        """Count those that the rule matches."""
        return sum(self.scan_events.get(status, 0) for status in TAKEN)

    @property
    def notified_scans(self) -> int:
        """Count the scans that a notification was sent for."""
        return sum(decision.notify and decision.is_of_a_scan for decision in self.decisions)

    @property
    def notified_runs(self) -> int:
        """Count the runs that a notification was sent for."""
        return sum(decision.notify and not decision.is_of_a_scan for decision in self.decisions)

    @property
    def notified(self) -> Counter[str]:
        """Count the notifications, by reason."""
        return Counter(decision.reason for decision in self.decisions if decision.notify)

    @property
    def not_notified(self) -> Counter[str]:
        """Count the events that caused no notification, by reason."""
        return Counter(decision.reason for decision in self.decisions if not decision.notify)

    def expected(self, channel: str) -> int:
        """Count the messages that a channel should get."""
        sent = sum(each.channels.count(SENT_TO[channel]) for each in self.decisions)
        return sent + (self.digests if channel in self.digest_channels else 0)

    def document(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "scan_events": dict(self.scan_events),
            "executions": self.executions,
            "executions_failed": self.executions_failed,
            "notified": dict(self.notified.most_common()),
            "not_notified": dict(self.not_notified.most_common()),
            "messages": dict(self.received),
            "refused": dict(self.refused),
            "undelivered": len(self.undelivered),
            "digests": self.digests,
            "inspector": None if self.rechecks is None else asdict(self.rechecks),
        }


def channels_on(parameters: Mapping[str, str]) -> list[str]:
    """Return the channels that a stack with these parameters has, in the order of display."""
    on = dict.fromkeys(OF_THE_TOPIC, parameters.get("NotificationTopicState") != "DISABLED")
    on["chatbot"] = parameters.get("ChatbotTopicState") == "ENABLED"
    on["events"] = bool(parameters.get("ReportEventBusArn"))
    for channel, parameter in SECRET_PARAMETERS.items():
        on[channel] = bool(parameters.get(parameter))
    return [channel for channel in CHANNELS if on[channel]]


def digest_channels_of(parameters: Mapping[str, str]) -> frozenset[str]:
    """Return the channels that get digests from a stack with these parameters."""
    names = parameters.get("DigestChannels", DEFAULT_DIGEST_CHANNELS).split(",")
    return frozenset(channel for name in names for channel in OF_DIGESTS.get(name.strip(), ()))


def received_by_channel(
    channels: Iterable[str], requests: Sequence[Received], delivered: Delivered
) -> dict[str, int]:
    """Count the messages that each of these channels accepted."""
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
    """Count the messages that channels refused; channels that refused none are left out."""
    return dict(Counter(request.channel for request in requests if not request.is_accepted))


class NotificationsTimeoutError(Exception):
    """Executions of NotifyScan are missing or do not end; the message says how many."""


class NotifyWatch:
    """The deployed NotifyScan, observed through its logs and its dead-letter queue."""

    def __init__(self, engine: Engine, outputs: Mapping[str, str]) -> None:
        self._logs = engine.client("logs")
        self._sqs = engine.client("sqs")
        self._outputs = outputs

    def failed_executions(self, expected: int) -> int:
        """Wait until this many executions, and all that started, have ended; count the failed."""
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
                    f"NotifyScan should have ended {expected} executions. {events[STARTED]} have "
                    f"started and {ended} have ended, none in the last {STILL_SECONDS} s."
                )
            time.sleep(pause_after(time.monotonic() - polled_at))

    def decisions(self, expected: int, *, within_seconds: float = 120.0) -> tuple[Decided, ...]:
        """Read ComposeNotification's decisions, once there are enough or time is up."""
        deadline = time.monotonic() + within_seconds
        while True:
            decisions = tuple(decisions_in(self._messages("FunctionLogGroup", '"notify"')))
            if len(decisions) >= expected or time.monotonic() > deadline:
                return decisions
            time.sleep(SECONDS_BETWEEN_READS)

    def undelivered(self) -> tuple[str, ...]:
        """Read the messages in the dead-letter queue Undelivered and leave them there."""
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
    """Count the executions of NotifyScan: one per scan, per summary, and per failed run."""
    return sum(scan_events.get(status, 0) for status in TAKEN) + sum(
        _events_of(run) for run in runs
    )


def decisions_in(lines: Iterator[str]) -> Iterator[Decided]:
    """Read the decisions from the functions' log lines."""
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:  # written by a process that died, not by a function
            continue
        if isinstance(said, dict) and {"notify", "reason", "about"} <= said.keys():
            yield Decided(
                about=said["about"],
                notify=said["notify"],
                reason=said["reason"],
                channels=tuple(said.get("channels", "").split()),
            )


def _events_of(run: RescanRun) -> int:
    has_failed = run.status != "SUCCEEDED"
    has_summary = run.is_incomplete or "conclusion" in (run.output or {})
    return has_failed + has_summary


@dataclass(frozen=True)
class Highlights:
    """The messages that a demo shows: the worst scan, the run with most to say, a digest."""

    scan_title: str | None = None
    run_title: str | None = None
    digest_title: str | None = None
    requests: Sequence[Received] = field(default=(), repr=False)
    emails: Sequence[Email] = field(default=(), repr=False)

    @classmethod
    def of(cls, requests: Sequence[Received], delivered: Delivered) -> "Highlights":
        """Pick the scan with the worst findings, and an incomplete run if there is one."""
        reports = reports_in(requests, delivered)
        scans = [each for each in reports if each["report"]["kind"] == "scan"]
        runs = [each for each in reports if each["report"]["kind"] == "run"]
        scan = max(scans, key=weight, default=None)
        run = max(runs, key=lambda each: each["report"]["status"] != "FINISHED", default=None)
        digests = [each for each in reports if each["report"]["kind"] == "digest"]
        return cls(
            scan["title"] if scan else None,
            run["title"] if run else None,
            digests[0]["title"] if digests else None,
            tuple(request for request in requests if request.is_accepted),
            delivered.emails,
        )

    def pictured(self) -> tuple[Received, ...]:
        """Return the two messages as Slack and Teams accepted them."""
        titles = [title for title in (self.scan_title, self.run_title) if title]
        return tuple(
            request
            for channel in ("slack", "teams")
            for title in titles
            for request in self._posted(channel, title)[:1]
        )

    def slack_scan(self) -> str | None:
        """Return the text of the scan's message as Slack shows it."""
        posted = self._posted("slack", self.scan_title)
        return "\n".join(_texts_of_slack(posted[0].json)) if posted else None

    def run_email(self) -> Email | None:
        """Return the email about the run."""
        return self._email(self.run_title)

    def digest_email(self) -> Email | None:
        """Return the email with the digest."""
        return self._email(self.digest_title)

    def _email(self, title: str | None) -> Email | None:
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
    """Write the page of all messages and the pictures of two; return a line about the pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / PAGE).write_text(page(requests, delivered))
    return take_screenshots(highlights.pictured(), None, directory)


def _title(channel: str, message: Any) -> str:
    """Return the title of a message, without the channel's formatting."""
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
