"""Checks of the stack, the registry, concurrency, the quota of scans, and the version."""

from datetime import timedelta
from typing import Any

import boto3
import pytest

from cli import VERSION
from cli.checks.account import concurrency, scan_quota, scan_type, status, version
from cli.checks.result import State
from ledger.boards import Boards
from ledger.bucket import RunBucket
from ledger.run_summaries import ImageCounts
from ledger.table import Table
from tests.cli.checks.conftest import Answer, Opened, the
from tests.cli.conftest import StackInMemory
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary


@pytest.mark.parametrize(
    ("status_of_stack", "state", "repair"),
    [
        ("UPDATE_COMPLETE", State.OK, None),
        ("UPDATE_ROLLBACK_COMPLETE", State.WARN, "make deploy"),
        ("UPDATE_IN_PROGRESS", State.WARN, "aws cloudformation describe-stack-events"),
        ("ROLLBACK_IN_PROGRESS", State.WARN, "aws cloudformation describe-stack-events"),
        ("UPDATE_ROLLBACK_FAILED", State.FAULT, "aws cloudformation continue-update-rollback"),
        ("CREATE_FAILED", State.FAULT, "make deploy"),
        ("ROLLBACK_COMPLETE", State.FAULT, "make deploy"),
    ],
)
def test_a_deployment_that_is_not_complete(
    healthy: StackInMemory, opened: Opened, status_of_stack: str, state: State, repair: str | None
) -> None:
    healthy.status = status_of_stack
    result = the(status(opened()), state)
    assert result.found == f"ecr-rescan in eu-west-1, {status_of_stack}"
    assert (result.repair[-1].startswith(repair)) if repair else not result.repair


@pytest.mark.parametrize(
    ("parameters", "found", "repair"),
    [
        ({"RescanAfter": "0d"}, "RescanAfter must be longer than zero", 'RescanAfter = "7d"'),
        ({"RescanAfter": "12h"}, "RescanAfter is 12h; ECR accepts one", 'RescanAfter = "24h"'),
        (
            {"RescanAfter": "200d"},
            "ImageRecordRetentionDays is 180, not longer than P200D",
            'ImageRecordRetentionDays = "230"',
        ),
        (
            {"UnsupportedRetryAfter": "45d", "ImageRecordRetentionDays": "45"},
            "ImageRecordRetentionDays is 45, not longer than P45D",
            'ImageRecordRetentionDays = "75"',
        ),
    ],
)
def test_parameters_that_contradict_each_other(
    healthy: StackInMemory, opened: Opened, parameters: dict[str, str], found: str, repair: str
) -> None:
    healthy.parameters |= parameters
    result = the(status(opened()), State.FAULT)
    assert result.found.startswith(found)
    assert result.repair == (f"Set {repair} in ecr-rescan.toml, then: make deploy",)


def test_enhanced_scanning_is_a_warning(answer: Answer, opened: Opened) -> None:
    configuration = {"scanningConfiguration": {"scanType": "ENHANCED"}}
    answer("ecr", "get_registry_scanning_configuration", configuration)
    assert the(scan_type(opened()), State.WARN).found == "ENHANCED"


def test_a_scanner_of_former_times_is_a_warning(answer: Answer, opened: Opened) -> None:
    answer("ecr", "get_account_setting", {"value": "CLAIR"})
    result = the(scan_type(opened()), State.WARN)
    assert result.found == "BASIC, CLAIR"
    assert result.repair == (
        "aws ecr put-account-setting --name BASIC_SCAN_TYPE_VERSION --value AWS_NATIVE "
        "--region eu-west-1",
    )


@pytest.mark.parametrize(("free", "state"), [(30, State.OK), (29, State.WARN)])
def test_a_run_needs_three_invocations_for_each_repository(
    answer: Answer, opened: Opened, free: int, state: State
) -> None:
    limit = {"AccountLimit": {"UnreservedConcurrentExecutions": free}}
    answer("lambda", "get_account_settings", limit)
    the(concurrency(opened()), state)


@pytest.mark.parametrize(("free", "enough"), [(29, 9), (10, 3), (2, 1)])
def test_fewer_repositories_are_what_the_account_can_process(
    answer: Answer, opened: Opened, free: int, enough: int
) -> None:
    limit = {"AccountLimit": {"UnreservedConcurrentExecutions": free}}
    answer("lambda", "get_account_settings", limit)
    (repair,) = the(concurrency(opened()), State.WARN).repair
    assert repair == f'Set MaxConcurrency = "{enough}" in ecr-rescan.toml, then: make deploy'


def test_a_function_that_is_stopped_is_a_fault(answer: Answer, opened: Opened) -> None:
    answer("lambda", "get_function_concurrency", {"ReservedConcurrentExecutions": 0})
    result = the(concurrency(opened()), State.FAULT)
    assert result.found == "interpret has a reserved concurrency of 0"
    assert result.repair == (
        "aws lambda delete-function-concurrency --function-name interpret --region eu-west-1",
    )


def test_a_stopped_function_and_a_small_account_are_both_named(
    answer: Answer, opened: Opened
) -> None:
    answer("lambda", "get_function_concurrency", {"ReservedConcurrentExecutions": 0})
    answer(
        "lambda", "get_account_settings", {"AccountLimit": {"UnreservedConcurrentExecutions": 9}}
    )
    found = concurrency(opened())
    assert [each.state for each in found] == [State.FAULT, State.WARN]


@pytest.mark.parametrize(("started", "state"), [(90_000, State.OK), (90_001, State.WARN)])
def test_the_scans_of_a_day_are_counted(opened: Opened, started: int, state: State) -> None:
    bucket, day = RunBucket(boto3.client("s3"), "run-bucket"), timedelta(days=1)
    images = ImageCounts({"STARTED": {"accepted": started}})
    write_summary(bucket, any_summary(images=images, ended_at=NOW - day))
    write_summary(bucket, any_summary("old", images=images, ended_at=NOW - 1.1 * day))
    result = the(scan_quota(opened()), state)
    assert result.found == f"{started:,} of 100,000 scans started in 24 h"


def test_a_summary_that_cannot_be_read_leaves_the_scans_unknown(opened: Opened) -> None:
    boto3.client("s3").put_object(Bucket="run-bucket", Key="runs/run/summary.json", Body=b"{")
    result = the(scan_quota(opened()), State.UNCHECKED)
    assert result.found == "runs/run/summary.json in the run bucket cannot be read"


@pytest.mark.parametrize(
    ("closes", "state"),
    [(timedelta(hours=2), State.FAULT), (timedelta(0), State.OK), (timedelta(-1), State.OK)],
)
def test_a_quota_that_is_used_up_is_a_fault_until_it_is_not(
    opened: Opened, closes: timedelta, state: State
) -> None:
    boards = Boards(Table(boto3.client("dynamodb"), "ledger-table"))
    boards.close("StartImageScan", NOW + closes)
    result = the(scan_quota(opened()), state)
    assert ("2026-03-14 05:00 UTC" in result.follows) is (state is State.FAULT)


@pytest.mark.parametrize(
    ("deployed", "state", "repair"),
    [
        ("0.3.0", State.WARN, ("make deploy",)),
        ("0.10.0", State.WARN, ("uv tool upgrade ecr-rescan",)),
        (VERSION, State.OK, ()),
    ],
)
def test_versions_that_differ_are_a_warning(
    healthy: StackInMemory, opened: Opened, deployed: str, state: State, repair: Any
) -> None:
    healthy.outputs["Version"] = deployed
    assert the(version(opened()), state).repair == repair
