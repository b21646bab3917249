"""The only connection to the internet: POST requests, with a named error per kind of failure.

A webhook's URL is a secret, and urllib3 writes it into its errors and its log. So none of its
errors is passed on, and runtime/log.py silences its log.
"""

import functools
import re

import urllib3

from notify_scan.webhooks.request import WebhookRequest
from notify_scan.webhooks.secrets import WebhookSecret

TIMEOUT = urllib3.Timeout(connect=3, read=10)
SOON = 10  # seconds: WebhookThrottled is retried no earlier
LATER = 60  # seconds: WebhookThrottledForLong is retried no earlier
_SHOWN = 200  # characters of a response body that an error repeats


class WebhookThrottled(Exception):
    """The receiver asked to wait for up to 10 seconds. The state machine does so."""


class WebhookThrottledForLong(Exception):
    """The receiver asked to wait for up to a minute. The state machine does so."""


class WebhookUnavailable(Exception):
    """The receiver had a server error or did not answer. The state machine retries."""


class WebhookRefused(Exception):
    """The receiver rejected the message, and a retry would not change that."""


class WebhookClient:
    """Posts to webhooks, one attempt per call."""

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool

    def post(self, request: WebhookRequest) -> int:
        """Post, and return the status if it is 2xx.

        Raises WebhookThrottled, WebhookThrottledForLong, WebhookUnavailable or WebhookRefused.
        """
        try:
            response = self._pool.request(
                "POST",
                request.secret.url,
                body=request.body,
                headers=request.headers,
                timeout=TIMEOUT,
                retries=False,
                redirect=False,  # it would pass the message and its signature to another host
            )
        except urllib3.exceptions.HTTPError as error:
            name = type(error).__name__
            raise WebhookUnavailable(f"{request.channel} could not be reached ({name})") from None
        answer = f"{request.channel} returned {response.status}"
        if 200 <= response.status < 300:
            return response.status
        if response.status == 429:
            raise _throttled(answer, response.headers.get("Retry-After", ""))
        if response.status >= 500 or response.status == 408:
            raise WebhookUnavailable(answer)
        raise WebhookRefused(f"{answer}: {_shown(response.data, request.secret)}")


@functools.cache
def webhook_client() -> WebhookClient:
    """Return the client, with one connection pool per container."""
    return WebhookClient(urllib3.PoolManager())


def _throttled(answer: str, retry_after: str) -> Exception:
    # HTTP also allows a date here, which none of the receivers uses.
    seconds = int(retry_after) if re.fullmatch(r"[0-9]{1,6}", retry_after) else SOON
    asked = f"{answer} with Retry-After {seconds} s"
    if seconds <= SOON:
        return WebhookThrottled(asked)
    if seconds <= LATER:
        return WebhookThrottledForLong(asked)
    return WebhookRefused(f"{asked}; NotifyScan waits {LATER} s at most")


def _shown(body: bytes, secret: WebhookSecret) -> str:
    """Return the response body as one line of at most 200 characters, with secrets redacted."""
    words = " ".join(body[:10_000].decode(errors="replace").split())
    text = "".join(character for character in words if character.isprintable())
    parts = {secret.url, secret.key, *re.split(r"[/?&=]", secret.url)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= 8:
            text = text.replace(part, "(secret)")
    return text[:_SHOWN]
