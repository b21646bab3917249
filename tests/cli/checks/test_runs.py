"""Checks of the filter, the schedules, the last run, and the oldest scan."""

import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import boto3
import pytest

from cli.checks.result import State
from cli.checks.runs import longest_interval, oldest_scan, patterns, schedule
from ledger.bucket import RunBucket
from ledger.run_records import Freshness
from runtime.patterns import PatternTooSlow
from tests.cli.checks.conftest import Answer, Opened, the
from tests.cli.conftest import StackInMemory
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

DAY = timedelta(days=1)


def let_end(
    answer: Answer,
    *ended: tuple[str, timedelta],
    dry: Collection[str] = (),
    part: Collection[str] = (),
) -> None:
    """Let there be runs: the status of each, and how long ago it ended.

    dry: names of dry runs. part: of those that do not take all repositories.
    """
    listed: dict[str, dict[str, Any]] = {
        f"run-{number}": {
            "executionArn": f"arn:run-{number}",
            "name": f"run-{number}",
            "status": status,
            "startDate": NOW - ago,
            **({} if status == "RUNNING" else {"stopDate": NOW - ago}),
        }
        for number, (status, ago) in enumerate(ended)
    }

    def described(executionArn: str) -> dict[str, Any]:  # noqa: N803 as AWS names it
        name = executionArn.rpartition(":")[2]
        given = {"dry_run": name in dry} | ({"repositories": ["a"]} if name in part else {})
        return {**listed[name], "input": json.dumps(given)}

    answer("stepfunctions", "list_executions", {"executions": [*listed.values()]})
    answer("stepfunctions", "describe_execution", described)


# The filter


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("prod/", "prod/ matches 2 of 3 repositories"),
        ("", "empty: matches 3 of 3 repositories"),
    ],
)
def test_a_filter_that_matches(
    healthy: StackInMemory, opened: Opened, pattern: str, found: str
) -> None:
    healthy.parameters["RepositoryFilter"] = pattern
    assert the(patterns(opened()), State.OK).found == found


def test_a_filter_that_matches_nothing_has_near_names(
    healthy: StackInMemory, opened: Opened
) -> None:
    healthy.parameters["RepositoryFilter"] = "production/api"
    result = the(patterns(opened()), State.FAULT)
    assert result.found == "production/api matches 0 of 3 repositories"
    assert result.repair[0].endswith("The nearest names: prod/api, prod/web, team/prod")
    assert result.repair[1].startswith('Set RepositoryFilter = "prod/api" in ')


@pytest.mark.parametrize("pattern", ["prod/(", "*", "a{99999999999}"])
def test_a_filter_that_is_no_expression(
    healthy: StackInMemory, opened: Opened, pattern: str
) -> None:
    healthy.parameters["RepositoryFilter"] = pattern
    result = the(patterns(opened()), State.FAULT)
    assert "is not a regular expression: " in result.found
    assert result.follows == "every run ends with SettingsError."


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}"])
def test_tags_that_are_no_expression(healthy: StackInMemory, opened: Opened, pattern: str) -> None:
    healthy.parameters["ExcludeTagPattern"] = pattern
    works, result = patterns(opened())
    assert works.state is State.OK
    assert result.found.startswith(f"ExcludeTagPattern {pattern} is not a regular expression: ")
    assert (result.state, result.follows) == (State.FAULT, "every run ends with SettingsError.")
    assert result.repair[0].startswith("Set ExcludeTagPattern = ")


def test_a_filter_that_is_too_slow(
    healthy: StackInMemory, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(pattern: str, _: Any) -> Any:
        raise PatternTooSlow(pattern)

    monkeypatch.setattr("cli.checks.runs.matching_texts", slow)
    healthy.parameters["RepositoryFilter"] = "(a+)+$"
    assert "takes too long" in the(patterns(opened()), State.FAULT).found


def test_a_registry_without_repositories(answer: Answer, opened: Opened) -> None:
    answer("ecr", "describe_repositories", {"repositories": []})
    assert the(patterns(opened()), State.WARN).found.endswith("0 of 0 repositories")


# Schedules


@pytest.mark.parametrize(
    ("parameter", "repair"),
    [
        ("ENABLED", "aws scheduler update-schedule --name runs --state ENABLED "),
        ("DISABLED", 'Set ScheduleState = "ENABLED" in ecr-rescan.toml'),
    ],
)
def test_a_schedule_that_is_disabled(
    healthy: StackInMemory, answer: Answer, opened: Opened, parameter: str, repair: str
) -> None:
    change("runs", State="DISABLED")
    healthy.parameters["ScheduleState"] = parameter
    let_end(answer, ("SUCCEEDED", 9 * DAY))
    result = the(schedule(opened()), State.WARN)
    assert result.found == "the schedule of runs is disabled"
    assert result.repair[0].startswith(repair)


def test_a_schedule_of_digests_that_is_disabled(opened: Opened) -> None:
    change("digests", State="DISABLED")
    result = the(schedule(opened()), State.FAULT)
    assert "--schedule-expression 'cron(0 3 * * ? *)'" in result.repair[0]


def test_schedules_that_do_not_exist(healthy: StackInMemory, opened: Opened) -> None:
    boto3.client("scheduler").delete_schedule(Name="runs")
    healthy.resources["AWS::Scheduler::Schedule"].pop("SendDigestStateMachineDigestSchedule")
    assert [(each.state, each.found) for each in schedule(opened())] == [
        (State.FAULT, "the schedule of runs does not exist"),
        (State.FAULT, "the schedule of digests does not exist"),
    ]


@pytest.mark.parametrize(
    ("expression", "seconds", "repair"),
    [
        ("cron(0 3 ? * MON-FRI *)", "86400", 'ScheduleIntervalSeconds = "259200"'),
        ("rate(6 hours)", "3600", 'ScheduleIntervalSeconds = "21600"'),
        ("cron(0 3 ? * SUN *)", "259200", 'ScheduleExpression = "cron(0 3 * * ? *)"'),
    ],
)
def test_a_schedule_that_pauses_longer_than_its_interval(
    healthy: StackInMemory, opened: Opened, expression: str, seconds: str, repair: str
) -> None:
    change("runs", ScheduleExpression=expression)
    healthy.parameters["ScheduleIntervalSeconds"] = seconds
    (result,) = schedule(opened())
    assert result.state is State.WARN
    assert result.found.endswith(f"ScheduleIntervalSeconds is {seconds}")
    assert repair in result.repair[0]


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("rate(90 minutes)", 1.5),
        ("rate(1 day)", 24),
        ("cron(0 3 * * ? *)", 24),
        ("cron(0 */6 * * ? *)", 0),
        ("cron(0 3,15 * * ? *)", 0),
        ("cron(0 3 ? * MON-FRI *)", 72),
        ("cron(0 3,15 ? * 2-6 *)", 72),
        ("cron(0 3 ? * FRI-MON *)", 96),
        ("cron(0 3 ? * SUN,WED *)", 96),
        ("cron(0 3 ? * 2#1 *)", 24),
        ("cron(0 3 1 * ? *)", 31 * 24),
        ("cron(0 3 1,15 * ? *)", 17 * 24),
        ("cron(0 3 L * ? *)", 24),
        ("at(2026-03-14T03:00:00)", 0),
    ],
)
def test_the_longest_interval_of_a_schedule(expression: str, hours: float) -> None:
    assert longest_interval(expression) == timedelta(hours=hours)


# The last run


def test_a_stack_that_has_not_run_yet(answer: Answer, opened: Opened) -> None:
    let_end(answer, ("RUNNING", 0 * DAY))
    assert the(schedule(opened()), State.OK).found.endswith("no run has ended yet")


@pytest.mark.parametrize(("age", "state"), [(2 * DAY, State.OK), (2.1 * DAY, State.FAULT)])
def test_a_success_is_needed_in_two_intervals(
    answer: Answer, opened: Opened, age: timedelta, state: State
) -> None:
    stack = opened()
    stack.created_at = NOW - 30 * DAY
    let_end(answer, ("SUCCEEDED", age))
    result = the(schedule(stack), state)
    assert ("no run over all repositories has succeeded since 2026-03-1" in result.found) is (
        state is State.FAULT
    )


@pytest.mark.parametrize(
    ("ended", "repair"),
    [
        ((), "ecr-rescan run"),
        ((("FAILED", 1 * DAY),), "ecr-rescan rerun"),
    ],
)
def test_a_stack_without_a_success(
    answer: Answer, opened: Opened, ended: tuple[tuple[str, timedelta], ...], repair: str
) -> None:
    stack = opened()
    stack.created_at = NOW - 3 * DAY
    let_end(answer, *ended)
    result = the(schedule(stack), State.FAULT)
    assert result.found == "no run over all repositories has succeeded so far"
    assert result.repair[1].startswith(repair)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_last_run_that_failed_is_run_again(answer: Answer, opened: Opened, status: str) -> None:
    let_end(answer, (status, DAY), ("SUCCEEDED", DAY))
    result = the(schedule(opened()), State.WARN)
    assert result.found == f"last run {status.lower()} 24 h ago"
    assert result.repair == ("ecr-rescan rerun run-0",)


def test_a_dry_run_that_succeeds_hides_no_failure(answer: Answer, opened: Opened) -> None:
    stack = opened()
    stack.created_at = NOW - 30 * DAY
    let_end(
        answer,
        ("SUCCEEDED", 0 * DAY),
        *(("FAILED", day * DAY) for day in range(1, 9)),
        ("SUCCEEDED", 9 * DAY),
        dry={"run-0"},
    )
    result = the(schedule(stack), State.FAULT)
    assert result.found == "no run over all repositories has succeeded since 2026-03-05 03:00 UTC"


def test_a_part_that_succeeds_is_no_success_of_the_whole(answer: Answer, opened: Opened) -> None:
    """The alarm counts it neither."""
    stack = opened()
    stack.created_at = NOW - 30 * DAY
    let_end(answer, ("SUCCEEDED", 0 * DAY), ("SUCCEEDED", 9 * DAY), part={"run-0"})
    result = the(schedule(stack), State.FAULT)
    assert result.found == "no run over all repositories has succeeded since 2026-03-05 03:00 UTC"
    assert result.repair[1] == "ecr-rescan run"


def test_a_dry_run_that_fails_is_no_failure(answer: Answer, opened: Opened) -> None:
    let_end(answer, ("FAILED", 0 * DAY), ("SUCCEEDED", DAY), dry={"run-0"})
    assert the(schedule(opened()), State.OK).found.endswith("last run succeeded 24 h ago")


def test_a_search_that_was_cut_is_no_failure(
    answer: Answer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.executions.LOOKED_AT", 2)
    runs = {"run-0", "run-1", "run-2"}
    let_end(answer, *(("SUCCEEDED", day * DAY) for day in range(3)), dry=runs)
    result = the(schedule(opened()), State.UNCHECKED)
    assert result.found.startswith("the last run: Only the newest 2 executions of RescanRegistry")


# The oldest scan


def write(**changes: Any) -> None:
    write_summary(RunBucket(boto3.client("s3"), "run-bucket"), any_summary(**changes))


@pytest.mark.parametrize(("count", "found"), [(1, "1 image"), (7, "7 images")])
def test_overdue_images_are_a_warning(opened: Opened, count: int, found: str) -> None:
    write(freshness=Freshness(scannable=9, overdue=count, oldest_at=NOW - 13 * DAY))
    result = the(oldest_scan(opened()), State.WARN)
    assert result.found == f"run run found an oldest scan of 13 d, and left {found} overdue"
    assert result.repair == ("ecr-rescan report --overdue",)


def test_a_run_under_enhanced_scanning_knows_no_age(opened: Opened) -> None:
    write(freshness=None)
    assert the(oldest_scan(opened()), State.OK).found.startswith("Amazon Inspector scans")


def test_a_registry_with_nothing_to_scan_has_no_oldest_scan(opened: Opened) -> None:
    write(freshness=Freshness())
    assert the(oldest_scan(opened()), State.OK).found == "run run left no image overdue"


def test_only_runs_over_everything_count(opened: Opened) -> None:
    write(is_whole=False, freshness=Freshness(overdue=5))
    assert the(oldest_scan(opened()), State.OK).found == "no run over everything has ended yet"


def test_what_a_dry_run_leaves_does_not_count(opened: Opened) -> None:
    write(dry_run=True, freshness=Freshness(overdue=5))
    assert the(oldest_scan(opened()), State.OK).found == "no run over everything has ended yet"


def test_a_damaged_summary_is_unchecked(opened: Opened) -> None:
    boto3.client("s3").put_object(Bucket="run-bucket", Key="runs/run/summary.json", Body=b"{")
    result = the(oldest_scan(opened()), State.UNCHECKED)
    assert result.found == "runs/run/summary.json in the run bucket cannot be read"


def change(name: str, **changes: str) -> None:
    """Change a schedule behind the back of the stack."""
    scheduler = boto3.client("scheduler")
    known = scheduler.get_schedule(Name=name)
    wanted = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State")
    request: Any = {each: known[each] for each in wanted} | changes  # type: ignore[literal-required]
    if name == "digests":
        request |= {"ScheduleExpression": "cron(0 3 * * ? *)"}
    scheduler.update_schedule(**request)
