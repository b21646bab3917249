"""SendDigest, built and deployed: what only its policies and the real services can show.

Every channel of the stack is told of every scan, so a digest with messages is one that is taken up.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.bucket import RunBucket
from ledger.digest_entries import DigestEntries, sort_key
from ledger.table import Table
from local.receivers.inbox import Inbox
from reporting.channels.delivery import Channel, Delivery, Transport
from runtime.messages import encode
from send_digest.digest import UnfinishedDigest
from tests.support.digests import any_change
from tests.support.stack import Run, Stack


@pytest.fixture
def entries(stack: Stack) -> DigestEntries:
    """Return the entries of digests, of which there are none yet: a stack has one daily digest."""
    stack.forget("digest#")
    return DigestEntries(Table(stack.client("dynamodb"), stack.outputs["LedgerTableName"]))


@pytest.fixture
def bucket(stack: Stack) -> RunBucket:
    return RunBucket(stack.client("s3"), stack.outputs["RunBucketName"])


def send_digest(stack: Stack) -> Run:
    started = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs["SendDigestArn"], input="{}"
    )
    return stack.wait(started["executionArn"])


def put(stack: Stack, entries: DigestEntries, *numbers: int) -> None:
    table = Table(stack.client("dynamodb"), stack.outputs["LedgerTableName"])
    table.write_together(*(entries.put(any_change(number)) for number in numbers))


def test_it_is_started_every_day_also_where_no_channel_gets_digests(stack: Stack) -> None:
    schedules = stack.physical_names("AWS::Scheduler::Schedule")
    (schedule,) = [name for logical_id, name in schedules.items() if "Digest" in logical_id]
    described = stack.client("scheduler").get_schedule(Name=schedule)
    assert described["State"] == "ENABLED"
    assert described["Target"]["Input"] == "{}"


def test_a_digest_without_entries_ends_at_once(stack: Stack, entries: DigestEntries) -> None:
    assert list(entries.changes_of("DAILY")) == []
    run = send_digest(stack)
    assert run.status == "SUCCEEDED", run.cause
    assert run.states == (
        *("RestartUnfinished", "IsAnythingRestarted"),
        *("ComposeDigest", "IsAnythingToSend", "NothingToSend"),
    )


def test_entries_that_no_channel_waits_for_are_forgotten(
    stack: Stack, entries: DigestEntries
) -> None:
    put(stack, entries, 1, 2, 3)
    run = send_digest(stack)
    assert run.status == "SUCCEEDED", run.cause
    assert run.states[-3:] == ("ForgetDigest", "IsMoreToSend", "NothingToSend")
    assert (run.output["images"], run.output["messages"], run.output["removed"]) == (3, 0, 3)
    whole = stack.document(f"digests/{run.name}.json")
    assert whole["title"] == "Digest: 3 images changed (3 new)"
    assert list(entries.changes_of("DAILY")) == []
    assert entries.under_way("DAILY") is None


def test_a_digest_left_half_done_is_sent_once_by_whoever_comes_next(
    stack: Stack, inbox: Inbox, entries: DigestEntries, bucket: RunBucket
) -> None:
    name = f"left-{uuid.uuid4()}"
    delivery = Delivery(
        channel=Channel.WEBHOOK,
        transport=Transport.WEBHOOK,
        about="a digest",
        content={"version": "1", "title": name},
        message_id=f"digest-{name}",
        claimed_until=str(int((datetime.now(UTC) + timedelta(days=15)).timestamp())),
        claims_before="",  # a resumed digest has a lease of its own
    )
    started: list[str] = []
    put(stack, entries, 1, 2)
    keys = tuple(map(sort_key, entries.changes_of("DAILY")))
    left = UnfinishedDigest(2, 1, (delivery,), changes=keys)
    bucket.write_unfinished_digest(name, encode(left))
    for _ in range(2):  # the second time as if the first had not come to its end
        entries.begin("DAILY", name, instead_of=None)
        run = send_digest(stack)
        assert run.status == "SUCCEEDED", run.cause
        assert "StartNotifyScan" in run.states
        assert run.states.count("ComposeDigest") == 2
        started += stack.started_by(run.arn)
    assert len(started) == 2
    stack.await_notifications(*started)
    got = [each for each in inbox.received if name in each.body.decode()]
    assert [each.channel for each in got] == ["webhook"]
    assert list(entries.changes_of("DAILY")) == []


def test_each_role_may_do_its_own_work_and_nothing_else(stack: Stack) -> None:
    table, bucket = stack.outputs["LedgerTableName"], stack.outputs["RunBucketName"]
    objects: Any = {"Bucket": bucket, "Body": b"{}"}

    def key(partition: str) -> dict[str, Any]:
        return {"pk": {"S": partition}, "sk": {"S": "any"}}

    def of(operation: str, **parameters: Any) -> tuple[str, str, dict[str, Any]]:
        return "dynamodb", operation, {"TableName": table, **parameters}

    def query(partition: str) -> tuple[str, str, dict[str, Any]]:
        values = {":pk": {"S": partition}}
        return of("query", KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)

    attempts: dict[str, tuple[str, str, dict[str, Any]]] = {
        "query changes": query("digest#DAILY"),
        "query another key": query("any"),
        "get the digest under way": of("get_item", Key=key("digest-under-way")),
        "get another key": of("get_item", Key=key("any")),
        "put the digest under way": of("put_item", Item=key("digest-under-way")),
        "put another key": of("put_item", Item=key("any")),
        "delete a change": of("delete_item", Key=key("digest#DAILY")),
        "delete another key": of("delete_item", Key=key("any")),
        "write a digest": ("s3", "put_object", {**objects, "Key": "digests/any.json"}),
        "write a run": ("s3", "put_object", {**objects, "Key": "runs/any.json"}),
        "read a digest": ("s3", "get_object", {"Bucket": bucket, "Key": "digests/any.json"}),
        "tell": (
            "stepfunctions",
            "start_execution",
            {"stateMachineArn": stack.outputs["NotifyScanArn"], "input": '{"deliveries": []}'},
        ),
        "rescan": (
            "stepfunctions",
            "start_execution",
            {"stateMachineArn": stack.outputs["RescanRegistryArn"], "input": '{"any": 1}'},
        ),
    }
    allowed = {
        "ComposeDigestFunctionRole": {
            *("query changes", "get the digest under way", "put the digest under way"),
            *("write a digest", "read a digest"),
        },
        "ForgetDigestFunctionRole": {"delete a change", "read a digest"},
        "SendDigestStateMachineRole": {"tell"},
    }
    stack.client("s3").put_object(Bucket=bucket, Key="digests/any.json", Body=b"{}")
    for role, expected in allowed.items():
        assert stack.granted(role, attempts) == expected, role
