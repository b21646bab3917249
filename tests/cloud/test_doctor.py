"""doctor finds nothing on a healthy stack of the local cloud, and each fault that is planted."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import stack as cli_stack
from cli.__main__ import app
from ledger.boards import Boards
from ledger.bucket import RunBucket
from ledger.table import Table
from local.cloud.deployment import deploy
from local.cloud.engine import Engine
from local.receivers.inbox import Inbox
from local.receivers.subscribers import Subscribers
from tests.cloud.conftest import SECRET_PARAMETERS
from tests.support.stack import Stack

NAME = "doctor"
REGISTRY = """
repositories:
  - name: prod/api
    images: [{tags: v1, pushed: 10d, scanned: 2d}]
  - name: team/web
    images: [{tags: v1, pushed: 10d, scanned: 2d}]
"""
ENHANCED = f"scanning: ENHANCED\n{REGISTRY}"

type Plant = Callable[["Ward"], AbstractContextManager[None]]


@dataclass(frozen=True)
class Ward:
    """The stack that is checked, and how the command is called."""

    stack: Stack
    parameters: dict[str, str]
    monkeypatch: pytest.MonkeyPatch | None = None

    def diagnosis(self, *, stack: str = NAME, **env: str | None) -> tuple[int, dict[str, Any]]:
        """Run the command; return its exit code, and what each check found first."""
        called = {**self.stack.engine.environment, "AWS_PROFILE": None, **env}
        result = CliRunner().invoke(app, ["doctor", "-o", "json", "--stack", stack], env=called)
        checks = json.loads(result.stdout)["checks"]
        return result.exit_code, {each["name"]: each for each in reversed(checks)}

    def described(self, kind: str, name: str, value: str) -> None:
        """Let CloudFormation describe another value of a parameter or an output."""
        assert self.monkeypatch
        describe = cli_stack.describe

        def changed(*arguments: Any) -> Any:
            description = describe(*arguments)
            assert description
            listed: Any = description[f"{kind}s"]  # type: ignore[literal-required]
            for each in listed:
                if each[f"{kind}Key"] == name:
                    each[f"{kind}Value"] = value
            return description

        self.monkeypatch.setattr(cli_stack, "describe", changed)


@pytest.fixture(scope="module")
def deployed(engine: Engine, inbox: Inbox) -> Iterator[Ward]:
    """Deploy a stack whose runs have succeeded, and to whose topics someone is subscribed."""
    engine.put_registry(REGISTRY)
    secrets = engine.client("secretsmanager")
    parameters = {
        SECRET_PARAMETERS[channel]: secrets.create_secret(
            Name=f"doctor/{channel}", SecretString=secret
        )["ARN"]
        for channel, secret in inbox.secrets().items()
    }
    parameters |= {"ChatbotTopicState": "ENABLED", "AlertEmail": "ops@example.com"}
    stack = Stack(engine, NAME, deploy(engine, parameters, stack=NAME))
    for subscription in stack.physical_names("AWS::SNS::Subscription").values():
        engine.confirm_subscription(subscription)
    Subscribers(engine).subscribe_chatbot(stack.outputs["ChatbotTopicArn"])
    stack.let_events_through(open=False)
    assert stack.run().status == "SUCCEEDED"
    stack.let_events_through(open=True)
    yield Ward(stack, parameters)
    stack.let_events_through(open=False)


@pytest.fixture
def ward(deployed: Ward, monkeypatch: pytest.MonkeyPatch) -> Ward:
    deployed.stack.engine.put_registry(REGISTRY)
    return replace(deployed, monkeypatch=monkeypatch)


def test_a_healthy_stack_has_no_fault_and_no_warning(ward: Ward) -> None:
    code, found = ward.diagnosis()
    assert {name: each["state"] for name, each in found.items()} == dict.fromkeys(found, "ok")
    assert (code, len(found)) == (0, 14)


# What is planted, and taken away again.


@contextmanager
def enhanced_scanning(ward: Ward) -> Iterator[None]:
    ward.stack.engine.put_registry(ENHANCED)
    yield


@contextmanager
def wrong_filter(ward: Ward) -> Iterator[None]:
    ward.described("Parameter", "RepositoryFilter", "production/")
    yield


@contextmanager
def disabled_schedule(ward: Ward) -> Iterator[None]:
    scheduler = ward.stack.client("scheduler")
    names = ward.stack.physical_names("AWS::Scheduler::Schedule")
    known = scheduler.get_schedule(Name=names["RescanRegistryStateMachineSchedule"])
    wanted = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    request = {name: known[name] for name in wanted}
    scheduler.update_schedule(**request, State="DISABLED")
    yield
    scheduler.update_schedule(**request, State="ENABLED")


@contextmanager
def overdue_images(ward: Ward) -> Iterator[None]:
    client, name = ward.stack.client("s3"), ward.stack.outputs["RunBucketName"]
    bucket = RunBucket(client, name)
    keys = client.list_objects_v2(Bucket=name, Prefix="runs/")["Contents"]
    (key,) = (each["Key"] for each in keys if each["Key"].endswith("/summary.json"))
    run = key.split("/")[1]
    summary = bucket.summary(run)
    assert summary
    assert summary.freshness
    overdue = replace(summary.freshness, overdue=7)
    bucket.write_summary(run, replace(summary, freshness=overdue), {})
    yield
    bucket.write_summary(run, summary, {})


@contextmanager
def broken_secret(ward: Ward) -> Iterator[None]:
    secrets, arn = ward.stack.client("secretsmanager"), ward.parameters["SlackWebhookSecretArn"]
    content = secrets.get_secret_value(SecretId=arn)["SecretString"]
    secrets.put_secret_value(SecretId=arn, SecretString="https://hooks.slack.com/services/any")
    yield
    secrets.put_secret_value(SecretId=arn, SecretString=content)


@contextmanager
def unconfirmed_address(ward: Ward) -> Iterator[None]:
    sns, topic = ward.stack.client("sns"), ward.stack.outputs["NotificationTopicArn"]
    subscribed = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="new@example.com", ReturnSubscriptionArn=True
    )
    yield
    sns.unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"])


@contextmanager
def disabled_rule(ward: Ward) -> Iterator[None]:
    ward.stack.let_events_through(open=False, rules={"BasicScanEnded"})
    yield
    ward.stack.let_events_through(open=True, rules={"BasicScanEnded"})


@contextmanager
def encrypted_topic(ward: Ward) -> Iterator[None]:
    sns, topic = ward.stack.client("sns"), ward.stack.outputs["AlarmDestinationArn"]
    for key in ("alias/aws/sns", ""):
        sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=key)
        if key:
            yield


@contextmanager
def undelivered_message(ward: Ward) -> Iterator[None]:
    sqs, url = ward.stack.client("sqs"), ward.stack.outputs["UndeliveredQueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    yield
    sqs.purge_queue(QueueUrl=url)


@contextmanager
def stopped_function(ward: Ward) -> Iterator[None]:
    functions = ward.stack.client("lambda")
    name = ward.stack.physical_names("AWS::Lambda::Function")["PostToWebhookFunction"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    yield
    functions.delete_function_concurrency(FunctionName=name)


@contextmanager
def exhausted_quota(ward: Ward) -> Iterator[None]:
    client, table = ward.stack.client("dynamodb"), ward.stack.outputs["LedgerTableName"]
    Boards(Table(client, table)).close("StartImageScan", datetime.now(UTC) + timedelta(hours=2))
    yield
    ward.stack.forget("pace#StartImageScan")


@contextmanager
def older_version(ward: Ward) -> Iterator[None]:
    ward.described("Output", "Version", "0.3.0")
    yield


PLANTED: dict[str, tuple[Plant, str, str]] = {
    "scan type": (enhanced_scanning, "warn", "ENHANCED"),
    "filter": (wrong_filter, "fault", "production/ matches 0 of 2 repositories"),
    "schedule": (disabled_schedule, "warn", "the schedule of runs is disabled"),
    "oldest scan": (overdue_images, "warn", "left 7 images overdue"),
    "secrets": (broken_secret, "fault", "the secret of SLACK, doctor/slack, must be"),
    "email": (unconfirmed_address, "fault", "new@example.com has not confirmed notifications"),
    "rules": (disabled_rule, "fault", "BasicScanEnded is disabled"),
    "alarm topic": (encrypted_topic, "fault", "encrypted with alias/aws/sns"),
    "queues": (undelivered_message, "fault", "1 message in Undelivered"),
    "concurrency": (stopped_function, "fault", "has a reserved concurrency of 0"),
    "scan quota": (exhausted_quota, "fault", "used up: "),
    "version": (older_version, "warn", "0.3.0; this command line is"),
}


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_fault_is_found_and_nothing_else(ward: Ward, check: str) -> None:
    plant, state, words = PLANTED[check]
    with plant(ward):
        code, found = ward.diagnosis()
    result = found.pop(check)
    assert result["state"] == state
    assert words in result["found"]
    assert result["follows"]
    assert result["repair"]
    assert {each["state"] for each in found.values()} == {"ok"}
    assert code == (1 if state == "fault" else 0)


def test_a_missing_stack_is_found(ward: Ward) -> None:
    code, found = ward.diagnosis(stack="other")
    assert found["stack"]["found"].startswith("There is no stack other in ")
    assert (found["credentials"]["state"], found["stack"]["state"], code) == ("ok", "fault", 1)


def test_missing_credentials_are_found(ward: Ward) -> None:
    nothing = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    code, found = ward.diagnosis(**nothing)
    assert found["credentials"]["found"].startswith("No AWS credentials")
    assert (found["credentials"]["state"], found["stack"]["state"], code) == (
        "fault",
        "unchecked",
        1,
    )
