"""Checks of the alarms, and of the topic that they go to."""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from cli.answers import set_parameter
from cli.checks.channels import ADDRESS, subscribe
from cli.checks.result import Result, fault, ok, warn
from cli.shown_commands import aws, make_deploy
from cli.stack import Stack
from cli.subscriptions import subscriptions

ENCRYPTED_BY_AWS = "alias/aws/sns"  # with a key that CloudWatch cannot use
CLOUDWATCH = "cloudwatch.amazonaws.com"
SILENT = "CloudWatch cannot publish to it: alarms are silent."
_PUBLISH = "sns:publish"  # actions have no case


def alarm_topic(stack: Stack) -> list[Result]:
    """Check that CloudWatch can publish to the topic of alarms, and that alarms do."""
    topic = stack.output("AlarmDestinationArn")
    sns = stack.client("sns")
    try:
        attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    except sns.exceptions.NotFoundException:
        is_own = not stack.parameter("AlarmTopicArn")
        repair = make_deploy(stack) if is_own else set_parameter(stack, "AlarmTopicArn", "")
        return [fault(f"{topic} does not exist", "alarms are silent.", repair), *_disabled(stack)]
    problems = [*_closed(stack, topic, attributes), *_disabled(stack)]
    if not subscriptions(stack, topic):
        found = "it has no subscriber"
        problems.append(warn(found, "alarms reach no one.", subscribe(stack, topic, ADDRESS)))
    return problems or [ok(topic.rpartition(":")[2])]


def _closed(stack: Stack, topic: str, attributes: Mapping[str, str]) -> list[Result]:
    """Find what keeps CloudWatch from publishing."""
    problems = []
    if attributes.get("KmsMasterKeyId", "").endswith(ENCRYPTED_BY_AWS):
        problems.append(
            fault(
                f"encrypted with {ENCRYPTED_BY_AWS}",
                SILENT,
                "Use no key, or one of your own that lets CloudWatch use it: "
                "docs/operations.md, Alarms. Without a key:",
                _set(stack, topic, "KmsMasterKeyId", ""),
            )
        )
    policy = json.loads(attributes["Policy"])
    stated = policy["Statement"]
    statements = stated if isinstance(stated, list) else [stated]
    if not any(map(_lets_cloudwatch_publish, statements)):
        statement = {
            "Sid": "TakeAlarms",
            "Effect": "Allow",
            "Principal": {"Service": CLOUDWATCH},
            "Action": "sns:Publish",
            "Resource": topic,
        }
        opened = policy | {"Statement": [*statements, statement]}
        repair = _set(stack, topic, "Policy", json.dumps(opened))
        problems.append(fault(f"its policy does not name {CLOUDWATCH}", SILENT, repair))
    return problems


def _lets_cloudwatch_publish(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement lets CloudWatch publish, or everyone on some condition."""
    if statement["Effect"] != "Allow":
        return False
    return _has(statement, "Principal", CLOUDWATCH) and _has(statement, "Action", _PUBLISH)


def _has(statement: Mapping[str, Any], element: str, wanted: str) -> bool:
    """Return whether an element of a statement, or its negation, includes what is wanted."""
    is_positive = element in statement
    named = statement[element if is_positive else f"Not{element}"]
    patterns = _listed(*named.values()) if isinstance(named, dict) else _listed(named)
    return any(fnmatchcase(wanted, each.lower()) for each in patterns) is is_positive


def _listed(*values: str | Iterable[str]) -> list[str]:
    return [each for value in values for each in ([value] if isinstance(value, str) else value)]


def _disabled(stack: Stack) -> list[Result]:
    """Find alarms that do nothing."""
    names = stack.physical_names("AWS::CloudWatch::Alarm")
    pages = stack.client("cloudwatch").get_paginator("describe_alarms")
    enabled = {
        alarm["AlarmName"]: alarm["ActionsEnabled"]
        for page in pages.paginate(AlarmNames=[*names.values()])
        for alarm in page["MetricAlarms"]
    }
    off = [name for name in names.values() if enabled.get(name) is False]
    problems = [
        fault(
            f"{logical_id} does not exist", "what it watches is not reported.", make_deploy(stack)
        )
        for logical_id, name in names.items()
        if name not in enabled
    ]
    if off:
        repair = aws(stack, f"cloudwatch enable-alarm-actions --alarm-names {' '.join(off)}")
        logical = ", ".join(each for each, name in names.items() if name in off)
        problems.append(fault(f"actions are disabled of {logical}", "they are silent.", repair))
    return problems


def _set(stack: Stack, topic: str, name: str, value: str) -> str:
    return aws(
        stack,
        "sns set-topic-attributes",
        topic_arn=topic,
        attribute_name=name,
        attribute_value=value,
    )
