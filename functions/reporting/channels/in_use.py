"""The configured channels, and the format of a message in each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from registry.findings import SEVERITIES
from reporting.channels import chatbot, pagerduty, slack, sns, teams
from reporting.channels.delivery import (
    CLAIMED_FOR,
    TRANSPORTS,
    Channel,
    Delivery,
    Transport,
    lease_until,
)
from reporting.channels.document import document
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
# The parameter that names the secret of a channel.
SECRET_PARAMETERS = {
    Channel.SLACK: "SlackWebhookSecretArn",
    Channel.TEAMS: "TeamsWebhookSecretArn",
    Channel.WEBHOOK: "WebhookSecretArn",
    Channel.PAGERDUTY: "PagerDutySecretArn",
}
# What the secret of a channel must hold; that of PagerDuty may hold a url, too.
NEEDED = {
    Channel.SLACK: ("url",),
    Channel.TEAMS: ("url",),
    Channel.WEBHOOK: ("url", "signing_key"),
    Channel.PAGERDUTY: ("routing_key",),
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
        self, message: Message, report: Report, routing: "Routing", *, event: str, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a message to every channel that gets it now."""
        return tuple(
            self._delivery(
                channel, plain(message.title), _content(channel, message, report), event, now
            )
            for channel in self.targets
            if channel is not Channel.PAGERDUTY and self._is_notified(channel, routing)
        )

    def incidents(
        self,
        triggered: tuple[Message, ScanReport | RunReport, str] | None = None,
        resolved: Sequence[str] = (),
        *,
        about: str,
        event: str,
        now: datetime,
    ) -> tuple[Delivery, ...]:
        """Return the deliveries to PagerDuty: a message to an incident, and the end of others.

        triggered: the message, its report, and the key of the incident. resolved: keys.
        """
        if Channel.PAGERDUTY not in self.targets:
            return ()
        contents = [pagerduty.trigger(*triggered)] if triggered else []
        contents += [pagerduty.resolve(key) for key in resolved]
        return tuple(
            self._delivery(
                Channel.PAGERDUTY, about, content, f"{event}-{number}" if number else event, now
            )
            for number, content in enumerate(contents)
        )

    def notice(
        self, message: Message, notice: NoticeReport, *, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a notice, without PagerDuty, where it would stay open."""
        event = notice.topic.rpartition("/")[2]
        return tuple(
            self._delivery(
                channel, plain(message.title), _content(channel, message, notice), event, now
            )
            for channel in self.targets
            if channel is not Channel.PAGERDUTY
        )

    def test(
        self, channel: Channel, message: Message, notice: NoticeReport, *, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the delivery of a test to one channel; none if the channel is not in use.

        An incident of PagerDuty is resolved again.
        """
        if channel not in self.targets:
            return ()
        test = notice.topic
        content = _content(channel, message, notice)
        if channel is Channel.PAGERDUTY:
            key = f"ecr-rescan-{test}"
            content = [pagerduty.trigger(message, notice, key), pagerduty.resolve(key)]
        elif TRANSPORTS[channel] is Transport.WEBHOOK:
            content = [content]
        delivery = self._delivery(channel, plain(message.title), content, test, now)
        return (replace(delivery, is_test=True),)

    def digest(
        self, message: Message, digest: DigestReport, *, now: datetime
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a digest to every channel that gets digests."""
        event = f"digest-{digest.digest}"
        return tuple(
            self._delivery(
                channel, plain(message.title), _content(channel, message, digest), event, now
            )
            for channel in self.targets
            if channel in self.digest_channels
        )

    @property
    def has_digest(self) -> bool:
        """Return whether some channel gets digests."""
        return not self.digest_channels.isdisjoint(self.targets)

    @property
    def urgent_severities(self) -> tuple[str, ...]:
        """Return the severities that are reported immediately in channels with a digest, too."""
        if self.immediate_from is ImmediateFrom.NEVER:
            return ()
        return SEVERITIES[: SEVERITIES.index(self.immediate_from) + 1]

    @property
    def incident_severities(self) -> tuple[str, ...]:
        """Return the severities that open an incident. PagerDuty gets no digest to wait for."""
        return self.urgent_severities or SEVERITIES[:1]

    def _is_notified(self, channel: Channel, routing: "Routing") -> bool:
        waits = channel in self.digest_channels and not routing.is_immediate
        return routing.notify and not waits

    def _delivery(
        self, channel: Channel, about: str, content: Json, message_id: str, now: datetime
    ) -> Delivery:
        return Delivery(
            channel=channel,
            transport=TRANSPORTS[channel],
            about=about,
            content=content,
            message_id=message_id,
            claimed_until=str(int((now + CLAIMED_FOR).timestamp())),
            claims_before=lease_until(now),
            target=self.targets[channel],
        )


@dataclass(frozen=True)
class Routing:
    """Where a report goes, apart from PagerDuty.

    notify: to the channels without a digest. is_immediate: to those with a digest, too, now.
    """

    notify: bool
    is_immediate: bool


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


def _content(channel: Channel, message: Message, report: Report) -> Json:
    match channel:
        case Channel.SNS:
            return sns.publication(message, report)
        case Channel.CHATBOT:
            return chatbot.publication(message, report)
        case Channel.SLACK:
            return slack.webhook_message(message)
        case Channel.TEAMS:
            return teams.webhook_message(message)
        case Channel.EVENTBRIDGE:
            return {"detail_type": DETAIL_TYPES[report.kind], "detail": document(message, report)}
    return document(message, report)
