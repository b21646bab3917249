"""What RescanRegistry makes of its memory, and what becomes of a run that loses it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from own_events.event_bus import EventBus, EventRefused
from tests.support.days import record, records
from tests.support.engine import Engine, Execution
from tests.workflow.conftest import Deploy

FINDINGS = "DescribeImageScanFindings"
OLD = {"tags": "old-{n}", "count": 3, "scanned": "8d"}
FRESH = {"tags": "fresh-{n}", "count": 2, "scanned": "1d"}
DUE, NOT_DUE = 3, 2
REPOSITORIES = ("team/api", "team/app", "team/cli", "team/web")


def registry(*images: dict[str, Any], repositories: tuple[str, ...] = REPOSITORIES) -> Any:
    images = images or (OLD, FRESH)
    return {"repositories": [{"name": name, "images": list(images)} for name in repositories]}


def summary_of(execution: Execution) -> dict[str, Any]:
    assert execution.output is not None, execution.cause
    return execution.output


def results_told(deployed: Engine) -> list[tuple[str, str]]:
    """List the images of which NotifyScan was told late, in order."""
    details = [
        json.loads(entry["Detail"])
        for entry in deployed.receivers.events_put
        if entry["DetailType"] == "Scan Result Found"
    ]
    return sorted((detail["repository-name"], detail["image-digest"]) for detail in details)


def test_asks_ecr_once_for_each_image_and_then_no_more(deploy: Deploy) -> None:
    deployed = deploy(registry())
    images = len(REPOSITORIES) * (DUE + NOT_DUE)
    first = summary_of(deployed.run())
    assert first["images"] == {"STARTED": images - 8, "FRESH": 8}
    assert deployed.registry.calls[FINDINGS] == images
    assert summary_of(deployed.run())["images"] == {"FRESH": images}
    assert deployed.registry.calls[FINDINGS] == images


def test_remembers_an_image_that_ecr_cannot_read_until_it_is_tried_again(deploy: Deploy) -> None:
    scratch = {"tags": "scratch", "scanned": "8d", "result": "unsupported"}
    deployed = deploy(registry(scratch, repositories=("team/api",)))
    runs = []
    for _ in range(4):
        runs.append(summary_of(deployed.run())["images"])
        deployed.clock.move(timedelta(days=10))
    assert runs == [{"UNSUPPORTED": 1}] * 3 + [{"STARTED": 1}]
    assert deployed.registry.calls[FINDINGS] == 1
    late = summary_of(deployed.run())
    assert (late["images"], late["results_missing"]) == ({"UNSUPPORTED": 1}, 1)
    assert results_told(deployed) == []


# Losing it


def delete_table(_: Engine) -> None:
    boto3.client("dynamodb").delete_table(TableName="LedgerTable")


def delete_items(_: Engine) -> None:
    client = boto3.client("dynamodb")
    for item in client.scan(TableName="LedgerTable")["Items"]:
        client.delete_item(TableName="LedgerTable", Key={key: item[key] for key in ("pk", "sk")})


def lose(deployed: Engine, loss: Callable[[Engine], None], *, at_batch: int) -> None:
    """Lose the ledger just before a run starts its nth batch, each that of one repository."""

    def count(_: object) -> None:
        if deployed.invocations["StartImageScans"] == at_batch:
            loss(deployed)

    deployed.faults["StartImageScans"] = count


def assert_each_due_image_was_started_once(deployed: Engine) -> None:
    due = {
        (repository.name, image.digest)
        for repository in deployed.registry.repositories.values()
        for image in repository.images.values()
        if image.tags[0].startswith("old")
    }
    assert deployed.registry.started == dict.fromkeys(due, 1)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("at_batch", [1, 2, 4])
def test_starts_what_is_due_once_though_the_table_is_deleted(
    warm: bool, at_batch: int, deploy: Deploy
) -> None:
    deployed = deploy(registry(), MaxConcurrency="2")
    if warm:
        summary_of(deployed.run({"dry_run": True}))
    lose(deployed, delete_table, at_batch=at_batch)

    execution = deployed.run()

    assert_each_due_image_was_started_once(deployed)
    # Without records it is unknown which repositories are done, so the run fails and says why.
    assert (execution.status, execution.error) == ("FAILED", "LedgerUnavailable")

    deployed.faults.clear()
    deployed.make_ledger()
    asked = deployed.registry.calls[FINDINGS]
    summary = summary_of(deployed.run())
    assert (summary["status"], summary["images"]) == ("FINISHED", {"FRESH": 20})
    assert deployed.registry.calls[FINDINGS] == asked + 20
    assert_each_due_image_was_started_once(deployed)
    deployed.clock.move(timedelta(days=8))
    assert summary_of(deployed.run())["images"] == {"STARTED": 20}


@pytest.mark.parametrize("at_batch", [1, 2, 4])
def test_starts_what_is_due_once_though_the_table_is_emptied(at_batch: int, deploy: Deploy) -> None:
    deployed = deploy(registry(), MaxConcurrency="1")
    lose(deployed, delete_items, at_batch=at_batch)

    execution = deployed.run()

    assert_each_due_image_was_started_once(deployed)
    lost = at_batch - 1  # repositories whose record was there already
    assert (execution.error == "RescanIncomplete") == bool(lost)
    if execution.cause:
        assert execution.cause.startswith(f"{lost} of 4 repositories did not finish")
    deployed.faults.clear()
    # ECR does not say since when a scan is in progress, and refuses to start another one.
    forgotten = {"FRESH": 20 - lost * DUE} | ({"RECENT": lost * DUE} if lost else {})
    assert summary_of(deployed.run())["images"] == forgotten
    assert_each_due_image_was_started_once(deployed)


# Results that never arrive


def test_tells_once_of_every_result_whose_event_was_lost(deploy: Deploy) -> None:
    findings = {"tags": "old-{n}", "count": 12, "scanned": "8d", "findings": {"high": 2}}
    failing = {"tags": "bad", "scanned": "8d", "result": "failed", "last_result": "complete"}
    deployed = deploy(registry(findings, failing, FRESH))
    first = summary_of(deployed.run())
    started = sorted(deployed.registry.started)
    assert first["images"] == {"STARTED": len(started), "FRESH": 8}
    assert (first["results_missing"], first["results_found"]) == (0, 0)

    deployed.clock.move(timedelta(hours=5, minutes=50))
    soon = summary_of(deployed.run())
    assert (soon["images"], soon["results_missing"]) == ({"FRESH": len(started) + 8}, 0)
    assert results_told(deployed) == []

    deployed.clock.move(timedelta(minutes=20))
    late = summary_of(deployed.run())
    assert (late["results_missing"], late["results_found"]) == (len(started), len(started))
    assert results_told(deployed) == started
    summary = deployed.document(late["summary_key"])
    assert (summary["results_missing"], summary["results_found"]) == (len(started), len(started))
    # ECR scanned them within 24 hours, so those that failed cannot be tried again yet.
    assert late["images"] == {"FRESH": len(started) + 8}


def test_tells_again_in_the_next_run_when_that_event_is_lost_too(deploy: Deploy) -> None:
    deployed = deploy(registry(OLD, repositories=("team/api",)))
    deployed.run()
    started = sorted(deployed.registry.started)
    deployed.clock.move(timedelta(hours=7))
    deployed.run()
    deployed.clock.move(timedelta(hours=1))
    assert summary_of(deployed.run())["results_found"] == DUE
    assert results_told(deployed) == sorted(started * 2)


def test_tells_of_nothing_whose_result_has_arrived(deploy: Deploy) -> None:
    deployed = deploy(registry())
    deployed.registry.on_event = record
    deployed.run()
    deployed.clock.move(timedelta(minutes=1))
    deployed.registry.settle()
    asked = deployed.registry.calls[FINDINGS]

    deployed.clock.move(timedelta(hours=7))
    summary = summary_of(deployed.run())

    assert (summary["images"], summary["results_missing"]) == ({"FRESH": 20}, 0)
    assert results_told(deployed) == []
    assert deployed.registry.calls[FINDINGS] == asked


def test_neither_tells_nor_remembers_a_start_in_a_dry_run(deploy: Deploy) -> None:
    deployed = deploy(registry(OLD, repositories=("team/api",)))
    deployed.run({"dry_run": True})
    digests = deployed.registry.repositories["team/api"].images
    known = list(records().records_of("team/api", digests))
    assert [record.started_at for record in known] == [None] * DUE
    deployed.run()
    deployed.clock.move(timedelta(hours=7))
    summary = summary_of(deployed.run({"dry_run": True}))
    assert (summary["results_missing"], summary["results_found"]) == (DUE, DUE)
    assert results_told(deployed) == []


def test_tells_again_when_eventbridge_refuses_a_result(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = deploy(registry(OLD, repositories=("team/api",)))
    deployed.run()
    deployed.clock.move(timedelta(hours=7))
    refusals = iter([EventRefused("Scan Result Found: InternalFailure: try again")])
    put = EventBus.put

    def refuse_once(bus: EventBus, *events: Any, **more: Any) -> None:
        if refusal := next(refusals, None):
            raise refusal
        put(bus, *events, **more)

    monkeypatch.setattr(EventBus, "put", refuse_once)
    summary_of(deployed.run())
    assert results_told(deployed) == sorted(deployed.registry.started)
    assert len(deployed.backoffs) == 1
