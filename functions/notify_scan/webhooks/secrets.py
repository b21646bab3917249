"""Addresses and keys of webhooks, from Secrets Manager."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard
from urllib.parse import urlsplit

from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import (
    GetParameterError,
    TransformParameterError,
)

from reporting.channels.delivery import Channel
from reporting.channels.in_use import secret_arns

CACHED_FOR = 300  # seconds, after which a secret that was changed is in use everywhere
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"

# What stands in the secret of a channel, address aside.
_KEYS = {Channel.WEBHOOK: "signing_key", Channel.PAGERDUTY: "routing_key"}


class WebhookSecretUnusable(Exception):
    """The secret of a channel cannot be read, or does not hold what it must."""


@dataclass(frozen=True)
class WebhookSecret:
    """Where a channel is, and what proves who sends. Neither is ever printed.

    key: of the generic webhook, to sign with; of PagerDuty, the routing key.
    """

    url: str = field(repr=False)
    key: str = field(default="", repr=False)


class WebhookSecrets:
    """The secrets of all webhooks, by channel."""

    def __init__(self, arns: Mapping[Channel, str]) -> None:
        self._arns = arns

    def of(self, channel: Channel) -> WebhookSecret:
        """Read the secret of a channel, from the cache if it is there."""
        arn = self._arns.get(channel)
        if not arn:
            raise WebhookSecretUnusable(
                f"{channel} is not in use: deploy the stack with the secret of this channel"
            )
        try:
            told = parameters.get_secret(arn, transform="json", max_age=CACHED_FOR)
        except GetParameterError as error:
            raise WebhookSecretUnusable(
                f"the secret of {channel}, {arn}, cannot be read: {error}"
            ) from error
        except TransformParameterError:
            told = None  # its message holds what it could not read
        return _secret(channel, told, arn)


def webhook_secrets() -> WebhookSecrets:
    """Take the secrets that the stack's parameters name."""
    return WebhookSecrets(secret_arns())


def _secret(channel: Channel, told: object, arn: str) -> WebhookSecret:
    default = PAGERDUTY if channel is Channel.PAGERDUTY else ""
    values = told if isinstance(told, dict) else {}
    url, key = values.get("url", default), values.get(_KEYS.get(channel, ""), "")
    if not _is_address(url) or not isinstance(key, str) or (channel in _KEYS and not key):
        needed = " and ".join(["url (https://…)", *([_KEYS[channel]] if channel in _KEYS else [])])
        raise WebhookSecretUnusable(
            f"the secret of {channel}, {arn}, must be a JSON object of texts with {needed}"
        )
    return WebhookSecret(url, key)


def _is_address(url: object) -> TypeGuard[str]:
    try:
        address = urlsplit(url) if isinstance(url, str) else None
    except ValueError:  # brackets around what is no IPv6 address
        return False
    return address is not None and address.scheme == "https" and bool(address.hostname)
