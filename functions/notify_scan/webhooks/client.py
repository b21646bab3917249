"""The one way out to the internet: a POST, and named errors for what is answered instead of yes.

An address is a secret, and urllib3 writes it into its errors and its log: so none of its errors is
passed on, and runtime/log.py keeps its log silent.
"""

import functools
import re

import urllib3

from notify_scan.webhooks.request import WebhookRequest
from notify_scan.webhooks.secrets import WebhookSecret

TIMEOUT = urllib3.Timeout(connect=3, read=10)
SOON = 10  # seconds: WebhookThrottled is retried no earlier
LATER = 60  # seconds: WebhookThrottledForLong is retried no earlier
_TOLD = 200  # characters of an answer that an error repeats


class WebhookThrottled(Exception):
    """The receiver asks to wait for up to 10 seconds. The state machine does."""


class WebhookThrottledForLong(Exception):
    """The receiver asks to wait for up to a minute. The state machine does."""


class WebhookUnavailable(Exception):
    """The receiver failed on its own side or did not answer. The state machine tries again."""


class WebhookRefused(Exception):
    """The receiver does not take the message, and would not take it the next time."""


class WebhookClient:
    """Posts to webhooks, one attempt a call."""

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool

    def post(self, request: WebhookRequest) -> int:
        """Post, and give the status if it is one of success."""
        try:
            response = self._pool.request(
                "POST",
                request.secret.url,
                body=request.body,
                headers=request.headers,
                timeout=TIMEOUT,
                retries=False,
                redirect=False,  # it would lead the message, and its signature, to somebody else
            )
        except urllib3.exceptions.HTTPError as error:
            name = type(error).__name__
            raise WebhookUnavailable(f"{request.channel} could not be reached ({name})") from None
        answer = f"{request.channel} answered {response.status}"
        if 200 <= response.status < 300:
            return response.status
        if response.status == 429:
            raise _throttled(answer, response.headers.get("Retry-After", ""))
        if response.status >= 500 or response.status == 408:
            raise WebhookUnavailable(answer)
        raise WebhookRefused(f"{answer}: {_told(response.data, request.secret)}")


@functools.cache
def webhook_client() -> WebhookClient:
    """Make the client."""
    return WebhookClient(urllib3.PoolManager())


def _throttled(answer: str, retry_after: str) -> Exception:
    # A date is allowed too, and used by none of the receivers.
    seconds = int(retry_after) if re.fullmatch(r"[0-9]{1,6}", retry_after) else SOON
    asked = f"{answer} and asks to wait for {seconds} s"
    if seconds <= SOON:
        return WebhookThrottled(asked)
    if seconds <= LATER:
        return WebhookThrottledForLong(asked)
    return WebhookRefused(f"{asked}, which is longer than an execution lasts")


def _told(body: bytes, secret: WebhookSecret) -> str:
    """Repeat what a receiver says, without what nobody is to read."""
    told = " ".join(body[:10_000].decode(errors="replace").split())
    text = "".join(character for character in told if character.isprintable())
    parts = {secret.url, secret.key, *re.split(r"[/?&=]", secret.url)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= 8:
            text = text.replace(part, "(secret)")
    return text[:_TOLD]
