"""ecr-rescan rerun: what it starts, and when Redrive is better."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from ledger.bucket import RunBucket
from ledger.run_records import RecordStatus, RunRecord, RunRecords
from ledger.table import Table
from tests.cli.conftest import TERMINAL, Run, assert_declined
from tests.cli.recorded import Recorded, refused
from tests.cli.test_status import let_plan, let_run, listed
from tests.support.causes import of_lambda
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

NAME = "rerun-20260314T030000Z"
type Ended = Callable[..., None]


@pytest.fixture
def bucket(bucket: RunBucket, recorded: Recorded) -> RunBucket:
    recorded.answer("StartExecution", {"executionArn": "arn:started", "startDate": NOW})
    recorded.answer("RedriveExecution", {"redriveDate": NOW})
    return bucket


@pytest.fixture
def ended(recorded: Recorded, bucket: RunBucket) -> Ended:
    """Let executions have ended; the first one is described, with more about it."""

    def ended(*names: str, **more: Any) -> None:
        more = {"status": "FAILED", "error": "RescanIncomplete"} | more
        statuses = [more["status"], *["SUCCEEDED"] * len(names)]
        executions = [listed(each, status) for each, status in zip(names, statuses, strict=False)]
        recorded.answer("ListExecutions", {"executions": executions})
        recorded.answer("DescribeExecution", {**listed(names[0], more["status"]), **more})

    return ended


@pytest.fixture
def failed(bucket: RunBucket) -> None:
    """Let the run `bad` have failed in one repository, and not reached another one."""
    bucket.write_repositories("bad", ["data/etl", "team/api", "team/web"])
    for repository, status, error in (
        ("data/etl", RecordStatus.FAILED, "AccessDenied"),
        ("team/api", RecordStatus.FINISHED, None),
        ("team/web", RecordStatus.DEFERRED, None),
    ):
        record = RunRecord("bad", repository, status, NOW, NOW, error=error, cause="no")
        RunRecords(Table(boto3.client("dynamodb"), "ledger-table")).put(record, expires_at=1)


def started(recorded: Recorded) -> list[Any]:
    return [(each["name"], json.loads(each["input"])) for each in recorded.asked["StartExecution"]]


@pytest.mark.usefixtures("failed")
def test_starts_what_the_newest_run_did_not_finish(
    run: Run, recorded: Recorded, ended: Ended
) -> None:
    ended("bad")
    answer = run("rerun", "--yes")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stderr.splitlines() == [
        "bad failed: 2 of 3 repositories did not finish.",
        "  data/etl  AccessDenied: no",
        "  team/web  deferred",
    ]
    assert answer.stdout == f"started {NAME}   ecr-rescan status --follow\n"
    assert started(recorded) == [(NAME, {"rerun_of": "bad"})]

    found = json.loads(run("rerun", "bad", "--yes", "-o", "json").stdout)
    assert (found["run"], found["left"], found["started"]) == ("bad", 2, NAME)


@pytest.mark.usefixtures("failed")
def test_starts_nothing_without_a_yes(
    run: Run, recorded: Recorded, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("bad")
    assert run("rerun").exit_code == 2
    assert_declined(run("rerun", env=TERMINAL, given="n\n"))
    assert started(recorded) == []


def test_counts_what_it_does_not_name(run: Run, ended: Ended, bucket: RunBucket) -> None:
    bucket.write_repositories("bad", [f"team/{number:02}" for number in range(12)])
    ended("bad", status="ABORTED", error="")
    assert "  and 2 more" in run("rerun", "--yes").stderr


def test_a_rerun_of_a_dry_run_is_one(
    run: Run, recorded: Recorded, ended: Ended, bucket: RunBucket
) -> None:
    bucket.write_repositories("bad", ["team/api"])
    ended("bad", input='{"dry_run": true}')
    run("rerun", "bad", "--yes")
    assert started(recorded) == [(NAME, {"rerun_of": "bad", "dry_run": True})]


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize(
    "how",
    [
        {"error": "States.ExceedToleratedFailureThreshold"},
        {"status": "TIMED_OUT", "error": "States.Timeout"},
        {"status": "ABORTED", "error": ""},
    ],
)
def test_says_where_redrive_is_better_and_does_it(
    run: Run, recorded: Recorded, ended: Ended, how: dict[str, str]
) -> None:
    ended("bad", redriveStatus="REDRIVABLE", **how)
    answer = run("rerun", "--region", "eu-west-1")
    assert answer.exit_code == 1
    assert (
        "repeats none of the 1 of 3 repositories that are done, until 2026-03-28, and not before "
        "08:10 UTC, because earlier it starts no scan after 07:40:\n"
        "  ecr-rescan rerun bad --redrive --region eu-west-1\n"
    ) in answer.stdout
    assert started(recorded) == []

    answer = run("rerun", "bad", "--redrive", "--yes", "--region", "eu-west-1")
    assert answer.exit_code == 0
    assert answer.stdout == "bad goes on   ecr-rescan status --follow --region eu-west-1\n"
    assert recorded.asked["RedriveExecution"] == [{"executionArn": "arn:execution:bad"}]


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize(
    ("after", "is_late", "code"),
    [
        (timedelta(hours=5, minutes=39), False, 0),
        (timedelta(hours=5, minutes=40), False, 2),
        (timedelta(hours=6, minutes=9), False, 2),
        (timedelta(hours=6, minutes=10), True, 0),
    ],
)
def test_a_run_is_redriven_where_it_would_start_scans(
    run: Run, ended: Ended, after: timedelta, is_late: bool, code: int
) -> None:
    ended("bad", status="TIMED_OUT", redriveStatus="REDRIVABLE", startDate=NOW - after)
    assert ("not before" in run("rerun").stdout) is not is_late
    answer = run("rerun", "bad", "--redrive", "--yes")
    assert answer.exit_code == code
    if code:
        from_then = NOW - after + timedelta(hours=6, minutes=10)
        assert answer.stderr == (
            f"bad would start no scan before {from_then:%H:%M} UTC: Redrive it then.\n"
        )


@pytest.mark.usefixtures("failed")
def test_after_fourteen_days_a_rerun_is_all_there_is(run: Run, ended: Ended) -> None:
    ended(
        "bad",
        status="TIMED_OUT",
        redriveStatus="REDRIVABLE",
        stopDate=NOW - timedelta(days=14, minutes=1),
    )
    assert run("rerun", "--yes").stdout.startswith("started")


@pytest.mark.usefixtures("failed")
def test_redrive_is_refused_where_it_does_not_help(
    run: Run, recorded: Recorded, ended: Ended
) -> None:
    ended("bad", redriveStatus="REDRIVABLE")
    answer = run("rerun", "bad", "--redrive", "--yes")
    assert answer.exit_code == 2
    assert "its Map had ended" in answer.stderr
    ended("bad", status="TIMED_OUT", redriveStatus="NOT_REDRIVABLE", redriveStatusReason="too old")
    assert "too old" in run("rerun", "bad", "--redrive", "--yes").stderr
    assert recorded.asked["RedriveExecution"] == []


def test_without_a_red_run_there_is_nothing_to_do(
    run: Run, recorded: Recorded, ended: Ended, bucket: RunBucket
) -> None:
    recorded.answer("ListExecutions", {"executions": []})
    answer = run("rerun")
    assert answer.exit_code == 0
    assert answer.stdout.startswith("Nothing to rerun")

    write_summary(bucket, any_summary("good"))
    recorded.answer(
        "ListExecutions", {"executions": [listed("good", "SUCCEEDED"), listed("bad", "FAILED")]}
    )
    assert run("rerun").stdout.startswith("Nothing to rerun")


@pytest.mark.parametrize("given", ['{"rerun_of": "bad"}', "{}", "[]", '{"rerun_of": 1}'])
@pytest.mark.usefixtures("failed")
def test_a_run_that_was_rerun_with_success_is_done(
    run: Run, recorded: Recorded, bucket: RunBucket, given: str
) -> None:
    executions = [listed("again", "SUCCEEDED"), listed("bad", "FAILED")]
    recorded.answer("ListExecutions", {"executions": executions})
    recorded.answer(
        "DescribeExecution",
        {**listed("again", "SUCCEEDED"), "input": given},
        {**listed("bad", "FAILED"), "error": "RescanIncomplete"},
    )
    text = run("rerun", "--yes").stdout
    assert text.startswith("Nothing to rerun" if "bad" in given else "started")


PLAN, FIRST, SECOND = {"dry_run": True}, {"rerun_of": "bad"}, {"rerun_of": "first"}


@pytest.mark.parametrize(
    ("runs", "reruns"),
    [
        ({"plan": ("FAILED", PLAN)}, None),
        ({"plan": ("FAILED", PLAN), "bad": ("FAILED", {})}, "bad"),
        ({"first": ("SUCCEEDED", FIRST | PLAN), "bad": ("FAILED", {})}, "bad"),
        ({"now": ("RUNNING", {"repositories": ["a"]}), "bad": ("FAILED", {})}, "bad"),
        ({"now": ("RUNNING", PLAN), "bad": ("FAILED", {})}, "bad"),
        ({"now": ("RUNNING", {"rerun_of": "other"}), "bad": ("FAILED", {})}, "bad"),
        (
            {"second": ("SUCCEEDED", SECOND), "first": ("FAILED", FIRST), "bad": ("FAILED", {})},
            None,
        ),
        (
            {"second": ("SUCCEEDED", FIRST), "first": ("FAILED", FIRST), "bad": ("FAILED", {})},
            None,
        ),
        (
            {"second": ("FAILED", SECOND), "first": ("SUCCEEDED", FIRST), "bad": ("FAILED", {})},
            "second",
        ),
        (
            {"first": ("SUCCEEDED", FIRST), "bad": ("FAILED", {}), "other": ("FAILED", {})},
            "other",
        ),
        ({"second": ("SUCCEEDED", SECOND), "first": ("FAILED", SECOND)}, None),
        ({"second": ("SUCCEEDED", SECOND), "other": ("FAILED", {})}, "other"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_finds_the_newest_run_with_something_left(
    run: Run, recorded: Recorded, runs: dict[str, tuple[str, Any]], reruns: str | None
) -> None:
    executions = [
        listed(name, status, took=None if status == "RUNNING" else 18)
        for name, (status, _) in runs.items()
    ]
    let_run(recorded, *executions, **{name: given for name, (_, given) in runs.items()})
    answer = run("rerun", "--yes", "-o", "json")
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["run"] == reruns


@pytest.mark.parametrize(
    "given",
    [{}, {"rescan_after": "2d"}, FIRST, SECOND],
    ids=["whole", "as whole", "rerun", "chain"],
)
@pytest.mark.parametrize("options", [(), ("bad",), ("first",), ("bad", "--redrive")])
@pytest.mark.usefixtures("failed")
def test_starts_nothing_beside_a_run_that_does_what_is_left(
    run: Run, recorded: Recorded, given: dict[str, str], options: tuple[str, ...]
) -> None:
    runs = {"now": given, "first": FIRST}
    executions = (listed("first", "FAILED", 40), listed("bad", "FAILED"))
    let_run(recorded, listed("now", "RUNNING", 5, None), *executions, **runs)
    answer = run("rerun", "--yes", *options)
    assert (answer.exit_code, answer.stderr) == (
        2,
        "now has been running for 5 min: ecr-rescan status --follow shows when it has ended.\n",
    )
    assert started(recorded) == recorded.asked["RedriveExecution"] == []


@pytest.mark.usefixtures("failed")
def test_a_dry_run_is_started_again_beside_a_run(run: Run, recorded: Recorded) -> None:
    let_run(recorded, listed("now", "RUNNING", 5, None), listed("bad", "FAILED"), bad=PLAN)
    assert run("rerun", "bad", "--yes").exit_code == 0
    assert len(started(recorded)) == 1


@pytest.mark.usefixtures("failed")
def test_finds_the_run_that_failed_before_many_dry_runs(
    run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_plan(recorded, 120, listed("bad", "FAILED"))
    assert run("rerun", "--yes").stdout.startswith("started")
    monkeypatch.setattr("cli.executions.LOOKED_AT", 100)
    answer = run("rerun", "--yes")
    assert (answer.exit_code, answer.stdout) == (4, "")
    assert "Only the newest 100 executions of RescanRegistry were searched" in answer.stderr


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
@pytest.mark.parametrize(
    ("days", "not_done", "is_known"),
    [(29, None, True), (31, None, False), (20, 2, True), (20, 1, False)],
)
@pytest.mark.usefixtures("failed")
def test_a_run_whose_records_are_deleted_is_not_run_again(
    run: Run, recorded: Recorded, status: str, days: int, not_done: int | None, is_known: bool
) -> None:
    """Its list and its summary can be there still, and all of it would seem to be left."""
    if not_done:
        write_summary(
            RunBucket(boto3.client("s3"), "run-bucket"),
            any_summary("bad", repositories_not_done=not_done),
        )
    let_run(recorded, listed("bad", status, days * 24 * 60))
    answer = run("rerun", "bad", "--yes")
    assert answer.exit_code == (0 if is_known else 2)
    assert len(started(recorded)) == is_known
    said = "not known: ecr-rescan run starts a run over the whole registry.\n"
    assert (said in answer.stderr) is not is_known


def test_the_reruns_of_a_run_over_everything_do_what_older_ones_left(
    run: Run, recorded: Recorded, bucket: RunBucket
) -> None:
    write_summary(bucket, any_summary("bad", status="INCOMPLETE"))
    names = {"first": "SUCCEEDED", "bad": "FAILED", "older": "FAILED"}
    let_run(recorded, *(listed(name, status) for name, status in names.items()), first=FIRST)
    assert run("rerun").stdout.startswith("Nothing to rerun")


def test_a_run_that_did_everything_needs_no_rerun(
    run: Run, ended: Ended, bucket: RunBucket
) -> None:
    bucket.write_repositories("good", [])
    ended("good", status="SUCCEEDED", error="")
    assert "has done everything" in run("rerun", "good").stdout
    ended("idle", status="SUCCEEDED", error="")
    assert "has done everything" in run("rerun", "idle").stdout


def test_a_run_without_a_list_is_started_with_the_same_input(
    run: Run, recorded: Recorded, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(
        "early", error="EcrThrottled", cause=of_lambda("16 times"), input='{"rescan_after": "2d"}'
    )
    answer = run("rerun", "--yes")
    assert answer.exit_code == 0
    assert "ended before it had listed its repositories: EcrThrottled: 16 times\n" in answer.stderr
    assert started(recorded) == [(NAME, {"rescan_after": "2d"})]
    recorded.asked.clear()
    assert_declined(run("rerun", env=TERMINAL, given="n\n"))
    assert started(recorded) == []


def test_an_input_that_no_run_accepts_is_not_started_again(run: Run, ended: Ended) -> None:
    ended("early", error="InvalidRescanRequest", cause="dry_run must be", input="[]")
    answer = run("rerun", "--yes")
    assert answer.exit_code == 3
    assert "dry_run must be" in answer.stderr


def test_a_run_that_is_none_or_in_progress_is_refused(
    run: Run, recorded: Recorded, ended: Ended
) -> None:
    recorded.answer("DescribeExecution", refused("DescribeExecution", "ExecutionDoesNotExist"))
    answer = run("rerun", "nothing")
    assert answer.exit_code == 2
    assert "There is no run nothing" in answer.stderr
    recorded.answer("DescribeExecution", listed("now", "RUNNING", 2, None))
    answer = run("rerun", "now")
    assert answer.exit_code == 2
    assert "now has been running for 2 min" in answer.stderr
    recorded.answer("DescribeExecution", refused("DescribeExecution", "ThrottlingException"))
    assert run("rerun", "now").exit_code == 3


@pytest.mark.usefixtures("failed")
def test_redrives_nothing_without_a_yes(
    run: Run, recorded: Recorded, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("bad", status="TIMED_OUT", redriveStatus="REDRIVABLE")
    assert_declined(run("rerun", "bad", "--redrive", env=TERMINAL, given="n\n"))
    assert recorded.asked["RedriveExecution"] == []
