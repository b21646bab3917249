"""What the functions of NotifyScan read from the parameters of the stack."""

from dataclasses import dataclass
from datetime import timedelta

from ledger.image_records import RetentionDays
from reporting.channels.in_use import ChannelSettings, SecretSettings
from reporting.decision import NotificationPolicy, NotifyOn, NotifyOnRun
from reporting.thresholds import OTHER, Thresholds
from runtime.settings import Settings, Threshold


@dataclass(frozen=True)
class InterpretEventSettings(Settings):
    """Settings of InterpretEvent. aws_region is set by Lambda."""

    account_id: str
    aws_region: str
    image_record_retention_days: RetentionDays


@dataclass(frozen=True)
class RecordPlatformsSettings(Settings):
    """Settings of RecordPlatforms."""

    ledger_table: str
    image_record_retention_days: RetentionDays


@dataclass(frozen=True)
class ComposeNotificationSettings(ChannelSettings):
    """Settings of ComposeNotification."""

    rescan_registry_state_machine: str
    ledger_table: str
    run_bucket: str
    image_record_retention_days: RetentionDays
    critical_threshold: Threshold
    high_threshold: Threshold
    medium_threshold: Threshold
    low_threshold: Threshold
    other_threshold: Threshold
    notify_on: frozenset[NotifyOn]
    remind_after: timedelta
    notify_on_run: NotifyOnRun
    include_findings: bool

    @property
    def policy(self) -> NotificationPolicy:
        """Return which reports are sent."""
        return NotificationPolicy(
            thresholds=Thresholds(
                {
                    "CRITICAL": self.critical_threshold,
                    "HIGH": self.high_threshold,
                    "MEDIUM": self.medium_threshold,
                    "LOW": self.low_threshold,
                    **dict.fromkeys(("INFORMATIONAL", "UNDEFINED", OTHER), self.other_threshold),
                }
            ),
            notify_on=self.notify_on,
            remind_after=self.remind_after,
            on_run=self.notify_on_run,
            include_findings=self.include_findings,
        )


@dataclass(frozen=True)
class RecheckImagesSettings(Settings):
    """Settings of RecheckImages. aws_region is set by Lambda."""

    account_id: str
    aws_region: str


@dataclass(frozen=True)
class PostToWebhookSettings(SecretSettings):
    """Settings of PostToWebhook."""
