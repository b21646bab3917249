"""Each fault at each hop: what is seen, how often it is retried, and where what it held up is."""

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from local.cloud.moto_internals import Attempt
from reporting.channels.delivery import Channel
from tests.support import template
from tests.support.digests import any_change, put_change
from tests.support.engine import Engine, Execution
from tests.support.events import sample
from tests.support.faults import Begins, Kept, Row, mend, rows
from tests.support.receivers import ALL_CHANNELS
from tests.support.template import ACCOUNT, REGION
from tests.workflow.conftest import Deploy

IMAGES = [
    {"tags": "fresh", "scanned": "1d", "findings": {"critical": 1}},
    {"tags": "old", "scanned": "8d"},
]
REPOSITORIES = ("team/api", "team/web")
REGISTRY = {"repositories": [{"name": name, "images": IMAGES} for name in REPOSITORIES]}


def of(begins: Begins) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "row", [row for row in rows() if row.begins is begins], ids=lambda row: row.name
    )


def test_every_row_has_a_name_of_its_own() -> None:
    names = Counter(row.name for row in rows())
    assert names.most_common(1)[0][1] == 1
    assert len(names) >= 60


def assert_end(execution: Execution, row: Row) -> None:
    ends = {("FAILED", row.error) if row.error else ("SUCCEEDED", None)}
    if row.error == "States.Timeout":  # moto lets no Fail state repeat such a name
        ends.add(("FAILED", "States.Runtime"))
    assert (execution.status, execution.error) in ends, execution.cause


@of(Begins.RUN)
def test_a_run(row: Row, deploy: Deploy) -> None:
    deployed = deploy(REGISTRY)
    row.breaks(deployed)

    run = deployed.run(name="broken")

    assert_end(run, row)
    assert deployed.retries[row.state] == row.retries
    scanned = {name for name, _ in deployed.registry.started}
    events = len(deployed.receivers.events_put)
    assert events == (row.kept is not Kept.RUN) + row.twice
    mend(deployed)
    if row.kept is Kept.RERUN:
        assert run.cause
        assert run.cause.startswith("1 of 2 repositories did not finish: team/api")
        rerun = json.loads(run.cause[run.cause.index('{"rerun_of"') :])
        assert deployed.run(rerun).status == "SUCCEEDED"
    elif row.kept is not Kept.NOTHING:
        assert deployed.run().status == "SUCCEEDED"
    else:
        assert scanned == set(REPOSITORIES) - set(row.without)
    assert deployed.registry.started.keys() == {
        (name, image.digest)
        for name in set(REPOSITORIES) - set(row.without)
        for image in deployed.registry.repositories[name].images.values()
        if image.tags == ("old",)
    }
    assert set(deployed.registry.started.values()) == {1}


EVENT = {
    "id": "85fc3613-e913-7fc4-a80c-a3753e4aa9ae",
    "detail-type": "ECR Image Scan",
    "source": "aws.ecr",
    "account": "123456789012",
    "time": "2026-03-14T02:00:00Z",
    "region": "eu-west-1",
    "resources": [],
}


def event_of(deployed: Engine) -> dict[str, Any]:
    (digest, *_) = deployed.registry.repositories["team/api"].images
    detail = {
        "scan-status": "COMPLETE",
        "repository-name": "team/api",
        "image-digest": digest,
        "image-tags": ["fresh"],
        "finding-severity-counts": {"CRITICAL": 1},
    }
    return {**EVENT, "detail": detail}


def assert_recovered(deployed: Engine, row: Row, channels: set[Channel]) -> None:
    """Bring what was kept on its way, after which every channel has its message."""
    before = Counter(each.channel for each in deployed.receivers.received)
    mend(deployed)
    kept = deployed.undelivered()
    match row.kept:
        case Kept.NOTHING:
            assert kept == []
            assert before.keys() == channels, set(channels) - before.keys()
        case Kept.EVENT:
            assert (before.total(), ["event" in each for each in kept]) == (0, [True])
            deployed.redeliver(kept)
        case Kept.MESSAGE:
            assert ["delivery" in each for each in kept] == [True]
            assert len(before) == len(channels) - 1 + row.twice
            deployed.redeliver(kept)
        case Kept.EXECUTION:
            assert kept == []
            deployed.clock.move(timedelta(minutes=12))
            deployed.send_digest()
            assert len(deployed.notifications()) == 2
        case _:
            deployed.clock.move(timedelta(hours=24))
            deployed.send_digest()
    got = Counter(each.channel for each in deployed.receivers.received)
    assert got.keys() == channels
    assert got.total() == len(channels) + row.twice
    assert deployed.undelivered() == []


@of(Begins.SCAN)
def test_a_scan(row: Row, deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    event = event_of(deployed)
    row.breaks(deployed)
    execution = deployed.notify(event)
    assert_end(execution, row)
    assert deployed.retries[row.state] == row.retries
    assert_recovered(deployed, row, {*Channel} - set(row.without))


def after_notify_scan(deployed: Engine, attempt: Attempt, perform: Callable[[], None]) -> None:
    """Let ForgetDigest begin when NotifyScan has ended, so that its attempts can be counted."""
    if attempt.state == "ForgetDigest":
        for started in deployed.notifications():
            deployed.wait(started)
    perform()


@of(Begins.DIGEST)
def test_a_digest(row: Row, deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS | {"DigestChannels": "SNS,SLACK,WEBHOOK"})
    channels = {Channel.SNS, Channel.SLACK, Channel.WEBHOOK}
    for number in (1, 2):
        put_change(deployed.entries, any_change(number))
    deployed.attempting = lambda attempt, perform: after_notify_scan(deployed, attempt, perform)
    row.breaks(deployed)
    execution = deployed.send_digest()
    assert_end(execution, row)
    assert deployed.retries[row.state] == row.retries
    if row.kept is Kept.CHANGES:
        assert len(deployed.receivers.received) == row.sent
        mend(deployed)
        assert len(list(deployed.entries.changes_of("DAILY"))) == 2
    assert_recovered(deployed, row, channels)
    assert list(deployed.entries.changes_of("DAILY")) == []
    assert deployed.entries.under_way("DAILY") is None


CVE = {"name": "CVE-2026-1", "severity": "high", "package": "openssl", "version": "3.0"}
INSPECTED = {
    "account": ACCOUNT,
    "region": REGION,
    "scanning": "ENHANCED",
    "repositories": [
        {
            "name": "team/api",
            "images": [{"tags": "v1", "inspector": "active", "findings": {"cves": [CVE]}}],
        }
    ],
}


def finding_of(deployed: Engine) -> dict[str, Any]:
    (digest, *_) = deployed.registry.repositories["team/api"].images
    event = sample("inspector2_finding")
    text = json.dumps(event["detail"]["resources"])
    resources = re.sub(r"sha256:[0-9a-f]{64}", digest, text)
    name = event["detail"]["resources"][0]["details"]["awsEcrContainerImage"]["repositoryName"]
    detail = event["detail"] | {"resources": json.loads(resources.replace(name, "team/api"))}
    return {**event, "account": ACCOUNT, "region": REGION, "detail": detail}


@of(Begins.EVENT)
def test_a_function_of_events(row: Row, deploy: Deploy) -> None:
    deployed = deploy(INSPECTED)
    function = row.state
    if function == "RecheckImages":
        deployed.clock.move(timedelta(hours=1))
        deployed.registry.inspect()
        body = json.dumps(finding_of(deployed))
        event = {"Records": [{"messageId": "any", "body": body}]}
    else:
        event = sample("ecr_image_action_push_index") | {"time": EVENT["time"]}
    row.breaks(deployed)

    answer = deployed.invoke(
        {
            "FunctionName": template.arn(f"{function}Function"),
            "Payload": json.dumps(event),
        }
    )

    payload = answer["Payload"]
    assert payload.get("errorType") == row.error, payload
    functions = template.resources("AWS::Serverless::Function")
    queues = template.resources("AWS::SQS::Queue")
    if row.kept is Kept.RETURNS:
        returned = payload.get("batchItemFailures", [{"itemIdentifier": "any"}])
        assert returned == [{"itemIdentifier": "any"}]
        redrive = queues["InspectorFindings"]["RedrivePolicy"]
        assert "Undelivered" in json.dumps(redrive["deadLetterTargetArn"])
    elif row.kept is Kept.DEAD_LETTER:
        assert "Undelivered" in json.dumps(functions[f"{function}Function"]["DeadLetterQueue"])
    else:
        assert payload.get("batchItemFailures", []) == []
