"""Compose a notification: decide whether it is sent, and format it for every channel."""

from dataclasses import dataclass, replace
from datetime import timedelta

from accepted_risks.document import accepted_risks_document
from ledger.announcements import announcements
from ledger.bucket import run_bucket
from ledger.digest_entries import digest_entries
from ledger.image_baselines import baselines
from ledger.image_records import image_records
from notify_scan.accepted_risks_notices import due_notices
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.new_baseline import Ledger
from notify_scan.notification import Composer, Notification
from notify_scan.own_stack import OwnStack
from notify_scan.settings import ComposeNotificationSettings
from registry.ecr import ecr_registry
from reporting.channels.in_use import channels_in_use
from reporting.channels.message_metrics import count_messages
from reporting.wording import message_of_notice
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.log import logger


@dataclass(frozen=True)
class Composition:
    """The input of ComposeNotification. attempt: number of retries of this state so far."""

    interpreted: InterpretedEvent
    attempt: int


@entrypoint(Composition)
def handler(composition: Composition) -> Notification:
    """Run as ComposeNotification, once an event is interpreted."""
    now, settings = clock.now(), ComposeNotificationSettings.load()
    channels, table = channels_in_use(settings), settings.ledger_table
    stack = OwnStack(settings.rescan_registry_state_machine)
    document = accepted_risks_document(settings.run_bucket, table)
    in_force = document.in_force(now)
    composer = Composer(
        policy=settings.policy,
        risks=in_force.risks,
        channels=channels,
        registry=ecr_registry(),
        ledger=Ledger(
            image_records(table), baselines(table), digest_entries(table), announcements(table)
        ),
        bucket=run_bucket(settings.run_bucket),
        stack=stack,
        kept_for=timedelta(days=settings.image_record_retention_days),
        now=now,
        attempt=composition.attempt,
    )
    notification = composer.compose(composition.interpreted)
    notices = due_notices(in_force, composition.interpreted, document, stack, now)
    deliveries = notification.deliveries + tuple(
        delivery
        for notice in notices
        for delivery in channels.notice(message_of_notice(notice), notice, now=now)
    )
    logger.append_keys(channels=" ".join(each.channel for each in deliveries))
    count_messages(each.channel for each in deliveries)  # last: a retry would count them twice
    return replace(notification, deliveries=deliveries)
