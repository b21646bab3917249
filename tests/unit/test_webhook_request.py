import hashlib
import json

import pytest

from notify_scan.webhooks.request import request_for, signature
from notify_scan.webhooks.secrets import WebhookSecret
from reporting.channels.delivery import TRANSPORTS, Channel, Transport
from tests.support.clock import NOW

SECRET = WebhookSecret("https://hooks.example/T0/B0/very-secret-path", "a-very-secret-key")
WEBHOOKS = [channel for channel in Channel if TRANSPORTS[channel] is Transport.WEBHOOK]


def hmac_sha256(key: bytes, message: bytes) -> str:
    """Sign as RFC 2104 says, without Python's hmac."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


def test_a_receiver_can_check_who_sends_and_when() -> None:
    request = request_for(Channel.WEBHOOK, {"title": "ünï \N{PARTY POPPER}"}, SECRET, now=NOW)
    timestamp = request.headers["X-Ecr-Rescan-Timestamp"]
    assert timestamp == "1773457200"
    signed = b"v1:" + timestamp.encode() + b":" + request.body
    expected = hmac_sha256(SECRET.key.encode(), signed)
    assert request.headers["X-Ecr-Rescan-Signature"] == f"v1={expected}"


@pytest.mark.parametrize("key", ["k", "k" * 64, "k" * 65, "schlüssel"])
def test_signs_with_a_key_of_any_length(key: str) -> None:
    assert signature(key, "1", b"body") == f"v1={hmac_sha256(key.encode(), b'v1:1:body')}"


def test_another_time_or_another_body_has_another_signature() -> None:
    signatures = {
        signature("key", "1", b"a"),
        signature("key", "2", b"a"),
        signature("k", "1", b"a"),
    }
    assert len(signatures) == 3


@pytest.mark.parametrize("channel", [Channel.SLACK, Channel.TEAMS, Channel.PAGERDUTY])
def test_signs_for_no_channel_that_does_not_check(channel: Channel) -> None:
    assert request_for(channel, {}, SECRET, now=NOW).headers == {
        "Content-Type": "application/json",
        "User-Agent": "ecr-rescan",
    }


def test_adds_the_routing_key_only_when_an_event_is_sent() -> None:
    request = request_for(Channel.PAGERDUTY, {"event_action": "resolve"}, SECRET, now=NOW)
    assert json.loads(request.body) == {"routing_key": SECRET.key, "event_action": "resolve"}


@pytest.mark.parametrize("channel", WEBHOOKS)
def test_shows_no_secret(channel: Channel) -> None:
    request = request_for(channel, {"any": "thing"}, SECRET, now=NOW)
    for shown in (repr(request), str(request), repr(SECRET), f"{SECRET}", repr([SECRET])):
        assert "secret-path" not in shown
        assert SECRET.key not in shown


def test_writes_utf8() -> None:
    request = request_for(Channel.TEAMS, {"text": "\N{PARTY POPPER}"}, SECRET, now=NOW)
    assert len(request.body) == len('{"text": ""}') + 4
