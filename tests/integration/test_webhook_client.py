"""The client against receivers on this machine, over TLS: what is posted, named and kept secret."""

import io
import json
import logging
import re
import socket
import ssl
import traceback
from collections.abc import Iterator

import pytest

from local.receivers.inbox import Channel as InboxChannel
from local.receivers.inbox import Inbox
from local.receivers.webhook_services import Answer, Posted
from notify_scan.webhooks.client import (
    WebhookClient,
    WebhookRefused,
    WebhookThrottled,
    WebhookThrottledForLong,
    WebhookUnavailable,
    webhook_client,
)
from notify_scan.webhooks.request import WebhookRequest, request_for
from notify_scan.webhooks.secrets import WebhookSecret
from reporting.channels.delivery import Channel
from tests.support.clock import NOW

pytestmark = pytest.mark.usefixtures("loopback")

SIGNING_KEY = "the-signing-key-that-nobody-sees"
CHANNELS: dict[Channel, InboxChannel] = {
    Channel.SLACK: "slack",
    Channel.TEAMS: "teams",
    Channel.WEBHOOK: "webhook",
    Channel.PAGERDUTY: "pagerduty",
}
CONTENTS = {
    Channel.SLACK: {"text": "hello"},
    Channel.TEAMS: {"type": "message"},
    Channel.WEBHOOK: {"version": "1"},
    Channel.PAGERDUTY: {"event_action": "resolve", "dedup_key": "any"},
}


@pytest.fixture
def client(inbox: Inbox) -> WebhookClient:
    return WebhookClient(ssl.create_default_context(cafile=inbox.environment["SSL_CERT_FILE"]))


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Listen to every logger as it is in Lambda when the functions log at DEBUG."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def request(inbox: Inbox, channel: Channel = Channel.WEBHOOK, url: str = "") -> WebhookRequest:
    told = json.loads(inbox.secrets()[CHANNELS[channel]])
    key = SIGNING_KEY if channel is Channel.WEBHOOK else told.get("routing_key", "")
    secret = WebhookSecret(url or told["url"], key)
    return request_for(channel, CONTENTS[channel], secret, now=NOW)


def secrets_of(posted: WebhookRequest) -> set[str]:
    url = posted.secret.url
    parts = {url, url.rpartition("/")[2], url.rpartition("=")[2], posted.secret.key}
    return {part for part in parts if len(part) >= 8}  # what is shorter is a word


def assert_kept(posted: WebhookRequest, heard: pytest.LogCaptureFixture, *shown: str) -> None:
    for secret in secrets_of(posted):
        for text in (*shown, repr(posted), heard.text):
            assert secret not in text


@pytest.mark.parametrize(
    ("channel", "status"),
    [
        (Channel.SLACK, 200),
        (Channel.TEAMS, 202),
        (Channel.WEBHOOK, 204),
        (Channel.PAGERDUTY, 202),
    ],
)
def test_gives_the_status_of_a_success(
    inbox: Inbox,
    client: WebhookClient,
    heard: pytest.LogCaptureFixture,
    channel: Channel,
    status: int,
) -> None:
    posted = request(inbox, channel)
    assert client.post(posted) == status
    (received,) = inbox.received
    assert received.body == posted.body
    assert received.headers["content-type"] == "application/json"
    assert_kept(posted, heard)


def test_reads_what_is_answered_to_a_test(
    inbox: Inbox, client: WebhookClient, heard: pytest.LogCaptureFixture
) -> None:
    posted = request(inbox)
    inbox.script("webhook", Answer(202, f"taken by\n{posted.secret.url}".encode()))
    answer = client.answer_to(posted)
    assert answer.status == 202
    assert re.fullmatch(r"taken by .*\(secret\)", answer.text)
    assert_kept(posted, heard, answer.text)


def test_a_test_that_is_refused_is_an_error(inbox: Inbox, client: WebhookClient) -> None:
    posted = request(inbox)
    inbox.script("webhook", Answer(403, b"turned off"))
    with pytest.raises(WebhookRefused, match="WEBHOOK returned 403: turned off"):
        client.answer_to(posted)


@pytest.mark.parametrize(
    ("answer", "name", "message"),
    [
        (Answer(302, b"", {"Location": "https://127.0.0.1/x"}), WebhookRefused, "returned 302: "),
        (Answer(400, b"invalid_payload"), WebhookRefused, "returned 400: invalid_payload"),
        (Answer(400, b"\xff\x00a\n\n b"), WebhookRefused, "returned 400: \ufffda b"),
        (Answer(404, b"no_service"), WebhookRefused, "returned 404: no_service"),
        (Answer(413, b"x" * 9_000), WebhookRefused, f"returned 413: {'x' * 200}"),
        (Answer(408), WebhookUnavailable, "returned 408"),
        (Answer(429), WebhookThrottled, "returned 429 with Retry-After 10 s"),
        (Answer(429, b"", {"Retry-After": "0"}), WebhookThrottled, "with Retry-After 0 s"),
        (Answer(429, b"", {"Retry-After": "5"}), WebhookThrottled, "with Retry-After 5 s"),
        (Answer(429, b"", {"Retry-After": "10"}), WebhookThrottled, "with Retry-After 10 s"),
        (Answer(429, b"", {"Retry-After": "11"}), WebhookThrottledForLong, "with Retry-After 11 s"),
        (Answer(429, b"", {"Retry-After": "45"}), WebhookThrottledForLong, "with Retry-After 45 s"),
        (Answer(429, b"", {"Retry-After": "60"}), WebhookThrottledForLong, "with Retry-After 60 s"),
        (
            Answer(429, b"", {"Retry-After": "600"}),
            WebhookRefused,
            "with Retry-After 600 s; NotifyScan waits 60 s at most",
        ),
        (
            Answer(429, b"", {"Retry-After": "Sat, 14 Mar 2026 04:00:00 GMT"}),
            WebhookThrottled,
            "with Retry-After 10 s",
        ),
        (Answer(429, b"", {"Retry-After": "-1"}), WebhookThrottled, "with Retry-After 10 s"),
        (Answer(500, b"any"), WebhookUnavailable, "returned 500"),
        (Answer(503, b"any", {"Retry-After": "5"}), WebhookUnavailable, "returned 503"),
    ],
)
def test_names_what_is_answered_instead_of_yes(
    inbox: Inbox,
    client: WebhookClient,
    heard: pytest.LogCaptureFixture,
    answer: Answer,
    name: type[Exception],
    message: str,
) -> None:
    inbox.script("webhook", answer)
    posted = request(inbox)
    with pytest.raises(name) as raised:
        client.post(posted)
    assert raised.type is name
    assert str(raised.value).startswith("WEBHOOK returned ")
    assert message in str(raised.value)
    assert len(inbox.received) == 1
    assert_kept(posted, heard, str(raised.value), *traceback.format_exception(raised.value))


@pytest.mark.parametrize("channel", CHANNELS)
def test_repeats_no_secret_that_a_receiver_repeats(
    inbox: Inbox, client: WebhookClient, heard: pytest.LogCaptureFixture, channel: Channel
) -> None:
    posted = request(inbox, channel)
    url, key = posted.secret.url, posted.secret.key

    def echo(asked: Posted) -> Answer:
        told = f"no flow at {url} ({url.replace('/', '\\/')}) with key {key}: "
        hidden = "\x00".join(url)
        return Answer(400, (told + hidden).encode() + asked.body)

    inbox.script(CHANNELS[channel], echo)
    with pytest.raises(WebhookRefused, match="no flow at ") as raised:
        client.post(posted)
    assert "(secret)" in str(raised.value)
    assert_kept(posted, heard, str(raised.value))


def test_reports_a_refused_connection(
    inbox: Inbox, client: WebhookClient, heard: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    posted = request(inbox, url=f"https://127.0.0.1:{port}/secret/path/of-a-webhook")
    with pytest.raises(WebhookUnavailable) as raised:
        client.post(posted)
    assert str(raised.value) == "WEBHOOK could not be reached (ConnectionRefusedError)"
    assert_kept(posted, heard, *traceback.format_exception(raised.value))


def test_posts_nothing_to_whom_it_does_not_trust(
    inbox: Inbox, heard: pytest.LogCaptureFixture
) -> None:
    posted = request(inbox)
    with pytest.raises(WebhookUnavailable) as raised:
        webhook_client().post(posted)
    assert str(raised.value) == "WEBHOOK could not be reached (SSLCertVerificationError)"
    assert inbox.received == ()
    assert_kept(posted, heard, *traceback.format_exception(raised.value))


def test_follows_no_redirect(inbox: Inbox, client: WebhookClient) -> None:
    inbox.script("slack", Answer(307, b"", {"Location": inbox.url("webhook")}))
    with pytest.raises(WebhookRefused, match="SLACK returned 307"):
        client.post(request(inbox, Channel.SLACK))
    assert [received.channel for received in inbox.received] == ["slack"]


def test_logs_nothing_of_its_own(
    inbox: Inbox, client: WebhookClient, log: io.StringIO, heard: pytest.LogCaptureFixture
) -> None:
    client.post(request(inbox))
    assert log.getvalue() == ""
    assert heard.records == []
