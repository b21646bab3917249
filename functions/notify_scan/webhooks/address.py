"""Addresses of webhooks: what can be posted to, checked before anything is sent."""

import re
import string
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

# RFC 9110, 4.1: what every sender and recipient should support at least.
MOST_CHARACTERS = 8_000
ACCEPTED = (
    "https://host/path, optionally with a port from 1 to 65535, without user name, spaces, "
    f"backslashes, and control characters, and no longer than {MOST_CHARACTERS:,} characters"
)
_WITHOUT_SPACES = re.compile(r"[^\s\\\x00-\x1f\x7f-\x9f]+")
# DNS: labels of letters, digits, hyphens, and, in practice, underscores. Or an IP address.
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*)")


@dataclass(frozen=True)
class WebhookAddress:
    """Where to post. host: as DNS knows it, in ASCII; target: path and query, a secret."""

    host: str = field(repr=False)
    port: int
    target: str = field(repr=False)


def address_of(url: str) -> WebhookAddress:
    """Return the address in a URL.

    Raises ValueError, which names what is accepted and not the URL.
    """
    try:
        return _parsed(url)
    except ValueError:  # not chained: the errors of urlsplit and of codecs contain the URL
        raise ValueError(ACCEPTED) from None


def _parsed(url: str) -> WebhookAddress:
    if len(url) > MOST_CHARACTERS or not _WITHOUT_SPACES.fullmatch(url):
        raise ValueError
    parts = urlsplit(url)
    # IDNA 2003, of the standard library: the package that knows IDNA 2008 is not deployed.
    host = (parts.hostname or "").encode("idna").decode("ascii").lower()
    port = 443 if parts.port is None else parts.port
    if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(host) or not port:
        raise ValueError
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    # Characters that are not ASCII are encoded; what is encoded already stays as it is.
    return WebhookAddress(host, port, quote(target, safe=string.punctuation))
