"""Compose a notification: decide whether people are told, and word it for every channel."""

from dataclasses import dataclass

from notify_scan.channels.delivery import Delivery
from notify_scan.channels_in_use import ChannelsInUse, channels_in_use
from notify_scan.decision import NotificationPolicy, decide, policy_in_force
from notify_scan.reports import Interpretation
from notify_scan.scan_details import with_details
from notify_scan.wording import message_of_run, message_of_scan
from registry.ecr import EcrRegistry, ecr_registry
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class Composition:
    """What was understood of an event; attempt is how often this state has been retried."""

    interpretation: Interpretation
    attempt: int


@dataclass(frozen=True)
class Notification:
    """What is sent, if anything, and why.

    about: what the report is on, for the log.
    """

    about: str
    tell: bool
    reason: str
    deliveries: tuple[Delivery, ...]


def compose_notification(
    composition: Composition,
    *,
    policy: NotificationPolicy,
    channels: ChannelsInUse,
    registry: EcrRegistry,
) -> Notification:
    """Decide, add what only ECR can tell, and put it into words."""
    scan, run = composition.interpretation.scan, composition.interpretation.run
    decision = decide(composition.interpretation, policy)
    deliveries: tuple[Delivery, ...] = ()
    if scan:
        if decision.tell and channels.targets:
            asked = policy.include_findings
            scan = with_details(scan, registry, findings=asked, attempt=composition.attempt)
        deliveries = channels.deliveries(message_of_scan(scan, decision), scan, decision)
    elif run:
        deliveries = channels.deliveries(message_of_run(run), run, decision)
    report = scan or run
    return Notification(
        about=report.subject if report else "",
        tell=decision.tell,
        reason=decision.reason,
        deliveries=deliveries,
    )


@entrypoint(Composition)
def handler(composition: Composition) -> Notification:
    """Run as ComposeNotification, once an event is understood."""
    return compose_notification(
        composition,
        policy=policy_in_force(),
        channels=channels_in_use(),
        registry=ecr_registry(),
    )
