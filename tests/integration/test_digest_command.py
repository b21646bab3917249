"""`make digest` against state machines in memory that end as SendDigest does."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from operations import digest
from operations.digest import main
from tests.support.template import REGION

SENT = {
    "mode": "DAILY",
    "digest": "digest-1",
    "images": 1_204,
    "messages": 4,
    "is_resumed": False,
    "removed": 1_300,
}
NOT_ACCEPTED = "What a channel did not accept is in the dead-letter queue Undelivered."
type Deployed = Callable[..., str]


class FakeCloudFormation:
    """Knows one stack, ecr-rescan, with some outputs."""

    def __init__(self, outputs: dict[str, str]) -> None:
        self._outputs = outputs

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        listed = [{"OutputKey": key, "OutputValue": each} for key, each in self._outputs.items()]
        return {"Stacks": [{"Outputs": listed}]}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(digest, "POLLED_EVERY", 0.05)
    outputs: dict[str, str] = {}
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        make_client = boto3.client

        def client(service: str) -> Any:
            is_fake = service == "cloudformation"
            return FakeCloudFormation(outputs) if is_fake else make_client(service)  # type: ignore[call-overload]

        def deploy(state: dict[str, object]) -> str:
            definition = {"StartAt": "End", "States": {"End": state}}
            arn = make_client("stepfunctions").create_state_machine(
                name="SendDigest",
                definition=json.dumps(definition),
                roleArn="arn:aws:iam::123456789012:role/any",
            )["stateMachineArn"]
            outputs["SendDigestArn"] = arn
            return arn

        monkeypatch.setattr(digest.boto3, "client", client)
        yield deploy


def ending_with(output: object) -> dict[str, object]:
    return {"Type": "Pass", "Result": output, "End": True}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (SENT, f"The digest digest-1 went to 4 channels: 1,204 images. {NOT_ACCEPTED}"),
        (
            SENT | {"images": 1, "messages": 1},
            f"The digest digest-1 went to 1 channel: 1 image. {NOT_ACCEPTED}",
        ),
        (
            SENT | {"images": 0, "messages": 0, "removed": 2},
            "Nothing to send: 2 changes cancelled each other out, were sent immediately, or have "
            "no channel with a digest.",
        ),
        (
            {"mode": "DAILY", "digest": None, "images": 0, "messages": 0},
            "Nothing to send: nothing has changed since the last digest.",
        ),
    ],
)
def test_says_what_was_sent(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], output: object, words: str
) -> None:
    arn = deployed(ending_with(output))
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == words
    states = boto3.client("stepfunctions")
    (execution,) = states.list_executions(stateMachineArn=arn)["executions"]
    assert states.describe_execution(executionArn=execution["executionArn"])["input"] == "{}"


def test_says_why_a_digest_failed(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    arn = deployed({"Type": "Fail", "Error": "LedgerUnavailable", "Cause": "no table today"})
    assert main([]) == 1
    said = capsys.readouterr().err
    assert "the next one resumes it. LedgerUnavailable: no table today" in said
    assert arn.replace("stateMachine", "execution") in said


def test_does_not_wait_for_ever(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed({"Type": "Wait", "Seconds": 3, "End": True})
    assert main(["--wait", "0"]) == 0
    assert "The execution is still in progress:" in capsys.readouterr().out


def test_says_that_a_stack_is_not_one_of_these(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--stack", "other"]) == 1
    assert "The stack other has no output 'SendDigestArn'." in capsys.readouterr().err
