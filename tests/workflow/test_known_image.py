"""NotifyScan and its ledger, the real definition on a table of moto's."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ledger.image_records import RecordedScan
from reporting.channels.delivery import Channel
from tests.support.days import records
from tests.support.definition import NOTIFY_SCAN
from tests.support.engine import Engine
from tests.support.receivers import ALL_CHANNELS
from tests.workflow.conftest import Deploy
from tests.workflow.test_notify_scan import FINDINGS, REGISTRY, event_of

IMMEDIATE = {"DigestChannels": "NONE"}
QUIET = {"IncludeFindings": "false", **IMMEDIATE}


def subjects(deployed: Engine) -> list[str]:
    return [each["Subject"] for each in deployed.receivers.of(Channel.SNS)]


class CountedCalls:
    """The calls of a table, by operation."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        boto3.client("dynamodb").meta.events.register("before-call.dynamodb", self._count)

    def _count(self, model: Any, **_: object) -> None:
        self.calls[model.name] += 1

    def of_next(self, deployed: Engine, event: object) -> dict[str, int]:
        self.calls.clear()
        execution = deployed.notify(event)
        assert execution.status == "SUCCEEDED", execution.cause
        return dict(self.calls)


def test_reports_only_what_has_changed(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    for critical in (1, 1, 3, 2, 0, 0):
        execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": critical}))
        assert execution.status == "SUCCEEDED", execution.cause
    assert subjects(deployed) == [
        "ECR: 1 critical finding in team/api:v1",
        "ECR: 2 more critical findings in team/api:v1",
        "ECR: team/api:v1 has no open vulnerabilities",
    ]


def test_reports_an_image_whose_last_scan_is_recorded_in_the_future(deploy: Deploy) -> None:
    """As a version has done it that read such events: no later scan was reported."""
    deployed = deploy(REGISTRY, **QUIET)
    event = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    repository, digest = (event["detail"][name] for name in ("repository-name", "image-digest"))
    scan = RecordedScan(datetime(2099, 1, 1, tzinfo=UTC), "COMPLETE", "BASIC")
    records().note_scan(repository, digest, scan, expires_at=4_000_000_000)
    deployed.notify(event)
    assert subjects(deployed) == ["ECR: 1 critical finding in team/api:v1"]
    (known,) = records().records_of(repository, [digest])
    assert known.last_scan
    assert known.last_scan.scanned_at == datetime.fromisoformat(event["time"])


def test_the_same_event_sends_one_message(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **{**QUIET, **ALL_CHANNELS})
    event = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    executions = [deployed.notify(event) for _ in range(2)]
    assert [each.status for each in executions] == ["SUCCEEDED"] * 2
    assert "AlreadyDelivered" in executions[1].states
    assert sorted(each.channel for each in deployed.receivers.received) == sorted(Channel)


def test_the_same_event_at_once_sends_one_message(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **{**QUIET, **ALL_CHANNELS})
    event = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    arns = [deployed.start(event, workflow=NOTIFY_SCAN) for _ in range(5)]
    assert [deployed.wait(arn).status for arn in arns] == ["SUCCEEDED"] * 5
    assert sorted(each.channel for each in deployed.receivers.received) == sorted(Channel)


def test_an_older_event_reports_nothing_and_overwrites_nothing(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    older = event_of(deployed.registry, "v1", {"CRITICAL": 5})
    newer = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    deployed.notify(newer)
    execution = deployed.notify(older)
    assert execution.output["reason"] == "a newer scan of the image is known"
    assert subjects(deployed) == ["ECR: 1 critical finding in team/api:v1"]


def test_a_new_image_is_compared_with_the_one_that_had_its_tag(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 2}))
    for critical, digest in ((2, "a" * 64), (3, "b" * 64)):
        event = event_of(deployed.registry, "v1", {"CRITICAL": critical})
        event["detail"]["image-digest"] = f"sha256:{digest}"
        deployed.notify(event)
    assert subjects(deployed) == [
        "ECR: 2 critical findings in team/api:v1",
        "ECR: 1 more critical finding in team/api:v1",
    ]
    text = json.loads(deployed.receivers.of(Channel.SNS)[1]["Message"])["email"]
    assert f"+1 critical compared with the previous v1 (sha256:{'a' * 12}…)" in text


def test_an_event_whose_execution_failed_is_reported_when_it_comes_again(deploy: Deploy) -> None:
    """Everything was noted, and then the answer of the function was lost for good."""
    deployed = deploy(REGISTRY, **QUIET)
    event = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    deployed.notify(event)
    deployed.receivers.received.clear()
    table = boto3.client("dynamodb")
    claim = {"pk": {"S": f"delivery#{event['id']}"}, "sk": {"S": "channel#SNS"}}
    table.delete_item(TableName="LedgerTable", Key=claim)
    deployed.notify(event)
    assert subjects(deployed) == ["ECR: 1 critical finding in team/api:v1"]


def test_reports_every_scan_when_the_table_is_lost(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    boto3.client("dynamodb").delete_table(TableName="LedgerTable")
    for _ in range(2):
        execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
        assert execution.status == "SUCCEEDED", execution.cause
    assert len(subjects(deployed)) == 2
    assert deployed.undelivered() == []


def test_reports_every_scan_when_the_table_can_be_read_alone(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)

    def deny(model: Any, **_: object) -> None:
        if model.name in ("UpdateItem", "TransactWriteItems"):
            answer: Any = {"Error": {"Code": "AccessDeniedException", "Message": "any"}}
            answer["ResponseMetadata"] = {"HTTPStatusCode": 400, "RequestId": "any"}
            raise ClientError(answer, model.name)

    table = boto3.client("dynamodb")
    table.meta.events.register("before-call.dynamodb", deny)
    try:
        for _ in range(2):
            execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
            assert execution.status == "SUCCEEDED", execution.cause
    finally:
        table.meta.events.unregister("before-call.dynamodb", deny)
    assert len(subjects(deployed)) == 2
    assert deployed.undelivered() == []


def test_a_claim_that_was_written_before_its_answer_was_lost_is_its_own(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    lost = [True]

    def lose(model: Any, **_: object) -> None:
        if model.name == "PutItem" and lost and lost.pop():
            answer: Any = {"Error": {"Code": "InternalServerError", "Message": "any"}}
            answer["ResponseMetadata"] = {"HTTPStatusCode": 500, "RequestId": "any"}
            raise ClientError(answer, "PutItem")

    table = boto3.client("dynamodb")
    table.meta.events.register("after-call.dynamodb", lose)
    try:
        execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    finally:
        table.meta.events.unregister("after-call.dynamodb", lose)
    assert lost == []
    assert execution.status == "SUCCEEDED", execution.cause
    assert subjects(deployed) == ["ECR: 1 critical finding in team/api:v1"]


def test_an_event_of_another_account_has_a_record_of_its_own(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    ours = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    deployed.notify(ours)
    theirs = {**ours, "id": "theirs", "source": "aws.inspector2", "detail-type": "Inspector2 Scan"}
    theirs["detail"] = {
        **ours["detail"],
        "scan-status": "INITIAL_SCAN_COMPLETE",
        "repository-name": "arn:aws:ecr:eu-west-1:210987654321:repository/team/api",
    }
    deployed.notify(theirs)
    assert len(subjects(deployed)) == 2


@pytest.mark.parametrize("sent_from", [{"account": "210987654321"}, {"region": "us-east-1"}])
def test_an_event_that_another_bus_sends_leaves_our_own_image_alone(
    deploy: Deploy, sent_from: dict[str, str]
) -> None:
    deployed = deploy(REGISTRY, **IMMEDIATE)
    ours = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    theirs = {**ours, **sent_from, "id": "theirs"}
    told = [deployed.notify(event) for event in (theirs, ours)]
    assert [each.status for each in told] == ["SUCCEEDED"] * 2
    assert subjects(deployed) == [
        "ECR: 1 critical finding in team/api:v1",
        "ECR: 5 new vulnerabilities (2 critical, 3 high) in team/api:v1",
    ]
    first, second = deployed.receivers.of(Channel.SNS)
    remark = "the registry is in another account or Region"
    assert remark in first["Message"]
    assert remark not in second["Message"]


def test_calls_the_table_as_often_as_the_documents_say(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **QUIET)
    counted = CountedCalls()

    def calls(critical: int) -> dict[str, int]:
        return counted.of_next(deployed, event_of(deployed.registry, "v1", {"CRITICAL": critical}))

    first = calls(1)  # of an image with a tag; and nobody has looked for accepted risks yet
    assert first == {
        "UpdateItem": 5,
        "BatchGetItem": 1,
        "TransactWriteItems": 1,
        "PutItem": 2,
        "DeleteItem": 2,
    }
    assert calls(1) == {"UpdateItem": 2, "BatchGetItem": 1, "PutItem": 1, "DeleteItem": 1}
    assert calls(2) == {
        "UpdateItem": 5,
        "BatchGetItem": 1,
        "TransactWriteItems": 1,
        "PutItem": 2,
        "DeleteItem": 1,
    }


RISKS = """
accepted_risks:
  - vulnerability: CVE-2024-3094
    repositories: team/.*
    reason: The image runs no sshd.
    expires: {expires}
    accepted_by: jane@example.com
"""


def put_risks(text: str) -> None:
    boto3.client("s3").put_object(Bucket="RunBucket", Key="accepted-risks.yaml", Body=text)


def test_does_not_report_what_is_accepted(deploy: Deploy) -> None:
    only = {"tags": "v2", "scanned": "8d", "findings": {"cves": FINDINGS["cves"]}}
    other = {"tags": "v1", "scanned": "8d", "findings": FINDINGS}
    repository = {"name": "team/api", "images": [other, only]}
    deployed = deploy({"repositories": [repository]}, **IMMEDIATE)
    put_risks(RISKS.format(expires="2099-12-31"))
    execution = deployed.notify(event_of(deployed.registry, "v2", {"CRITICAL": 1}))
    assert execution.states[-3] == "NothingToReport"
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 2, "HIGH": 3}))
    (publication,) = deployed.receivers.of(Channel.SNS)
    assert publication["Subject"] == (
        "ECR: 4 new vulnerabilities (1 critical, 3 high) in team/api:v1"
    )
    text = json.loads(publication["Message"])["email"]
    assert "1 critical: CVE-2024-3094 until 31 December 2099" in text


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (RISKS.format(expires="2020-01-31"), "ECR: risk acceptance expired: CVE-2024-3094"),
        (
            RISKS.format(expires="soon"),
            "ECR: accepted risks not updated, invalid file: accepted-risks.yaml",
        ),
    ],
)
def test_reports_once_what_must_be_fixed_in_the_document(
    deploy: Deploy, text: str, subject: str
) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    put_risks(text)
    for _ in range(3):
        deployed.notify(event_of(deployed.registry, "v1"))
    assert subjects(deployed) == [subject]
    assert deployed.undelivered() == []
    told = Counter(each.channel for each in deployed.receivers.received)
    assert told == Counter({*Channel} - {Channel.PAGERDUTY})
