"""The only connection to the internet: POST requests, with a named error per kind of failure.

A webhook's URL is a secret, and errors of Python's HTTP client may repeat it. So none is passed on.
No redirect is followed: it would pass the message and its signature to another host.
"""

import codecs
import functools
import re
import ssl
from dataclasses import dataclass

from notify_scan.webhooks.exchange import Exchange
from notify_scan.webhooks.redaction import redacted
from notify_scan.webhooks.request import WebhookRequest
from notify_scan.webhooks.secrets import WebhookSecret

LIMIT = 13  # seconds for a whole call; the function has 20, and reads the secret before
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


@dataclass(frozen=True)
class WebhookAnswer:
    """What a receiver has answered. text: the beginning of the body, without secrets."""

    status: int
    text: str


class WebhookClient:
    """Posts to webhooks, one attempt per call."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls

    def post(self, request: WebhookRequest) -> int:
        """Post, and return the status if it is 2xx.

        Raises WebhookThrottled, WebhookThrottledForLong, WebhookUnavailable or WebhookRefused.
        """
        return self._exchange(request).status

    def answer_to(self, request: WebhookRequest) -> WebhookAnswer:
        """Post, and return what the receiver says to it. Raises what post raises."""
        exchange = self._exchange(request, reads_success=True)
        return WebhookAnswer(exchange.status, _shown(exchange.body, request.secret))

    def _exchange(self, request: WebhookRequest, *, reads_success: bool = False) -> Exchange:
        secret = request.secret
        exchange = Exchange(secret.address, request.body, request.headers, tls=self._tls)
        exchange.reads_success = reads_success
        exchange.run_for(LIMIT)
        if not exchange.status:
            raise WebhookUnavailable(f"{request.channel} could not be reached ({exchange.trouble})")
        answer = f"{request.channel} returned {exchange.status}"
        if 200 <= exchange.status < 300:
            return exchange
        if exchange.status == 429:
            raise _throttled(answer, exchange.retry_after)
        if exchange.status >= 500 or exchange.status == 408:
            raise WebhookUnavailable(answer)
        raise WebhookRefused(f"{answer}: {_shown(exchange.body, request.secret)}")


@functools.cache
def webhook_client() -> WebhookClient:
    """Return the client, which reads the trusted certificates once per container."""
    return WebhookClient(ssl.create_default_context())


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
    """Return the response body as one line of at most 200 characters, without the secret."""
    # Only the beginning of a body is read, which can end within a character.
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(body)
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return redacted(line, secret)[:_SHOWN]
