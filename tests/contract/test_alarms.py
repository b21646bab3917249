"""Alarms: each on one metric that exists, with a runbook, to somebody, for little money."""

import re
from typing import Any

import pytest

from tests.support.metrics import directives_of_a_run, names_of
from tests.support.template import ROOT, resolved, resources, template

ALARMS = resources("AWS::CloudWatch::Alarm")
FILTERS = resources("AWS::Logs::MetricFilter")
PARAMETERS: dict[str, dict[str, Any]] = template()["Parameters"]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RUNBOOKS = OPERATIONS.partition("\n## Alarms\n")[2].partition("\n## ")[0]
by_alarm = pytest.mark.parametrize("name", ALARMS)

# What AWS publishes, with the dimensions that select one metric of it.
OF_AWS = {
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    ("AWS/States", "ExecutionsSucceeded"): ["StateMachineArn"],
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html: of the default
    # bus with RuleName alone. There is no sum of InvocationsFailedToBeSentToDlq over all rules.
    ("AWS/Events", "TriggeredRules"): ["RuleName"],
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): ["RuleName"],
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "NumberOfMessagesSent"): ["QueueName"],
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): ["QueueName"],
    # https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
    ("AWS/SNS", "NumberOfNotificationsFailed"): ["TopicName"],
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html, and the console:
    # "Across All Functions" of the account and Region, without a dimension.
    ("AWS/Lambda", "Throttles"): [],
}
# Prices of us-east-1, outside free tiers: https://aws.amazon.com/cloudwatch/pricing/
USD_PER_ALARM = 0.10  # a month, of standard resolution on one metric
USD_PER_METRIC = 0.30  # a month; metered by the hour in which a metric is sent
HOURS_PER_MONTH = 730


def test_there_are_no_more_than_an_operator_can_know() -> None:
    assert len(ALARMS) <= 12


@by_alarm
def test_an_alarm_watches_one_metric(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No metric math and no query: a datum can be put, and the alarm seen to go off."""
    alarm = ALARMS[name]
    assert not alarm.keys() & {"Metrics", "ThresholdMetricId", "ExtendedStatistic"}
    dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions", [])}
    namespace, metric = resolved(alarm["Namespace"]), alarm["MetricName"]
    if namespace.startswith("AWS/"):
        assert list(dimensions) == OF_AWS[namespace, metric]
    elif dimensions:
        of_a_run, *_ = directives_of_a_run(capsys, monkeypatch)
        assert (namespace, [list(dimensions)]) == (of_a_run["Namespace"], of_a_run["Dimensions"])
        assert metric in names_of([of_a_run])
        service = template()["Globals"]["Function"]["Environment"]["Variables"]
        assert dimensions["service"] == service["POWERTOOLS_SERVICE_NAME"]
    else:
        (transformation,) = (
            each["MetricTransformations"][0]
            for each in FILTERS.values()
            if each["MetricTransformations"][0]["MetricName"] == metric
        )
        assert transformation["MetricNamespace"] == alarm["Namespace"]


def test_each_published_metric_is_watched() -> None:
    watched = {(resolved(each["Namespace"]), each["MetricName"]) for each in ALARMS.values()}
    assert watched >= OF_AWS.keys()


@pytest.mark.parametrize("workflow", ["NotifyScan", "SendDigest"])
def test_a_filter_counts_executions_that_did_not_succeed(workflow: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html: logged at every level."""
    found = FILTERS[f"{workflow}Failures"]
    assert found["LogGroupName"] == {"Ref": f"{workflow}Logs"}
    types = re.findall(r'\(\$\.type = "(\w+)"\)', found["FilterPattern"])
    assert types == ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"]
    assert re.sub(r"\(.*?\)", "()", found["FilterPattern"]) == "{ () || () || () }"
    (transformation,) = found["MetricTransformations"]
    assert transformation["MetricValue"] == "1"
    assert "DefaultValue" not in transformation  # it would be sent, and paid, in every hour
    logging = resources("AWS::Serverless::StateMachine")[f"{workflow}StateMachine"]["Logging"]
    for level in PARAMETERS["LogLevel"]["AllowedValues"]:
        assert resolved(logging["Level"], {"LogLevel": level}) in ("ALL", "ERROR")


def test_the_rule_of_runs_counts_all_that_did_not_succeed() -> None:
    rule = resources("AWS::Events::Rule")["RunEndedEarly"]
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (dimension,) = ALARMS["RunEndedEarlyAlarm"]["Dimensions"]
    assert dimension["Value"] == {"Ref": "RunEndedEarly"}


def test_a_lost_dead_letter_is_watched_where_every_installation_has_events() -> None:
    (dimension,) = ALARMS["DeadLettersLostAlarm"]["Dimensions"]
    assert dimension["Value"] == {"Ref": "RunFinished"}
    assert "State" not in resources("AWS::Events::Rule")["RunFinished"]


@pytest.mark.parametrize(
    "facts", [{"dry_run": True, "is_whole": True}, {"is_whole": False}], ids=["dry run", "part"]
)
def test_only_a_run_over_everything_ends_the_alarm_that_none_has_succeeded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, facts: dict[str, bool]
) -> None:
    """ExecutionsSucceeded of AWS counts a daily dry run, too, while every other run fails."""
    watched = ALARMS["NoSuccessfulRunAlarm"]["MetricName"]
    assert watched in names_of(directives_of_a_run(capsys, monkeypatch))
    assert watched not in names_of(directives_of_a_run(capsys, monkeypatch, **facts))


@by_alarm
def test_an_alarm_says_what_happened_and_where_its_runbook_is(name: str) -> None:
    alarm = ALARMS[name]
    text = alarm["AlarmDescription"]
    assert len(text) <= 1_024
    what, _, runbook = text.partition(" Runbook: ")
    assert runbook == f"docs/operations.md#{name.lower()}"
    assert len(re.findall(r"[^.]+\.(?: |$)", what)) >= 2  # what happened, and what follows
    assert "AlarmName" not in alarm  # a name of ours would be the same in every stack


def test_each_runbook_is_that_of_an_alarm() -> None:
    assert re.findall(r"^### (.+)$", RUNBOOKS, re.M) == list(ALARMS)


@by_alarm
def test_an_alarm_goes_to_somebody(name: str) -> None:
    alarm = ALARMS[name]
    other = "arn:aws:sns:eu-central-1:123456789012:other"
    for actions in ("AlarmActions", "OKActions"):
        if actions in alarm:
            (action,) = alarm[actions]
            condition, elsewhere, topic = action["Fn::If"]
            assert condition == "HasAlarmTopicElsewhere"
            assert (elsewhere, topic) == ({"Ref": "AlarmTopicArn"}, {"Ref": "AlarmTopic"})
            assert resolved(action, {"AlarmTopicArn": other}) == other
    assert "AlarmActions" in alarm


def test_an_end_is_told_where_it_is_news() -> None:
    """The others count what happened in five minutes: it is as true after they have passed."""
    told = {name for name, alarm in ALARMS.items() if "OKActions" in alarm}
    lasting = {name for name, alarm in ALARMS.items() if alarm["Period"] != 300}
    assert told == lasting


def test_missing_data_means_what_it_says() -> None:
    missing = {name: alarm["TreatMissingData"] for name, alarm in ALARMS.items()}
    late = {"NoSuccessfulRunAlarm", "NoDigestAlarm"}
    of_runs = {"ImagesOverdueAlarm", "ResultsMissingAlarm"}  # until the next run
    assert missing == {
        name: "breaching" if name in late else "ignore" if name in of_runs else "notBreaching"
        for name in ALARMS
    }


@by_alarm
def test_an_alarm_looks_back_no_further_than_it_can(name: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""
    alarm = ALARMS[name]
    is_interval = alarm["Period"] == {"Ref": "ScheduleIntervalSeconds"}
    intervals = PARAMETERS["ScheduleIntervalSeconds"]["AllowedValues"]
    for period in map(int, intervals if is_interval else [alarm["Period"]]):
        assert period % 60 == 0
        most = 7 * 86_400 if period >= 3_600 else 86_400
        assert period * alarm["EvaluationPeriods"] <= most


def test_weekends_raise_no_alarm() -> None:
    from_friday_to_monday = 3 * 86_400
    intervals = map(int, PARAMETERS["ScheduleIntervalSeconds"]["AllowedValues"])
    assert max(intervals) == from_friday_to_monday
    digest = ALARMS["NoDigestAlarm"]
    assert digest["Period"] * digest["EvaluationPeriods"] > from_friday_to_monday


def test_the_address_gets_alarms_and_notifications() -> None:
    subscriptions = resources("AWS::SNS::Subscription")
    assert {name: each["TopicArn"]["Ref"] for name, each in subscriptions.items()} == {
        "AlertEmailSubscription": "NotificationTopic",
        "AlarmEmailSubscription": "AlarmTopic",
    }
    for each in subscriptions.values():
        assert (each["Protocol"], each["Endpoint"]) == ("email", {"Ref": "AlertEmail"})


@pytest.mark.parametrize(
    ("arn", "is_accepted"),
    [
        ("", True),
        ("arn:aws:sns:eu-central-1:123456789012:alarms", True),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:Alarms_of-team", True),
        ("arn:aws:sns:eu-central-1:123456789012:alarms.fifo", False),
        ("arn:aws:sns:eu-central-1:123456789012:alarms:6a7e1d4a", False),  # a subscription
        ("arn:aws:sqs:eu-central-1:123456789012:alarms", False),
        ("alarms", False),
    ],
)
def test_what_can_be_no_topic_of_alarms_is_refused(arn: str, *, is_accepted: bool) -> None:
    declared = PARAMETERS["AlarmTopicArn"]
    assert bool(re.fullmatch(declared["AllowedPattern"], arn)) is is_accepted
    for word in ("standard", "Region", "alias/aws/sns"):
        assert word in declared["Description"]


def test_what_alarms_cost_is_stated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of(directives_of_a_run(capsys, monkeypatch))
    alarms = USD_PER_ALARM * len(ALARMS)

    def monthly(interval_seconds: int) -> float:
        hours = HOURS_PER_MONTH * 3_600 / max(3_600, interval_seconds)
        return alarms + USD_PER_METRIC * len(names) * hours / HOURS_PER_MONTH

    by_default = monthly(int(PARAMETERS["ScheduleIntervalSeconds"]["Default"]))
    assert by_default <= 3
    stated = re.findall(r"([0-9.]+) USD per month\*\* with", RUNBOOKS)
    assert [float(each) for each in stated] == [round(by_default, 2)]
    assert f"{len(ALARMS)} × 0.10 + {len(names)} × 0.30 × 30.4 / 730" in RUNBOOKS
    assert f"cost {by_default:.2f} USD per month" in (ROOT / "README.md").read_text()
    assert f"with a run every hour, {monthly(3_600):.2f} USD" in RUNBOOKS.replace("\n", " ")
