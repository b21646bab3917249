"""What is posted to a webhook."""

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
    """A POST request to the address in a secret."""

    channel: Channel
    secret: WebhookSecret
    body: bytes = field(repr=False)
    headers: dict[str, str]


def request_for(
    channel: Channel, content: Any, secret: WebhookSecret, *, now: datetime
) -> WebhookRequest:
    """Put a message and the secret of its channel together."""
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
    """Sign a body together with its time, so that an old message cannot be sent again as new."""
    signed = f"{SIGNATURE_VERSION}:{timestamp}:".encode() + body
    mac = hmac.new(key.encode(), signed, hashlib.sha256)
    return f"{SIGNATURE_VERSION}={mac.hexdigest()}"
