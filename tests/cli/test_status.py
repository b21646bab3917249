"""ecr-rescan status: runs, progress, queues, and what comes next."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import boto3
import pytest

from ledger.bucket import RunBucket
from ledger.run_records import RecordStatus, RunRecord, RunRecords
from ledger.run_summaries import ImageCounts, summary_key
from ledger.table import Table
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

pytestmark = pytest.mark.usefixtures("patience")

SCHEDULE = {
    "ScheduleExpression": "cron(0 3 * * ? *)",
    "ScheduleExpressionTimezone": "Europe/Berlin",
    "State": "ENABLED",
}
MAP = "arn:aws:states:eu-central-1:123456789012:mapRun:x/Repositories:1"


def listed(name: str, status: str, minutes_ago: int = 60, took: int | None = 18) -> dict[str, Any]:
    started_at = NOW - timedelta(minutes=minutes_ago)
    ended = {} if took is None else {"stopDate": started_at + timedelta(minutes=took)}
    return {
        "executionArn": f"arn:execution:{name}",
        "stateMachineArn": "arn",
        "name": name,
        "status": status,
        "startDate": started_at,
        **ended,
    }


def let_run(recorded: Recorded, *executions: dict[str, Any], **given: object) -> None:
    """Let there be executions, the newest first. given: inputs by name of the execution."""
    by_name = {each["name"]: each for each in executions}

    def described(asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["executionArn"].rpartition(":")[2]
        if name not in by_name:
            raise refused("DescribeExecution", "ExecutionDoesNotExist")
        return {**by_name[name], "input": json.dumps(given.get(name, {}))}

    def selected(asked: dict[str, Any]) -> dict[str, Any]:
        only = asked.get("statusFilter")
        return {"executions": [each for each in executions if only in (None, each["status"])]}

    recorded.answer("ListExecutions", selected)
    recorded.answer("DescribeExecution", described)


def counts(**changes: int) -> dict[str, int]:
    names = ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "resultsWritten")
    return {**dict.fromkeys((*names, "total"), 0), **changes}


def map_run(**changes: int) -> dict[str, Any]:
    return {
        "mapRunArn": MAP,
        "executionArn": "arn",
        "status": "RUNNING",
        "startDate": NOW,
        "maxConcurrency": 10,
        "toleratedFailurePercentage": 5.0,
        "toleratedFailureCount": 0,
        "itemCounts": counts(**changes),
        "executionCounts": counts(**changes),
    }


MAP_RUNS = {
    "mapRuns": [
        {"executionArn": "arn", "mapRunArn": MAP, "stateMachineArn": "arn", "startDate": NOW}
    ]
}


@pytest.fixture
def scheduled(stack: StackInMemory, recorded: Recorded) -> Recorded:
    """Give the stack its schedules, and no run."""
    stack.resources["AWS::Scheduler::Schedule"] = {
        "RescanRegistryStateMachineSchedule": "run",
        "SendDigestStateMachineDigestSchedule": "digest",
    }
    recorded.answer("GetSchedule", SCHEDULE, SCHEDULE | {"State": "DISABLED"})
    recorded.answer("ListExecutions", {"executions": []})
    return recorded


def put_record(run: str, started: int) -> None:
    record = RunRecord(
        run=run,
        repository="team/api",
        status=RecordStatus.FINISHED,
        started_at=NOW,
        ended_at=NOW,
        images={"STARTED": {"accepted": started}} if started else {},
    )
    RunRecords(Table(boto3.client("dynamodb"), "ledger-table")).put(record, expires_at=1)


@pytest.mark.usefixtures("scheduled")
def test_a_stack_without_runs_says_so(run: Run) -> None:
    answer = run("status")
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [
        "No run yet   ecr-rescan run",
        "",
        "0 undelivered or unstarted",
        "0 findings of Amazon Inspector wait",
        "next run: cron(0 3 * * ? *), Europe/Berlin",
        "next digest: none, the schedule is disabled (cron(0 3 * * ? *), Europe/Berlin)",
    ]


def let_plan(recorded: Recorded, dry_runs: int, *older: dict[str, Any]) -> None:
    """Let there be dry runs, such as those of a pipeline, and executions before them."""
    plans = {f"plan-{number}": {"dry_run": True} for number in range(dry_runs)}
    let_run(recorded, *(listed(name, "SUCCEEDED", 5) for name in plans), *older, **plans)


def test_a_run_that_failed_before_many_dry_runs_is_found(run: Run, scheduled: Recorded) -> None:
    let_plan(scheduled, 120, listed("bad", "FAILED"))
    assert run("status").exit_code == 1


def test_says_that_the_search_was_cut(
    run: Run, scheduled: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.executions.LOOKED_AT", 3)
    let_plan(scheduled, 3)
    assert run("status").exit_code == 0
    let_plan(scheduled, 3, listed("bad", "FAILED"))
    answer = run("status")
    assert answer.exit_code == 4
    assert answer.stderr == (
        "Only the newest 3 executions of RescanRegistry were searched, most of them dry runs: what "
        "is before them is not known.\n"
    )


def test_lists_the_last_runs_and_ends_badly_if_the_newest_failed(
    run: Run,
    scheduled: Recorded,
    bucket: RunBucket,
) -> None:
    let_run(scheduled, listed("second", "FAILED"), listed("first", "SUCCEEDED", 1500))
    images = ImageCounts({"STARTED": {"accepted": 88}, "FAILED": {"EcrError": 12}})
    write_summary(
        bucket,
        any_summary(
            "second", status="INCOMPLETE", images=images, repositories=41, repositories_not_done=2
        ),
    )
    answer = run("status")
    assert answer.exit_code == 1
    title, second, first = answer.stdout.splitlines()[:3]
    assert title.split() == [
        "BEGUN",
        "(UTC)",
        "STATUS",
        "TOOK",
        "STARTED",
        "DEFERRED",
        "FAILED",
        "NOT",
        "DONE",
        "RUN",
    ]
    assert second.split() == [
        "03-14",
        "02:00",
        "failed",
        "18",
        "min",
        "88",
        "·",
        "12",
        "2",
        "of",
        "41",
        "second",
    ]
    assert first.split() == [
        "03-13",
        "02:00",
        "succeeded",
        "18",
        "min",
        "·",
        "·",
        "·",
        "·",
        "first",
    ]

    found = json.loads(run("status", "-o", "json").stdout)
    assert [each["run"] for each in found["runs"]] == ["second", "first"]
    assert (found["runs"][0]["seconds"], found["runs"][1]["started"]) == (1080, None)
    rows = [*csv.DictReader(io.StringIO(run("status", "-o", "csv").stdout))]
    assert [each["status"] for each in rows] == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("given", [{"dry_run": True}, {"dry_run": True, "rerun_of": "plan"}])
@pytest.mark.parametrize(("last", "code"), [("FAILED", 1), ("SUCCEEDED", 0)])
@pytest.mark.parametrize("of_plan", ["FAILED", "SUCCEEDED"])
def test_a_dry_run_is_not_the_last_run(
    run: Run, scheduled: Recorded, given: object, last: str, code: int, of_plan: str
) -> None:
    let_run(scheduled, listed("plan", of_plan), listed("daily", last, 1500), plan=given)
    assert run("status", "--runs", "1").exit_code == code
    answer = json.loads(run("status", "-o", "json").stdout)
    assert [each["is_dry_run"] for each in answer["runs"]] == [True, False]


def test_names_of_runs_are_whole_and_dry_runs_are_marked(run: Run, scheduled: Recorded) -> None:
    name = f"{'0123456789' * 7}-plan-{NOW:%Y}"
    let_run(scheduled, listed(name, "TIMED_OUT"), **{name: {"dry_run": True}})
    title, line, *_ = run("status").stdout.splitlines()
    assert title.startswith("BEGUN (UTC)  STATUS")
    assert line.startswith("03-14 02:00  dry run timed out  18 min ")
    assert line.endswith(f"  {name}")


def test_a_run_that_step_functions_has_just_forgotten_says_nothing(
    run: Run, scheduled: Recorded
) -> None:
    let_run(scheduled)
    scheduled.answer("ListExecutions", {"executions": [listed("old", "FAILED")]})
    answer = run("status", "-o", "json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["runs"][0]["is_dry_run"] is None


def test_a_run_in_progress_has_its_progress(
    run: Run,
    scheduled: Recorded,
    patience: list[float],
) -> None:
    put_record("now", 31)
    executions = [listed("now", "RUNNING", 2, None), listed("first", "SUCCEEDED", 1500)]
    scheduled.answer("ListExecutions", {"executions": executions})
    scheduled.answer("ListMapRuns", {"mapRuns": []}, MAP_RUNS)
    scheduled.answer("DescribeMapRun", map_run(total=41, succeeded=13, failed=1, running=10))
    assert "running now since 2 min: listing repositories" in run("status").stdout
    answer = run("status")
    assert answer.exit_code == 0
    assert (
        "running now since 2 min: 14 of 41 repositories, 1 failed, 31 scans started"
        in answer.stdout
    )


def test_follows_a_run_to_its_end_with_a_line_per_change(
    run: Run,
    scheduled: Recorded,
    patience: list[float],
) -> None:
    under_way = {"executions": [listed("now", "RUNNING", 2, None)]}
    scheduled.answer(
        "ListExecutions", *[under_way] * 4, {"executions": [listed("now", "SUCCEEDED")]}
    )
    scheduled.answer("ListMapRuns", {"mapRuns": []}, MAP_RUNS)
    scheduled.answer(
        "DescribeMapRun",
        map_run(total=3, succeeded=1),
        map_run(total=3, succeeded=1),
        map_run(total=3, succeeded=3),
    )
    answer = run("status", "--follow")
    assert answer.exit_code == 0
    assert answer.stderr.splitlines() == [
        "running now since 2 min: listing repositories",
        "running now since 2 min: 1 of 3 repositories, 0 scans started",
        "running now since 2 min: 3 of 3 repositories, 0 scans started",
    ]
    assert patience == [5, 5, 5, 5]
    assert "succeeded" in answer.stdout


@pytest.mark.usefixtures("scheduled")
def test_says_what_waits(run: Run, stack: StackInMemory) -> None:
    sqs = boto3.client("sqs")
    for _ in range(3):
        sqs.send_message(QueueUrl=stack.outputs["UndeliveredQueueUrl"], MessageBody="{}")
    boto3.client("dynamodb").put_item(
        TableName="ledger-table",
        Item={
            "pk": {"S": "unfinished"},
            "sk": {"S": "execution#x"},
            "started_at": {"S": (NOW - timedelta(hours=1)).isoformat()},
        },
    )
    stack.resources.clear()
    text = run("status", "--region", "eu-west-1", width=120).stdout
    assert "3 undelivered or unstarted   ecr-rescan undelivered --region eu-west-1\n" in text
    assert "1 execution of NotifyScan ended early; the next digest starts it again" in text
    assert "next" not in text.replace("the next digest", "")


def test_a_damaged_summary_makes_the_answer_incomplete(run: Run, scheduled: Recorded) -> None:
    scheduled.answer("ListExecutions", {"executions": [listed("first", "SUCCEEDED")]})
    boto3.client("s3").put_object(Bucket="run-bucket", Key=summary_key("first"), Body=b"{}\n")
    answer = run("status", "-o", "json")
    assert answer.exit_code == 4
    assert json.loads(answer.stdout)["damaged"] == [summary_key("first")]
    assert answer.stderr == f"{summary_key('first')} cannot be read.\n"


@pytest.mark.usefixtures("scheduled")
def test_an_execution_whose_item_is_damaged_makes_the_answer_incomplete(run: Run) -> None:
    boto3.client("dynamodb").put_item(
        TableName="ledger-table", Item={"pk": {"S": "unfinished"}, "sk": {"S": "execution#any"}}
    )
    answer = run("status")
    assert answer.exit_code == 4
    assert answer.stderr == "unfinished/execution#any cannot be read.\n"
