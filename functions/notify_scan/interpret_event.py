"""Interpret an event: each of the six kinds becomes the same type."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from notify_scan.events.channel_trials import channel_test
from notify_scan.events.fields import Fields, UnreadableScanEvent
from notify_scan.events.images import image_action
from notify_scan.events.own import refuse_others, rescan_finished, scan_result_found
from notify_scan.events.runs import execution_ended
from notify_scan.events.scans import basic_scan, enhanced_scan
from notify_scan.interpreted_event import InterpretedEvent, interpreted
from notify_scan.settings import InterpretEventSettings
from own_events import SOURCE
from own_events.rescan_finished import RescanFinished
from own_events.scan_result_found import ScanResultFound
from reporting.reports import Interpretation
from runtime import clock
from runtime.entrypoint import entrypoint

_READERS: dict[tuple[str, str], Callable[[Fields], Interpretation]] = {
    ("aws.ecr", "ECR Image Scan"): basic_scan,
    ("aws.ecr", "ECR Image Action"): image_action,
    ("aws.inspector2", "Inspector2 Scan"): enhanced_scan,
    (SOURCE, ScanResultFound.DETAIL_TYPE): scan_result_found,
    (SOURCE, RescanFinished.DETAIL_TYPE): rescan_finished,
    ("aws.states", "Step Functions Execution Status Change"): execution_ended,
}


@dataclass(frozen=True)
class ReceivedEvent:
    """The input of the execution: an event of EventBridge, or a test that an operator has started.

    EventBridge adds its own fields to every event, so that none is a test.
    """

    event: object


def interpret_event(
    received: ReceivedEvent, *, account: str, region: str, kept_for: timedelta, now: datetime
) -> InterpretedEvent:
    """Read the event by its source and detail type, or a test; or raise UnreadableScanEvent."""
    event = Fields.of("the event", received.event, now)
    if event.values.keys() == {"test"}:
        asked = channel_test(event.part("test"))
        return InterpretedEvent(f"test-{asked.id}", Interpretation(test=asked))
    kind = event.text("source"), event.text("detail-type")
    if kind not in _READERS:
        known = ", ".join(detail_type for _, detail_type in _READERS)
        raise UnreadableScanEvent(
            f"the event is of the kind {kind[1]!a} from {kind[0]!a}; known are {known}"
        )
    if kind[0] == SOURCE:
        refuse_others(event, account=account, region=region)
    return interpreted(
        event, _READERS[kind](event), account=account, region=region, kept_for=kept_for
    )


@entrypoint(ReceivedEvent)
def handler(received: ReceivedEvent) -> InterpretedEvent:
    """Run as InterpretEvent, first of all."""
    settings = InterpretEventSettings.load()
    return interpret_event(
        received,
        account=settings.account_id,
        region=settings.aws_region,
        kept_for=timedelta(days=settings.image_record_retention_days),
        now=clock.now(),
    )
