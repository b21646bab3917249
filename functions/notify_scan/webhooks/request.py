"""The HTTP request to a webhook, with the signature of the generic one."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notify_scan.webhooks.secrets import WebhookSecret
from reporting.channels.delivery import Channel
from runtime.messages import wire

SIGNATURE_VERSION = "v1"


@dataclass(frozen=True)
class WebhookRequest:
    """A POST request to the URL in a secret."""

    channel: Channel
    secret: WebhookSecret
    body: bytes = field(repr=False)
    headers: dict[str, str]


def request_for(
    channel: Channel, content: Any, secret: WebhookSecret, *, now: datetime
) -> WebhookRequest:
    """Return the request that posts a message to a channel."""
    if channel is Channel.PAGERDUTY:
        content = {"routing_key": secret.key, **content}
    body = wire(content)
    headers = {"Content-Type": "application/json", "User-Agent": "ecr-rescan"}
    if channel is Channel.WEBHOOK:
        timestamp = str(int(now.timestamp()))
        headers["X-Ecr-Rescan-Timestamp"] = timestamp
        headers["X-Ecr-Rescan-Signature"] = signature(secret.key, timestamp, body)
    return WebhookRequest(channel, secret, body, headers)


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a body and its timestamp, in seconds since 1970, as hexadecimal HMAC.

    The timestamp is signed too, so that an old request cannot be replayed as a new one.
    """
    signed = f"{SIGNATURE_VERSION}:{timestamp}:".encode() + body
    mac = hmac.new(key.encode(), signed, hashlib.sha256)
    return f"{SIGNATURE_VERSION}={mac.hexdigest()}"
