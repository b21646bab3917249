"""The command against executions that end as those of SendDigest do."""

import json
from datetime import timedelta
from typing import Any

import boto3
import pytest

from cli.stack import Account
from tests.cli.conftest import Run, StackInMemory
from tests.support.causes import of_lambda
from tests.support.clock import NOW, Clock

SENT = {
    "mode": "DAILY",
    "digest": "digest-1",
    "images": 1_204,
    "messages": 4,
    "is_resumed": False,
    "removed": 1_300,
}
LOOK = "ecr-rescan undelivered --region eu-west-1"
NOT_ACCEPTED = f"What a channel did not accept is in the dead-letter queue: {LOOK}"


@pytest.fixture(autouse=True)
def clock(aws: None, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clock.now", clock.now)
    monkeypatch.setattr("runtime.clock.sleep", clock.sleep)
    return clock


class Ending:
    """Start executions in memory, and describe them as they end after some looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.after = 1
        self.looks = 0
        self.description: dict[str, Any] = {}
        states, client = boto3.client("stepfunctions"), Account.client
        self.start_execution = states.start_execution
        monkeypatch.setattr(
            Account,
            "client",
            lambda account, name, **more: (
                self if name == "stepfunctions" else client(account, name, **more)
            ),
        )

    def describe_execution(self, *, executionArn: str) -> Any:  # noqa: N803
        self.looks += 1
        return self.description if self.looks >= self.after else {"status": "RUNNING"}

    def with_(self, status: str, **more: Any) -> None:
        self.description = {"status": status, **more}


@pytest.fixture
def ending(stack: StackInMemory, monkeypatch: pytest.MonkeyPatch) -> Ending:
    return Ending(monkeypatch)


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
    stack: StackInMemory, run: Run, ending: Ending, output: object, words: str
) -> None:
    ending.with_("SUCCEEDED", output=json.dumps(output))
    result = run("digest", "--region", "eu-west-1")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{words}\n", "")
    states = boto3.client("stepfunctions")
    (started,) = states.list_executions(stateMachineArn=stack.outputs["SendDigestArn"])[
        "executions"
    ]
    assert states.describe_execution(executionArn=started["executionArn"])["input"] == "{}"


def test_says_it_to_programs(stack: StackInMemory, run: Run, ending: Ending) -> None:
    ending.with_("SUCCEEDED", output=json.dumps(SENT))
    answer = json.loads(run("digest", "-o", "json").stdout)
    assert answer["execution"].startswith("arn:aws:states:")
    assert {name: answer[name] for name in ("status", "reason", "digest", "images")} == {
        "status": "SUCCEEDED",
        "reason": None,
        "digest": "digest-1",
        "images": 1_204,
    }


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (
            {"error": "LedgerUnavailable", "cause": of_lambda("no\x1b[2J table")},
            "LedgerUnavailable: no�[2J table",
        ),
        ({}, "ABORTED"),
    ],
)
def test_says_why_a_digest_failed(
    stack: StackInMemory, run: Run, ending: Ending, described: dict[str, str], reason: str
) -> None:
    ending.with_("ABORTED", **described)
    result = run("digest")
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first == f"The digest did not finish, and the next one resumes it. {reason}"
    assert second.startswith("arn:aws:states:")


def test_waits_for_the_end(stack: StackInMemory, run: Run, ending: Ending, clock: Clock) -> None:
    ending.after = 100
    ending.with_("SUCCEEDED", output=json.dumps(SENT))
    assert run("digest").exit_code == 0
    assert clock.now() - NOW == timedelta(seconds=198)


def test_does_not_wait_for_ever(
    stack: StackInMemory, run: Run, ending: Ending, clock: Clock
) -> None:
    ending.with_("RUNNING")
    result = run("digest", "--wait", "30")
    assert result.exit_code == 4
    assert "The execution is still in progress:\narn:aws:states:" in result.stdout
    assert clock.now() - NOW == timedelta(seconds=30)
