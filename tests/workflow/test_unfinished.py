"""What is killed is delivered by the next digest: claims with a lease, and what each leaves."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from ledger.deliveries import DeliveryKey, deliveries
from ledger.notified_images import ChannelDeliveries, notified_image, notified_key
from ledger.table import ledger_table
from ledger.unfinished_executions import FINISHED_WITHIN, unfinished_executions
from local.cloud.moto_internals import Attempt, TaskFailure
from notify_scan.webhooks.client import WebhookRefused
from reporting.channels.delivery import Channel
from tests.support.engine import Engine, Execution
from tests.support.receivers import ALL_CHANNELS
from tests.support.template import ACCOUNT, REGION
from tests.workflow.conftest import Deploy

REGISTRY: dict[str, Any] = {"repositories": []}
SLACK = {
    "NotificationTopicState": "DISABLED",
    "SlackWebhookSecretArn": "SLACK-secret",
    "DigestChannels": "NONE",
    "IncludeFindings": "false",
}
SLACK_DAILY = SLACK | {"DigestChannels": "SLACK", "ImmediateFrom": "NEVER"}
DIGEST = f"sha256:{1:064x}"
EVERY_TASK_OF_A_MESSAGE = [
    "NoteExecution",
    "InterpretEvent",
    "RecordScan",
    "ComposeNotification",
    "NoteDeliveries",
    "ClaimDelivery",
    "PostToWebhook",
    "MarkDelivered",
    "RecordDelivery",
    "ForgetExecution",
]


def scan_event(number: int = 1, counts: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "detail-type": "ECR Image Scan",
        "source": "aws.ecr",
        "account": ACCOUNT,
        "time": f"2026-03-14T02:{number:02}:00Z",
        "region": REGION,
        "resources": [],
        "detail": {
            "scan-status": "COMPLETE",
            "repository-name": "team/api",
            "image-digest": DIGEST,
            "image-tags": ["v1"],
            "finding-severity-counts": counts or {"HIGH": number},
        },
    }


def killed_at(deployed: Engine, state: str, *, after: bool) -> Callable[[], int]:
    """Kill the first execution that gets to a state, before or after its effect; count them."""
    killed: list[str] = []

    def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
        if attempt.state == state and not killed:
            killed.append(attempt.execution)
            if after:
                perform()
            deployed.kill(attempt.execution)
            raise TaskFailure("Killed")
        perform()

    deployed.attempting = attempting
    return lambda: len(killed)


def next_day(deployed: Engine) -> Execution:
    deployed.clock.sleep(FINISHED_WITHIN.total_seconds())
    return deployed.send_digest()


def restarted(execution: Execution) -> int:
    (output,) = [
        json.loads(event["stateExitedEventDetails"]["output"])["restarted"]
        for event in execution.events
        if event.get("stateExitedEventDetails", {}).get("name") == "RestartUnfinished"
    ]
    return int(output["restarted"])


def is_anything_unfinished(deployed: Engine) -> bool:
    deployed.clock.sleep(FINISHED_WITHIN.total_seconds())
    return any(True for _ in unfinished_executions("LedgerTable").ended_early(deployed.clock.now()))


def notified() -> dict[str, ChannelDeliveries]:
    """Read what was delivered about the image, by channel."""
    item = ledger_table("LedgerTable").get(notified_key("team/api", DIGEST))
    return dict(notified_image(item).channels) if item else {}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("state", EVERY_TASK_OF_A_MESSAGE)
def test_a_message_is_sent_wherever_its_execution_is_killed(
    deploy: Deploy, state: str, after: bool
) -> None:
    deployed = deploy(REGISTRY, **SLACK)
    kills = killed_at(deployed, state, after=after)
    assert deployed.notify(scan_event()).status == "ABORTED"
    assert kills() == 1
    digest = next_day(deployed)
    # Before its first effect, the execution has left nothing: the run finds the missing result.
    is_noted = (state, after) != ("NoteExecution", False)
    is_forgotten = (state, after) == ("ForgetExecution", True)
    assert restarted(digest) == (is_noted and not is_forgotten)
    is_sent_twice = (state, after) in (("PostToWebhook", True), ("MarkDelivered", False))
    expected = (1 + is_sent_twice) if is_noted else 0
    assert len(deployed.receivers.of(Channel.SLACK)) == expected
    assert not is_anything_unfinished(deployed)
    # Between the mark and the record of the image, only the claim says what was delivered.
    is_unrecorded = (state, after) in (("MarkDelivered", True), ("RecordDelivery", False))
    if is_noted:
        assert ("SLACK" in notified()) != is_unrecorded


@pytest.mark.parametrize("state", ["InterpretEvent", "ComposeNotification"])
def test_the_next_digest_has_a_change_that_was_not_composed(deploy: Deploy, state: str) -> None:
    deployed = deploy(REGISTRY, **SLACK_DAILY)
    killed_at(deployed, state, after=False)
    deployed.notify(scan_event())
    digest = next_day(deployed)
    assert digest.states[:3] == ["RestartUnfinished", "IsAnythingRestarted", "WaitForRestarted"]
    assert deployed.waits == [300]
    (message,) = deployed.receivers.of(Channel.SLACK)
    assert "Digest" in json.dumps(message)


def test_an_event_is_not_started_again_while_it_may_be_in_progress(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **SLACK)
    killed_at(deployed, "PostToWebhook", after=False)
    deployed.notify(scan_event())
    deployed.clock.sleep(FINISHED_WITHIN.total_seconds() - 60)
    assert restarted(deployed.send_digest()) == 0
    assert deployed.receivers.of(Channel.SLACK) == []


def test_a_claim_of_an_execution_in_progress_is_respected(deploy: Deploy) -> None:
    """The same event twice, as EventBridge delivers it: the second finds a claim without a mark."""
    deployed = deploy(REGISTRY, **SLACK)
    killed_at(deployed, "PostToWebhook", after=False)
    deployed.notify(scan_event())
    deployed.clock.sleep(300)
    second = deployed.notify(scan_event())
    assert (second.status, deployed.receivers.of(Channel.SLACK)) == ("SUCCEEDED", [])
    deployed.clock.sleep(61)
    deployed.notify(scan_event())
    assert len(deployed.receivers.of(Channel.SLACK)) == 1


def test_a_message_is_sent_though_its_image_has_changed_too_often_to_compose_it_again(
    deploy: Deploy,
) -> None:
    deployed = deploy(REGISTRY, **SLACK)
    killed_at(deployed, "ClaimDelivery", after=False)
    deployed.notify(scan_event(1))
    for number in range(2, 9):
        deployed.notify(scan_event(number))
    assert len(deployed.receivers.of(Channel.SLACK)) == 7
    next_day(deployed)
    assert len(deployed.receivers.of(Channel.SLACK)) == 8
    assert "1 high" in json.dumps(deployed.receivers.of(Channel.SLACK)[-1])


@pytest.mark.parametrize("state", ["ClaimDelivery", "PostToWebhook", "MarkDelivered"])
def test_a_digest_waits_for_its_messages_and_is_resumed(deploy: Deploy, state: str) -> None:
    deployed = deploy(REGISTRY, **SLACK_DAILY)
    deployed.notify(scan_event())
    kills = killed_at(deployed, state, after=False)
    failed = deployed.send_digest(name="killed")
    assert kills() == 1
    assert (failed.status, failed.error) == ("FAILED", "DigestNotDelivered")
    assert failed.cause
    assert "killed is not yet delivered to SLACK" in failed.cause
    assert len(list(deployed.entries.changes_of("DAILY"))) == 1
    digest = next_day(deployed)
    assert digest.status == "SUCCEEDED"
    assert list(deployed.entries.changes_of("DAILY")) == []
    assert len(deployed.receivers.of(Channel.SLACK)) == 1 + (state == "MarkDelivered")
    assert notified()["SLACK"].first.message_id == "digest-killed"


def test_a_digest_of_which_a_message_is_kept_is_done(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **SLACK_DAILY)
    deployed.notify(scan_event())
    deployed.receivers.trouble = lambda _: WebhookRefused("SLACK returned 404")
    assert deployed.send_digest(name="kept").status == "SUCCEEDED"
    (kept,) = deployed.undelivered()
    assert kept["delivery"]["message_id"] == "digest-kept"
    assert notified() == {}
    claim = deliveries("LedgerTable").claims([DeliveryKey("digest-kept", "SLACK")])
    assert [each.kept_at is not None for each in claim.values()] == [True]


def test_a_queue_that_refuses_a_message_takes_no_other_channel_with_it(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS, IncludeFindings="false")

    def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
        if attempt.state == "KeepUndelivered":
            raise TaskFailure("SQS.AmazonSQSException", "The queue does not exist.")
        perform()

    deployed.attempting = attempting
    deployed.receivers.trouble = lambda channel: (
        WebhookRefused("SLACK returned 404") if channel is Channel.SLACK else None
    )
    failed = deployed.notify(scan_event(counts={"CRITICAL": 1}))
    assert (failed.status, failed.error) == ("FAILED", "DeliveryNotKept")
    got = {each.channel for each in deployed.receivers.received}
    assert got == set(Channel) - {Channel.SLACK}
    deployed.receivers.trouble = lambda _: None
    assert restarted(next_day(deployed)) == 1
    assert len(deployed.receivers.received) == len(Channel)
    assert len(deployed.receivers.of(Channel.SLACK)) == 1


def test_an_event_that_no_queue_keeps_is_processed_again(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **SLACK)

    def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
        if attempt.state in ("ComposeNotification", "KeepEvent"):
            raise TaskFailure("States.Timeout", "")
        perform()

    deployed.attempting = attempting
    failed = deployed.notify(scan_event())
    assert (failed.status, failed.error) == ("FAILED", "States.Timeout")
    assert (deployed.retries["ComposeNotification"], deployed.retries["KeepEvent"]) == (2, 4)
    deployed.attempting = lambda _, perform: perform()
    assert restarted(next_day(deployed)) == 1
    assert len(deployed.receivers.of(Channel.SLACK)) == 1


def test_an_event_that_is_kept_is_not_processed_again(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **SLACK)
    assert deployed.notify(scan_event() | {"time": "in May"}).error == "UnreadableScanEvent"
    assert len(deployed.undelivered()) == 1
    assert restarted(next_day(deployed)) == 0


def test_without_the_ledger_a_message_is_sent_and_nothing_is_noted(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **SLACK)

    def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
        if attempt.state in ("NoteExecution", "ClaimDelivery", "MarkDelivered", "ForgetExecution"):
            raise TaskFailure("DynamoDB.ResourceNotFoundException")
        perform()

    deployed.attempting = attempting
    assert deployed.notify(scan_event()).status == "SUCCEEDED"
    assert len(deployed.receivers.of(Channel.SLACK)) == 1


def test_a_claim_of_0_3_0_counts_as_delivered(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **SLACK)
    item = {
        "pk": {"S": "delivery#event-1"},
        "sk": {"S": "channel#SLACK"},
        "claimed_by": {"S": "an execution of 0.3.0"},
        "expires_at": {"N": "1774753200"},
    }
    boto3.client("dynamodb").put_item(TableName="LedgerTable", Item=item)
    deployed.clock.sleep(86_400)
    deployed.notify(scan_event())
    assert deployed.receivers.of(Channel.SLACK) == []
