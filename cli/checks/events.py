"""Checks of the rules that start notifications, and of what could not be delivered."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cli.checks.metrics import hourly
from cli.checks.result import Result, fault, ok, warn
from cli.output import age
from cli.shown_commands import aws, make_deploy, own
from cli.stack import Stack
from cli.unfinished import FOLLOWS, unreadable
from ledger.table import Table
from ledger.unfinished_executions import UnfinishedExecutions
from runtime import clock
from runtime.nouns import counted

INCIDENTS = "ImageDeleted"  # the rule that only PagerDuty needs
FINDINGS = "FindingChanged"  # the rule whose target is a queue
INDEXES = "RecordPlatformsFunctionIndexPushed"  # the rule whose target is a function
_WAITING = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def rules(stack: Stack) -> list[Result]:
    """Check that the rules that are needed are enabled, and have a target."""
    unneeded = set() if stack.parameter("PagerDutySecretArn") else {INCIDENTS}
    names = {
        logical_id: name
        for logical_id, name in stack.physical_names("AWS::Events::Rule").items()
        if logical_id not in unneeded
    }
    problems = [
        problem for each in names if (problem := _rule(stack, each, names[each])) is not None
    ]
    return problems or [ok(f"{len(names)} of {len(names)} enabled")]


def queues(stack: Stack) -> list[Result]:
    """Check that everything was delivered, processed, and started."""
    url = stack.output("UndeliveredQueueUrl")
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[*_WAITING])
    count = sum(map(int, answer["Attributes"].values()))
    problems = []
    if count:
        found = f"{counted(count, 'message')} in Undelivered{_oldest(stack, url)}"
        follows = "they are not delivered, and deleted after 14 days."
        commands = own(stack, "undelivered"), own(stack, "undelivered send")
        problems.append(fault(found, follows, *commands))
    table = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    now = clock.now()
    executions = UnfinishedExecutions(table)
    unfinished = [each.started_at for each in executions.ended_early(now)]
    for sentence, forget in unreadable(stack, executions.unreadable):
        problems.append(warn(sentence.removesuffix("."), FOLLOWS, forget))
    if unfinished:
        found = f"{counted(len(unfinished), 'execution')} of NotifyScan did not finish"
        oldest = age(min(unfinished), now)
        follows = "their notifications are late; SendDigest starts them again."
        problems.append(warn(f"{found}, the oldest {oldest}", follows, own(stack, "digest")))
    return problems or [ok("empty")]


def _rule(stack: Stack, logical_id: str, name: str) -> Result | None:
    events = stack.client("events")
    follows = (
        "findings of Amazon Inspector are not reported."
        if logical_id == FINDINGS
        else "what it matches is not reported."
    )
    try:
        state = events.describe_rule(Name=name)["State"]
        targets = events.list_targets_by_rule(Rule=name)["Targets"]
    except events.exceptions.ResourceNotFoundException:
        # CloudFormation makes no resource again that it takes for existing.
        deploy = make_deploy(stack)
        repair = f"Take the rule out of template.yaml, {deploy}, put it back, {deploy}."
        return fault(f"{logical_id} does not exist", follows, repair)
    if not targets:
        repair = aws(stack, "events put-targets", rule=name, targets=_targets(stack, logical_id))
        return fault(f"{logical_id} has no target", follows, repair)
    if state == "DISABLED":
        repair = aws(stack, "events enable-rule", name=name)
        return fault(f"{logical_id} is disabled", follows, repair)
    return None


def _targets(stack: Stack, logical_id: str) -> str:
    """Write the target of a rule, as the template has it."""
    machine = stack.output("NotifyScanArn")
    _, partition, _, region, account, *_ = machine.split(":")
    sqs = f"arn:{partition}:sqs:{region}:{account}:"
    role = stack.physical_names("AWS::IAM::Role").get("NotifyScanRulesRole")
    target: Mapping[str, Any] = {
        "Id": "NotifyScan",
        "Arn": machine,
        "RoleArn": f"arn:{partition}:iam::{account}:role/{role}",
    }
    if logical_id == FINDINGS:
        queue = stack.output("InspectorFindingsQueueUrl").rpartition("/")[2]
        target = {"Id": "InspectorFindings", "Arn": f"{sqs}{queue}"}
    if logical_id == INDEXES:
        function = stack.output("RecordPlatformsName")
        arn = f"arn:{partition}:lambda:{region}:{account}:function:{function}"
        target = {"Id": function, "Arn": arn}
    dead_letters = stack.output("UndeliveredQueueUrl").rpartition("/")[2]
    # A day, as the template says: to repair what refuses the event.
    retries = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
    more = {"RetryPolicy": retries, "DeadLetterConfig": {"Arn": f"{sqs}{dead_letters}"}}
    return json.dumps([{**target, **more}])


def _oldest(stack: Stack, url: str) -> str:
    """Say how old the oldest message is, as far as CloudWatch knows it already."""
    now = clock.now()
    dimensions = {"QueueName": url.rpartition("/")[2]}
    metric = ("AWS/SQS", "ApproximateAgeOfOldestMessage")
    values = hourly(stack, metric, dimensions, "Maximum", now - timedelta(hours=3))
    return f", the oldest {age(now - timedelta(seconds=values[0]), now)}" if values else ""
