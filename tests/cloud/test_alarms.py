"""Every alarm of the deployed stack goes off on the datum that AWS puts, and its message arrives.

The local CloudWatch evaluates an alarm when it is put, and then once per period. A period is up to
three days, so each alarm is put again as it was deployed, after the datum.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.receivers.subscribers import Email, Subscribers
from tests.support.stack import Stack, eventually
from tests.support.template import ROOT, resources

ADDRESS = "security@example.com"  # AlertEmail of the stack
SECONDS = timedelta(seconds=1)
# What PutMetricAlarm takes of what DescribeAlarms returns.
DEFINITION = (
    *("AlarmName", "AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions"),
    *("Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods"),
    *("Threshold", "ComparisonOperator", "TreatMissingData"),
)


@dataclass(frozen=True)
class Datum:
    """A datum as AWS, or ecr-rescan, puts it, and how long ago it does so."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    value: float = 1
    ages: tuple[timedelta, ...] = (30 * SECONDS,)


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def datum_of(alarm: str, stack: Stack) -> Datum:
    """Return the datum on which an alarm goes off, from what is known apart from the alarm."""
    outputs = stack.outputs
    rules = stack.physical_names("AWS::Events::Rule")
    own = {"service": stack.name}
    day = timedelta(days=1)
    queue = {"QueueName": name_of(outputs["UndeliveredQueueUrl"])}
    topic = {"TopicName": outputs["NotificationTopicArn"].rpartition(":")[2]}
    quarter_of_an_hour = tuple(30 * SECONDS + number * 300 * SECONDS for number in range(3))
    two_runs = (60 * SECONDS, 60 * SECONDS + day)
    found = {
        "RunEndedEarlyAlarm": Datum(
            "AWS/Events", "TriggeredRules", {"RuleName": rules["RunEndedEarly"]}
        ),
        "ImagesOverdueAlarm": Datum("EcrRescan", "images_overdue", own, value=3),
        "ResultsMissingAlarm": Datum("EcrRescan", "results_missing", own, 2, two_runs),
        "NotifyScanFailedAlarm": Datum(f"EcrRescan/{stack.name}", "notify_scan_failed", {}),
        "SendDigestFailedAlarm": Datum(f"EcrRescan/{stack.name}", "send_digest_failed", {}),
        "UndeliveredAlarm": Datum("AWS/SQS", "NumberOfMessagesSent", queue),
        "UndeliveredAgeAlarm": Datum("AWS/SQS", "ApproximateAgeOfOldestMessage", queue, 86_401),
        "NotificationsFailedAlarm": Datum("AWS/SNS", "NumberOfNotificationsFailed", topic),
        "LambdaThrottledAlarm": Datum("AWS/Lambda", "Throttles", {}, ages=quarter_of_an_hour),
        "DeadLettersLostAlarm": Datum(
            "AWS/Events", "InvocationsFailedToBeSentToDlq", {"RuleName": rules["RunFinished"]}
        ),
        # Those of success, whose absence is the alarm.
        "NoSuccessfulRunAlarm": Datum("EcrRescan", "runs_succeeded", own),
        "NoDigestAlarm": Datum(
            "AWS/States", "ExecutionsSucceeded", {"StateMachineArn": outputs["SendDigestArn"]}
        ),
    }
    assert found.keys() == resources("AWS::CloudWatch::Alarm").keys()
    return found[alarm]


def put(stack: Stack, datum: Datum) -> None:
    dimensions = [{"Name": name, "Value": value} for name, value in datum.dimensions.items()]
    now = datetime.now(UTC)
    stack.client("cloudwatch").put_metric_data(
        Namespace=datum.namespace,
        MetricData=[
            {
                "MetricName": datum.metric,
                "Dimensions": dimensions,
                "Value": datum.value,
                "Timestamp": now - age,
            }
            for age in datum.ages
        ],
    )


def deployed(stack: Stack, alarm: str) -> dict[str, Any]:
    name = stack.physical_names("AWS::CloudWatch::Alarm")[alarm]
    (found,) = stack.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    described: dict[str, Any] = found
    return described


def evaluate(stack: Stack, alarm: str) -> None:
    """Put the deployed alarm again, unchanged."""
    described = deployed(stack, alarm)
    definition = {name: described[name] for name in DEFINITION if name in described}
    stack.client("cloudwatch").put_metric_alarm(**definition)


def emails_of(stack: Stack, alarm: str, state: str) -> list[Email]:
    name = deployed(stack, alarm)["AlarmName"]
    received = Subscribers(stack.engine).received().emails
    return [
        email
        for email in received
        if email.address == ADDRESS and email.subject.startswith(f'{state}: "{name}" in ')
    ]


def await_state(stack: Stack, alarm: str, state: str, *, emails: int) -> Email:
    """Wait until an alarm is in a state, and the next message of it has arrived."""
    eventually(
        lambda: deployed(stack, alarm)["StateValue"],
        until=lambda value: value == state,
        what=f"{alarm} in {state}",
    )
    found = eventually(
        lambda: emails_of(stack, alarm, state),
        until=lambda found: len(found) > emails,
        what=f"an email about {alarm} in {state}",
    )
    return found[-1]


LATE = ("NoSuccessfulRunAlarm", "NoDigestAlarm")
ON_A_DATUM = [name for name in resources("AWS::CloudWatch::Alarm") if name not in LATE]


@pytest.mark.parametrize("alarm", ON_A_DATUM)
def test_an_alarm_goes_off_on_the_datum_of_aws_and_its_message_arrives(
    stack: Stack, alarm: str
) -> None:
    before = len(emails_of(stack, alarm, "ALARM"))
    put(stack, datum_of(alarm, stack))
    evaluate(stack, alarm)
    told(await_state(stack, alarm, "ALARM", emails=before), stack, alarm)


@pytest.mark.parametrize("alarm", LATE)
def test_an_alarm_goes_off_without_a_success_and_ends_with_one(stack: Stack, alarm: str) -> None:
    before = len(emails_of(stack, alarm, "ALARM"))
    evaluate(stack, alarm)
    told(await_state(stack, alarm, "ALARM", emails=before), stack, alarm)
    put(stack, datum_of(alarm, stack))
    evaluate(stack, alarm)
    await_state(stack, alarm, "OK", emails=0)


def told(email: Email, stack: Stack, alarm: str) -> None:
    """Check that a message names the alarm, what happened, and where its runbook is."""
    message = json.loads(email.text)
    assert message["NewStateValue"] == "ALARM"
    described = resources("AWS::CloudWatch::Alarm")[alarm]["AlarmDescription"]
    assert message["AlarmDescription"] == described
    anchor = described.rpartition("docs/operations.md#")[2]
    headings = (ROOT / "docs" / "operations.md").read_text().casefold()
    assert f"\n### {anchor}\n" in headings


def test_the_topic_takes_alarms_and_no_plain_text(stack: Stack) -> None:
    topic = stack.outputs["AlarmDestinationArn"]
    attributes = stack.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    assert not attributes.get("KmsMasterKeyId")
    statements = json.loads(attributes["Policy"])["Statement"]
    effects = {each["Sid"]: (each["Effect"], each["Principal"]) for each in statements}
    assert effects == {
        "TakeAlarms": ("Allow", {"Service": "cloudwatch.amazonaws.com"}),
        "RefusePlainText": ("Deny", "*"),
    }
