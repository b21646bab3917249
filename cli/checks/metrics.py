"""Metrics that checks read from CloudWatch."""

from collections.abc import Mapping
from datetime import datetime

from cli.stack import Stack
from runtime import clock

HOUR = 3_600


def hourly(
    stack: Stack,
    metric: tuple[str, str],
    dimensions: Mapping[str, str],
    statistic: str,
    since: datetime,
) -> list[float]:
    """Return the values of a metric, one per hour that has one, the newest first.

    metric: its namespace and its name.
    """
    namespace, name = metric
    measured = {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }
    query = {"Id": "hourly", "MetricStat": {"Metric": measured, "Period": HOUR, "Stat": statistic}}
    answer = stack.client("cloudwatch").get_metric_data(
        StartTime=since, EndTime=clock.latest(), MetricDataQueries=[query]
    )
    values: list[float] = answer["MetricDataResults"][0]["Values"]
    return values
