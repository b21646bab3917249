"""The configured channels, and the format of a message in each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from ledger.changes import Change
from registry.findings import SEVERITIES
from reporting.channels import chatbot, pagerduty, slack, sns, teams
from reporting.channels.delivery import CLAIMED_FOR, TRANSPORTS, Channel, Delivery
from reporting.channels.document import document
from reporting.decision import Decision, Incident
from reporting.message import Message, plain
from reporting.reports import DigestReport, NoticeReport, Report, RunReport, ScanReport
from runtime.messages import Json
from runtime.settings import Settings

DETAIL_TYPES = {
    "scan": "Scan Report",
    "run": "Run Report",
    "digest": "Digest Report",
    "notice": "Notice",
}


class ImmediateFrom(StrEnum):
    """The lowest severity that is reported immediately in channels with a digest too."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    NEVER = "NEVER"


@dataclass(frozen=True)
class SecretSettings(Settings):
    """The secrets of channels; empty for a channel that is not in use."""

    slack_webhook_secret_arn: str | None
    teams_webhook_secret_arn: str | None
    webhook_secret_arn: str | None
    pager_duty_secret_arn: str | None


@dataclass(frozen=True)
class ChannelSettings(SecretSettings):
    """The channels of the stack; empty for a channel that is not in use."""

    notification_topic: str | None
    chatbot_topic: str | None
    report_event_bus_arn: str | None
    digest_channels: frozenset[Channel]
    immediate_from: ImmediateFrom


@dataclass(frozen=True)
class ChannelsInUse:
    """Channels with their target: a topic, a bus, or none where a secret holds the address.

    digest_channels: those that get one digest per day instead of one notification per scan.
    """

    targets: dict[Channel, str | None]
    digest_channels: frozenset[Channel] = frozenset()
    immediate_from: ImmediateFrom = ImmediateFrom.NEVER

    def deliveries(
        self, message: Message, report: Report, decision: Decision, *, event: str, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a message to every channel that gets it now."""
        return tuple(
            self._delivery(channel, message, report, decision.incident, event, now)
            for channel in self.targets
            if self._is_notified(channel, report, decision)
        )

    def notice(
        self, message: Message, notice: NoticeReport, *, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a notice, without PagerDuty, where it would stay open."""
        event = notice.topic.rpartition("/")[2]
        return tuple(
            self._delivery(channel, message, notice, Incident.NONE, event, now)
            for channel in self.targets
            if channel is not Channel.PAGERDUTY
        )

    def digest(
        self, message: Message, digest: DigestReport, *, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a digest to every channel that gets digests."""
        return tuple(
            self._delivery(channel, message, digest, Incident.NONE, f"digest-{digest.digest}", now)
            for channel in self.targets
            if channel in self.digest_channels
        )

    @property
    def has_digest(self) -> bool:
        """Return whether some channel gets digests."""
        return not self.digest_channels.isdisjoint(self.targets)

    def _is_notified(self, channel: Channel, report: Report, decision: Decision) -> bool:
        if channel is Channel.PAGERDUTY:
            # An incident is resolved even if no notification is sent. What leaves open whether
            # there is a problem, such as a dry run, leaves it alone.
            return decision.incident is Incident.RESOLVE or (
                decision.notify and decision.incident is Incident.TRIGGER
            )
        # A scan that was not compared cannot wait for a digest.
        waits = (
            report.kind == "scan"
            and channel in self.digest_channels
            and decision.change is not None
        )
        return decision.notify and (not waits or self.breaks_through(decision))

    def breaks_through(self, decision: Decision) -> bool:
        """Return whether a change is severe enough that no channel waits for its digest."""
        if self.immediate_from is ImmediateFrom.NEVER:
            return False
        urgent = SEVERITIES[: SEVERITIES.index(self.immediate_from) + 1]
        risen = {
            Change.NEW: set(decision.exceeded),
            Change.WORSE: {name for name, more in decision.difference.items() if more > 0},
        }
        return not risen.get(decision.change or Change.UNCHANGED, set()).isdisjoint(urgent)

    def _delivery(
        self,
        channel: Channel,
        message: Message,
        report: Report,
        incident: Incident,
        event: str,
        now: datetime,
    ) -> Delivery:
        return Delivery(
            channel=channel,
            transport=TRANSPORTS[channel],
            about=plain(message.title),
            content=_content(channel, message, report, incident),
            message_id=event,
            claimed_until=str(int((now + CLAIMED_FOR).timestamp())),
            target=self.targets[channel],
        )


def channels_in_use(settings: ChannelSettings) -> ChannelsInUse:
    """Return the channels that the parameters of the stack set."""
    targets = {
        Channel.SNS: settings.notification_topic,
        Channel.CHATBOT: settings.chatbot_topic,
        Channel.EVENTBRIDGE: settings.report_event_bus_arn,
    }
    in_use = {channel: target for channel, target in targets.items() if target}
    return ChannelsInUse(
        in_use | dict.fromkeys(secret_arns(settings)),
        settings.digest_channels - {Channel.PAGERDUTY},  # it has incidents
        settings.immediate_from,
    )


def secret_arns(settings: SecretSettings) -> dict[Channel, str]:
    """Return the secrets of the channels in use that have one."""
    arns = {
        Channel.SLACK: settings.slack_webhook_secret_arn,
        Channel.TEAMS: settings.teams_webhook_secret_arn,
        Channel.WEBHOOK: settings.webhook_secret_arn,
        Channel.PAGERDUTY: settings.pager_duty_secret_arn,
    }
    return {channel: arn for channel, arn in arns.items() if arn}


def _content(channel: Channel, message: Message, report: Report, incident: Incident) -> Json:
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
            # No digest and no notice goes there.
            return pagerduty.event(message, cast("ScanReport | RunReport", report), incident)
        case Channel.WEBHOOK:
            return document(message, report)
    return {"detail_type": DETAIL_TYPES[report.kind], "detail": document(message, report)}
