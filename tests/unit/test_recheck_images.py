import io
import json
from datetime import timedelta
from typing import Any

import pytest

from notify_scan import recheck_images as module
from notify_scan.recheck_images import ASK_FOR, QueuedEvents, recheck_images
from own_events.event_bus import EventRefused
from own_events.scan_result_found import ScanResultFound
from registry.errors import EcrThrottled
from registry.images import LastScan
from tests.support.builders import days_ago
from tests.support.clock import NOW, Clock
from tests.support.engine import any_lambda_context
from tests.support.fakes import AskedRegistry, FakeBus
from tests.support.template import ROOT, resources
from tests.unit.test_finding_events import ACCOUNT, DIGEST, OTHER, REGION, event_on, queued

ACTIVE = LastScan("ACTIVE", days_ago(3), severities={"HIGH": 1})
MESSAGES = QueuedEvents(
    (
        queued(event_on(), 1),
        queued("odd", 2),
        queued(event_on(imageHash=OTHER), 3),
        queued(event_on(), 4),
        queued(event_on(registry="999999999999"), 5),
    )
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clock.now", clock.now)
    return clock


def rechecked(
    registry: AskedRegistry, bus: FakeBus, queued: QueuedEvents = MESSAGES
) -> module.RecheckedImages:
    return recheck_images(
        queued,
        registry,  # type: ignore[arg-type]
        bus,  # type: ignore[arg-type]
        of=(ACCOUNT, REGION),
        now=NOW,
    )


def retried(answer: module.RecheckedImages) -> list[str]:
    """Return the ids of the messages that stay in the queue."""
    return [failure["itemIdentifier"] for failure in answer.batchItemFailures]


def test_asks_and_reports_once_per_image() -> None:
    registry, bus = AskedRegistry(lambda _: ACTIVE), FakeBus()
    answer = rechecked(registry, bus)
    assert registry.asked == [DIGEST, OTHER]
    details: list[Any] = [detail for _, detail, _ in bus.events]
    assert [detail["image-digest"] for detail in details] == [DIGEST, OTHER]
    assert {kind for kind, _, _ in bus.events} == {ScanResultFound.DETAIL_TYPE}
    assert (answer.messages, answer.images, answer.results_found) == (5, 2, 2)
    assert (answer.images_dropped, answer.messages_elsewhere) == (0, 1)


def test_leaves_what_cannot_be_read_to_the_dead_letter_queue() -> None:
    answer = rechecked(AskedRegistry(lambda _: ACTIVE), FakeBus())
    assert retried(answer) == ["2"]
    assert (answer.messages_to_retry, answer.problem) == (1, "the event must be JSON")


def test_has_every_message_retried_whose_image_ecr_throttles() -> None:
    def answer(digest: str) -> LastScan | None:
        if digest == DIGEST:
            raise EcrThrottled("Rate exceeded")
        return ACTIVE

    bus = FakeBus()
    answered = rechecked(AskedRegistry(answer), bus)
    assert retried(answered) == ["2", "1", "4", "3"]
    assert bus.events == []
    assert (answered.messages_to_retry, answered.problem) == (4, "EcrThrottled: Rate exceeded")


def test_asks_for_a_minute(clock: Clock) -> None:
    """The function ends after two, and Lambda would retry the whole batch."""

    def answer(_: str) -> LastScan | None:
        clock.move(timedelta(seconds=60))
        return ACTIVE

    registry = AskedRegistry(answer)
    answered = rechecked(registry, FakeBus())
    assert (ASK_FOR, registry.asked) == (timedelta(seconds=60), [DIGEST])
    assert retried(answered) == ["2", "3"]


def test_the_function_and_its_queue_leave_time_for_it() -> None:
    """SQS shows a message again after six timeouts of the function and the batching window, as AWS
    recommends: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    timeout = resources("AWS::Serverless::Function")["RecheckImagesFunction"]["Timeout"]
    assert timeout >= ASK_FOR.seconds + 13 + 10
    (mapping,) = resources("AWS::Lambda::EventSourceMapping").values()
    queue = resources("AWS::SQS::Queue")["InspectorFindings"]
    window = mapping["MaximumBatchingWindowInSeconds"]
    assert queue["VisibilityTimeout"] == 6 * timeout + window
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["MessageRetentionPeriod"] > (
        queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
    )


def test_a_batch_without_images_of_ours_costs_nothing() -> None:
    registry, bus = AskedRegistry(lambda _: ACTIVE), FakeBus()
    elsewhere = QueuedEvents((queued(event_on(registry="999999999999")),))
    answer = rechecked(registry, bus, elsewhere)
    assert (answer.batchItemFailures, registry.asked, bus.events) == ((), [], [])


def test_fails_as_a_whole_where_an_event_is_refused() -> None:
    with pytest.raises(EventRefused):
        rechecked(AskedRegistry(lambda _: ACTIVE), FakeBus(EventRefused("any")))


def test_answers_lambda_with_the_messages_to_retry(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    event = json.loads((ROOT / "events/notify_scan/recheck_images.json").read_text())
    event["Records"].append({**event["Records"][0], "messageId": "odd", "body": "{}"})
    bus = FakeBus()
    monkeypatch.setattr(module, "ecr_registry", lambda: AskedRegistry(lambda _: ACTIVE))
    monkeypatch.setattr(module, "event_bus", lambda: bus)
    monkeypatch.setenv("ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("AWS_REGION", REGION)
    answer: Any = module.handler(event, any_lambda_context())
    assert answer["batchItemFailures"] == [{"itemIdentifier": "odd"}]
    assert len(bus.events) == 1
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["messages"], line["images"], line["results_found"]) == (2, 1, 1)
    assert line["problem"] == "the event.detail.resources must name an image"
