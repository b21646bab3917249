"""Checks of the topic of alarms, and of the alarms."""

import json
from typing import Any

import boto3
import pytest

from cli.checks.alarms import alarm_topic
from cli.checks.result import State
from tests.cli.checks.conftest import Answer, Opened, the
from tests.cli.conftest import StackInMemory


def change(stack: StackInMemory, name: str, value: str) -> None:
    boto3.client("sns").set_topic_attributes(
        TopicArn=stack.outputs["AlarmDestinationArn"], AttributeName=name, AttributeValue=value
    )


def policy(effect: str, principal: Any, action: Any) -> str:
    statement = {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("key", ["alias/aws/sns", "arn:aws:kms:eu-west-1:1:alias/aws/sns"])
def test_a_topic_that_aws_encrypts(healthy: StackInMemory, opened: Opened, key: str) -> None:
    change(healthy, "KmsMasterKeyId", key)
    result = the(alarm_topic(opened()), State.FAULT)
    assert result.found == "encrypted with alias/aws/sns"
    assert "--attribute-name KmsMasterKeyId --attribute-value ''" in result.repair[1]


def test_a_key_of_the_operators_is_none_of_that(healthy: StackInMemory, opened: Opened) -> None:
    change(healthy, "KmsMasterKeyId", "alias/ops-key")
    the(alarm_topic(opened()), State.OK)


@pytest.mark.parametrize(
    ("principal", "action", "is_open"),
    [
        ({"Service": "cloudwatch.amazonaws.com"}, "SNS:Publish", True),
        ({"Service": ["a.amazonaws.com", "cloudwatch.amazonaws.com"]}, ["sns:Publish"], True),
        ({"AWS": "*"}, ["SNS:Publish", "SNS:Receive"], True),
        ("*", "sns:*", True),
        ("*", "*", True),
        ("*", "sns:Pub*", True),
        ({"Service": "cloudwatch.amazonaws.com"}, ["SNS:Get*", "SNS:Publis?"], True),
        ({"Service": "events.amazonaws.com"}, "sns:Publish", False),
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Get*", False),
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Subscribe", False),
    ],
)
def test_the_policy_lets_cloudwatch_publish(
    healthy: StackInMemory, opened: Opened, principal: Any, action: Any, is_open: bool
) -> None:
    change(healthy, "Policy", policy("Allow", principal, action))
    the(alarm_topic(opened()), State.OK if is_open else State.FAULT)


@pytest.mark.parametrize(
    ("elements", "is_open"),
    [
        ({"Principal": "*", "NotAction": "sns:Delete*"}, True),
        ({"Principal": "*", "NotAction": ["sns:Get*", "SNS:Pub*"]}, False),
        ({"NotPrincipal": {"AWS": "123456789012"}, "Action": "sns:Publish"}, True),
        ({"NotPrincipal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "*"}, False),
    ],
)
def test_the_policy_can_name_what_is_left_out(
    opened: Opened, answer: Answer, elements: dict[str, Any], is_open: bool
) -> None:
    policy = {"Statement": [{"Effect": "Allow", "Resource": "*", **elements}]}
    answer("sns", "get_topic_attributes", {"Attributes": {"Policy": json.dumps(policy)}})
    the(alarm_topic(opened()), State.OK if is_open else State.FAULT)


def test_a_policy_can_have_one_statement_without_a_list(opened: Opened, answer: Answer) -> None:
    statement = json.loads(policy("Deny", "*", "sns:Publish"))["Statement"][0]
    attributes = {"Policy": json.dumps({"Statement": statement})}
    answer("sns", "get_topic_attributes", {"Attributes": attributes})
    (repair,) = the(alarm_topic(opened()), State.FAULT).repair
    repaired = json.loads(repair.partition("--attribute-value '")[2].partition("'")[0])
    assert [each["Effect"] for each in repaired["Statement"]] == ["Deny", "Allow"]


def test_the_repair_adds_to_the_policy(healthy: StackInMemory, opened: Opened) -> None:
    change(healthy, "Policy", policy("Deny", "*", "sns:Publish"))
    (repair,) = the(alarm_topic(opened()), State.FAULT).repair
    repaired = json.loads(repair.partition("--attribute-value '")[2].partition("'")[0])
    assert [each["Effect"] for each in repaired["Statement"]] == ["Deny", "Allow"]
    change(healthy, "Policy", json.dumps(repaired))
    the(alarm_topic(opened()), State.OK)


@pytest.mark.parametrize(
    ("parameter", "repair"),
    [("", "make deploy"), ("arn", 'Set AlarmTopicArn = "" in ecr-rescan.toml, then: make deploy')],
)
def test_a_topic_that_is_gone(
    healthy: StackInMemory, opened: Opened, parameter: str, repair: str
) -> None:
    healthy.parameters["AlarmTopicArn"] = parameter
    boto3.client("sns").delete_topic(TopicArn=healthy.outputs["AlarmDestinationArn"])
    result = the(alarm_topic(opened()), State.FAULT)
    assert result.found.endswith(":alarms does not exist")
    assert result.repair == (repair,)


def test_a_topic_without_subscribers(healthy: StackInMemory, opened: Opened) -> None:
    sns = boto3.client("sns")
    for each in sns.list_subscriptions()["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
    result = the(alarm_topic(opened()), State.WARN)
    assert result.follows == "alarms reach no one."
    assert "--protocol email" in result.repair[0]


def test_alarms_that_are_switched_off(healthy: StackInMemory, opened: Opened) -> None:
    names = ["ImagesOverdueAlarm", "UndeliveredAlarm"]
    boto3.client("cloudwatch").disable_alarm_actions(AlarmNames=names)
    result = the(alarm_topic(opened()), State.FAULT)
    assert result.found == "actions are disabled of ImagesOverdueAlarm, UndeliveredAlarm"
    assert result.repair == (
        "aws cloudwatch enable-alarm-actions --alarm-names ImagesOverdueAlarm UndeliveredAlarm "
        "--region eu-west-1",
    )


def test_an_alarm_that_is_gone(healthy: StackInMemory, opened: Opened) -> None:
    boto3.client("cloudwatch").delete_alarms(AlarmNames=["ImagesOverdueAlarm"])
    result = the(alarm_topic(opened()), State.FAULT)
    assert result.found == "ImagesOverdueAlarm does not exist"
