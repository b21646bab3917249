"""The command line against an account in memory, with a stack of the parameters' defaults."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.client import BaseClient
from click.testing import Result
from moto import mock_aws
from typer.testing import CliRunner

from cli.__main__ import app
from cli.aws_errors import action_of
from cli.stack import Account
from ledger.bucket import RunBucket
from tests.cli.recorded import Recorded
from tests.support.clock import NOW
from tests.support.template import REGION, ROOT, resources, template

type Run = Callable[..., Result]
NAME = "ecr-rescan"
TERMINAL = {"TTY_COMPATIBLE": "1", "NO_COLOR": "1", "TZ": "Europe/Berlin"}
# moto's CloudFormation imports its API Gateway, which wants this package; no test here does.
for _module in ("", ".validation", ".validation.exceptions"):
    sys.modules.setdefault(f"openapi_spec_validator{_module}", mock.MagicMock())
MACHINE = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


@dataclass
class StackInMemory:
    """The stack as CloudFormation describes it, with real resources of moto behind its outputs.

    resources: physical names by kind and logical ID. status: of the stack; None if there is none.
    """

    outputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    resources: dict[str, dict[str, str]] = field(default_factory=dict)
    status: str | None = "CREATE_COMPLETE"

    def description(self, account: Account, name: str, region: str | None = None) -> Any:
        """Return what DescribeStacks does, with the defaults of all parameters that are not set."""
        if self.status is None or (name, region or account.region) != (NAME, REGION):
            return None
        declared = template()["Parameters"]
        values = {name: str(each["Default"]) for name, each in declared.items()} | self.parameters
        return {
            "StackName": NAME,
            "StackStatus": self.status,
            "CreationTime": NOW,
            "Outputs": _listed(self.outputs, "Output"),
            "Parameters": _listed(values, "Parameter"),
        }


def _listed(values: Mapping[str, str], what: str) -> list[dict[str, str]]:
    return [{f"{what}Key": name, f"{what}Value": value} for name, value in values.items()]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give credentials, a Region, and the clock of the tests, and no account to use them in."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give a profile named prod."""
    config = tmp_path / "aws"
    config.write_text(
        "[profile prod]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))


@pytest.fixture
def aws(credentials: None) -> Iterator[None]:
    """Give an account of moto's."""
    with mock_aws():
        yield


@pytest.fixture
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> StackInMemory:
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
    monkeypatch.setattr("cli.stack.describe", stack.description)
    monkeypatch.setattr(
        "cli.stack.Stack.physical_names", lambda _, kind: stack.resources.get(kind, {})
    )
    return stack


@pytest.fixture
def bucket(stack: StackInMemory) -> RunBucket:
    """Return the run bucket of the stack, as the functions write into it."""
    return RunBucket(boto3.client("s3"), "run-bucket")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait for nothing; return how long it would have taken."""
    waited = list[float]()
    monkeypatch.setattr("runtime.clock.sleep", waited.append)
    return waited


def documented_actions() -> dict[str, set[str]]:
    """Read the actions of each command in docs/cli.md, those of every command under ""."""
    _, _, section = (ROOT / "docs" / "cli.md").read_text().partition("\n## Permissions\n")
    actions: dict[str, set[str]] = {}
    for line in re.findall(r"^\|(.+)\|$", section, re.MULTILINE):
        commands, listed, *_ = line.split("|")
        names = re.findall(r"`([a-z-]+)", commands) or [""] * ("every command" in commands)
        for name in names:
            actions.setdefault(name, set()).update(re.findall(r"`([a-z0-9]+:\w+)`", listed))
    return actions


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in 80 columns, and return what it has written.

    Every call of AWS that it makes is one of those that docs/cli.md lists for the command.
    """
    called: set[str] = set()

    def run(
        *arguments: str,
        width: int = 80,
        env: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> Result:
        monkeypatch.setenv("COLUMNS", str(width))
        called.clear()
        call = BaseClient._make_api_call  # type: ignore[attr-defined]

        def noted(client: Any, operation: str, parameters: Any) -> Any:
            called.add(action_of(client.meta.service_model.operation_model(operation)))
            return call(client, operation, parameters)

        with monkeypatch.context() as patches:
            patches.setattr(BaseClient, "_make_api_call", noted)
            result = CliRunner().invoke(
                app, [*arguments], input=given, env=env, prog_name="ecr-rescan"
            )
        documented = documented_actions()
        missing = called - documented[""] - documented.get(arguments[0], set())
        assert not missing, f"docs/cli.md, Permissions: {arguments[0]} also calls {missing}"
        return result

    return run


@pytest.fixture
def recorded(aws: None, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Prescribe answers of AWS."""
    return Recorded(monkeypatch)


def assert_declined(result: Result) -> None:
    """Check that a command has ended as every command does after an answer of no."""
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Nothing was changed.\n")
