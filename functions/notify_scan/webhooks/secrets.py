"""URLs and keys of webhooks, from Secrets Manager."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import (
    GetParameterError,
    TransformParameterError,
)

from notify_scan.webhooks.address import WebhookAddress, address_of
from reporting.channels.delivery import Channel
from reporting.channels.in_use import NEEDED, SECRET_PARAMETERS

CACHED_FOR = 300  # seconds, after which a secret that was changed is in use everywhere
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"

# Control characters come from files that end in a line break; half of a surrogate has no UTF-8.
_KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
# "This is the 32 character Integration Key":
# https://developer.pagerduty.com/docs/send-alert-event
# Other services with this API, behind a URL of their own, have other keys.
_PAGERDUTY_KEY = re.compile(r"[A-Za-z0-9]{32}")


class WebhookSecretUnusable(Exception):
    """The secret of a channel cannot be read, or holds what can never work."""


@dataclass(frozen=True)
class WebhookSecret:
    """The URL of a channel, and the key that authenticates the sender. Neither is ever printed.

    key: of the generic webhook, to sign with; of PagerDuty, the routing key.
    """

    url: str = field(repr=False)
    key: str = field(default="", repr=False)

    @property
    def address(self) -> WebhookAddress:
        """Return where to post. Raises ValueError for a URL that WebhookSecrets would refuse."""
        return address_of(self.url)


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
                f"{SECRET_PARAMETERS.get(channel, 'a webhook channel')}"
            )
        try:
            content = parameters.get_secret(arn, transform="json", max_age=CACHED_FOR)
        except GetParameterError as error:
            raise WebhookSecretUnusable(
                f"the secret of {channel}, {arn}, cannot be read: {error}"
            ) from error
        except TransformParameterError:
            content = None  # not chained: its message contains the secret
        return secret_of(channel, content, arn)


def secret_of(channel: Channel, content: object, arn: str) -> WebhookSecret:
    """Read what a secret holds.

    Raises WebhookSecretUnusable, which names the secret and nothing of its content.
    """
    values = content if isinstance(content, dict) else {}
    key_name = next((name for name in NEEDED[channel] if name != "url"), "")
    url = values.get("url", PAGERDUTY if channel is Channel.PAGERDUTY else "")
    key = values.get(key_name, "")
    if not isinstance(url, str) or not isinstance(key, str) or not url or (key_name and not key):
        needed = " and ".join(NEEDED[channel]).replace("url", "url (https://…)")
        raise WebhookSecretUnusable(
            f"the secret of {channel}, {arn}, must be a JSON object of texts with {needed}"
        )
    secret = WebhookSecret(url, key)
    try:
        host = secret.address.host
    except ValueError as error:
        raise WebhookSecretUnusable(
            f"url in the secret of {channel}, {arn}, must be {error}"
        ) from None
    if key_name and not _KEY.fullmatch(key):
        raise WebhookSecretUnusable(
            f"{key_name} in the secret of {channel}, {arn}, must be a text without line breaks "
            "and other control characters"
        )
    if (
        host.endswith(".pagerduty.com")
        and channel is Channel.PAGERDUTY
        and not _PAGERDUTY_KEY.fullmatch(key)
    ):
        raise WebhookSecretUnusable(
            f"{key_name} in the secret of {channel}, {arn}, must be the integration key of "
            "PagerDuty's Events API v2: 32 letters and digits"
        )
    return secret
