"""The command line against an account in memory, with a stack of the parameters' defaults."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import boto3
import pytest
from click.testing import Result
from moto import mock_aws
from typer.testing import CliRunner

from cli.__main__ import app
from tests.support.clock import NOW
from tests.support.template import REGION, resources, template

type Run = Callable[..., Result]
NAME = "ecr-rescan"
# moto's CloudFormation imports its API Gateway, which wants this package; no test here does.
for _module in ("", ".validation", ".validation.exceptions"):
    sys.modules.setdefault(f"openapi_spec_validator{_module}", mock.MagicMock())
MACHINE = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


@dataclass
class StackInMemory:
    """The stack as CloudFormation describes it, and real resources of moto behind its outputs."""

    outputs: dict[str, str] = field(default_factory=dict)

    def deploy(self, **parameters: str) -> None:
        """Make the stack, with the defaults of all other parameters."""
        declared = template()["Parameters"]
        body = {
            "Parameters": {name: {"Type": "String"} for name in declared},
            "Resources": {},
            "Outputs": {name: {"Value": value} for name, value in self.outputs.items()},
        }
        values = {name: str(each["Default"]) for name, each in declared.items()} | parameters
        cloudformation: Any = boto3.client("cloudformation")
        try:
            cloudformation.delete_stack(StackName=NAME)
        finally:
            cloudformation.create_stack(
                StackName=NAME,
                TemplateBody=json.dumps(body),
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": value}
                    for name, value in values.items()
                ],
            )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give an account of moto's, and the clock of the tests."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)
    with mock_aws():
        yield


@pytest.fixture
def stack(aws: None) -> StackInMemory:
    """Deploy a stack: ledger, run bucket, queues, topics and state machines, all of them empty."""
    declared = resources("AWS::DynamoDB::Table")["LedgerTable"]
    boto3.client("dynamodb").create_table(
        TableName="ledger-table",
        **{name: declared[name] for name in ("BillingMode", "AttributeDefinitions", "KeySchema")},
    )
    where: Any = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket="run-bucket", CreateBucketConfiguration=where)
    sns, sqs, states = boto3.client("sns"), boto3.client("sqs"), boto3.client("stepfunctions")

    def machine(name: str) -> str:
        role = "arn:aws:iam::123456789012:role/any"
        created = states.create_state_machine(name=name, definition=MACHINE, roleArn=role)
        return created["stateMachineArn"]

    stack = StackInMemory(
        {
            "LedgerTableName": "ledger-table",
            "RunBucketName": "run-bucket",
            "RescanRegistryArn": machine("RescanRegistry"),
            "NotifyScanArn": machine("NotifyScan"),
            "SendDigestArn": machine("SendDigest"),
            "NotificationTopicArn": sns.create_topic(Name="notifications")["TopicArn"],
            "AlarmDestinationArn": sns.create_topic(Name="alarms")["TopicArn"],
            "UndeliveredQueueUrl": sqs.create_queue(QueueName="undelivered")["QueueUrl"],
            "InspectorFindingsQueueUrl": sqs.create_queue(QueueName="findings")["QueueUrl"],
            "RecordPlatformsName": "RecordPlatforms",
            "Version": "0.4.0",
        }
    )
    stack.deploy()
    return stack


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in 80 columns, and return what it has written."""

    def run(*arguments: str, width: int = 80, env: Mapping[str, str] | None = None) -> Result:
        monkeypatch.setenv("COLUMNS", str(width))
        return CliRunner().invoke(app, [*arguments], env=env, prog_name="ecr-rescan")

    return run
