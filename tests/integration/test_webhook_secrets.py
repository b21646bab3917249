"""Secrets of webhooks, through Powertools from Secrets Manager."""

import functools
import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws

from notify_scan.settings import PostToWebhookSettings
from notify_scan.webhooks.secrets import (
    CACHED_FOR,
    PAGERDUTY,
    WebhookSecret,
    WebhookSecrets,
    WebhookSecretUnusable,
)
from reporting.channels.delivery import Channel
from reporting.channels.in_use import secret_arns
from tests.support.settings import settings_now
from tests.support.template import REGION

ROUTING_KEY = "0123456789abcdefghijABCDEFGHIJ01"
URL = "https://hooks.example.org/services/T0/B0/a-very-secret-path"
KEY = "a-very-secret-key"
SETTINGS = {
    Channel.SLACK: "SLACK_WEBHOOK_SECRET_ARN",
    Channel.TEAMS: "TEAMS_WEBHOOK_SECRET_ARN",
    Channel.WEBHOOK: "WEBHOOK_SECRET_ARN",
    Channel.PAGERDUTY: "PAGER_DUTY_SECRET_ARN",
}


@functools.cache
def client() -> Any:
    """Make one client for all tests: that takes longer than they do."""
    return boto3.client("secretsmanager", region_name=REGION)


def forget() -> None:
    """Empty the cache, but keep the client of Powertools, for the same reason."""
    for provider in parameters.base.DEFAULT_PROVIDERS.values():
        provider.clear_cache()


@pytest.fixture(autouse=True)
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Begin with a Secrets Manager, and a cache, that hold nothing."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    forget()
    with mock_aws():
        yield client()
    forget()


def kept(manager: Any, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    arn: str = manager.create_secret(Name="any", SecretString=text)["ARN"]
    return arn


@pytest.mark.parametrize(
    ("channel", "content", "secret"),
    [
        (Channel.SLACK, {"url": URL}, WebhookSecret(URL)),
        (Channel.TEAMS, {"url": URL, "note": "any"}, WebhookSecret(URL)),
        (Channel.WEBHOOK, {"url": URL, "signing_key": KEY}, WebhookSecret(URL, KEY)),
        (Channel.WEBHOOK, {"url": URL, "signing_key": " ü "}, WebhookSecret(URL, " ü ")),
        (Channel.PAGERDUTY, {"routing_key": ROUTING_KEY}, WebhookSecret(PAGERDUTY, ROUTING_KEY)),
        # Other services understand PagerDuty's events, with keys of their own.
        (Channel.PAGERDUTY, {"url": URL, "routing_key": KEY}, WebhookSecret(URL, KEY)),
    ],
)
def test_reads_what_the_channel_needs(
    manager: Any, channel: Channel, content: object, secret: WebhookSecret
) -> None:
    assert WebhookSecrets({channel: kept(manager, content)}).of(channel) == secret


@pytest.mark.parametrize(
    ("channel", "needed"),
    [
        (Channel.SLACK, "url (https://…)"),
        (Channel.WEBHOOK, "url (https://…) and signing_key"),
        (Channel.PAGERDUTY, "routing_key"),
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        f"{URL} {KEY}",
        json.dumps(URL),
        [URL, KEY],
        None,
        {"url": [URL], "signing_key": KEY, "routing_key": KEY},
    ],
)
def test_says_what_must_be_in_the_secret_and_not_what_is(
    manager: Any,
    channel: Channel,
    needed: str,
    content: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    arn = kept(manager, content)
    with (
        caplog.at_level(logging.DEBUG, logger="notify_scan"),
        pytest.raises(WebhookSecretUnusable) as raised,
    ):
        WebhookSecrets({channel: arn}).of(channel)
    assert str(raised.value) == (
        f"the secret of {channel}, {arn}, must be a JSON object of texts with {needed}"
    )
    for text in (*traceback.format_exception(raised.value), caplog.text):
        assert "a-very-secret" not in text


@pytest.mark.parametrize("channel", list(SETTINGS))
@pytest.mark.parametrize("url", ["http://hooks.example.org/a-very-secret-path", f"{URL}\n"])
def test_says_which_url_can_never_work(manager: Any, channel: Channel, url: str) -> None:
    arn = kept(manager, {"url": url, "signing_key": KEY, "routing_key": KEY})
    with pytest.raises(WebhookSecretUnusable) as raised:
        WebhookSecrets({channel: arn}).of(channel)
    assert str(raised.value) == (
        f"url in the secret of {channel}, {arn}, must be https://host/path, optionally with a port "
        "from 1 to 65535, without user name, spaces, backslashes, and control characters, and no "
        "longer than 8,000 characters"
    )
    assert "a-very-secret" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "key", ["a-very-secret-key\n", "a-very-secret\0key", "a-very-secret-\ud800"]
)
@pytest.mark.parametrize(
    ("channel", "name"), [(Channel.WEBHOOK, "signing_key"), (Channel.PAGERDUTY, "routing_key")]
)
def test_says_which_key_can_never_work(manager: Any, channel: Channel, name: str, key: str) -> None:
    arn = kept(manager, {"url": URL, name: key})
    with pytest.raises(WebhookSecretUnusable) as raised:
        WebhookSecrets({channel: arn}).of(channel)
    assert str(raised.value) == (
        f"{name} in the secret of {channel}, {arn}, must be a text without line breaks and other "
        "control characters"
    )
    assert "a-very-secret" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("url", [PAGERDUTY, "https://events.eu.pagerduty.com/v2/enqueue"])
@pytest.mark.parametrize("key", [KEY, ROUTING_KEY[1:], f"{ROUTING_KEY}0", f"{ROUTING_KEY[1:]} "])
def test_says_that_pagerduty_has_no_such_key(manager: Any, url: str, key: str) -> None:
    arn = kept(manager, {"url": url, "routing_key": key})
    with pytest.raises(WebhookSecretUnusable) as raised:
        WebhookSecrets({Channel.PAGERDUTY: arn}).of(Channel.PAGERDUTY)
    assert str(raised.value) == (
        f"routing_key in the secret of PAGERDUTY, {arn}, must be the integration key of "
        "PagerDuty's Events API v2: 32 letters and digits"
    )


def test_signs_with_a_key_of_any_form_wherever_reports_go(manager: Any) -> None:
    arn = kept(manager, {"url": PAGERDUTY, "signing_key": KEY})
    assert WebhookSecrets({Channel.WEBHOOK: arn}).of(Channel.WEBHOOK).key == KEY


@pytest.mark.parametrize(
    ("channel", "name"), [(Channel.WEBHOOK, "signing_key"), (Channel.PAGERDUTY, "routing_key")]
)
@pytest.mark.parametrize("key", ["", None, 7, [KEY]])
def test_needs_the_key_of_the_channel(
    manager: Any, channel: Channel, name: str, key: object
) -> None:
    arn = kept(manager, {"url": URL, name: key})
    with pytest.raises(
        WebhookSecretUnusable, match=f"must be a JSON object of texts with .*{name}$"
    ):
        WebhookSecrets({channel: arn}).of(channel)


def test_says_which_secret_cannot_be_read(manager: Any) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gone-AbCdEf"
    with pytest.raises(WebhookSecretUnusable, match=f"the secret of SLACK, {arn}, cannot be read"):
        WebhookSecrets({Channel.SLACK: arn}).of(Channel.SLACK)


@pytest.mark.parametrize("arn", ["", None])
def test_says_that_a_channel_is_not_in_use(arn: str | None) -> None:
    with pytest.raises(
        WebhookSecretUnusable,
        match="SLACK is not configured: deploy the stack with SlackWebhookSecretArn",
    ):
        WebhookSecrets({Channel.SLACK: arn}).of(Channel.SLACK)
    with pytest.raises(
        WebhookSecretUnusable,
        match="TEAMS is not configured: deploy the stack with TeamsWebhookSecretArn",
    ):
        WebhookSecrets({}).of(Channel.TEAMS)


def test_asks_again_only_after_a_while(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = kept(manager, {"url": URL})
    secrets = WebhookSecrets({Channel.SLACK: arn})
    secrets.of(Channel.SLACK)
    manager.put_secret_value(SecretId=arn, SecretString=json.dumps({"url": f"{URL}/new"}))
    assert secrets.of(Channel.SLACK).url == URL
    assert CACHED_FOR == 300
    forget()
    assert secrets.of(Channel.SLACK).url == f"{URL}/new"


@pytest.mark.parametrize("channel", SETTINGS)
def test_takes_the_secrets_that_the_stack_names(
    manager: Any, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = kept(manager, {"url": URL, "signing_key": KEY, "routing_key": KEY})
    for each, name in SETTINGS.items():
        monkeypatch.setenv(name, arn if each is channel else "")
    secrets = WebhookSecrets(secret_arns(settings_now(PostToWebhookSettings)))
    for each in SETTINGS:
        if each is channel:
            assert secrets.of(each).url == URL
        else:
            with pytest.raises(WebhookSecretUnusable, match="is not configured"):
                secrets.of(each)
