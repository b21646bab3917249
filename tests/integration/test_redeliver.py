"""The operator's command against a queue and a state machine in memory."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cli.kept_messages import UnknownMessageError
from ledger.table import Table, ledger_table
from operations.redeliver import NotTakenError, Stack, Takers, Undelivered, main
from operations.stack import StackNotFoundError
from tests.support.template import REGION, resources

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
            "RescanRegistryArn": self._stack.rescan_registry_arn,
            "SendDigestArn": self._stack.send_digest_arn,
            "RecordPlatformsName": self._stack.record_platforms_name,
            "InspectorFindingsQueueUrl": self._stack.inspector_findings_url,
            "LedgerTableName": self._stack.ledger_table,
        }
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        return {"Stacks": [{"Outputs": listed}]}


class FakeLambda:
    """Notes what it is asked to invoke: moto would need a container to do it."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, str, Any]] = []
        self.refuses = False

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: str) -> Any:  # noqa: N803
        if self.refuses:
            error: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no permission"}}
            raise ClientError(error, "Invoke")
        self.invoked.append((FunctionName, InvocationType, json.loads(Payload)))


def machine(name: str) -> str:
    created = boto3.client("stepfunctions").create_state_machine(
        name=name, definition=DEFINITION, roleArn="arn:aws:iam::123456789012:role/any"
    )
    return created["stateMachineArn"]


def queue(name: str) -> str:
    return boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]


def table(name: str) -> str:
    schema: Any = {"BillingMode": "PAY_PER_REQUEST"} | {
        each: resources("AWS::DynamoDB::Table")["LedgerTable"][each]
        for each in ("AttributeDefinitions", "KeySchema")
    }
    boto3.client("dynamodb").create_table(TableName=name, **schema)
    return name


@pytest.fixture
def functions() -> FakeLambda:
    return FakeLambda()


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch, functions: FakeLambda) -> Iterator[Stack]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        stack = Stack(
            queue_url=queue("Undelivered"),
            notify_scan_arn=machine("NotifyScan"),
            rescan_registry_arn=machine("RescanRegistry"),
            send_digest_arn=machine("SendDigest"),
            record_platforms_name="RecordPlatforms",
            inspector_findings_url=queue("InspectorFindings"),
            ledger_table=table("ledger"),
        )
        make_client: Any = boto3.client
        fakes = {"cloudformation": FakeCloudFormation(stack), "lambda": functions}
        monkeypatch.setattr(
            boto3, "client", lambda name, **more: fakes.get(name) or make_client(name, **more)
        )
        ledger_table.cache_clear()
        yield stack
        ledger_table.cache_clear()


@pytest.fixture
def undelivered(deployed: Stack, functions: FakeLambda) -> Undelivered:
    queues = boto3.client("sqs")
    takers = Takers(deployed, queues, boto3.client("stepfunctions"), functions)
    return Undelivered(deployed.queue_url, queues, takers)


def put(stack: Stack, *bodies: str) -> None:
    for body in bodies:
        boto3.client("sqs").send_message(QueueUrl=stack.queue_url, MessageBody=body)


def left(stack: Stack) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = boto3.client("sqs").get_queue_attributes(
        QueueUrl=stack.queue_url, AttributeNames=names
    )
    return sum(map(int, answer["Attributes"].values()))


def inputs(arn: str) -> list[Any]:
    states = boto3.client("stepfunctions")
    executions = states.list_executions(stateMachineArn=arn)["executions"]
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
    started = [each["deliveries"][0] for each in inputs(deployed.notify_scan_arn)]
    claims = {each.pop("message_id") for each in started}
    assert all(each.pop("claims_before") for each in started)
    assert len(claims) == 25
    assert started == sorted((delivery(number) for number in range(25)), key=str)
    assert left(deployed) == 0


def test_each_message_goes_to_what_it_was_for(
    deployed: Stack, undelivered: Undelivered, functions: FakeLambda
) -> None:
    finding = {"detail-type": "Inspector2 Finding", "detail": {}}
    push = {"detail-type": "ECR Image Action", "detail": {"action-type": "PUSH"}}
    put(deployed, json.dumps(finding), json.dumps(push))
    assert len(list(undelivered.send_again())) == 2
    assert functions.invoked == [("RecordPlatforms", "Event", push)]
    received = boto3.client("sqs").receive_message(QueueUrl=deployed.inspector_findings_url)
    assert [json.loads(each["Body"]) for each in received["Messages"]] == [finding]
    assert inputs(deployed.notify_scan_arn) == []
    assert left(deployed) == 0


def put_unstarted(stack: Stack, target: str) -> None:
    attributes: Any = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in {"SCHEDULE_ARN": "any", "TARGET_ARN": target}.items()
    }
    boto3.client("sqs").send_message(
        QueueUrl=stack.queue_url, MessageBody="{}", MessageAttributes=attributes
    )


def test_what_schedules_could_not_start_is_started_once(
    deployed: Stack, undelivered: Undelivered
) -> None:
    """After three days without a permission, one run is enough."""
    for _ in range(3):
        put_unstarted(deployed, deployed.rescan_registry_arn)
    put_unstarted(deployed, deployed.send_digest_arn)
    assert len(list(undelivered.send_again())) == 4
    assert inputs(deployed.rescan_registry_arn) == [{}]
    assert inputs(deployed.send_digest_arn) == [{}]
    assert left(deployed) == 0


def test_what_no_schedule_of_the_stack_starts_is_left(
    deployed: Stack, undelivered: Undelivered
) -> None:
    put_unstarted(deployed, deployed.notify_scan_arn)
    (found,) = undelivered.send_again()
    assert isinstance(found, UnknownMessageError)
    assert inputs(deployed.notify_scan_arn) == []
    assert left(deployed) == 1


def test_what_is_refused_is_left_and_keeps_nothing_else_from_being_sent(
    deployed: Stack,
    undelivered: Undelivered,
    functions: FakeLambda,
    capsys: pytest.CaptureFixture[str],
) -> None:
    functions.refuses = True
    push = {"detail-type": "ECR Image Action", "detail": {"action-type": "PUSH"}}
    put(deployed, kept(1), json.dumps(push), kept(2))
    found = list(undelivered.send_again())
    assert [str(each) for each in found if isinstance(each, NotTakenError)] == [
        "RecordPlatforms refused: An error occurred (AccessDeniedException) when calling "
        "the Invoke operation: no permission"
    ]
    assert len(inputs(deployed.notify_scan_arn)) == 2
    assert left(deployed) == 1
    put(deployed, json.dumps(push))
    assert main([]) == 1
    printed = capsys.readouterr()
    assert "Left in the queue: a message that RecordPlatforms refused" in printed.err
    assert printed.out.strip() == "0 sent again, 1 left in the dead-letter queue Undelivered."


def test_a_message_that_the_queue_returns_twice_is_sent_once(
    deployed: Stack, undelivered: Undelivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard queues deliver at least once, and a slow pass outlives the time that hides it."""
    put(deployed, kept(1))
    queues = undelivered._queues
    receive = queues.receive_message
    first = receive(
        QueueUrl=deployed.queue_url,
        MessageSystemAttributeNames=["SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    monkeypatch.setattr(queues, "receive_message", lambda **_: first)
    assert len(list(undelivered.send_again())) == 1
    assert len(inputs(deployed.notify_scan_arn)) == 1


def test_looking_changes_nothing(deployed: Stack, undelivered: Undelivered) -> None:
    put(deployed, kept(1), kept(2))
    assert len(undelivered.look()) == 2
    assert len(undelivered.look()) == 2
    assert inputs(deployed.notify_scan_arn) == []


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
    assert "2 in the dead-letter queue Undelivered." in capsys.readouterr().out
    assert main([]) == 0
    printed = capsys.readouterr()
    assert "SLACK" in printed.out
    assert "image 1" in printed.out
    assert "WebhookRefused: 404" in printed.out
    assert "1 sent again, 1 left in the dead-letter queue Undelivered." in printed.out
    assert "Left in the queue: a message that is not JSON" in printed.err


def test_says_that_what_fails_again_returns(
    deployed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    put(deployed, kept(1))
    assert main([]) == 0
    assert "1 sent again; what fails again returns to the queue." in capsys.readouterr().out


def test_a_queue_with_nothing_but_unknown_messages_is_not_empty(
    deployed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    put(deployed, "something else", "{}")
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == (
        "0 sent again, 2 left in the dead-letter queue Undelivered."
    )


def test_says_so_when_nothing_is_kept(deployed: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == "The dead-letter queue Undelivered is empty."


@pytest.mark.parametrize("delivered", [False, True], ids=["event", "deliveries"])
def test_starts_again_what_did_not_finish(
    deployed: Stack, capsys: pytest.CaptureFixture[str], delivered: bool
) -> None:
    kept = Table(boto3.client("dynamodb"), deployed.ledger_table)
    started_at = datetime.now(UTC) - timedelta(minutes=13)
    content = {"deliveries": json.dumps([delivery(1)])} if delivered else {}
    written = {"started_at": started_at.isoformat(), "input": json.dumps({"id": "event-1"})}
    kept.put(("unfinished", "execution#a"), written | content)
    assert main(["--list"]) == 0
    assert "1 execution of NotifyScan that did not finish: can be started again." in (
        capsys.readouterr().out
    )
    assert inputs(deployed.notify_scan_arn) == []
    assert main([]) == 0
    assert "1 execution of NotifyScan that did not finish: started again." in (
        capsys.readouterr().out
    )
    (started,) = inputs(deployed.notify_scan_arn)
    if delivered:
        assert started["deliveries"][0].pop("claims_before")
        assert started == {"deliveries": [delivery(1)]}
    else:
        assert started == {"id": "event-1"}
    assert kept.get(("unfinished", "execution#a")) is None
