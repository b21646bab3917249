"""ecr-rescan run: what it starts, when it refuses to, and how it follows."""

import csv
import io
import json
from typing import Any

import boto3
import pytest

from ledger.bucket import RunBucket
from ledger.run_summaries import ImageCounts, summary_key
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.cli.test_status import MAP_RUNS, let_run, listed, map_run
from tests.support.causes import of_lambda
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

pytestmark = pytest.mark.usefixtures("patience")

NAME = "run-20260314T030000Z"


@pytest.fixture(autouse=True)
def startable(stack: StackInMemory, recorded: Recorded) -> None:
    """Let a run start, and the newest one before it have ended."""
    recorded.answer("StartExecution", {"executionArn": "arn:started", "startDate": NOW})
    recorded.answer(
        "GetRegistryScanningConfiguration", {"scanningConfiguration": {"scanType": "BASIC"}}
    )
    let_run(recorded, listed("before", "SUCCEEDED"))
    for name in ("team/api", "team/web"):
        boto3.client("ecr").create_repository(repositoryName=name)


def started(recorded: Recorded) -> list[Any]:
    return [(each["name"], json.loads(each["input"])) for each in recorded.asked["StartExecution"]]


def let_end(recorded: Recorded, status: str, **more: str) -> None:
    """Let the run not be listed yet, then make progress, and end."""
    in_progress = {**listed(NAME, "RUNNING", 0, None), "input": "{}"}
    recorded.answer("ListMapRuns", {"mapRuns": []}, MAP_RUNS)
    recorded.answer("DescribeMapRun", map_run(total=2, succeeded=1))
    recorded.answer(
        "DescribeExecution",
        refused("DescribeExecution", "ExecutionDoesNotExist"),
        in_progress,
        in_progress,
        {**listed(NAME, status, 18), "input": "{}", **more},
    )


def test_starts_a_run_over_the_whole_registry_without_a_question(
    run: Run, recorded: Recorded
) -> None:
    recorded.answer("DescribeRepositories", refused("DescribeRepositories", "AccessDenied"))
    answer = run("run", "--region", "eu-west-1")
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert answer.stdout == f"started {NAME}   ecr-rescan status --follow --region eu-west-1\n"
    assert started(recorded) == [(NAME, {})]


def test_says_it_to_programs(run: Run) -> None:
    found = json.loads(run("run", "-o", "json").stdout)
    assert {name: found[name] for name in ("run", "status", "scan_type", "next")} == {
        "run": NAME,
        "status": "RUNNING",
        "scan_type": "BASIC",
        "next": "ecr-rescan status --follow",
    }
    assert (found["is_dry_run"], found["ended_at"], found["started"]) == (False, None, None)
    (row,) = csv.DictReader(io.StringIO(run("run", "-o", "csv").stdout))
    assert (row["run"], row["repositories"]) == (NAME, "")


@pytest.mark.parametrize(
    "given",
    [
        {"repositories": ["team/api"]},
        {"repository_filter": "team/"},
        {"repository_filter": "team/w", "rescan_after": "2d"},
        {"rescan_after": "2d", "dry_run": False},
        {"rerun_of": "bad"},
    ],
)
def test_starts_a_run_with_an_input(
    run: Run,
    recorded: Recorded,
    bucket: RunBucket,
    given: object,
) -> None:
    bucket.write_repositories("bad", ["team/api"])
    answer = run("run", "--input", json.dumps(given))
    assert answer.exit_code == 0, answer.stderr
    assert started(recorded) == [(NAME, given)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "--input: Expecting property name"),
        ("[]", "--input: The execution input must be a JSON object"),
        ('{"repository": "team/"}', "--input: Unknown key 'repository' in the execution input."),
        ('{"rescan_after": "1h"}', "--input: rescan_after must be at least 24h"),
        (
            '{"repositories": ["team/other"]}',
            "--input: repositories must name repositories of this registry: ",
        ),
        (
            '{"repository_filter": "prdo/"}',
            "--input selects nothing: 0 of 2 repositories whose names match 'prdo/' from the start",
        ),
        ('{"rerun_of": "none"}', "--input: rerun_of: no repository list found for run 'none'."),
        ('{"dry_run": true}', "--input has dry_run: ecr-rescan plan starts dry runs"),
    ],
)
def test_refuses_an_input_that_no_run_can_use(
    run: Run, recorded: Recorded, given: str, words: str
) -> None:
    answer = run("run", "--input", given)
    assert answer.exit_code == 2
    assert answer.stderr.startswith(words)
    assert started(recorded) == []


def test_refuses_while_a_run_is_in_progress(run: Run, recorded: Recorded) -> None:
    let_run(recorded, listed("now", "RUNNING", 12, None), listed("before", "SUCCEEDED"))
    answer = run("run", "--region", "eu-west-1")
    assert answer.exit_code == 2
    assert answer.stderr == (
        "now has been running for 12 min: ecr-rescan status --follow --region eu-west-1 shows when "
        "it has ended.\n"
    )
    assert started(recorded) == []


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_a_dry_run_and_a_run_that_has_just_ended_are_no_reason_to_refuse(
    run: Run, recorded: Recorded, status: str
) -> None:
    in_progress = listed("now", "RUNNING", 2, None)
    recorded.answer("ListExecutions", {"executions": [in_progress]})
    is_dry_run = json.dumps({"dry_run": status == "RUNNING"})
    recorded.answer("DescribeExecution", {**in_progress, "status": status, "input": is_dry_run})
    assert run("run").exit_code == 0
    assert started(recorded) == [(NAME, {})]


def test_says_that_a_run_starts_no_scan_with_enhanced_scanning(
    run: Run, recorded: Recorded
) -> None:
    configuration = {"scanningConfiguration": {"scanType": "ENHANCED"}}
    recorded.answer("GetRegistryScanningConfiguration", configuration)
    answer = run("run", "-o", "json")
    assert answer.exit_code == 0
    assert answer.stderr == (
        "This registry has enhanced scanning: Amazon Inspector scans its images, and the run "
        "starts no scan.\n"
    )
    assert json.loads(answer.stdout)["scan_type"] == "ENHANCED"
    assert started(recorded) == [(NAME, {})]


def test_follows_the_run_to_its_end(
    run: Run,
    recorded: Recorded,
    bucket: RunBucket,
    patience: list[float],
) -> None:
    let_end(recorded, "SUCCEEDED")
    images = ImageCounts({"STARTED": {"accepted": 1}, "DEFERRED": {"run time": 2}})
    write_summary(bucket, any_summary(NAME, images=images))
    answer = run("run", "--follow")
    assert answer.exit_code == 0
    assert answer.stderr.splitlines() == [
        f"started {NAME}",
        f"running {NAME} since 0 min: listing repositories",
        f"running {NAME} since 0 min: 1 of 2 repositories, 0 scans started",
    ]
    assert answer.stdout == (
        f"{NAME} succeeded after 18 min: 1 scan started, 2 deferred, 0 failed\n"
    )
    assert patience == [5, 5, 5]


def test_ends_badly_if_the_run_does(
    run: Run,
    recorded: Recorded,
    bucket: RunBucket,
    patience: list[float],
) -> None:
    let_end(recorded, "FAILED", error="RescanIncomplete")
    write_summary(
        bucket, any_summary(NAME, status="INCOMPLETE", repositories=41, repositories_not_done=2)
    )
    answer = run("run", "--follow")
    assert answer.exit_code == 1
    assert answer.stdout == (
        f"{NAME} failed after 18 min: 3 scans started, 0 deferred, 0 failed; 2 of 41 repositories "
        f"did not finish   ecr-rescan rerun {NAME}\n"
    )


@pytest.mark.parametrize(
    ("status", "more", "words"),
    [
        (
            "FAILED",
            {"error": "SettingsError", "cause": of_lambda("RescanAfter must be\x1b[2J")},
            "failed after 18 min: SettingsError: RescanAfter must be�[2J",
        ),
        ("TIMED_OUT", {}, "timed out after 18 min: it has no summary"),
    ],
)
def test_says_why_a_run_without_a_summary_has_ended(
    run: Run,
    recorded: Recorded,
    patience: list[float],
    status: str,
    more: dict[str, str],
    words: str,
) -> None:
    let_end(recorded, status, **more)
    answer = run("run", "--follow")
    assert answer.exit_code == 1
    assert answer.stdout == f"{NAME} {words}   ecr-rescan rerun {NAME}\n"


def test_a_damaged_summary_makes_the_answer_incomplete(
    run: Run,
    recorded: Recorded,
    patience: list[float],
) -> None:
    let_end(recorded, "SUCCEEDED")
    boto3.client("s3").put_object(Bucket="run-bucket", Key=summary_key(NAME), Body=b"{}\n")
    answer = run("run", "--follow")
    assert answer.exit_code == 4
    assert answer.stdout == f"{NAME} succeeded after 18 min: it has no summary\n"
