"""Checks of rules, of the dead-letter queue, and of executions that did not finish."""

import json
import shlex
from datetime import timedelta
from typing import Any

import boto3
import pytest

from cli.checks.events import queues, rules
from cli.checks.result import State
from tests.cli.checks.conftest import RULES, Answer, Opened, the
from tests.cli.conftest import StackInMemory
from tests.support.clock import NOW

TARGETS = {name: rule["Targets"] for name, rule in RULES.items()}


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_that_is_disabled(clients: Any, opened: Opened, name: str) -> None:
    boto3.client("events").disable_rule(Name=name)
    result = the(rules(opened()), State.FAULT)
    assert result.found == f"{name} is disabled"
    assert result.repair == (f"aws events enable-rule --name {name} --region eu-west-1",)


def test_only_pagerduty_needs_the_rule_of_deleted_images(
    healthy: StackInMemory, opened: Opened
) -> None:
    boto3.client("events").disable_rule(Name="ImageDeleted")
    healthy.parameters["PagerDutySecretArn"] = ""
    assert the(rules(opened()), State.OK).found == "6 of 6 enabled"


def test_a_rule_that_does_not_exist(clients: Any, opened: Opened) -> None:
    events = boto3.client("events")
    events.remove_targets(Rule="RunFinished", Ids=["NotifyScan"])
    events.delete_rule(Name="RunFinished")
    assert the(rules(opened()), State.FAULT).found == "RunFinished does not exist"


@pytest.mark.parametrize("name", ["RunFinished", "FindingChanged"])
def test_a_rule_without_a_target_gets_that_of_the_template(
    healthy: StackInMemory, opened: Opened, name: str
) -> None:
    boto3.client("events").remove_targets(Rule=name, Ids=["NotifyScan"])
    result = the(rules(opened()), State.FAULT)
    assert result.found == f"{name} has no target"
    (target,) = json.loads(shlex.split(result.repair[0])[6])
    (declared,) = TARGETS[name]
    assert target.keys() == declared.keys()
    assert (target["Id"], target["RetryPolicy"]) == (declared["Id"], declared["RetryPolicy"])
    assert target["DeadLetterConfig"] == {"Arn": "arn:aws:sqs:eu-west-1:123456789012:undelivered"}
    if name == "FindingChanged":
        assert target["Arn"] == "arn:aws:sqs:eu-west-1:123456789012:findings"
    else:
        assert target["Arn"] == healthy.outputs["NotifyScanArn"]
        assert target["RoleArn"] == "arn:aws:iam::123456789012:role/rules-role"


def test_the_rule_of_pushed_indexes_gets_its_function_back(
    healthy: StackInMemory, opened: Opened
) -> None:
    boto3.client("events").put_rule(Name="indexes", EventPattern='{"source": ["aws.ecr"]}')
    healthy.resources["AWS::Events::Rule"]["RecordPlatformsFunctionIndexPushed"] = "indexes"
    result = the(rules(opened()), State.FAULT)
    (target,) = json.loads(shlex.split(result.repair[0])[6])
    assert target["Arn"].endswith(":function:RecordPlatforms")


@pytest.mark.parametrize(
    ("ages", "found"),
    [([], ""), ([7_200.0, 3_600.0], ", the oldest 2 h")],
)
def test_messages_that_are_not_delivered(
    healthy: StackInMemory, answer: Answer, opened: Opened, ages: list[float], found: str
) -> None:
    url = healthy.outputs["UndeliveredQueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    answer("cloudwatch", "get_metric_data", {"MetricDataResults": [{"Values": ages}]})
    result = the(queues(opened()), State.FAULT)
    assert result.found == f"1 message in Undelivered{found}"
    assert result.repair == ("ecr-rescan undelivered", "ecr-rescan undelivered send")


def test_messages_that_are_being_received_count_too(healthy: StackInMemory, opened: Opened) -> None:
    sqs, url = boto3.client("sqs"), healthy.outputs["UndeliveredQueueUrl"]
    for _ in range(2):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
    sqs.receive_message(QueueUrl=url)
    assert the(queues(opened()), State.FAULT).found == "2 messages in Undelivered"


@pytest.mark.parametrize(
    ("minutes", "state"), [(13, State.WARN), (11, State.OK)], ids=["ended", "in progress"]
)
def test_executions_that_did_not_finish(opened: Opened, minutes: int, state: State) -> None:
    started_at = (NOW - timedelta(minutes=minutes)).isoformat()
    boto3.client("dynamodb").put_item(
        TableName="ledger-table",
        Item={
            "pk": {"S": "unfinished"},
            "sk": {"S": "execution#any"},
            "started_at": {"S": started_at},
            "input": {"S": "{}"},
        },
    )
    result = the(queues(opened()), state)
    if state is State.WARN:
        assert result.found == "1 execution of NotifyScan did not finish, the oldest 13 min"
        assert result.repair == ("ecr-rescan digest",)


def test_an_execution_whose_item_is_damaged(opened: Opened) -> None:
    boto3.client("dynamodb").put_item(
        TableName="ledger-table", Item={"pk": {"S": "unfinished"}, "sk": {"S": "execution#any"}}
    )
    result = the(queues(opened()), State.WARN)
    assert result.found.startswith("The item of execution any of NotifyScan, which did not finish")
    assert result.repair[0].startswith("aws dynamodb delete-item --table-name ledger-table --key ")
    assert "execution#any" in result.repair[0]
