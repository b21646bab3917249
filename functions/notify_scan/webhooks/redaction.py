"""Remove the secret of a channel from what its receiver answers.

Receivers repeat addresses and keys, whole or in part. Their own error texts, such as Slack's
no_service, have to stay readable: they say what an operator has to repair.
"""

import json
import string
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

from notify_scan.webhooks.secrets import WebhookSecret

HIDDEN = "(secret)"
# Characters in succession by which a part of an address is known: with fewer, error texts would
# have some of a random part by chance. A text may end within a part, where fewer are enough.
KNOWN_BY = 6
KNOWN_AT_THE_END_BY = 4
# What the addresses of all customers of a service have in common, in small letters.
PUBLIC = frozenset(
    {
        # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
        *("services", "triggers", "workflows"),
        # https://learn.microsoft.com/azure/logic-apps/logic-apps-http-endpoint, and addresses that
        # Teams has given out before and after
        *("manual", "paths", "invoke", "2016-06-01", "2016-10-01"),
        *("powerautomate", "automations", "direct", "webhook", "webhooks", "webhookb2"),
        "incomingwebhook",
        # https://developer.pagerduty.com/docs/send-alert-event
        "enqueue",
    }
)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # keeps the length


def redacted(text: str, secret: WebhookSecret) -> str:
    """Return the text with each part of the secret replaced, also one that it ends within."""
    lower, parts = text.translate(_LOWER), _parts(secret)
    hidden = bytearray(len(text))
    pieces = {part[at : at + KNOWN_BY] for part in parts for at in range(len(part) - KNOWN_BY + 1)}
    for at in range(len(text)):
        if lower[at : at + KNOWN_BY] in pieces:
            hidden[at : at + KNOWN_BY] = b"\1" * KNOWN_BY
    for length in range(KNOWN_AT_THE_END_BY, KNOWN_BY):
        end = lower[-length:]
        if len(end) == length and any(part.startswith(end) for part in parts):
            hidden[-length:] = b"\1" * length
    for whole in _wholes(secret):
        at = lower.find(whole)
        while at >= 0:
            hidden[at : at + len(whole)] = b"\1" * len(whole)
            at = lower.find(whole, at + 1)
    return _replaced(text, hidden)


def _wholes(secret: WebhookSecret) -> Iterator[str]:
    """Return what is a secret whole alone: an address with its host, and a key however short."""
    for whole in (secret.url, urlsplit(secret.url).netloc, *_forms_of_key(secret)):
        if whole:
            yield whole.translate(_LOWER)


def _parts(secret: WebhookSecret) -> set[str]:
    """Return what no other address has, and the key, in each form in which they are repeated."""
    address = urlsplit(secret.url)
    values = [each.partition("=")[2] or each for each in address.query.split("&")]
    parts = set(_forms_of_key(secret))
    for value in (address.path, *values, address.fragment):
        for part in value.replace("%2f", "/").replace("%2F", "/").split("/"):
            parts |= {part, unquote(part), quote(part, safe=string.punctuation)}
    small = {part.translate(_LOWER) for part in parts}
    return {part for part in small - PUBLIC if len(part) >= KNOWN_BY}


def _forms_of_key(secret: WebhookSecret) -> tuple[str, str]:
    return secret.key, json.dumps(secret.key)[1:-1]


def _replaced(text: str, hidden: bytearray) -> str:
    """Return the text with HIDDEN in place of each run of hidden characters."""
    shown = list[str]()
    for character, is_hidden in zip(text, hidden, strict=True):
        if not is_hidden:
            shown.append(character)
        elif not shown or shown[-1] != HIDDEN:
            shown.append(HIDDEN)
    return "".join(shown)
