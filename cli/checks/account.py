"""Checks of the stack itself, and of what the account and the registry give it."""

import re
from datetime import timedelta

from cli import VERSION
from cli.answers import set_parameter
from cli.checks.result import Result, fault, ok, unchecked, warn
from cli.cost import QUOTA
from cli.run_files import RunFiles
from cli.shown_commands import aws, make_deploy
from cli.stack import Stack
from ledger.boards import Boards
from ledger.table import Table
from registry.ecr import EcrRegistry
from rescan_registry.pacing import Operation
from rescan_registry.request import LEAST_RESCAN_AFTER
from runtime import clock, durations

MANY_SCANS = 90_000
PER_REPOSITORY = 3  # invocations under way for each repository that a run processes, at most
DAY = timedelta(days=1)

_WORKS = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
_WORKS_AS_BEFORE = {
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
}


def status(stack: Stack) -> list[Result]:
    """Check that the last deployment is complete, and that its parameters fit each other."""
    found = f"{stack.name} in {stack.account.region}, {stack.status}"
    events = aws(
        stack,
        "cloudformation describe-stack-events",
        stack_name=stack.name,
        query="StackEvents[?ends_with(ResourceStatus, 'FAILED')].[LogicalResourceId, "
        "ResourceStatusReason]",
        output="text",
    )
    if stack.status in _WORKS:
        return _contradictions(stack) or [ok(found)]
    if stack.status in _WORKS_AS_BEFORE:
        return [warn(found, "the last change is not deployed.", events, make_deploy(stack))]
    if stack.status.endswith("_IN_PROGRESS"):
        return [warn(found, "it is being changed: what is checked may change, too.", events)]
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        again = aws(stack, "cloudformation continue-update-rollback", stack_name=stack.name)
        return [fault(found, "parts of the stack are of another version.", events, again)]
    return [fault(found, "parts of the stack are missing.", events, make_deploy(stack))]


def scan_type(stack: Stack) -> list[Result]:
    """Check that the registry has basic scanning, of the version that is maintained."""
    docs = "docs/operations.md, Findings of enhanced scanning, says what ecr-rescan does then."
    if EcrRegistry(stack.client("ecr")).scan_type() == "ENHANCED":
        follows = "runs start no scan; what Amazon Inspector finds is reported."
        return [warn("ENHANCED", follows, docs)]
    answer = stack.client("ecr").get_account_setting(name="BASIC_SCAN_TYPE_VERSION")
    if answer["value"] == "AWS_NATIVE":
        return [ok("BASIC, AWS_NATIVE")]
    repair = aws(
        stack, "ecr put-account-setting", name="BASIC_SCAN_TYPE_VERSION", value="AWS_NATIVE"
    )
    return [warn(f"BASIC, {answer['value']}", "AWS no longer maintains this scanner.", repair)]


def concurrency(stack: Stack) -> list[Result]:
    """Check that Lambda lets the functions run as often as a run and notifications need."""
    functions = stack.client("lambda")
    stopped = [
        name
        for name in stack.physical_names("AWS::Lambda::Function").values()
        if functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        == 0
    ]
    problems = [
        fault(
            f"{name} has a reserved concurrency of 0",
            "Lambda throttles every invocation: its state machines fail.",
            aws(stack, "lambda delete-function-concurrency", function_name=name),
        )
        for name in stopped
    ]
    limit = functions.get_account_settings()["AccountLimit"]
    free = limit["UnreservedConcurrentExecutions"]
    most = PER_REPOSITORY * int(stack.parameter("MaxConcurrency"))
    found = f"{free:,} of the account are not reserved; a run uses up to {most}"
    if free >= most:
        return problems or [ok(found)]
    enough = max(1, free // PER_REPOSITORY)
    repair = set_parameter(stack, "MaxConcurrency", str(enough))
    return [
        *problems,
        warn(found, "Lambda throttles invocations, which are retried: runs take longer.", repair),
    ]


def scan_quota(stack: Stack) -> list[Result]:
    """Check that ECR still accepts scans today."""
    now = clock.now()
    table = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    closed_until = Boards(table).closed_until(Operation.START_IMAGE_SCAN)
    files = RunFiles(stack)
    started = files.started_since(now - DAY)
    if files.damaged:
        return [unchecked(f"{files.damaged[0]} in the run bucket cannot be read")]
    found = f"{started:,} of {QUOTA:,} scans started in 24 h"
    fewer = (
        "Scans on push, and those of other tools, count too. Select fewer images, with "
        "RepositoryFilter or PulledWithin, or raise RescanAfter."
    )
    if closed_until and closed_until > now:
        until = f"{closed_until:%Y-%m-%d %H:%M} UTC"
        follows = f"ECR accepts no scan until {until}; due images are deferred."
        return [fault(f"used up: {found}", follows, fewer)]
    if started > MANY_SCANS:
        return [warn(found, "ECR refuses more than the quota; due images are deferred.", fewer)]
    return [ok(found)]


def version(stack: Stack) -> list[Result]:
    """Check that the stack has the version of this command line."""
    if stack.version == VERSION:
        return [ok(f"{VERSION}, as this command line")]
    found = f"{stack.version}; this command line is {VERSION}"
    if _order(stack.version) < _order(VERSION):
        return [
            warn(found, "some commands need outputs that it does not have.", make_deploy(stack))
        ]
    follows = "this command line does not know all of what the stack records."
    return [warn(found, follows, "uv tool upgrade ecr-rescan")]


def _contradictions(stack: Stack) -> list[Result]:
    """Check what no pattern of the template can: runs end with SettingsError because of it."""
    follows = "every run ends with SettingsError."
    longest = timedelta(0)
    for name in ("RescanAfter", "UnsupportedRetryAfter"):
        value = stack.parameter(name)
        try:
            duration = durations.parse(value)
        except ValueError as error:
            return [fault(f"{name} must be {error}", follows, set_parameter(stack, name, "7d"))]
        if name == "RescanAfter" and duration < LEAST_RESCAN_AFTER:
            found = f"{name} is {value}; ECR accepts one scan per image in 24 hours"
            return [fault(found, follows, set_parameter(stack, name, "24h"))]
        longest = max(longest, duration)
    kept = int(stack.parameter("ImageRecordRetentionDays"))
    if timedelta(days=kept) > longest:
        return []
    found = f"ImageRecordRetentionDays is {kept}, not longer than {durations.iso(longest)}"
    return [
        fault(
            found, follows, set_parameter(stack, "ImageRecordRetentionDays", str(longest.days + 30))
        )
    ]


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))
