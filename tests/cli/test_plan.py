"""ecr-rescan plan: by a dry run, and by a shape alone."""

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import boto3
import pytest

from ledger.boards import Board, Boards
from ledger.bucket import RunBucket
from ledger.run_summaries import ImageCounts, Problem
from ledger.table import Table
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.cli.test_run_files import A, B
from tests.support.causes import of_lambda
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

pytestmark = pytest.mark.usefixtures("patience")

PLANNED = "plan-20260314T030000Z"
ARN = f"arn:aws:states:eu-central-1:123456789012:execution:RescanRegistry:{PLANNED}"
STARTED = {"executionArn": ARN, "startDate": NOW}


def execution(status: str, **more: Any) -> dict[str, Any]:
    return {
        "executionArn": ARN,
        "stateMachineArn": "arn",
        "status": status,
        "startDate": NOW,
        **more,
    }


@pytest.fixture
def dry_run(recorded: Recorded, bucket: RunBucket) -> RunBucket:
    """Let a dry run find two images due, one of them never scanned, and one fresh."""
    recorded.answer("StartExecution", STARTED)
    recorded.answer("DescribeExecution", execution("RUNNING"), execution("SUCCEEDED"))
    counts = ImageCounts(
        {
            "DUE": {"dry run": 2},
            "FRESH": {"scanned": 1},
            "GONE": {"image deleted": 1},
            "DEFERRED": {"repository budget": 7},
            "FAILED": {"EcrError": 1, "KmsException": 2},
        }
    )
    write_summary(bucket, any_summary(PLANNED, dry_run=True, repositories=2, images=counts))
    line = {"repository": "team/api", "image_tags": ["v1"]}
    bucket.write_image_outcomes(
        PLANNED,
        "team/api",
        "step-0001",
        [
            line | {"image_digest": A, "outcome": "DUE", "last_scan_at": "2026-03-06T03:00:00Z"},
            {"repository": "team/api", "image_digest": B, "outcome": "DUE"},
            line | {"image_digest": "sha256:c", "outcome": "FRESH"},
        ],
    )
    write_summary(bucket, any_summary("today", ended_at=NOW - timedelta(hours=1)))
    write_summary(bucket, any_summary("yesterday", ended_at=NOW - timedelta(hours=25)))
    return bucket


@pytest.mark.usefixtures("dry_run")
def test_says_what_a_run_would_do(run: Run, recorded: Recorded, patience: list[float]) -> None:
    answer = run("plan", "--output", "json")

    assert answer.exit_code == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["counts"] == {
        "repositories": 2,
        "repositories_not_done": 0,
        "images": 3,
        "would_start": 2,
        "never_scanned": 1,
        "outcomes": {"DUE": 2, "FRESH": 1, "GONE": 1, "DEFERRED": 7, "FAILED": 3},
    }
    assert (found["run"], found["is_complete"]) == (PLANNED, True)
    assert (found["quota_left"], found["rate"], found["is_rate_learnt"]) == (99_997, 20.0, False)
    assert found["transitions"] == 17  # 6, of each repository 5, and one batch
    assert found["usd"]["transitions"] == pytest.approx(17 * 25e-6)
    assert "due" not in found
    assert patience == [3]
    (started,) = recorded.asked["StartExecution"]
    assert (started["name"], json.loads(started["input"])) == (PLANNED, {"dry_run": True})


@pytest.mark.usefixtures("dry_run")
def test_names_the_images_on_request(run: Run) -> None:
    named = json.loads(run("plan", "--images", "-o", "json").stdout)["due"]
    assert [each["image_digest"] for each in named] == [B, A]

    text = run("plan", "--images").stdout
    assert "team/api:v1" in text
    assert "team/api@bbbbbbbbbbbb" in text
    assert "Which ones" not in text


@pytest.mark.usefixtures("dry_run")
def test_prints_a_row_per_image_as_csv(run: Run) -> None:
    rows = [*csv.DictReader(io.StringIO(run("plan", "-o", "csv").stdout))]
    assert [row["image_digest"] for row in rows] == [B, A]


@pytest.mark.usefixtures("dry_run")
def test_prints_what_a_run_would_do(run: Run, stack: StackInMemory) -> None:
    stack.parameters["RepositoryFilter"] = "prod/"
    text = run("plan", "--region", "eu-west-1").stdout
    assert text.startswith(f"dry run {PLANNED} took 18 min; nothing was started\n")
    for line in (
        r"repositories .* 2  filter prod/",
        r"would start .* 2  of those 1 never scanned",
        r"gone .* 1  image deleted",
        r"deferred .* 7  repository budget",
        r"failed .* 3  1 EcrError, 2 KmsException",
        r"scans left today .* 99,997  of ECR's 100,000, at most",
        r"at 20 calls a second .* ECR has never throttled",
        r"state transitions .* 17  0.0004 USD",
        r"fixed  .* 1.56 USD a month: 12 alarms, 29 metrics",
    ):
        assert any(re.match(line, each) for each in text.splitlines()), line
    assert "Which ones: ecr-rescan plan --images --region eu-west-1 " in text
    given = '{"rescan_after": "2d"}'
    chosen = run("plan", "--input", given).stdout
    assert f"Which ones: ecr-rescan plan --images --input '{given}' " in chosen


@pytest.mark.usefixtures("dry_run")
def test_knows_the_rate_and_a_quota_that_is_used_up(run: Run) -> None:
    boards = Boards(Table(boto3.client("dynamodb"), "ledger-table"))
    second = NOW.timestamp()
    boards.create(
        "StartImageScan",
        Board(
            rate=5.04, front=0, front_at=second, window_at=second, touched_at=second, is_learnt=True
        ),
    )
    boards.close("StartImageScan", NOW + timedelta(hours=1))

    text = run("plan").stdout

    assert "at 5 calls a second" in text
    assert "the rate learnt" in text
    assert "2 images would wait for the quota of the next day." in text


def test_a_dry_run_that_is_not_complete_says_so(
    run: Run, recorded: Recorded, dry_run: RunBucket
) -> None:
    recorded.answer("DescribeExecution", execution("FAILED", error="RescanIncomplete"))
    problems = (Problem("team/web", "EcrError: no\x1b[2J"),)
    write_summary(
        dry_run,
        any_summary(
            PLANNED,
            status="INCOMPLETE",
            repositories_not_done=1,
            problems=problems,
            remark="One of two.",
        ),
    )
    answer = run("plan")
    assert answer.exit_code == 4
    assert "not done" in answer.stdout
    assert "One of two." in answer.stdout
    assert "team/web: EcrError: no�[2J\n" in answer.stdout


def test_a_dry_run_without_a_summary_is_an_error(
    run: Run, recorded: Recorded, stack: StackInMemory
) -> None:
    recorded.answer("StartExecution", STARTED)
    recorded.answer(
        "DescribeExecution",
        refused("DescribeExecution", "ExecutionDoesNotExist"),
        execution("FAILED", error="SettingsError", cause=of_lambda("RescanAfter must be.")),
    )
    answer = run("plan")
    assert answer.exit_code == 3
    assert " ".join(answer.stderr.split()) == (
        f"The dry run {PLANNED} did not finish: SettingsError: RescanAfter must be. "
        "docs/operations.md#when-a-run-has-failed says what to do."
    )


@pytest.mark.parametrize("given", ["[]", "{", '{"repositories": []}', '{"rescan_after": "1h"}'])
def test_an_input_that_no_run_accepts_is_refused_before(run: Run, given: str) -> None:
    answer = run("plan", "--input", given)
    assert answer.exit_code == 2
    assert "--input" in answer.stderr


def test_repositories_that_do_not_exist_are_named_before(
    run: Run, stack: StackInMemory, recorded: Recorded
) -> None:
    answer = run("plan", "--input", '{"repositories": ["team/nope", "team/gone"]}')
    assert answer.exit_code == 2
    assert answer.stderr.startswith("--input: ")
    assert {"team/nope", "team/gone"} <= set(re.findall(r"team/\w+", answer.stderr))
    assert "StartExecution" not in recorded.asked


def test_an_input_that_selects_nothing_is_refused_before(run: Run, stack: StackInMemory) -> None:
    answer = run("plan", "--input", '{"repository_filter": "prdo/"}')
    assert answer.exit_code == 2
    assert answer.stderr.startswith("--input selects nothing: 0 of 0 repositories")


def test_computes_by_a_shape_without_aws(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.stack.Account.client", None)
    answer = run("plan", "--shape", "100x50@20")
    assert answer.exit_code == 0
    assert answer.stdout.startswith(
        "100 repositories, 5,000 images, of which a daily run finds 800 due\n\n"
    )
    found = json.loads(run("plan", "--shape", "100x50", "-o", "json").stdout)
    assert (found["transitions"], found["counts"]["would_start"]) == (606, 800)
    (row,) = csv.DictReader(io.StringIO(run("plan", "--shape", "100x50", "-o", "csv").stdout))
    assert (row["transitions"], row["usd_transitions"]) == ("606", "0.01515")


def test_a_run_starts_no_more_than_its_time_and_the_quota_allow(run: Run) -> None:
    text = run("plan", "--shape", "1000x1000@50").stdout
    assert "finds 143,000 due" in text
    assert "It starts 100,000, and defers the others" in text
    assert "and a run starts scans for 5 h 40 min." in text
    assert "at 1 call a second" in run("plan", "--shape", "1x7@1").stdout
    slow = json.loads(run("plan", "--shape", "1x70000@1", "-o", "json").stdout)
    assert slow["counts"] == {
        "repositories": 1,
        "images": 70_000,
        "due": 10_000,
        "would_start": 10_000,
    }


@pytest.mark.parametrize(
    "shape", ["", "100", "100x50@0", "-1x5", "1x1@", "axb", "1000000x1000", "1x1@10000"]
)
def test_a_shape_that_is_none_is_refused(run: Run, shape: str) -> None:
    answer = run("plan", "--shape", shape)
    assert answer.exit_code == 2
    assert "100x50@20" in answer.stderr
    assert "of at most six digits" in answer.stderr


@pytest.mark.parametrize("options", [("--images",), ("--input", '{"rescan_after": "2d"}')])
def test_options_of_a_dry_run_are_refused_with_a_shape(run: Run, options: tuple[str, ...]) -> None:
    answer = run("plan", "--shape", "1x1", *options)
    assert answer.exit_code == 2
    assert answer.stderr == "--shape computes without AWS: leave out --images and --input.\n"
