"""Checks of secrets and of subscriptions."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from cli.checks.channels import email, secrets
from cli.checks.result import State
from tests.cli.checks.conftest import Answer, Opened, refusal, the
from tests.cli.conftest import StackInMemory
from tests.support.receivers import SECRET_PARTS, SECRETS

CHATBOT = "the topic of chat applications has no subscriber"


def pending(topic: str, *addresses: str) -> dict[str, Any]:
    """Make a page of subscriptions that wait to be confirmed, and one that was deleted."""
    found = [
        {"TopicArn": topic, "Protocol": "email", "Endpoint": each, "SubscriptionArn": arn}
        for each, arn in [*((each, "PendingConfirmation") for each in addresses), ("x", "Deleted")]
    ]
    return {"Subscriptions": found}


@pytest.fixture
def put(healthy: StackInMemory) -> Callable[[str, str | bytes], None]:
    """Change the content of a secret."""

    def put(parameter: str, content: str | bytes) -> None:
        kind = "SecretString" if isinstance(content, str) else "SecretBinary"
        boto3.client("secretsmanager").put_secret_value(
            SecretId=healthy.parameters[parameter],
            **{kind: content},  # type: ignore[arg-type]
        )

    return put


@pytest.fixture
def topics(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Answer with these pages of subscriptions, by topic."""
    pages: dict[str, list[Any]] = {}

    class Paginator:
        def paginate(self, **asked: str) -> list[Any]:
            return pages.get(asked["TopicArn"], [{"Subscriptions": []}])

    client = opened().client("sns")
    monkeypatch.setattr(client, "get_paginator", lambda _: Paginator())
    return pages


@pytest.mark.parametrize(
    ("parameter", "content", "found"),
    [
        ("SlackWebhookSecretArn", "https://hooks.slack.com/x", "SLACK, ecr-rescan/slack, must be"),
        ("TeamsWebhookSecretArn", '{"url": "http://teams.example"}', "url in the secret of TEAMS"),
        ("TeamsWebhookSecretArn", b'{"url": 1}', "the secret of TEAMS"),
        ("WebhookSecretArn", '{"url": "https://a.example"}', "url (https://…) and signing_key"),
        ("PagerDutySecretArn", '{"routing_key": "short"}', "32 letters and digits"),
        ("SlackWebhookSecretArn", "[" * 9_999, "must be a JSON object"),
    ],
    ids=["text", "http", "number", "no key", "short key", "deep"],
)
def test_a_secret_that_cannot_work(
    put: Callable[[str, str | bytes], None],
    opened: Opened,
    parameter: str,
    content: str | bytes,
    found: str,
) -> None:
    put(parameter, content)
    result = the(secrets(opened()), State.FAULT)
    assert found in result.found
    assert result.repair[0].startswith('Write {"')
    assert result.repair[1].startswith("aws secretsmanager put-secret-value --secret-id ecr-resc")


def test_a_binary_secret_is_read_too(
    put: Callable[[str, str | bytes], None], opened: Opened
) -> None:
    put("SlackWebhookSecretArn", b'{"url": "https://hooks.slack.com/services/any"}')
    assert the(secrets(opened()), State.OK).found == "slack, teams, webhook, pagerduty"


def test_without_webhooks_no_secret_is_needed(stack: StackInMemory, opened: Opened) -> None:
    for name in ("Slack", "Teams"):
        stack.parameters[f"{name}WebhookSecretArn"] = ""
    stack.parameters |= {"WebhookSecretArn": "", "PagerDutySecretArn": ""}
    assert the(secrets(opened()), State.OK).found == "no channel needs one"


def test_a_secret_that_does_not_exist(healthy: StackInMemory, opened: Opened) -> None:
    arn = healthy.parameters["SlackWebhookSecretArn"]
    boto3.client("secretsmanager").delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    result = the(secrets(opened()), State.FAULT)
    assert result.found == f"the secret of SLACK, {arn}, does not exist"
    assert "--name ecr-rescan/slack --secret-string file://slack.json" in result.repair[1]


def test_a_secret_that_is_marked_for_deletion(healthy: StackInMemory, opened: Opened) -> None:
    arn = healthy.parameters["SlackWebhookSecretArn"]
    boto3.client("secretsmanager").delete_secret(SecretId=arn)
    (repair,) = the(secrets(opened()), State.FAULT).repair
    assert repair == f"aws secretsmanager restore-secret --secret-id {arn} --region eu-west-1"


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("Access to KMS is not allowed", "kms:Decrypt"),
        (
            "User: a is not authorized to perform: secretsmanager:GetSecretValue on resource: b",
            "secretsmanager:GetSecretValue on b",
        ),
    ],
)
def test_a_secret_that_may_not_be_read_is_unchecked(
    answer: Answer, opened: Opened, message: str, action: str
) -> None:
    answer("secretsmanager", "get_secret_value", refusal("AccessDeniedException", message))
    results = secrets(opened())
    assert {each.state for each in results} == {State.UNCHECKED}
    assert results[0].found.startswith(f"slack: Not allowed: {action}.")


def test_nothing_of_a_secret_is_in_a_result(
    put: Callable[[str, str | bytes], None], opened: Opened
) -> None:
    for parameter, values in zip(
        ("SlackWebhookSecretArn", "TeamsWebhookSecretArn", "WebhookSecretArn"),
        SECRETS.values(),
        strict=False,
    ):
        put(parameter, json.dumps([*values.values()]))
    text = repr(secrets(opened()))
    assert text.count("fault") == 3
    assert not [part for part in SECRET_PARTS if part in text]


# Subscriptions


def test_an_address_that_has_not_confirmed(
    healthy: StackInMemory, topics: dict[str, list[Any]], opened: Opened
) -> None:
    notifications = healthy.outputs["NotificationTopicArn"]
    alarms = healthy.outputs["AlarmDestinationArn"]
    topics[notifications] = [pending(notifications, "ops@example.com")]
    topics[alarms] = [pending(alarms, "ops@example.com")]
    results = email(opened())
    assert [(each.state, each.found) for each in results] == [
        (State.FAULT, "ops@example.com has not confirmed notifications"),
        (State.FAULT, "ops@example.com has not confirmed alarms"),
    ]
    assert results[0].repair[1] == (
        f"aws sns subscribe --topic-arn {notifications} --protocol email "
        "--notification-endpoint ops@example.com --region eu-west-1"
    )


@pytest.mark.parametrize(
    ("protocol", "endpoint", "said"),
    [
        ("email-json", "ops@example.com", "Open the mail"),
        ("https", "https://ops.example.com/sns", "Visit the SubscribeURL"),
        ("sqs", "arn:aws:sqs:eu-west-1:999999999999:alerts", "Visit the SubscribeURL"),
    ],
)
def test_each_kind_of_endpoint_confirms_in_its_own_way(
    healthy: StackInMemory,
    topics: dict[str, list[Any]],
    opened: Opened,
    protocol: str,
    endpoint: str,
    said: str,
) -> None:
    topic = healthy.outputs["NotificationTopicArn"]
    page = pending(topic, endpoint)
    page["Subscriptions"][0]["Protocol"] = protocol
    topics[topic] = [page]
    found = next(each for each in email(opened()) if each.found.startswith(endpoint))
    assert found.repair[0].startswith(said)
    command = f"--protocol {protocol} --notification-endpoint {endpoint} --region eu-west-1"
    assert found.repair[1].endswith(command)


def test_an_address_that_is_no_longer_subscribed(
    healthy: StackInMemory, topics: dict[str, list[Any]], opened: Opened
) -> None:
    """AWS deletes a subscription that is not confirmed within two days."""
    alarms = healthy.outputs["AlarmDestinationArn"]
    topics[alarms] = [pending(alarms, "ops@example.com")]
    assert [each.found for each in email(opened())] == [
        "ops@example.com (AlertEmail) is not subscribed to notifications",
        "ops@example.com has not confirmed alarms",
    ]


@pytest.mark.parametrize(
    ("parameters", "state"),
    [
        ({}, State.FAULT),
        ({"ReportEventBusArn": "arn"}, State.WARN),
        ({"SlackWebhookSecretArn": "arn"}, State.WARN),
    ],
)
def test_a_topic_without_subscribers_is_a_fault_without_another_channel(
    stack: StackInMemory,
    topics: dict[str, list[Any]],
    opened: Opened,
    parameters: dict[str, str],
    state: State,
) -> None:
    none = dict.fromkeys(
        (
            "AlertEmail",
            "SlackWebhookSecretArn",
            "TeamsWebhookSecretArn",
            "WebhookSecretArn",
            "PagerDutySecretArn",
        ),
        "",
    )
    stack.parameters |= none | parameters
    result = the(email(opened()), state)
    assert result.found == "the topic of notifications has no subscriber"
    assert "you@example.com" in result.repair[0]


def test_a_topic_of_chat_applications_without_a_channel(
    healthy: StackInMemory, opened: Opened
) -> None:
    topic = boto3.client("sns").create_topic(Name="chat")["TopicArn"]
    healthy.outputs["ChatbotTopicArn"] = topic
    result = the(email(opened()), State.WARN)
    assert (result.found, result.repair[-1]) == (CHATBOT, topic)


def test_a_topic_elsewhere_is_not_that_of_the_address(
    healthy: StackInMemory, topics: dict[str, list[Any]], opened: Opened
) -> None:
    healthy.parameters |= {"AlarmTopicArn": healthy.outputs["AlarmDestinationArn"]}
    assert [each.found for each in email(opened())] == [
        "ops@example.com (AlertEmail) is not subscribed to notifications"
    ]


def test_a_stack_without_topics_of_its_own(healthy: StackInMemory, opened: Opened) -> None:
    del healthy.outputs["NotificationTopicArn"]
    healthy.parameters |= {"AlarmTopicArn": healthy.outputs["AlarmDestinationArn"]}
    assert the(email(opened()), State.OK).found == "0 confirmed subscriptions"
