"""Checks of what runs depend on, and of what they have achieved."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from cli.answers import file_of, set_parameter
from cli.checks.result import Result, fault, ok, unchecked, warn
from cli.executions import SUCCEEDED, Execution, Executions, SearchCut
from cli.output import age
from cli.patterns import NotAPattern, checked
from cli.run_files import RunFiles
from cli.shown_commands import aws, make_deploy, own
from cli.stack import Stack
from registry.ecr import EcrRegistry
from rescan_registry.registry_listing import Waiting, repository_names
from runtime import clock
from runtime.nouns import counted
from runtime.patterns import QUICK, PatternTooSlow, matching_texts

_NO_RUN = "every run ends with SettingsError."
NEAREST = 3  # names that are shown if the filter matches none
# What ScheduleIntervalSeconds can be.
INTERVALS = (3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 259_200)
CRON_FIELDS = 6
LONGEST_MONTH = 31
DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


def patterns(stack: Stack) -> list[Result]:
    """Check that what runs take and leave out is given by regular expressions that they can use."""
    names = ("RepositoryFilter", "ExcludeTagPattern")
    refused = {name: problem for name in names if (problem := _not_a_pattern(stack, name))}
    matched = [] if "RepositoryFilter" in refused else _repositories(stack)
    return [*matched, *refused.values()]


def _not_a_pattern(stack: Stack, name: str) -> Result | None:
    pattern = stack.parameter(name)
    try:
        checked(pattern)
    except NotAPattern as error:
        return fault(f"{name} {error}", _NO_RUN, set_parameter(stack, name, re.escape(pattern)))
    return None


def _repositories(stack: Stack) -> list[Result]:
    """Check that RepositoryFilter matches repositories, quickly."""
    pattern = stack.parameter("RepositoryFilter")
    names = list(repository_names(EcrRegistry(stack.client("ecr")), Waiting()))
    try:
        matching = matching_texts(pattern, names)
    except PatternTooSlow:
        slow = f"RepositoryFilter {pattern} takes too long to match"
        return [fault(slow, _NO_RUN, f"RepositoryFilter must be {QUICK}")]
    found = (
        f"{pattern or 'empty:'} matches {len(matching):,} of {counted(len(names), 'repository')}"
    )
    if not names:
        return [warn(found, "runs do nothing.", "Push an image, or check the Region.")]
    if matching:
        return [ok(found)]
    nearest = difflib.get_close_matches(pattern, names, NEAREST, cutoff=0)
    return [
        fault(
            found,
            "runs do nothing.",
            f"It is matched from the start of a name. The nearest names: {', '.join(nearest)}",
            set_parameter(stack, "RepositoryFilter", re.escape(nearest[0])),
        )
    ]


def schedule(stack: Stack) -> list[Result]:
    """Check that runs and digests are scheduled, and that runs succeed."""
    schedules = stack.physical_names("AWS::Scheduler::Schedule")
    scheduled = {
        logical_id: _schedule(stack, schedules.get(logical_id))
        for logical_id in (
            "RescanRegistryStateMachineSchedule",
            "SendDigestStateMachineDigestSchedule",
        )
    }
    of_runs, of_digests = scheduled.values()
    is_on = of_runs is not None and of_runs["State"] == "ENABLED"
    last, problems = _last_run(stack, is_on=is_on)
    problems = [*_of_runs(stack, of_runs), *_of_digests(stack, of_digests), *problems]
    if problems:
        return problems
    return [ok(f"{stack.parameter('ScheduleExpression')} is enabled; {last}")]


def oldest_scan(stack: Stack) -> list[Result]:
    """Check that the newest run over everything has found no overdue image."""
    files = RunFiles(stack)
    summary = files.newest_whole()
    if files.damaged:
        return [unchecked(f"{files.damaged[0]} in the run bucket cannot be read")]
    if summary is None:
        return [ok("no run over everything has ended yet")]
    if summary.freshness is None:
        return [ok("Amazon Inspector scans: no run looks at the age of scans")]
    overdue, oldest_at = summary.freshness.overdue, summary.freshness.oldest_at
    images = counted(overdue, "image") if overdue else "no image"
    before = age(oldest_at, summary.started_at) if oldest_at else None
    oldest = f" found an oldest scan of {before}, and" if before else ""
    found = f"run {summary.run}{oldest} left {images} overdue"
    if not overdue:
        return [ok(found)]
    rescan_after = stack.parameter("RescanAfter")
    follows = f"their findings may have changed since: RescanAfter is {rescan_after}."
    return [warn(found, follows, own(stack, "report --overdue"))]


def longest_interval(expression: str) -> timedelta:
    """Return the longest time between two runs of a schedule, as far as its text shows.

    Of a cron expression, days count, and whether it names one hour. Shorter than a day is zero.
    """
    if rate := _RATE.fullmatch(expression):
        return timedelta(seconds=int(rate[1]) * _SECONDS[rate[2]])
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if len(fields) != CRON_FIELDS:
        return timedelta(0)
    _, hours, days_of_month, _, days_of_week, _ = fields
    days = max(
        _longest_gap(_numbers(days_of_month, {}), LONGEST_MONTH),
        _longest_gap(_numbers(days_of_week, DAYS), len(DAYS)),
    )
    return timedelta(days=days) if days > 1 or hours.isdecimal() else timedelta(0)


def _numbers(field: str, names: Mapping[str, int]) -> list[int]:
    """Return the days that a cron field lists, in order; none if it is a wildcard or a formula."""
    days: set[int] = set()
    for part in field.upper().split(","):
        ends = [names.get(end, end) for end in part.split("-")]
        if not all(str(end).isdecimal() for end in ends):
            return []
        first, last = int(ends[0]), int(ends[-1])
        days |= set(range(first, last + 1)) or {*range(first, len(DAYS) + 1), *range(1, last + 1)}
    return sorted(days)


def _longest_gap(days: Sequence[int], cycle: int) -> int:
    """Return the most days between two of them; 1 if there are none, which is every day."""
    following = [*days[1:], *(day + cycle for day in days[:1])]
    return max((later - day for day, later in zip(days, following, strict=True)), default=1)


def _of_runs(stack: Stack, found: Mapping[str, Any] | None) -> list[Result]:
    if found is None:
        return [_missing(stack, "runs", "no run starts, and scans become older than RescanAfter.")]
    problems = []
    expression, seconds = found["ScheduleExpression"], stack.parameter("ScheduleIntervalSeconds")
    if found["State"] != "ENABLED":
        follows = "no run starts, and scans become older than RescanAfter."
        repair = (
            _enable(stack, found)
            if stack.parameter("ScheduleState") == "ENABLED"
            else set_parameter(stack, "ScheduleState", "ENABLED")
        )
        problems.append(warn("the schedule of runs is disabled", follows, repair))
    longest = longest_interval(expression)
    if longest > timedelta(seconds=int(seconds)):
        enough = [each for each in INTERVALS if each >= longest.total_seconds()]
        repair = (
            set_parameter(stack, "ScheduleIntervalSeconds", str(enough[0]))
            if enough
            else set_parameter(stack, "ScheduleExpression", "cron(0 3 * * ? *)")
        )
        problems.append(
            warn(
                f"{expression} pauses for {longest.days} d; ScheduleIntervalSeconds is {seconds}",
                "scans become older than RescanAfter before the next run, and "
                "NoSuccessfulRunAlarm goes off.",
                repair,
            )
        )
    return problems


def _of_digests(stack: Stack, found: Mapping[str, Any] | None) -> list[Result]:
    follows = "no digest is sent, and notifications that did not finish are not sent again."
    if found is None:
        return [_missing(stack, "digests", follows)]
    if found["State"] == "ENABLED":
        return []
    return [fault("the schedule of digests is disabled", follows, _enable(stack, found))]


def _missing(stack: Stack, what: str, follows: str) -> Result:
    deploy = make_deploy(stack)
    repair = f"Change its parameter in {file_of(stack)}, {deploy}, change it back, {deploy}."
    return fault(f"the schedule of {what} does not exist", follows, repair)


def _schedule(stack: Stack, name: str | None) -> Mapping[str, Any] | None:
    """Read a schedule; None if it does not exist."""
    scheduler = stack.client("scheduler")
    try:
        found: Mapping[str, Any] | None = scheduler.get_schedule(Name=name) if name else None
    except scheduler.exceptions.ResourceNotFoundException:
        return None
    return found


def _enable(stack: Stack, found: Mapping[str, Any]) -> str:
    """Write the command that enables a schedule; it has to repeat everything else."""
    window = found["FlexibleTimeWindow"]
    return aws(
        stack,
        "scheduler update-schedule",
        name=found["Name"],
        state="ENABLED",
        schedule_expression=found["ScheduleExpression"],
        schedule_expression_timezone=found.get("ScheduleExpressionTimezone", "UTC"),
        flexible_time_window=json.dumps(window),
        target=json.dumps(found["Target"]),
    )


def _last_run(stack: Stack, *, is_on: bool) -> tuple[str, list[Result]]:
    """Say how the last run ended, and check that one has succeeded in two intervals.

    As for NoSuccessfulRunAlarm, only runs over all repositories count.
    """
    ended = list[Execution]()
    try:
        for run in Executions(stack).newest_real():
            ended.append(run)
            if _is_success(run):
                break
    except SearchCut as error:
        return "", [unchecked(error, "the last run: ")]
    succeeded = [each.ended_at for each in ended if each.ended_at and _is_success(each)]
    interval = timedelta(seconds=int(stack.parameter("ScheduleIntervalSeconds")))
    now = clock.now()
    problems = []
    if is_on and now - max([*succeeded, stack.created_at]) > 2 * interval:
        since = f"since {max(succeeded):%Y-%m-%d %H:%M} UTC" if succeeded else "so far"
        problems.append(
            fault(
                f"no run over all repositories has succeeded {since}",
                "scans become older than RescanAfter.",
                own(stack, "status"),
                own(stack, "rerun" if ended and ended[0].has_failed else "run"),
            )
        )
    if not ended:
        return "no run has ended yet", problems
    last = ended[0]
    text = f"last run {last.status.lower()} {age(last.ended_at or now, now)} ago"
    if last.has_failed and not problems:
        follows = "images that it did not reach are not rescanned before the next run."
        problems.append(warn(text, follows, own(stack, f"rerun {last.name}")))
    return text, problems


def _is_success(run: Execution) -> bool:
    return run.status == SUCCEEDED and run.is_whole
