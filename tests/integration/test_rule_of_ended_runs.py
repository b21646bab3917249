"""The rule RunEndedEarly: which runs NotifyScan hears of, and RunEndedEarlyAlarm counts.

With the matching of moto, which knows the operators that EventBridge documents. In its patterns, a
wildcard ends with a line; that of EventBridge does not.
"""

import json
from typing import Any

import boto3
import pytest

from tests.support.template import ROOT, resources

EVENT: dict[str, Any] = json.loads(
    (ROOT / "events" / "eventbridge" / "execution_failed.json").read_text()
)


def is_counted(**detail: object) -> bool:
    """Put the event on the bus, and return whether the rule takes it."""
    pattern = resources("AWS::Events::Rule")["RunEndedEarly"]["EventPattern"]
    machine = {"stateMachineArn": [EVENT["detail"]["stateMachineArn"]]}
    pattern = pattern | {"detail": pattern["detail"] | machine}
    client = boto3.client("events")
    bus = client.describe_event_bus(Name="default")["Arn"]
    client.create_archive(ArchiveName="any", EventSourceArn=bus, EventPattern=json.dumps(pattern))
    client.put_events(
        Entries=[
            {
                "Source": EVENT["source"],
                "DetailType": EVENT["detail-type"],
                "Detail": json.dumps(EVENT["detail"] | detail),
            }
        ]
    )
    return bool(client.describe_archive(ArchiveName="any")["EventCount"])


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED", "RUNNING"])
@pytest.mark.parametrize("name", ["scheduled", "plan-20260314T040000Z"])
def test_counts_what_ended_early_whatever_its_name(account: None, name: str, status: str) -> None:
    ended_early = status in ("FAILED", "TIMED_OUT", "ABORTED")
    assert is_counted(name=name, status=status) is ended_early


@pytest.mark.parametrize(
    "asked",
    [
        json.dumps({"dry_run": True}),
        json.dumps({"rerun_of": "run-1", "dry_run": True}),
        json.dumps({"dry_run": True, "rescan_after": "2d"}, separators=(",", ":")),
    ],
)
def test_a_dry_run_disturbs_only_those_who_have_asked_for_it(account: None, asked: str) -> None:
    assert not is_counted(input=asked)


@pytest.mark.parametrize(
    "asked",
    [
        '{"dry_run": false}',
        json.dumps({"repository_filter": 'x"dry_run": true'}),
        json.dumps({"repositories": ["dry_run", "true"]}),
        "[",  # no run accepts it
        '{"dry_run" : true}',  # no tool writes it so; the alarm is not needed, and no harm
    ],
)
def test_no_other_run_is_taken_for_a_dry_one(account: None, asked: str) -> None:
    assert is_counted(input=asked)


def test_a_run_with_an_input_that_is_too_long_for_an_event_is_counted(account: None) -> None:
    assert is_counted(input=None, inputDetails={"included": False})
