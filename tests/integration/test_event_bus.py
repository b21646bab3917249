"""Events on the account's default bus."""

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from own_events.event_bus import EventBus, EventRefused, event_bus
from own_events.rescan_finished import Problem, RescanFinished
from own_events.scan_result_found import ScanResultFound
from tests.support.clock import NOW

FINISHED = RescanFinished(
    run="run-1",
    status="INCOMPLETE",
    dry_run=False,
    started_at=NOW,
    ended_at=NOW,
    repositories=3,
    repositories_gone=0,
    repositories_not_done=1,
    problems=(Problem("team/api", "any"),),
    images={},
    reasons={},
    results_missing=0,
    results_found=0,
    rerun={"rerun_of": "run-1"},
    summary_key="runs/run-1/summary.json",
)
FOUND = ScanResultFound("team/api", "sha256:any", ("v1",), "COMPLETE", {"HIGH": 1}, NOW)
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:RescanRegistry:run-1"


def archived(pattern: dict[str, Any]) -> int:
    """Put an event on the bus and count what a rule with the pattern would take."""
    client = boto3.client("events")
    bus = client.describe_event_bus(Name="default")["Arn"]
    client.create_archive(ArchiveName="any", EventSourceArn=bus, EventPattern=json.dumps(pattern))
    event_bus().put([FINISHED], resources=[EXECUTION])
    return int(client.describe_archive(ArchiveName="any")["EventCount"])


@pytest.mark.parametrize(
    ("pattern", "events"),
    [
        ({"source": ["ecr-rescan"], "detail-type": ["Rescan Finished"]}, 1),
        ({"source": ["ecr-rescan"], "detail": {"status": ["INCOMPLETE"]}}, 1),
        ({"resources": [EXECUTION]}, 1),
        ({"source": ["ecr-rescan"], "detail": {"status": ["FINISHED"]}}, 0),
        ({"source": ["aws.ecr"]}, 0),
    ],
)
def test_puts_an_event_that_rules_can_match(
    account: None, pattern: dict[str, Any], events: int
) -> None:
    assert archived(pattern) == events


def test_says_why_eventbridge_refused_an_event(account: None) -> None:
    client = boto3.client("events")
    with Stubber(client) as stubber:
        refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "Try later"}
        stubber.add_response("put_events", {"FailedEntryCount": 1, "Entries": [refused]})
        with pytest.raises(EventRefused, match="Rescan Finished: InternalFailure: Try later"):
            EventBus(client).put([FINISHED], resources=[EXECUTION])


def test_puts_many_events_ten_a_call(account: None) -> None:
    client = boto3.client("events")
    calls: list[list[str]] = []

    def note(params: dict[str, Any], **_: object) -> None:
        calls.append([entry["Detail"] for entry in params["Entries"]])

    client.meta.events.register("provide-client-params.events.PutEvents", note)
    EventBus(client).put([replace(FOUND, run=f"run-{n}") for n in range(25)])
    assert [len(call) for call in calls] == [10, 10, 5]
    runs = [json.loads(detail)["run"] for call in calls for detail in call]
    assert runs == [f"run-{n}" for n in range(25)]


def test_raises_when_one_event_of_many_is_refused(account: None) -> None:
    client = boto3.client("events")
    with Stubber(client) as stubber:
        refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "Try later"}
        entries = [{"EventId": "1"}, refused, {"EventId": "3"}]
        stubber.add_response("put_events", {"FailedEntryCount": 1, "Entries": entries})
        with pytest.raises(EventRefused, match="Scan Result Found: InternalFailure: Try later"):
            EventBus(client).put([FOUND] * 3)


def test_makes_one_client_for_all_invocations(account: None) -> None:
    assert event_bus() is event_bus()
