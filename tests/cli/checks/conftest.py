"""A stack with which every check is content, in an account of moto's, for tests that spoil it."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.checks.result import Result, State
from cli.stack import Account, Address, Stack, open_stack
from ledger.bucket import RunBucket
from local.cloud.moto_internals import answer_alone
from local.registry import registry_file
from local.registry.botocore_face import attach
from reporting.channels.in_use import SECRET_PARAMETERS
from tests.cli.conftest import StackInMemory
from tests.support.clock import NOW
from tests.support.receivers import SECRETS
from tests.support.summaries import any_summary, write_summary
from tests.support.template import resources

type Answer = Callable[..., None]
type Opened = Callable[[], Stack]
ROLE = "arn:aws:iam::123456789012:role/any"
REGISTRY = "repositories: [{name: prod/api}, {name: prod/web}, {name: team/prod}]"
EVERY_DAY = "cron(0 3 * * ? *)"
RULES = resources("AWS::Events::Rule")
TARGETS = [{"Id": "NotifyScan", "Arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:n"}]
PUBLISHED_BY_CLOUDWATCH = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "*"},
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": "*",
        },
    ],
}


def refusal(code: str, message: str = "") -> ClientError:
    """Make the error of a call that AWS refuses."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(answer, "Any")


@pytest.fixture(scope="session")
def accounts() -> list[Account]:
    """Keep the account of the first test: to make its clients takes longer than any test."""
    return []


@pytest.fixture(autouse=True)
def account(
    credentials: None, accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """Let the command, and the tests, use the same clients."""
    if not accounts:
        accounts.append(Account(Address("ecr-rescan")))
        answer_alone(accounts[0].client("ecr"))
    account = accounts[0]
    vars(account).pop("identity", None)
    monkeypatch.setattr("cli.call.Account", lambda address: account)
    monkeypatch.setattr("boto3.client", lambda service, **_: account.client(service))
    detach = attach(account.client("ecr"), registry_file.parse(REGISTRY))
    yield account
    detach()


@pytest.fixture
def healthy(stack: StackInMemory) -> StackInMemory:
    """Fill the stack with what a check looks at."""
    stack.parameters["AlertEmail"] = "ops@example.com"
    stack.parameters["RepositoryFilter"] = "prod/"
    for topic in ("NotificationTopicArn", "AlarmDestinationArn"):
        _subscribe(stack.outputs[topic], "ops@example.com")
    boto3.client("sns").set_topic_attributes(
        TopicArn=stack.outputs["AlarmDestinationArn"],
        AttributeName="Policy",
        AttributeValue=json.dumps(PUBLISHED_BY_CLOUDWATCH),
    )
    for channel, parameter in SECRET_PARAMETERS.items():
        secret = boto3.client("secretsmanager").create_secret(
            Name=f"ecr-rescan/{channel.lower()}", SecretString=json.dumps(SECRETS[channel])
        )
        stack.parameters[parameter] = secret["ARN"]
    events = boto3.client("events")
    for name, rule in RULES.items():
        events.put_rule(Name=name, EventPattern=json.dumps(rule["EventPattern"]))
        events.put_targets(Rule=name, Targets=TARGETS)
    _schedule("runs", EVERY_DAY)
    _schedule("digests", "cron(0 7 * * ? *)")
    alarms = [*resources("AWS::CloudWatch::Alarm")]
    for name in alarms:
        _put_alarm(name)
    write_summary(RunBucket(boto3.client("s3"), "run-bucket"), any_summary())
    stack.resources = {
        "AWS::Events::Rule": {name: name for name in RULES},
        "AWS::CloudWatch::Alarm": {name: name for name in alarms},
        "AWS::Lambda::Function": {"InterpretEventFunction": "interpret"},
        "AWS::IAM::Role": {"NotifyScanRulesRole": "rules-role"},
        "AWS::Scheduler::Schedule": {
            "RescanRegistryStateMachineSchedule": "runs",
            "SendDigestStateMachineDigestSchedule": "digests",
        },
    }
    return stack


@pytest.fixture
def clients(
    healthy: StackInMemory, account: Account, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Any]:
    """Give the clients that the command uses, with answers of what moto does not have."""
    ended: dict[str, Any] = {"name": "run", "status": "SUCCEEDED", "executionArn": "arn"}
    ended |= {"startDate": NOW - timedelta(hours=4), "stopDate": NOW - timedelta(hours=3)}
    answers: dict[str, dict[str, Any]] = {
        "stepfunctions": {"list_executions": {"executions": [ended]}, "describe_execution": ended},
        "lambda": {
            "get_function_concurrency": {},
            "get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 1_000}},
        },
    }
    for service, operations in answers.items():
        for operation, answer in operations.items():
            monkeypatch.setattr(
                account.client(service), operation, lambda answer=answer, **_: answer
            )
    return account.client


@pytest.fixture
def answer(clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Let an operation return an answer, which can depend on what is asked, or raise an error."""

    def answer(service: str, operation: str, answer: Any) -> None:
        def call(**asked: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer(**asked) if callable(answer) else answer

        monkeypatch.setattr(clients(service), operation, call)

    return answer


@pytest.fixture
def opened(clients: Callable[[str], Any], account: Account) -> Opened:
    """Open the stack as the command does, as it is now."""
    return lambda: open_stack(account, Address("ecr-rescan"))


def the(results: list[Result], state: State) -> Result:
    """Return the only result, which is of a state."""
    (result,) = results
    assert result.state is state, result
    return result


def _subscribe(topic: str, address: str) -> None:
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=address)


def _schedule(name: str, expression: str) -> None:
    boto3.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:r", "RoleArn": ROLE},
        State="ENABLED",
    )


def _put_alarm(name: str) -> None:
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="EcrRescan",
        MetricName="any",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
