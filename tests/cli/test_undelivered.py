"""The command against a queue, state machines and a table in memory."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.stack import Account
from cli.undelivered_queue import Waiting
from ledger.errors import LedgerUnavailable
from ledger.table import Table
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.support.clock import Clock

FINDING = {"detail-type": "Inspector2 Finding", "detail": {}}
PUSH = {"detail-type": "ECR Image Action", "detail": {"action-type": "PUSH"}}
# moto stamps messages with the real time; none of them is older or younger than the tests say.
AGE = timedelta(hours=3)


def delivery(number: int, channel: str = "SLACK") -> dict[str, Any]:
    return {"channel": channel, "about": f"image {number}", "content": {}}


def kept(number: int, channel: str = "SLACK") -> str:
    error = {"error": "WebhookRefused", "cause": f"{channel} returned 404: no_service"}
    return json.dumps({"delivery": delivery(number, channel), **error})


class Functions:
    """Note what Lambda is asked to invoke: moto would need a container to do it."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, str, Any]] = []

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: str) -> Any:  # noqa: N803
        self.invoked.append((FunctionName, InvocationType, json.loads(Payload)))


@pytest.fixture(autouse=True)
def clock(aws: None, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(datetime.now(UTC) + AGE)
    monkeypatch.setattr("runtime.clock.now", clock.now)
    monkeypatch.setattr("runtime.clock.sleep", clock.sleep)
    return clock


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> Functions:
    functions, client = Functions(), Account.client
    monkeypatch.setattr(
        Account,
        "client",
        lambda self, name, **more: functions if name == "lambda" else client(self, name, **more),
    )
    return functions


@pytest.fixture
def put(stack: StackInMemory) -> Callable[..., None]:
    def put(*bodies: str, **attributes: str) -> None:
        given: Any = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
        for body in bodies:
            boto3.client("sqs").send_message(
                QueueUrl=stack.outputs["UndeliveredQueueUrl"],
                MessageBody=body,
                MessageAttributes=given,
            )

    return put


def visible(stack: StackInMemory) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = boto3.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["UndeliveredQueueUrl"], AttributeNames=names
    )["Attributes"]
    assert answer["ApproximateNumberOfMessagesNotVisible"] == "0"
    return int(answer["ApproximateNumberOfMessages"])


def inputs(arn: str) -> list[Any]:
    states = boto3.client("stepfunctions")
    executions = states.list_executions(stateMachineArn=arn)["executions"]
    described = (
        states.describe_execution(executionArn=each["executionArn"]) for each in executions
    )
    return sorted((json.loads(each["input"]) for each in described), key=str)


def table(stack: StackInMemory) -> Table:
    return Table(boto3.client("dynamodb"), stack.outputs["LedgerTableName"])


def settle(stack: StackInMemory, *, as_: str, channel: str) -> None:
    """Mark the claims on all messages of a channel, as NotifyScan does."""
    queue = stack.outputs["UndeliveredQueueUrl"]
    received = boto3.client("sqs").receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    for each in received["Messages"]:
        if f'"{channel}"' in each["Body"]:
            key = f"delivery#redelivery-{each['MessageId']}", f"channel#{channel}"
            table(stack).put(key, {"claimed_at": "any", as_: "any"})


def test_lists_what_is_kept_and_leaves_it(
    stack: StackInMemory, run: Run, put: Callable[..., None]
) -> None:
    put(kept(2, "TEAMS"), kept(1), json.dumps(FINDING))
    for _ in range(2):
        result = run("undelivered", "--region", "eu-west-1", width=120)
        assert result.exit_code == 0, result.stderr
        head, *lines, last = result.stdout.splitlines()
        assert head.split() == ["WHAT", "ABOUT", "SINCE", "WHY"]
        assert [line.split("  ")[0] for line in lines] == ["Inspector2 Finding", "slack", "teams"]
        assert "3 h    WebhookRefused: SLACK returned 404: no_service" in lines[1]
        assert (
            last == "3 are kept, for 14 days each. ecr-rescan undelivered send --region eu-west-1"
        )
    assert inputs(stack.outputs["NotifyScanArn"]) == []
    assert visible(stack) == 3


def test_a_slow_clock_hides_no_message(
    stack: StackInMemory, run: Run, put: Callable[..., None], clock: Clock
) -> None:
    clock.sleep(-2 * AGE.total_seconds())
    put(kept(1))
    listed = json.loads(run("undelivered", "-o", "json").stdout)
    assert [each["about"] for each in listed["messages"]] == ["image 1"]
    result = run("undelivered", "send", "-o", "json")
    assert json.loads(result.stdout)["sent"][0]["what"] == "slack"


def test_lists_it_for_programs(stack: StackInMemory, run: Run, put: Callable[..., None]) -> None:
    put(kept(1), "something else")
    result = run("undelivered", "-o", "json")
    answer = json.loads(result.stdout)
    (message,) = answer["messages"]
    since, until = (datetime.fromisoformat(message.pop(each)) for each in ("since", "kept_until"))
    assert until - since == timedelta(days=14)
    assert message.pop("message_id")
    assert message == {
        "what": "slack",
        "about": "image 1",
        "why": "WebhookRefused: SLACK returned 404: no_service",
        "goes_to": "NotifyScan",
    }
    assert [each["problem"] for each in answer["unknown"]] == ["is not JSON: 'something else'"]
    assert (answer["unfinished_executions"], answer["is_whole"]) == (0, True)
    assert "Left in the queue: message" in result.stderr
    header, row = run("undelivered", "-o", "csv").stdout.splitlines()
    assert header == "message_id,what,about,since,kept_until,why,goes_to"
    assert row.endswith("WebhookRefused: SLACK returned 404: no_service,NotifyScan")


def test_says_so_when_nothing_is_kept(stack: StackInMemory, run: Run) -> None:
    empty = "The dead-letter queue Undelivered is empty.\n"
    for arguments in (["undelivered"], ["undelivered", "send"]):
        result = run(*arguments)
        assert (result.exit_code, result.stdout, result.stderr) == (0, empty, "")


def test_sends_every_message_once_and_empties_the_queue(
    stack: StackInMemory, run: Run, put: Callable[..., None]
) -> None:
    put(*map(kept, range(9)))
    settle(stack, as_="delivered_at", channel="SLACK")
    result = run("undelivered", "send")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "WHAT   DELIVERED  STARTED  UNSETTLED  KEPT AGAIN  LEFT",
        "slack          9        ·          ·           ·     ·",
        "9 delivered.",
    ]
    started = [each["deliveries"][0] for each in inputs(stack.outputs["NotifyScanArn"])]
    assert len({each.pop("message_id") for each in started}) == 9
    assert all(each.pop("claims_before") for each in started)
    assert started == [delivery(number) for number in range(9)]
    assert visible(stack) == 0


def test_says_what_failed_again(stack: StackInMemory, run: Run, put: Callable[..., None]) -> None:
    put(kept(1), kept(2, "TEAMS"), kept(3, "WEBHOOK"))
    settle(stack, as_="delivered_at", channel="SLACK")
    settle(stack, as_="kept_at", channel="TEAMS")
    result = run("undelivered", "send")
    assert result.exit_code == 4
    assert result.stdout.splitlines()[-1] == (
        "1 delivered, 1 not delivered yet, 1 failed and kept again. See what is left: "
        "ecr-rescan undelivered"
    )


def test_each_message_goes_to_what_it_was_for(
    stack: StackInMemory, run: Run, put: Callable[..., None], functions: Functions
) -> None:
    put(json.dumps(FINDING), json.dumps(PUSH))
    for _ in range(3):  # after three days without a permission, one run is enough
        put("{}", SCHEDULE_ARN="any", TARGET_ARN=stack.outputs["RescanRegistryArn"])
    put("{}", SCHEDULE_ARN="any", TARGET_ARN=stack.outputs["SendDigestArn"])
    result = run("undelivered", "send", "-o", "json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert {each["what"]: each["started"] for each in answer["sent"]} == {
        "ECR Image Action": 1,
        "Inspector2 Finding": 1,
        "start of RescanRegistry": 3,
        "start of SendDigest": 1,
    }
    assert answer["is_complete"] is True
    assert functions.invoked == [("RecordPlatforms", "Event", PUSH)]
    received = boto3.client("sqs").receive_message(
        QueueUrl=stack.outputs["InspectorFindingsQueueUrl"]
    )
    assert [json.loads(each["Body"]) for each in received["Messages"]] == [FINDING]
    assert inputs(stack.outputs["RescanRegistryArn"]) == [{}]
    assert inputs(stack.outputs["SendDigestArn"]) == [{}]
    assert inputs(stack.outputs["NotifyScanArn"]) == []
    assert visible(stack) == 0


def test_leaves_what_is_not_ours(stack: StackInMemory, run: Run, put: Callable[..., None]) -> None:
    put("something else")
    put("{}", SCHEDULE_ARN="any", TARGET_ARN=stack.outputs["NotifyScanArn"])
    result = run("undelivered", "send")
    assert result.exit_code == 4
    assert result.stdout == "2 unknown. See what is left: ecr-rescan undelivered\n"
    assert "is not JSON: 'something else'" in result.stderr
    assert "which no schedule of this stack starts" in result.stderr
    assert inputs(stack.outputs["NotifyScanArn"]) == []
    assert visible(stack) == 2
    assert run("undelivered").stdout == ""


def test_says_which_taker_refused(
    stack: StackInMemory,
    run: Run,
    put: Callable[..., None],
    functions: Functions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_: object) -> None:
        text = "User: any is not authorized to perform: lambda:InvokeFunction on resource: any-arn"
        error: Any = {"Error": {"Code": "AccessDeniedException", "Message": text}}
        raise ClientError(error, "Invoke")

    monkeypatch.setattr(functions, "invoke", refuse)
    put(json.dumps(PUSH))
    result = run("undelivered", "send")
    assert result.exit_code == 4
    assert result.stderr == (
        "RecordPlatforms did not take a message. Not allowed: lambda:InvokeFunction on any-arn. "
        "docs/cli.md lists the permissions of each command.\n"
    )
    assert "1 left in the queue." in result.stdout
    assert visible(stack) == 1


def test_says_that_it_could_not_see_the_claims(
    stack: StackInMemory, run: Run, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        error: Any = {"Error": {"Code": "AccessDeniedException", "Message": "any"}}
        with pytest.raises(ClientError) as raised:
            raise ClientError(error, "BatchGetItem")
        raise LedgerUnavailable(str(raised.value)) from raised.value

    monkeypatch.setattr(Table, "get_many", refuse)
    put(kept(1))
    result = run("undelivered", "send")
    assert result.exit_code == 4
    assert "Whether messages were delivered is not known. Not allowed: BatchGetItem." in (
        result.stderr
    )
    assert "1 not delivered yet." in result.stdout


def test_says_that_there_are_more_than_one_pass_takes(
    stack: StackInMemory, run: Run, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("undelivered", "undelivered_queue"):
        monkeypatch.setattr(f"cli.{module}.MOST", 10)
    put(*[json.dumps(FINDING)] * 12)
    assert "10 are kept, and there are more, for 14 days each." in run("undelivered").stdout
    result = run("undelivered", "send")
    assert result.exit_code == 4
    assert "10 started. At most 10 are sent in one pass: send again." in result.stdout
    assert visible(stack) == 2


@pytest.mark.parametrize("delivered", [False, True], ids=["event", "deliveries"])
def test_starts_again_what_did_not_finish(
    stack: StackInMemory, run: Run, clock: Clock, delivered: bool
) -> None:
    started_at = clock.now() - timedelta(minutes=13)
    content = {"deliveries": json.dumps([delivery(1)])} if delivered else {}
    written = {"started_at": started_at.isoformat(), "input": json.dumps({"id": "event-1"})}
    table(stack).put(("unfinished", "execution#a"), written | content)
    assert "1 execution of NotifyScan did not finish" in run("undelivered").stdout
    assert inputs(stack.outputs["NotifyScanArn"]) == []
    result = run("undelivered", "send")
    assert "1 execution of NotifyScan that did not finish: started again." in result.stdout
    (started,) = inputs(stack.outputs["NotifyScanArn"])
    if delivered:
        assert started["deliveries"][0].pop("claims_before")
        assert started == {"deliveries": [delivery(1)]}
    else:
        assert started == {"id": "event-1"}
    assert table(stack).get(("unfinished", "execution#a")) is None


def test_what_others_hide_is_not_said_to_be_nothing(
    stack: StackInMemory, run: Run, put: Callable[..., None]
) -> None:
    put(kept(1), kept(2))
    boto3.client("sqs").receive_message(
        QueueUrl=stack.outputs["UndeliveredQueueUrl"], MaxNumberOfMessages=1, VisibilityTimeout=900
    )
    hidden = (
        "1 message more is hidden: another command reads or sends what the queue has, or was "
        "interrupted within the last 15 minutes. Look again then.\n"
    )
    listed = run("undelivered")
    assert (listed.exit_code, listed.stdout.endswith(hidden)) == (4, True)
    assert "1 is kept, for 14 days each." in listed.stdout
    found = json.loads(run("undelivered", "-o", "json").stdout)
    assert (len(found["messages"]), found["hidden"]) == (1, 1)
    settle(stack, as_="delivered_at", channel="SLACK")
    sent = run("undelivered", "send")
    assert sent.exit_code == 4
    assert sent.stdout.endswith(f"1 delivered. See what is left: ecr-rescan undelivered\n{hidden}")
    assert json.loads(run("undelivered", "send", "-o", "json").stdout)["hidden"] == 1
    for arguments in (["undelivered"], ["undelivered", "send"]):
        assert run(*arguments).stdout == hidden


@pytest.mark.parametrize(
    ("visible", "hidden", "taken", "left"),
    [
        (0, 3, 3, 0),  # shown again a moment ago
        (0, 3, 0, 3),
        (2, 3, 2, 3),
        (20_001, 0, 20_000, 0),
        (20_001, 3, 20_000, 3),
        (1, 0, 2, 0),
    ],
)
def test_counts_what_is_hidden_by_others(visible: int, hidden: int, taken: int, left: int) -> None:
    assert Waiting(visible, hidden).hidden_from(taken) == left


def test_an_execution_that_is_not_started_keeps_nothing_from_being_sent(
    stack: StackInMemory, run: Run, put: Callable[..., None], recorded: Recorded
) -> None:
    written = {"started_at": "2020-01-01T00:00:00+00:00", "input": "{}"}
    table(stack).put(("unfinished", "execution#a"), written)
    put(json.dumps(FINDING))
    recorded.answer("StartExecution", refused("StartExecution", "InvalidExecutionInput"))
    result = run("undelivered", "send")
    assert result.exit_code == 4
    assert result.stderr == (
        "NotifyScan did not start what did not finish. StartExecution: InvalidExecutionInput: no\n"
    )
    assert result.stdout.endswith(
        "1 started. See what is left: ecr-rescan undelivered\n"
        "1 execution of NotifyScan that did not finish: not started again. ecr-rescan undelivered\n"
    )
    answer = json.loads(run("undelivered", "send", "-o", "json").stdout)
    assert (answer["unfinished_executions"], answer["is_complete"]) == (1, False)


def test_no_text_of_a_message_commands_a_terminal(
    stack: StackInMemory, run: Run, put: Callable[..., None]
) -> None:
    escape = "\x1b]0;owned\x07[red]"
    message = {"delivery": {**delivery(1, escape), "about": escape}, "error": escape, "cause": ""}
    put(json.dumps(message), f"{escape}")
    for arguments in (["undelivered"], ["undelivered", "send"]):
        result = run(*arguments)
        assert "\x1b" not in result.stdout + result.stderr
        assert "[red]" in result.stdout


def test_an_execution_whose_item_is_damaged_is_left(stack: StackInMemory, run: Run) -> None:
    table(stack).put(("unfinished", "execution#any"), {"input": "{}"})
    for arguments in ((), ("send",)):
        answer = run("undelivered", *arguments)
        assert answer.exit_code == 4
        assert "The item of execution any of NotifyScan, which did not finish" in answer.stderr
        assert "Delete it: aws dynamodb delete-item --table-name ledger-table" in answer.stderr
