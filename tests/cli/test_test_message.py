"""The answer of a channel to a test, as NotifyScan passes it on."""

import csv
import io
import json
from typing import Any

import boto3
import pytest

from cli.test_message import LONGEST
from reporting.channels.delivery import Channel
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.support.causes import of_lambda
from tests.support.clock import NOW

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ecr-rescan/teams-AbCdEf"
OPERATOR = {"Account": "123456789012", "Arn": "arn:aws:sts::123456789012:assumed-role/Ops/anna"}
PAGERDUTY = json.dumps({"status": "success", "message": "Event processed"})


def ended(output: object = None, **given: Any) -> dict[str, Any]:
    """Make the answer to StartSyncExecution."""
    return {
        "executionArn": "arn:aws:states:eu-central-1:123456789012:express:NotifyScan:any:any",
        "startDate": NOW,
        "stopDate": NOW,
        "status": "SUCCEEDED",
        **({"output": json.dumps(output)} if output else {}),
        **given,
    }


def result(**given: Any) -> dict[str, Any]:
    return ended({"outcome": {"is_incomplete": False, "results": [given]}})


def posted(status: int = 200, answer: str = "ok", milliseconds: int = 412) -> dict[str, Any]:
    return result(answer={"status": status, "answer": answer, "milliseconds": milliseconds})


def refusal(error: str, cause: str) -> dict[str, Any]:
    return result(error={"Error": error, "Cause": cause})


TURNED_OFF = of_lambda("TEAMS returned 403: The workflow is turned off")


@pytest.fixture
def answers(stack: StackInMemory, recorded: Recorded) -> Recorded:
    stack.parameters |= {"TeamsWebhookSecretArn": SECRET}
    recorded.answer("GetCallerIdentity", OPERATOR)
    return recorded


def test_prints_what_the_receiver_has_answered(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", posted())
    done = run("test", "Slack")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "slack took it in 412 ms: 200 ok\n"
        "TEST of ecr-rescan by anna, 03:00:00 UTC. Nothing is in the ledger; nothing to \n"
        "close.\n"
    )
    (asked,) = answers.asked["StartSyncExecution"]
    (test,) = json.loads(asked["input"]).values()
    assert (test["channel"], test["by"], len(test["id"])) == ("SLACK", "anna", 36)
    assert asked["stateMachineArn"].endswith(":NotifyScan")


def test_each_test_has_an_id_of_its_own(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", posted(202, PAGERDUTY))
    for _ in range(2):
        done = run("test", "pagerduty")
        assert done.stdout.startswith(f"pagerduty took it in 412 ms: 202 {PAGERDUTY}\n")
        assert "The incident was opened and resolved.\n" in done.stdout
    ids = {json.loads(each["input"])["test"]["id"] for each in answers.asked["StartSyncExecution"]}
    assert len(ids) == 2


def test_a_refusal_has_the_reason_and_the_repair(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", refusal("WebhookRefused", TURNED_OFF))
    done = run("test", "teams")
    assert (done.exit_code, done.stderr) == (1, "")
    headline, what, command = done.stdout.splitlines()
    assert headline == "teams refused it: TEAMS returned 403: The workflow is turned off"
    assert what == (
        """Repair what receives it, or write {"url": "https://…"} into teams.json, then:"""
    )
    assert command == (
        f"  aws secretsmanager put-secret-value --secret-id {SECRET} "
        "--secret-string file://teams.json --region eu-west-1"
    )


@pytest.mark.parametrize(("cause", "shown"), [("Not authorized", "Not authorized"), ("", "SNS.X")])
def test_what_aws_refuses_is_repaired_by_doctor(
    answers: Recorded, run: Run, cause: str, shown: str
) -> None:
    answers.answer("StartSyncExecution", refusal("SNS.X", cause))
    done = run("test", "sns")
    assert done.exit_code == 1
    assert done.stdout.startswith(f"sns refused it: {shown}\necr-rescan doctor ")


def test_sns_says_to_whom_it_passes_the_message_on(
    answers: Recorded, stack: StackInMemory, run: Run
) -> None:
    topic = stack.outputs["NotificationTopicArn"]
    subscribed = {"TopicArn": topic, "Owner": "any", "Endpoint": "any"}
    confirmed = {"SubscriptionArn": f"{topic}:any"}
    waiting = {"SubscriptionArn": "PendingConfirmation", "Protocol": "email"}
    answers.answer("StartSyncExecution", result(answer={"MessageId": "m-1"}))
    deleted = {"SubscriptionArn": "Deleted", "Protocol": "email"}
    mails = [subscribed | confirmed | {"Protocol": "email"}] * 2
    queue = subscribed | confirmed | {"Protocol": "sqs"}
    answers.answer(
        "ListSubscriptionsByTopic",
        {"Subscriptions": []},
        {"Subscriptions": [*mails, queue, subscribed | waiting, subscribed | deleted]},
    )
    assert "SNS passes it on to 0 confirmed subscriptions.\n" in run("test", "sns").stdout
    done = run("test", "sns")
    assert done.exit_code == 0
    assert done.stdout.startswith(
        "sns took it: message m-1\nSNS passes it on to 3 confirmed subscriptions (2 email, 1 sqs); "
        "1 not confirmed, see ecr-rescan doctor.\n"
    )


def test_says_what_no_answer_can_say(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", result(answer={"MessageId": "m-1"}))
    assert "Only the chat shows whether" in run("test", "chatbot").stdout
    entries = {"Entries": [{"EventId": "e-1"}], "FailedEntryCount": 0}
    answers.answer("StartSyncExecution", result(answer=entries))
    done = run("test", "eventbridge")
    assert done.stdout.startswith("eventbridge took it: event e-1\nOnly the targets of the bus ")


@pytest.mark.parametrize("channel", Channel)
def test_names_the_parameter_of_a_channel_that_is_not_in_use(
    answers: Recorded, run: Run, channel: Channel
) -> None:
    answers.answer("StartSyncExecution", ended({"outcome": "NOTHING_TO_REPORT"}))
    done = run("test", channel)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"The stack ecr-rescan does not use {channel.lower()}: set ")


def test_lists_the_channels_where_none_is_named(answers: Recorded, run: Run) -> None:
    done = run("test", "fax\x1b[31m")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "There is no channel fax" in done.stderr
    assert "\x1b" not in done.stderr
    assert "give one of sns, chatbot, slack, teams, webhook, pagerduty, eventbridge." in done.stderr
    assert answers.asked["StartSyncExecution"] == []


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        ({"error": "Lambda.Unknown", "cause": "killed"}, "Lambda.Unknown: killed"),
        ({}, "TIMED_OUT"),
    ],
)
def test_says_that_the_test_was_not_sent(
    answers: Recorded, run: Run, failure: dict[str, str], shown: str
) -> None:
    answers.answer("StartSyncExecution", ended(status="TIMED_OUT", **failure))
    done = run("test", "slack")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith(f"NotifyScan did not send the test: {shown}. ")


def test_says_what_is_not_allowed(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", refused("StartSyncExecution", "AccessDeniedException"))
    done = run("test", "slack")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith("Not allowed: ")


def test_starts_nothing_in_a_stack_that_knows_no_tests(
    answers: Recorded, stack: StackInMemory, run: Run
) -> None:
    del stack.outputs["Version"]
    done = run("test", "slack")
    assert done.exit_code == 3
    assert "is of version 0.3.0 and has no output Version" in done.stderr
    assert answers.asked["StartSyncExecution"] == []


def test_escapes_what_comes_from_outside(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", posted(answer="[red]\x1b]0;x\x07 ok"))
    done = run("test", "slack")
    assert "\x1b" not in done.stdout
    assert "[red]" in done.stdout


def test_is_an_object_and_a_row(answers: Recorded, run: Run) -> None:
    answers.answer("StartSyncExecution", posted(answer="=1+1"))
    document = json.loads(run("test", "webhook", "-o", "json").stdout)
    expected = {
        "channel": "webhook",
        "is_accepted": True,
        "status": 200,
        "answer": "=1+1",
        "milliseconds": 412,
        "by": "anna",
        "sent_at": "2026-03-14T03:00:00+00:00",
    }
    assert expected.items() <= document.items()
    (row,) = csv.DictReader(io.StringIO(run("test", "webhook", "-o", "csv").stdout))
    assert (row["channel"], row["answer"]) == ("webhook", "'=1+1")


def test_asks_once_and_waits_longer_than_an_execution_takes(
    answers: Recorded, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is repeated would be a second message."""
    configs: list[Any] = []
    original = boto3.Session.client

    def client(session: Any, *arguments: Any, **named: Any) -> Any:
        configs.append(named["config"])
        return original(session, *arguments, **named)

    monkeypatch.setattr(boto3.Session, "client", client)
    answers.answer("StartSyncExecution", posted())
    run("test", "slack")
    assert LONGEST in {each.read_timeout for each in configs}
    (patient,) = (each for each in configs if each.read_timeout == LONGEST)
    assert patient.retries["total_max_attempts"] == 1
