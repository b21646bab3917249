"""The dashboard of the deployed stack, with names that CloudFormation has filled in."""

import json

from tests.support.stack import Stack


def test_the_stack_has_a_dashboard_of_its_own_resources(stack: Stack) -> None:
    cloudwatch = stack.client("cloudwatch")
    name = f"{stack.name}-{cloudwatch.meta.region_name}"
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    titles = [each["properties"].get("title") for each in body["widgets"]]
    assert "Oldest scan, hours" in titles
    (runs,) = (
        each["properties"] for each in body["widgets"] if "Runs" in each["properties"].values()
    )
    assert runs["metrics"][0][2:4] == ["StateMachineArn", stack.outputs["RescanRegistryArn"]]
    (alarms,) = (
        each["properties"]["alarms"] for each in body["widgets"] if each["type"] == "alarm"
    )
    described = cloudwatch.get_paginator("describe_alarms").paginate()
    arns = {alarm["AlarmArn"] for page in described for alarm in page["MetricAlarms"]}
    assert len(alarms) == 12
    assert set(alarms) <= arns


def test_the_dashboard_is_a_resource_of_the_stack(stack: Stack) -> None:
    (physical,) = stack.physical_names("AWS::CloudWatch::Dashboard").values()
    assert physical.startswith(f"{stack.name}-")
