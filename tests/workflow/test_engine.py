"""The engine is what the other tests take it for: moto's private names are where we look."""

import threading
from collections.abc import Collection
from concurrent.futures import Future
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from local.cloud import moto_internals
from tests.support.clock import Clock
from tests.support.engine import DEADLINE, Execution
from tests.workflow.conftest import Deploy

ONE_IMAGE = {"repositories": [{"name": "team/api", "images": [{"tags": "v1", "scanned": "8d"}]}]}


def run(deploy: Deploy) -> Execution:
    return deploy(ONE_IMAGE).run()


def test_runs_the_real_handlers(deploy: Deploy) -> None:
    deployed = deploy(ONE_IMAGE)
    deployed.run()
    assert deployed.invocations == {
        "ListRepositories": 1,
        "FindStaleImages": 1,
        "StartImageScans": 1,
        "RecordRepository": 1,
        "SummarizeRescan": 1,
    }


def test_keeps_a_history_for_every_child(deploy: Deploy) -> None:
    execution = run(deploy)
    types = [str(event["type"].value) for event in execution.child("team/api").events]
    assert types[:5] == [
        "TaskStateEntered",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
        "TaskStateExited",
    ]
    # One Task, a Map of one image, a Choice, a Task: 5 + (4 + 7) + 2 + 5; it starts and ends too.
    assert len(types) == 23
    assert execution.largest_history() == max(25, len(execution.events))


def test_records_backoff_and_does_not_sleep(deploy: Deploy) -> None:
    fault = {"operation": "DescribeImages", "error": "ThrottlingException", "times": 2}
    (repository,) = ONE_IMAGE["repositories"]
    deployed = deploy({"repositories": [{**repository, "faults": [fault]}]})
    started_at = deployed.clock.now()
    execution = deployed.run()
    assert execution.status == "SUCCEEDED"
    assert len(deployed.backoffs) == 2
    assert deployed.clock.now() > started_at


def test_a_path_with_wildcards_finds_an_empty_list(deploy: Deploy) -> None:
    fresh = {"repositories": [{"name": "team/api", "images": [{"tags": "v1", "scanned": "1d"}]}]}
    execution = deploy(fresh).run()
    assert execution.status == "SUCCEEDED", execution.cause


def test_measures_what_states_hand_on(deploy: Deploy) -> None:
    execution = run(deploy)
    digest = "sha256:" + 64 * "0"
    assert len(digest) < execution.largest_payload() < 10_000


class WatchedClock(Clock):
    """Says when somebody has begun to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waited_for = threading.Event()

    def sleep(self, seconds: float, until: Collection[Future[Any]] = ()) -> None:
        """Wait without waiting."""
        self.is_waited_for.set()
        super().sleep(seconds, until)


def test_refuses_invocations_beyond_the_concurrency_of_lambda(deploy: Deploy) -> None:
    images = [{"tags": "v1", "scanned": "1d"}]
    repositories = [{"name": f"team/{n}", "images": images} for n in "abcd"]
    clock = WatchedClock()
    deployed = deploy({"repositories": repositories}, clock=clock)
    deployed.concurrency = 2
    running: list[str] = []
    two_run = threading.Barrier(2)

    def stay(work: dict[str, str]) -> None:
        """Stay until two run at once, and a third one was refused."""
        running.append(work["repository"])
        if len(running) <= two_run.parties:
            two_run.wait(DEADLINE)
            clock.is_waited_for.wait(DEADLINE)

    deployed.faults["FindStaleImages"] = stay
    execution = deployed.run()
    assert execution.status == "SUCCEEDED", execution.cause
    assert deployed.invocations["FindStaleImages"] == len(running) == 4
    assert deployed.refused["FindStaleImages"] >= 1
    assert deployed.refused.total() == len(deployed.backoffs)


TABLE = {
    "TableName": "Any",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
}
ANY = {"TableName": "Any"}
LOST = {"TableName": "Lost"}


def key(sk: str) -> dict[str, Any]:
    return {"pk": {"S": "any"}, "sk": {"S": sk}}


VALUES = {
    "text": {"S": "tèxt"},
    "number": {"N": "-3"},
    "nothing": {"NULL": True},
    "empty": {"S": ""},
    "yes": {"BOOL": True},
    "tree": {"M": {"list": {"L": [{"S": "a"}, {"M": {}}, {"N": "0"}]}}},
}
ADDED: dict[str, Any] = {
    "Key": key("a"),
    "UpdateExpression": "SET #text = :text ADD number :one",
    "ExpressionAttributeNames": {"#text": "text"},
    "ExpressionAttributeValues": {":one": {"N": "1"}, ":text": {"S": "other"}},
}
CONDITION = "attribute_not_exists(pk)"
UPDATE = {"Update": {**ANY, **ADDED}}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("get_item", {**ANY, "Key": key("a")}),
    ("put_item", {**ANY, "Item": {**key("a"), **VALUES}}),
    ("put_item", {**ANY, "Item": key("b"), "ConditionExpression": CONDITION}),
    ("put_item", {**ANY, "Item": key("b"), "ConditionExpression": CONDITION}),
    ("get_item", {**ANY, "Key": key("a"), "ConsistentRead": True}),
    ("update_item", {**ANY, **ADDED}),
    ("update_item", {**ANY, **ADDED, "ReturnValues": "ALL_NEW"}),
    ("update_item", {**ANY, **ADDED, "ReturnValues": "ALL_OLD"}),
    ("update_item", {**ANY, **ADDED, "ConditionExpression": CONDITION}),
    ("update_item", {**ANY, **ADDED, "UpdateExpression": "SET text text"}),
    ("batch_get_item", {"RequestItems": {"Any": {"Keys": [key("a"), key("b"), key("c")]}}}),
    ("transact_write_items", {"TransactItems": [UPDATE]}),
    (
        "transact_write_items",
        {
            "TransactItems": [
                UPDATE,
                {"Delete": {**ANY, "Key": key("b"), "ConditionExpression": CONDITION}},
            ]
        },
    ),
    (
        "query",
        {
            **ANY,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": "any"}},
        },
    ),
    (
        "query",
        {
            **ANY,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
            "ExpressionAttributeValues": {":pk": {"S": "any"}, ":sk": {"S": "a"}},
            "ProjectionExpression": "sk",
            "Limit": 1,
        },
    ),
    ("delete_item", {**ANY, "Key": key("b"), "ConditionExpression": CONDITION}),
    ("delete_item", {**ANY, "Key": key("b")}),
    ("get_item", {**ANY, "Key": key("b")}),
    ("get_item", {**LOST, "Key": key("a")}),
    ("put_item", {**LOST, "Item": key("a")}),
    ("update_item", {**LOST, **ADDED}),
    ("transact_write_items", {"TransactItems": [{"Update": {**LOST, **ADDED}}]}),
]


def answers(*, directly: bool) -> list[dict[str, Any]]:
    """Make all calls, and return what botocore hands on of each answer."""

    def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            response = dict(getattr(client, operation)(**request))
        except ClientError as error:
            response = {**error.response, "type": type(error).__name__}
        metadata = response.pop("ResponseMetadata")
        return {**response, "status": metadata["HTTPStatusCode"]}

    with mock_aws():
        client: Any = boto3.client("dynamodb", "eu-central-1")
        client.create_table(**TABLE)
        if directly:
            moto_internals.answer_directly(client)
        return [answer(operation, request) for operation, request in CALLS]


def test_a_table_answers_directly_what_it_answers_over_http(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    expected = answers(directly=False)
    assert {answer["status"] for answer in expected} == {200, 400}
    assert answers(directly=True) == expected
