"""The names of resources: they fit for every name that a stack can have."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, StringShape

from tests.support.cases import case
from tests.support.template import resolved, template

LONGEST_STACK_NAME = (
    128  # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
)
# Where the name of the stack is a part of a name, and which member of which API takes that name.
MADE_OF_THE_STACK = {
    "Globals.Function.Environment.Variables.POWERTOOLS_SERVICE_NAME": (
        *("cloudwatch", "GetMetricStatistics", "Dimensions.Value"),
    ),
    "Resources.FunctionLogs.Properties.LogGroupName": ("logs", "CreateLogGroup", "logGroupName"),
    "Resources.RescanRegistryLogs.Properties.LogGroupName": (
        *("logs", "CreateLogGroup", "logGroupName"),
    ),
    "Resources.NotifyScanLogs.Properties.LogGroupName": ("logs", "CreateLogGroup", "logGroupName"),
    "Resources.SendDigestLogs.Properties.LogGroupName": ("logs", "CreateLogGroup", "logGroupName"),
    **{
        f"Resources.{alarm}Alarm.Properties.Dimensions.Value": (
            *("cloudwatch", "PutMetricAlarm", "Dimensions.Value"),
        )
        for alarm in ("ImagesOverdue", "NoSuccessfulRun", "ResultsMissing")
    },
    "Resources.Dashboard.Properties.DashboardName": (
        *("cloudwatch", "PutDashboard", "DashboardName"),
    ),
    **{
        f"Resources.{workflow}FailedAlarm.Properties.Namespace": (
            *("cloudwatch", "PutMetricAlarm", "Namespace"),
        )
        for workflow in ("NotifyScan", "SendDigest")
    },
    **{
        f"Resources.{workflow}Failures.Properties.MetricTransformations.MetricNamespace": (
            *("logs", "PutMetricFilter", "metricTransformations.metricNamespace"),
        )
        for workflow in ("NotifyScan", "SendDigest")
    },
}
# All others are made by CloudFormation, which shortens them. Functions and log groups are not among
# the resources that a name could be forgotten for.
EXPLICIT = re.compile(
    r"(Function|Queue|Topic|Table|Bucket|Role|ManagedPolicy|Alarm|StateMachine|Rule)Name"
)


def shape(service: str, operation: str, path: str) -> StringShape:
    """Find the shape of a name in the model of a service."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"))
    found: Any = model.operation_model(operation).input_shape
    for member in path.split("."):
        found = found.member if found.type_name == "list" else found
        found = found.members[member]
    assert isinstance(found, StringShape)
    return found


def fits(name: str, found: StringShape) -> bool:
    """Return whether a service takes a name."""
    limits = found.metadata
    pattern = limits.get("pattern", ".*")
    return limits.get("min", 0) <= len(name) <= limits.get("max", 255) and bool(
        re.fullmatch(pattern, name)
    )


def named(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Find every value that is made of the name of the stack."""
    if isinstance(value, list):
        for item in value:
            yield from named(item, path)
    elif isinstance(value, dict):
        if value == {"Ref": "AWS::StackName"} or "${AWS::StackName}" in str(value.get("Fn::Sub")):
            yield ".".join(path), value
        else:
            for key, item in value.items():
                if key != "DashboardBody":  # no name, and longer than any
                    yield from named(item, (*path, key))


def properties(value: Any) -> Iterator[str]:
    """List the names of all properties, however deep."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from properties(item)
    elif isinstance(value, list):
        for item in value:
            yield from properties(item)


STACK_NAMES = [
    *case("25-stack-names.json")["stack names as tools make them"].values(),
    *("n" * length for length in range(1, LONGEST_STACK_NAME + 1)),
    f"StackSet-{'a' * 82}-0f3a1c52-7b1e-4a53-9d2c-6a2f6f1f2b7e",
    f"{'a' * 55}-{'EcrRescanApplication' * 2}{'b' * 18}-1P6R2QW8Z4K7X",
]


def test_every_name_that_is_made_of_the_name_of_the_stack_is_known() -> None:
    assert {path for path, _ in named(template())} == MADE_OF_THE_STACK.keys()


@pytest.mark.parametrize("path", MADE_OF_THE_STACK)
def test_case_25_every_name_fits_whatever_the_stack_is_called(path: str) -> None:
    limits = shape(*MADE_OF_THE_STACK[path])
    (value,) = [value for found, value in named(template()) if found == path]
    for stack in STACK_NAMES:
        assert len(stack) <= LONGEST_STACK_NAME
        assert fits(resolved(value, {"AWS::StackName": stack}), limits), stack


def test_case_25_resources_have_no_name_that_a_stack_could_make_too_long() -> None:
    named_by_stack = {
        name: resource
        for name, resource in template()["Resources"].items()
        if resource["Type"]
        != "AWS::Lambda::EventSourceMapping"  # FunctionName is a reference there
    }
    assert [name for name in properties(named_by_stack) if EXPLICIT.fullmatch(name)] == []
    machines = [
        resource["Properties"]
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::StateMachine"
    ]
    assert len(machines) == 3
    assert not any("Name" in machine for machine in machines)


@pytest.mark.parametrize(
    ("service", "operation", "member", "most"),
    [
        ("events", "PutRule", "Name", 64),
        ("stepfunctions", "CreateStateMachine", "name", 80),
        ("logs", "CreateLogGroup", "logGroupName", 512),
    ],
)
def test_the_models_know_the_limits(service: str, operation: str, member: str, most: int) -> None:
    limits = shape(service, operation, member)
    assert fits("n" * most, limits)
    assert not fits("n" * (most + 1), limits)
