"""The subscriptions of a topic."""

from collections.abc import Mapping

from cli.stack import Stack

type Subscription = Mapping[str, str]

_PENDING, _DELETED = "PendingConfirmation", "Deleted"  # instead of an ARN


def subscriptions(stack: Stack, topic: str) -> list[Subscription]:
    """Return the subscriptions of a topic, those that wait to be confirmed too.

    SNS lists for three days what was unsubscribed: that is no subscription.
    """
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic")
    found = [each for page in pages.paginate(TopicArn=topic) for each in page["Subscriptions"]]
    return [each for each in found if each["SubscriptionArn"] != _DELETED]


def is_pending(subscription: Subscription) -> bool:
    """Return whether a subscription waits to be confirmed."""
    return subscription["SubscriptionArn"] == _PENDING


def is_email(subscription: Subscription) -> bool:
    """Return whether a subscription sends mails, as text or as JSON."""
    return subscription["Protocol"] in ("email", "email-json")
