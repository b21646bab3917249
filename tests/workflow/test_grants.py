"""What the roles allow, and that the workflows use all of it.

That they need no more is asserted by the engine, which judges every call of every workflow test.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import boto3
import pytest

from ledger.digest_entries import AFTER_RUN, DAILY
from ledger.table import Table, attributes
from local.registry.registry_contents import IMAGE_INDEX, Image, digest_of
from notify_scan.webhooks.client import WebhookRefused
from own_events.event_bus import SOURCE
from reporting.channels.delivery import Channel
from runtime.messages import encode
from send_digest.digest import UnfinishedDigest
from tests.support.clock import NOW
from tests.support.digests import any_change, any_entry, put_change, put_entry
from tests.support.engine import RESOURCES, Engine
from tests.support.grants import (
    LEADING_KEYS,
    PREFIX,
    Grant,
    Judge,
    Need,
    listed,
    owners,
    statements_of,
)
from tests.support.receivers import ALL_CHANNELS
from tests.support.template import ACCOUNT, REGION, arn
from tests.workflow.conftest import Deploy

EVERYTHING = {**ALL_CHANNELS, "DigestChannels": "SNS,CHATBOT,SLACK,TEAMS,WEBHOOK,EVENTBRIDGE"}
# What AWS does in the name of a role: no call of an API that the engine sees.
BY_AWS = {
    "lambda:InvokeFunction",  # tests/contract/test_iam.py has the functions of each state machine
    "inspector2:ListFindings",  # by DescribeImageScanFindings of ECR
    "inspector2:ListCoverage",
    "sqs:ReceiveMessage",  # by the event source mapping of Lambda
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "s3:ListMultipartUploadParts",  # by the ResultWriter of a Map Run
    "s3:AbortMultipartUpload",
    "states:DescribeExecution",  # by a Map Run
    "states:StopExecution",
    "states:RedriveExecution",
}
ALSO_BY_AWS = {
    ("StartChildExecutions", "states:StartExecution"),
    ("WriteMapResults", "s3:GetObject"),
}
# The actions on items that cannot be called without a partition key.
WITH_A_KEY = {
    f"dynamodb:{name}"
    for name in ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem")
}
RISKS = """
accepted_risks:
  - vulnerability: CVE-2024-3094
    repositories: team/.*
    reason: The image runs no sshd.
    expires: 2020-01-31
    accepted_by: jane@example.com
"""
ZLIB = {"name": "CVE-2026-3", "severity": "high", "package": "zlib", "version": "1.3"}
_numbers = itertools.count(1)


def registry(*names: str, **more: Any) -> dict[str, Any]:
    """Describe repositories of two images, each with a critical vulnerability of its own."""
    images = [
        {
            "tags": f"v{n}",
            "scanned": "8d",
            "findings": {"cves": [{**ZLIB, "name": f"CVE-2026-{n}", "severity": "critical"}]},
        }
        for n in (1, 2)
    ]
    return {"repositories": [{"name": name, "images": images} for name in names], **more}


def event_of(deployed: Engine, kind: str, detail: Any, source: str = "aws.ecr") -> dict[str, Any]:
    deployed.clock.move(timedelta(minutes=1))
    return {
        "id": f"85fc3613-e913-7fc4-a80c-{next(_numbers):012}",
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": deployed.clock.now().isoformat(),
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def scan(deployed: Engine, number: int = 0) -> None:
    """Let NotifyScan handle the event of a scan of an image."""
    image = [*deployed.registry.repositories["team/api"].images.values()][number]
    detail = {
        "scan-status": "COMPLETE",
        "repository-name": "team/api",
        "image-digest": image.digest,
        "image-tags": list(image.tags),
        "finding-severity-counts": {"CRITICAL": 1},
    }
    execution = deployed.notify(event_of(deployed, "ECR Image Scan", detail))
    assert execution.status == "SUCCEEDED", execution.cause


def call(deployed: Engine, function: str, event: object) -> None:
    """Call a function that no state machine calls."""
    answer = deployed.invoke({"FunctionName": arn(function), "Payload": json.dumps(event)})
    assert "FunctionError" not in answer, answer


def runs(deploy: Deploy) -> Engine:
    """Runs, reruns of one that is kept and of one that is not, and results whose event was lost."""
    deployed = deploy(registry("team/api", "team/web"), **EVERYTHING)
    failures = [type("Lambda.ServiceException", (Exception,), {})("any")]

    def fail_once(_: object) -> None:
        if failures:
            raise failures.pop()

    deployed.faults["StartImageScans"] = fail_once
    first = deployed.run()
    deployed.run({"rerun_of": first.name})
    deployed.run({"rerun_of": "long-ago"})
    deployed.clock.move(timedelta(days=8))
    deployed.run()
    sent = [each for each in deployed.receivers.events_put if each["Source"] == SOURCE]
    assert {each["DetailType"] for each in sent} == {"Rescan Finished", "Scan Result Found"}
    for each in sent:
        event = event_of(deployed, each["DetailType"], json.loads(each["Detail"]), SOURCE)
        deployed.notify({**event, "resources": each.get("Resources", [])})
    unknown = deployed.notify(event_of(deployed, "Rescan Finished", {"run": "long-ago"}, SOURCE))
    assert unknown.output, unknown.cause
    assert unknown.output["reason"] == "no run of this name is known"
    return deployed


def a_large_repository(deploy: Deploy) -> Engine:
    """More due images than a state holds, and more records than a page of the ledger."""
    images = [{"tags": "v{n}", "count": 60, "scanned": "8d"}]
    deployed = deploy({"repositories": [{"name": "team/api", "images": images}]}, **EVERYTHING)
    first_page = Table.first_page

    def one(table: Any, *arguments: Any) -> tuple[list[Any], bool]:
        return first_page(table, *arguments)[0][:1], True

    with (
        mock.patch.object(Table, "first_page", one),
        mock.patch("rescan_registry.repository_step.IMAGES_A_STEP", 10),
        mock.patch("rescan_registry.waiting_images.MOST_IN_STATE", 5),
    ):
        deployed.run()
    return deployed


def a_failed_repository(deploy: Deploy) -> Engine:
    deployed = deploy(registry("team/api"), **EVERYTHING)

    def fail(_: object) -> None:
        raise RuntimeError("any")

    deployed.faults["RecordRepository"] = fail
    assert deployed.run().error == "RescanIncomplete"
    return deployed


def scans(deploy: Deploy) -> Engine:
    """Scans of two images, one of whose messages is refused, and findings too many to store."""
    deployed = deploy(registry("team/api"), **EVERYTHING)
    deployed.receivers.trouble = lambda channel: (
        WebhookRefused("any") if channel is Channel.SLACK else None
    )
    scan(deployed, 0)
    with mock.patch("ledger.known_findings.LARGEST", 1):
        scan(deployed, 1)
    assert deployed.undelivered()
    return deployed


def a_full_hour(deploy: Deploy) -> Engine:
    """Two scans, between which the budget of the hour is used up."""
    deployed = deploy(registry("team/api"), **EVERYTHING)
    with (
        mock.patch("notify_scan.notification.MOST_IMMEDIATE", 1),
        mock.patch("ledger.announcements._is_full", return_value=False),
    ):
        scan(deployed, 0)
        scan(deployed, 1)
    return deployed


def accepted_risks(deploy: Deploy) -> Engine:
    """No document of accepted risks, one of which a risk has expired, and none again."""
    deployed = deploy(registry("team/api"), **EVERYTHING)
    s3, document = boto3.client("s3"), {"Bucket": "RunBucket", "Key": "accepted-risks.yaml"}
    scan(deployed)
    s3.put_object(**document, Body=RISKS)
    deployed.clock.move(timedelta(minutes=10))
    scan(deployed)
    s3.delete_object(**document)
    deployed.clock.move(timedelta(minutes=10))
    scan(deployed)
    return deployed


def an_index(deploy: Deploy) -> Engine:
    """Two indexes that are pushed one after the other with the same tag."""
    deployed = deploy({"repositories": [{"name": "team/api", "images": []}]}, **EVERYTHING)

    def record(event: dict[str, Any]) -> None:
        if event["detail"].get("manifest-media-type") == IMAGE_INDEX:
            call(deployed, "RecordPlatformsFunction", event)

    deployed.registry.on_event = record
    for n in (1, 2):
        now, child = deployed.clock.now(), digest_of("team/api", f"child {n}")
        index = Image(
            digest_of("team/api", f"index {n}"),
            now,
            ("v1",),
            manifest_media_type=IMAGE_INDEX,
            artifact_media_type=None,
            lists={child: "linux/amd64"},
        )
        deployed.registry.push("team/api", Image(child, now), index)
        deployed.clock.move(timedelta(minutes=1))
    return deployed


def findings_of_inspector(deploy: Deploy) -> Engine:
    image = {
        "tags": "v1",
        "inspector": "active",
        "findings": {"cves": [ZLIB]},
    }
    deployed = deploy(
        {
            "account": ACCOUNT,
            "region": REGION,
            "scanning": "ENHANCED",
            "repositories": [{"name": "team/api", "images": [image]}],
        },
        **EVERYTHING,
    )
    events: list[dict[str, Any]] = []
    deployed.registry.on_event = events.append
    deployed.clock.move(timedelta(hours=1))
    deployed.registry.inspect()
    deployed.clock.move(timedelta(minutes=10))
    queued = [
        {"messageId": event["id"], "body": json.dumps(event)}
        for event in events
        if event["detail-type"] == "Inspector2 Finding"
    ]
    call(deployed, "RecheckImagesFunction", {"Records": queued})
    return deployed


def a_digest(deploy: Deploy) -> Engine:
    """A digest, after one that is no longer kept, and an execution that has not finished."""
    deployed = deploy({"repositories": []}, **EVERYTHING)
    deployed.entries.begin(DAILY, "long-ago", instead_of=None)
    put_change(deployed.entries, any_change(1))
    unfinished = {
        "pk": "unfinished",
        "sk": "execution#any",
        "started_at": (NOW - timedelta(hours=1)).isoformat(),
        "input": json.dumps(event_of(deployed, "ECR Image Scan", {})),
    }
    boto3.client("dynamodb").put_item(TableName="LedgerTable", Item=attributes(unfinished))
    assert deployed.send_digest().status == "SUCCEEDED"
    return deployed


def digests_of_0_3_0(deploy: Deploy) -> Engine:
    """Digests that 0.3.0 has begun and not finished, one of whose images has changed since."""
    deployed = deploy({"repositories": []}, **EVERYTHING)
    for mode in (AFTER_RUN, DAILY):
        sent = any_entry(1)
        kept = json.dumps(encode(UnfinishedDigest(0, 0, (), (sent,), ())))
        boto3.client("s3").put_object(
            Bucket="RunBucket", Key=f"digests/{mode}/told.json", Body=kept
        )
        deployed.entries.begin(mode, mode, instead_of=None)
        put_entry(mode, sent.image)
        put_entry(mode, replace(sent.image, event_id="later"))
    assert deployed.send_digest().status == "SUCCEEDED"
    return deployed


SCENARIOS: tuple[Callable[[Deploy], Engine], ...] = (
    runs,
    a_large_repository,
    a_failed_repository,
    scans,
    a_full_hour,
    accepted_risks,
    an_index,
    findings_of_inspector,
    a_digest,
    digests_of_0_3_0,
)


def is_used_by_aws(grant: Grant) -> bool:
    return (
        grant.action.partition(":")[0] in ("logs", "xray")
        or grant.action in BY_AWS
        or (grant.sid, grant.action) in ALSO_BY_AWS
    )


def test_every_grant_is_used(deploy: Deploy) -> None:
    used = {grant for scenario in SCENARIOS for grant in scenario(deploy).judge.used}
    granted = Judge({**RESOURCES, **EVERYTHING}).granted()
    unused = sorted(str(each) for each in granted - used if not is_used_by_aws(each))
    assert not unused, "\n".join(unused)


TABLE, BUCKET = arn("LedgerTable"), arn("RunBucket")


def of_key(action: str, *keys: str) -> Need:
    return Need(f"dynamodb:{action}", TABLE, ((LEADING_KEYS, keys),))


def listing(*prefixes: str) -> Need:
    return Need("s3:ListBucket", BUCKET, ((PREFIX, prefixes),))


@pytest.mark.parametrize(
    ("function", "need", "is_allowed"),
    [
        ("RecordRepositoryFunction", of_key("PutItem", "run#any"), True),
        ("RecordRepositoryFunction", of_key("PutItem", "run-state"), False),
        ("RecordRepositoryFunction", of_key("DeleteItem", "run#any"), False),
        ("RecordRepositoryFunction", Need("dynamodb:PutItem", arn("Other")), False),
        ("RecordPlatformsFunction", of_key("PutItem", "repository#111122223333:any:name"), True),
        ("ComposeNotificationFunction", of_key("BatchGetItem", "announced#a", "budget#b"), True),
        ("ComposeNotificationFunction", of_key("BatchGetItem", "announced#a", "run#b"), False),
        ("ComposeNotificationFunction", of_key("DeleteItem", "announced#any"), True),
        ("ComposeNotificationFunction", of_key("DeleteItem", "budget#any"), False),
        ("ComposeNotificationFunction", of_key("DeleteItem", "digest-under-way"), False),
        ("ComposeNotificationFunction", listing("accepted-risks.yaml"), True),
        ("ComposeNotificationFunction", listing("accepted-risks.yaml.bak"), False),
        ("ComposeNotificationFunction", listing(), False),
        ("ListRepositoriesFunction", listing("runs/any/repositories.json"), True),
        ("ListRepositoriesFunction", listing("runs/"), False),
    ],
)
def test_a_role_allows_the_keys_of_its_code_alone(
    function: str, need: Need, is_allowed: bool
) -> None:
    assert Judge({**RESOURCES, **EVERYTHING}).allows(function, need) is is_allowed


@pytest.mark.parametrize("owner", owners())
def test_a_statement_on_the_ledger_names_its_partitions(owner: str) -> None:
    on_ledger = [
        each
        for each in statements_of(owner)
        if each.get("Resource") == {"Fn::GetAtt": ["LedgerTable", "Arn"]}
    ]
    for statement in on_ledger:
        # ForAllValues holds for a call without a key, so every call must have one.
        assert {*listed(statement["Action"])} <= WITH_A_KEY
        assert statement["Condition"].keys() == {"ForAllValues:StringLike"}
        patterns = statement["Condition"]["ForAllValues:StringLike"][LEADING_KEYS]
        assert all(not pattern.startswith("*") for pattern in patterns)


@pytest.mark.parametrize("owner", owners())
def test_a_bucket_is_listed_by_prefix_alone(owner: str) -> None:
    for statement in statements_of(owner):
        if "s3:ListBucket" in listed(statement.get("Action")):
            ((_, keys),) = statement["Condition"].items()
            assert keys.keys() == {PREFIX}
