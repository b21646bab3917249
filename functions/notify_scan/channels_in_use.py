"""Which channels the stack has, and what a message becomes in each."""

from collections.abc import Iterator
from dataclasses import dataclass

from notify_scan.channels import chatbot, pagerduty, slack, sns, teams
from notify_scan.channels.delivery import TRANSPORTS, Channel, Delivery
from notify_scan.channels.document import document
from notify_scan.decision import Condition, Decision
from notify_scan.message import Message, plain
from notify_scan.reports import RunReport, ScanReport
from notify_scan.secret_arns import secret_arns
from runtime import settings
from runtime.messages import Json

DETAIL_TYPES = {"scan": "Scan Report", "run": "Run Report"}


@dataclass(frozen=True)
class ChannelsInUse:
    """Channels with their target: a topic, a bus, or none where a secret holds the address."""

    targets: dict[Channel, str | None]

    def deliveries(
        self, message: Message, report: ScanReport | RunReport, decision: Decision
    ) -> tuple[Delivery, ...]:
        """Put a message into the form of every channel that is to have it."""
        return tuple(
            Delivery(
                channel=channel,
                transport=TRANSPORTS[channel],
                about=plain(message.title),
                content=_content(channel, message, report, decision.condition),
                target=self.targets[channel],
            )
            for channel in self._told(decision)
        )

    def _told(self, decision: Decision) -> Iterator[Channel]:
        for channel in self.targets:
            if channel is Channel.PAGERDUTY:
                # An incident that is over is closed, though nobody wants to be told; and what
                # says neither good nor bad, such as a dry run, neither opens nor closes one.
                told = decision.condition is Condition.WELL or (
                    decision.tell and decision.condition is Condition.PROBLEM
                )
            else:
                told = decision.tell
            if told:
                yield channel


def channels_in_use() -> ChannelsInUse:
    """Take the stack's parameters."""
    targets = {
        Channel.SNS: settings.optional_text("NOTIFICATION_TOPIC"),
        Channel.CHATBOT: settings.optional_text("CHATBOT_TOPIC"),
        Channel.EVENTBRIDGE: settings.optional_text("REPORT_EVENT_BUS_ARN"),
    }
    return ChannelsInUse(
        {channel: target for channel, target in targets.items() if target}
        | dict.fromkeys(secret_arns())
    )


def _content(
    channel: Channel, message: Message, report: ScanReport | RunReport, condition: Condition
) -> Json:
    match channel:
        case Channel.SNS:
            return sns.publication(message, report)
        case Channel.CHATBOT:
            return chatbot.publication(message, report)
        case Channel.SLACK:
            return slack.webhook_message(message)
        case Channel.TEAMS:
            return teams.webhook_message(message)
        case Channel.PAGERDUTY:
            return pagerduty.event(message, report, condition)
        case Channel.WEBHOOK:
            return document(message, report)
    return {"detail_type": DETAIL_TYPES[report.kind], "detail": document(message, report)}
