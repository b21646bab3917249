"""The metric of messages by channel, in CloudWatch's embedded metric format."""

from collections import Counter
from collections.abc import Iterable

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from reporting.channels.delivery import Channel


def count_messages(channels: Iterable[Channel]) -> None:
    """Emit how many messages are composed for each channel, given the channel of each."""
    for channel, messages in Counter(channels).items():
        with single_metric("messages", MetricUnit.Count, messages) as metric:
            metric.add_dimension("channel", channel.value)
