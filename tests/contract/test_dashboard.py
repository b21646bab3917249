"""The dashboard: valid, without overlaps, and of metrics that ecr-rescan emits or AWS documents."""

import itertools
import json
import re
from typing import Any

import pytest

from ledger.run_records import Freshness
from rescan_registry.run_summary import summary_of
from tests.support.builders import any_facts
from tests.support.metrics import directives_of_a_run, names_of
from tests.support.template import ACCOUNT, REGION, STACK, arn, resolved, resources, template

STATES = [{}, {"ScheduleState": "DISABLED"}, {"NotificationTopicState": "DISABLED"}]
# What AWS publishes, beside what alarms watch.
OF_AWS = {
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    "AWS/States": {
        "ExecutionsSucceeded",
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
        "ExecutionTime",
    },
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
}
COLUMNS = 24  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html


def body(**parameters: str) -> str:
    text: str = resolved(resources("AWS::CloudWatch::Dashboard")["Dashboard"], parameters)[
        "DashboardBody"
    ]
    return text


def widgets(**parameters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(body(**parameters))["widgets"]
    return found


def rows_of(widget: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of a widget, each with what `.` and `...` repeat of the row before."""
    rows: list[list[Any]] = []
    for row in widget["properties"].get("metrics", ()):
        named = [each for each in row if isinstance(each, str)]
        if named[:1] == ["..."]:
            named = [*rows[-1][: len(rows[-1]) - len(named) + 1], *named[1:]]
        rows.append([rows[-1][at] if each == "." else each for at, each in enumerate(named)])
    return rows


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the metrics of a run."""
    return names_of(directives_of_a_run(capsys, monkeypatch))


@pytest.mark.parametrize("state", STATES)
def test_is_valid_json_of_a_size_that_cloudwatch_takes(state: dict[str, str]) -> None:
    text = body(**state)
    assert json.loads(text)["start"] == "-P14D"
    assert len(text) < 10_000
    assert "${" not in text


def test_has_a_name_of_its_own_in_each_region() -> None:
    name = resolved(resources("AWS::CloudWatch::Dashboard")["Dashboard"])["DashboardName"]
    assert name == f"{STACK}-{REGION}"
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name)
    assert ACCOUNT not in body()


def test_can_be_left_out() -> None:
    assert template()["Resources"]["Dashboard"]["Condition"] == "HasDashboard"
    assert template()["Conditions"]["HasDashboard"] == {
        "Fn::Equals": [{"Ref": "DashboardState"}, "ENABLED"]
    }


def test_no_widget_lies_on_another_or_outside() -> None:
    for widget in widgets():
        assert widget["x"] + widget["width"] <= COLUMNS
    for one, other in itertools.combinations(widgets(), 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        below = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or below, (one, other)


def test_every_metric_exists(emitted: set[str]) -> None:
    shown: dict[str, set[str]] = {}
    for widget in widgets():
        for namespace, name, *dimensions in filter(None, rows_of(widget)):
            shown.setdefault(namespace, set()).add(name)
            assert len(dimensions) == 2
            kind, value = dimensions
            if namespace == "EcrRescan":
                assert (kind, value) == ("service", STACK)
            elif namespace == "AWS/States":
                assert (kind, value) == ("StateMachineArn", "RescanRegistryStateMachine")
            else:
                queues = {f"{queue}.QueueName" for queue in resources("AWS::SQS::Queue")}
                assert kind == "QueueName"
                assert value in queues
    assert shown.pop("EcrRescan") <= emitted
    assert shown == OF_AWS


def test_shows_the_freshness_of_a_run(emitted: set[str]) -> None:
    shown = {row[1] for widget in widgets() for row in rows_of(widget) if row}
    severities = {name for name in emitted if name.startswith(("findings_", "images_with_"))}
    assert shown >= severities | {"oldest_scan_age_hours", "images_overdue", "images_scannable"}
    assert len(severities) == 6
    assert Freshness() == summary_of(any_facts(is_whole=True), [], []).freshness


def test_searches_messages_by_the_dimensions_that_they_have() -> None:
    (search,) = re.findall(r"SEARCH\((.*?)\)", body().replace('\\"', '"'))
    assert search == (
        f"'{{EcrRescan,channel,service}} MetricName=\"messages\" service=\"{STACK}\"', 'Sum', 3600"
    )


@pytest.mark.parametrize(
    ("state", "absent"),
    [
        ({}, None),
        ({"ScheduleState": "DISABLED"}, "NoSuccessfulRunAlarm"),
        ({"NotificationTopicState": "DISABLED"}, "NotificationsFailedAlarm"),
    ],
)
def test_shows_every_alarm_that_exists(state: dict[str, str], absent: str | None) -> None:
    (widget,) = (each for each in widgets(**state) if each["type"] == "alarm")
    alarms = set(resources("AWS::CloudWatch::Alarm")) - {absent}
    assert set(widget["properties"]["alarms"]) == set(map(arn, alarms))
