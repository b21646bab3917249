"""The operator's command against a queue and a state machine in memory."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from operations import redeliver
from operations.kept import UnknownMessageError
from operations.redeliver import Stack, Undelivered, main
from operations.stack import StackNotFoundError
from tests.support.template import REGION

DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


def delivery(number: int) -> dict[str, Any]:
    return {"channel": "SLACK", "about": f"image {number}", "content": {}}


def kept(number: int) -> str:
    return json.dumps({"delivery": delivery(number), "error": "WebhookRefused", "cause": "404"})


class FakeCloudFormation:
    """Knows one stack, ecr-rescan, with the outputs of a stack or with none."""

    def __init__(self, stack: Stack | None) -> None:
        self._stack = stack

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        if StackName != "ecr-rescan":
            error: Any = {"Error": {"Code": "ValidationError", "Message": "does not exist"}}
            raise ClientError(error, "DescribeStacks")
        if self._stack is None:
            return {"Stacks": [{}]}
        outputs = {
            "UndeliveredQueueUrl": self._stack.queue_url,
            "NotifyScanArn": self._stack.notify_scan_arn,
        }
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        return {"Stacks": [{"Outputs": listed}]}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        machine = boto3.client("stepfunctions").create_state_machine(
            name="NotifyScan", definition=DEFINITION, roleArn="arn:aws:iam::123456789012:role/any"
        )["stateMachineArn"]
        queue = boto3.client("sqs").create_queue(QueueName="Undelivered")["QueueUrl"]
        stack = Stack(queue, machine)
        make_client = boto3.client

        def client(service: str) -> Any:
            return (
                FakeCloudFormation(stack) if service == "cloudformation" else make_client(service)
            )  # type: ignore[call-overload]

        monkeypatch.setattr(redeliver.boto3, "client", client)
        yield stack


@pytest.fixture
def undelivered(deployed: Stack) -> Undelivered:
    return Undelivered(deployed, boto3.client("sqs"), boto3.client("stepfunctions"))


def put(stack: Stack, *bodies: str) -> None:
    for body in bodies:
        boto3.client("sqs").send_message(QueueUrl=stack.queue_url, MessageBody=body)


def left(stack: Stack) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = boto3.client("sqs").get_queue_attributes(
        QueueUrl=stack.queue_url, AttributeNames=names
    )
    return sum(map(int, answer["Attributes"].values()))


def inputs(stack: Stack) -> list[Any]:
    states = boto3.client("stepfunctions")
    executions = states.list_executions(stateMachineArn=stack.notify_scan_arn)["executions"]
    described = (
        states.describe_execution(executionArn=each["executionArn"]) for each in executions
    )
    return sorted((json.loads(each["input"]) for each in described), key=str)


def test_finds_the_queue_and_the_state_machine_of_a_stack(deployed: Stack) -> None:
    cloudformation: Any = FakeCloudFormation(deployed)
    assert Stack.named("ecr-rescan", cloudformation) == deployed


def test_says_which_stack_is_not_there(deployed: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "other"]) == 1
    assert "The stack other cannot be read" in capsys.readouterr().err


def test_says_what_a_stack_of_something_else_lacks(deployed: Stack) -> None:
    cloudformation: Any = FakeCloudFormation(None)
    with pytest.raises(StackNotFoundError, match="has no output 'UndeliveredQueueUrl'"):
        Stack.named("ecr-rescan", cloudformation)


def test_starts_an_execution_for_every_message_and_empties_the_queue(
    deployed: Stack, undelivered: Undelivered
) -> None:
    put(deployed, *map(kept, range(25)))
    sent = list(undelivered.send_again())
    assert len(sent) == 25
    started = [each["deliveries"][0] for each in inputs(deployed)]
    claims = {each.pop("message_id") for each in started}
    assert len(claims) == 25
    assert started == sorted((delivery(number) for number in range(25)), key=str)
    assert left(deployed) == 0


def test_looking_changes_nothing(deployed: Stack, undelivered: Undelivered) -> None:
    put(deployed, kept(1), kept(2))
    assert len(undelivered.look()) == 2
    assert len(undelivered.look()) == 2
    assert inputs(deployed) == []


def test_leaves_what_is_not_ours(deployed: Stack, undelivered: Undelivered) -> None:
    put(deployed, "something else", kept(1))
    found = list(undelivered.send_again())
    assert sorted(isinstance(each, UnknownMessageError) for each in found) == [False, True]
    assert left(deployed) == 1


def test_leaves_what_comes_meanwhile_for_the_next_time(
    deployed: Stack, undelivered: Undelivered
) -> None:
    put(deployed, kept(1))
    sending = undelivered.send_again()
    first = next(sending)
    put(deployed, kept(2))
    assert [first, *sending] == [first]
    assert left(deployed) == 1


def test_shows_what_was_sent(deployed: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put(deployed, kept(1), "something else")
    assert main(["--list"]) == 0
    assert "1 in the queue." in capsys.readouterr().out
    assert main([]) == 0
    printed = capsys.readouterr()
    assert "SLACK" in printed.out
    assert "image 1" in printed.out
    assert "WebhookRefused: 404" in printed.out
    assert "1 sent again" in printed.out
    assert "Left in the queue: a message that is not JSON" in printed.err


def test_says_so_when_nothing_is_kept(deployed: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == "The queue Undelivered is empty."
