"""URLs and keys of webhooks, from Secrets Manager."""

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

CACHED_FOR = 300  # seconds, after which a secret that was changed is in use everywhere
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"

# The parameter that names the secret of a channel.
_PARAMETERS = {
    Channel.SLACK: "SlackWebhookSecretArn",
    Channel.TEAMS: "TeamsWebhookSecretArn",
    Channel.WEBHOOK: "WebhookSecretArn",
    Channel.PAGERDUTY: "PagerDutySecretArn",
}
# What the secret of a channel holds beside the URL.
_KEYS = {Channel.WEBHOOK: "signing_key", Channel.PAGERDUTY: "routing_key"}


class WebhookSecretUnusable(Exception):
    """The secret of a channel cannot be read, or does not have the expected keys."""


@dataclass(frozen=True)
class WebhookSecret:
    """The URL of a channel, and the key that authenticates the sender. Neither is ever printed.

    key: of the generic webhook, to sign with; of PagerDuty, the routing key.
    """

    url: str = field(repr=False)
    key: str = field(default="", repr=False)


class WebhookSecrets:
    """The secrets of all webhooks, by channel."""

    def __init__(self, arns: Mapping[Channel, str]) -> None:
        self._arns = arns

    def of(self, channel: Channel) -> WebhookSecret:
        """Return the secret of a channel, cached for CACHED_FOR seconds.

        Raises WebhookSecretUnusable.
        """
        arn = self._arns.get(channel)
        if not arn:
            raise WebhookSecretUnusable(
                f"{channel} is not configured: deploy the stack with "
                f"{_PARAMETERS.get(channel, 'a webhook channel')}"
            )
        try:
            content = parameters.get_secret(arn, transform="json", max_age=CACHED_FOR)
        except GetParameterError as error:
            raise WebhookSecretUnusable(
                f"the secret of {channel}, {arn}, cannot be read: {error}"
            ) from error
        except TransformParameterError:
            content = None  # not chained: its message contains the secret
        return _secret(channel, content, arn)


def _secret(channel: Channel, content: object, arn: str) -> WebhookSecret:
    default = PAGERDUTY if channel is Channel.PAGERDUTY else ""
    values = content if isinstance(content, dict) else {}
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
