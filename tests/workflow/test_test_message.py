"""The test of a channel: one message, an answer, and nothing left."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from local.cloud.moto_internals import Attempt, TaskFailure
from notify_scan.webhooks.client import WebhookRefused
from reporting.channels.delivery import Channel
from tests.support.definition import NOTIFY_SCAN
from tests.support.engine import Engine, Execution
from tests.support.receivers import ALL_CHANNELS
from tests.support.template import ACCOUNT, REGION
from tests.workflow.conftest import Deploy

REGISTRY: dict[str, Any] = {"repositories": []}
WEBHOOKS = {Channel.SLACK, Channel.TEAMS, Channel.WEBHOOK, Channel.PAGERDUTY}


def tried(deployed: Engine, channel: str, by: str = "anna", test: str = "any-id") -> Execution:
    return deployed.notify({"test": {"channel": channel, "by": by, "id": test}})


def results(execution: Execution) -> list[dict[str, Any]]:
    assert execution.output
    found: list[dict[str, Any]] = execution.output["outcome"]["results"]
    return found


def items() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boto3.client("dynamodb").scan(TableName="LedgerTable")["Items"]
    return found


def test_each_channel_gets_each_test_and_nothing_is_left(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    for channel in Channel:
        for _ in range(2):
            execution = tried(deployed, channel)
            assert execution.status == "SUCCEEDED"
            (result,) = results(execution)
            if channel in WEBHOOKS:
                assert (result["answer"]["status"], result["answer"]["answer"]) == (200, "ok")
        received = deployed.receivers.of(channel)
        assert len(received) == (4 if channel is Channel.PAGERDUTY else 2)
        assert "TEST of ecr-rescan by " in json.dumps(received[0])
        assert {each.channel for each in deployed.receivers.received} == {channel}
        deployed.receivers.received.clear()
    assert items() == []
    assert deployed.undelivered() == []


def test_an_incident_is_opened_and_resolved(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    tried(deployed, "PAGERDUTY", test="0d5a")
    assert [
        (each["event_action"], each["dedup_key"])
        for each in deployed.receivers.of(Channel.PAGERDUTY)
    ] == [("trigger", "ecr-rescan-test-0d5a"), ("resolve", "ecr-rescan-test-0d5a")]


def test_the_name_of_the_operator_is_escaped(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    tried(deployed, "SLACK", by="<!channel> *bold*\u202e")
    (message,) = deployed.receivers.of(Channel.SLACK)
    assert "<!channel>" not in json.dumps(message, ensure_ascii=False)
    assert "\u202e" not in json.dumps(message, ensure_ascii=False)


@pytest.mark.parametrize("channel", Channel)
def test_a_test_that_is_refused_is_not_kept(deploy: Deploy, channel: Channel) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.receivers.trouble = lambda _: WebhookRefused("it returned 403: turned off")
    execution = tried(deployed, channel)
    assert execution.status == "SUCCEEDED"
    (result,) = results(execution)
    assert "turned off" in result["error"]["Cause"]
    assert (items(), deployed.undelivered()) == ([], [])


def test_a_channel_that_is_not_in_use_gets_nothing(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY)
    execution = tried(deployed, "TEAMS")
    assert execution.output
    assert execution.output["outcome"] == "NOTHING_TO_REPORT"
    assert execution.output["reason"] == "the stack does not use the channel"
    assert deployed.receivers.received == []


@pytest.mark.parametrize(
    "test",
    [
        {"channel": "FAX", "by": "anna", "id": "any"},
        {"channel": "SLACK", "by": "anna", "id": "../any"},
        {"channel": "SLACK", "id": "any"},
        "SLACK",
    ],
)
def test_a_test_that_cannot_be_read_is_not_kept(deploy: Deploy, test: object) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    execution = deployed.notify({"test": test})
    assert (execution.status, execution.error) == ("FAILED", "UnreadableScanEvent")
    assert (deployed.undelivered(), items()) == ([], [])


def test_a_test_that_cannot_be_composed_is_not_kept(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)

    def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
        if attempt.state == "ComposeNotification":
            raise TaskFailure("Sandbox.Timedout")
        perform()

    deployed.attempting = attempting
    assert tried(deployed, "SLACK").status == "FAILED"
    assert (deployed.undelivered(), items()) == ([], [])


def test_no_event_of_a_bus_is_a_test(deploy: Deploy) -> None:
    """What its sender chooses is in detail; and rules pass on the event as it is."""
    changing = {"Input", "InputPath", "InputTransformer"}
    assert all(changing.isdisjoint(rule["Targets"][0]) for rule in NOTIFY_SCAN.rules.values())
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    event: dict[str, Any] = {
        "id": "any",
        "source": "ecr-rescan",
        "detail-type": "Scan Result Found",
        "account": ACCOUNT,
        "region": REGION,
        "time": "2026-03-14T02:00:00Z",
        "resources": [],
        "detail": {"test": {"channel": "SLACK", "by": "mallory", "id": "any"}},
    }
    execution = deployed.notify(event)
    assert execution.error == "UnreadableScanEvent"
    assert deployed.receivers.received == []
    assert deployed.notify(event | event["detail"]).error == "UnreadableScanEvent"
    assert deployed.receivers.received == []
