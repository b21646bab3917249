"""Compose a notification: decide whether people are told, and word it for every channel."""

from dataclasses import dataclass, replace
from datetime import datetime

from ledger.digest_entries import digest_entries
from ledger.errors import LedgerUnavailable
from ledger.image_records import ImageRecords, image_records
from notify_scan.channels.delivery import Delivery
from notify_scan.channels_in_use import ChannelsInUse, channels_in_use
from notify_scan.decision import NotificationPolicy, decide, policy_in_force
from notify_scan.memory import Ledger, Memory, recall, remember
from notify_scan.scan_details import RETRIES, with_details
from notify_scan.understood_event import UnderstoodEvent
from notify_scan.wording import message_of_run, message_of_scan
from registry.ecr import EcrRegistry, ecr_registry
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.log import logger

OUTDATED = "a newer scan of the image is known"


@dataclass(frozen=True)
class Composition:
    """What was understood of an event; attempt is how often this state has been retried."""

    understood: UnderstoodEvent
    attempt: int


@dataclass(frozen=True)
class Notification:
    """What is sent, if anything, and why.

    about: what the report is on, for the log.
    """

    about: str
    tell: bool
    reason: str
    deliveries: tuple[Delivery, ...] = ()


def compose_notification(
    composition: Composition,
    *,
    policy: NotificationPolicy,
    channels: ChannelsInUse,
    registry: EcrRegistry,
    ledger: Ledger,
    now: datetime,
) -> Notification:
    """Decide, add what only ECR can tell, put it into words, and remember that last of all.

    Raises EcrThrottled or LedgerUnavailable while there are retries left, and BaselineMoved when
    another execution was faster: then it is to be decided anew.
    """
    understood, attempt = composition.understood, composition.attempt
    scan, run = understood.interpretation.scan, understood.interpretation.run
    if scan is None:
        decision = decide(understood.interpretation, policy)
        if run is None:
            return Notification("", decision.tell, decision.reason)
        message = message_of_run(run)
        deliveries = channels.deliveries(message, run, decision, event=understood.event, now=now)
        return Notification(run.subject, decision.tell, decision.reason, deliveries)

    memory = _recalled(understood, ledger.records, attempt=attempt, now=now)
    if memory and memory.is_outdated(scan.scanned_at):
        return Notification(scan.subject, tell=False, reason=OUTDATED)
    decision = decide(understood.interpretation, policy, memory.before if memory else None)
    scan = replace(
        scan,
        change=decision.change,
        difference=decision.difference,
        compared_with=memory.compared_with if memory else None,
        is_reminder=decision.is_reminder,
    )
    if decision.tell and channels.targets:
        asked = policy.include_findings
        scan = with_details(scan, registry, findings=asked, attempt=attempt)
    message = message_of_scan(scan, decision)
    deliveries = channels.deliveries(message, scan, decision, event=understood.event, now=now)
    if memory:
        digests = channels.digests(decision)
        remember(memory, scan, decision, ledger, digests=digests, now=now)
    return Notification(scan.subject, decision.tell, decision.reason, deliveries)


def _recalled(
    understood: UnderstoodEvent, records: ImageRecords, *, attempt: int, now: datetime
) -> Memory | None:
    """Look up what was known. Without an answer people are told too often, and not too little."""
    try:
        return recall(understood, records, attempt=attempt, now=now)
    except LedgerUnavailable as error:
        if attempt < RETRIES:
            raise
        logger.warning("told without the ledger", extra={"error": str(error)})
        return None


@entrypoint(Composition)
def handler(composition: Composition) -> Notification:
    """Run as ComposeNotification, once an event is understood."""
    return compose_notification(
        composition,
        policy=policy_in_force(),
        channels=channels_in_use(),
        registry=ecr_registry(),
        ledger=Ledger(image_records(), digest_entries()),
        now=clock.now(),
    )
