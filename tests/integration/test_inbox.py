"""The inbox, asked over TLS as the functions ask it."""

import json
import ssl
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from local.receivers.inbox import CHANNELS, Channel, Inbox
from local.receivers.webhook_services import Answer, Posted

pytestmark = pytest.mark.usefixtures("loopback")

SLACK_TEXT = {"text": "hello"}


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    headers: Any


def post(
    inbox: Inbox, url: str, message: object, *, headers: dict[str, str] | None = None
) -> Response:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    request = urllib.request.Request(url, body, headers or {}, method="POST")
    trust = ssl.create_default_context(cafile=inbox.environment["SSL_CERT_FILE"])
    try:
        with urllib.request.urlopen(request, timeout=60, context=trust) as response:
            return Response(response.status, response.read(), response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.read(), error.headers)


def pagerduty_event(inbox: Inbox, **changes: object) -> dict[str, object]:
    payload = {"summary": "1 critical", "source": "team/api", "severity": "critical"}
    key = json.loads(inbox.secrets()["pagerduty"])["routing_key"]
    return {"routing_key": key, "event_action": "trigger", "payload": payload} | changes


def test_answers_as_slack_does(inbox: Inbox) -> None:
    answer = post(inbox, inbox.url("slack"), SLACK_TEXT)

    assert (answer.status, answer.body) == (200, b"ok")


def test_answers_as_teams_does(inbox: Inbox) -> None:
    answer = post(inbox, inbox.url("teams"), {"type": "message"})

    assert (answer.status, answer.body) == (202, b"")


def test_answers_as_a_webhook_does(inbox: Inbox) -> None:
    answer = post(inbox, inbox.url("webhook"), {"any": "thing"})

    assert (answer.status, answer.body) == (204, b"")


def test_answers_as_pagerduty_does(inbox: Inbox) -> None:
    answer = post(inbox, inbox.url("pagerduty"), pagerduty_event(inbox, dedup_key="key"))

    taken = {"status": "success", "message": "Event processed", "dedup_key": "key"}
    assert (answer.status, json.loads(answer.body)) == (202, taken)


def test_makes_a_deduplication_key_for_an_event_without_one(inbox: Inbox) -> None:
    answer = post(inbox, inbox.url("pagerduty"), pagerduty_event(inbox))

    assert json.loads(answer.body)["dedup_key"]


@pytest.mark.parametrize(
    "changes",
    [
        {"routing_key": "someone-elses"},
        {"event_action": "open"},
        {"payload": {"summary": "1 critical", "source": "team/api", "severity": "high"}},
        {"payload": {"source": "team/api", "severity": "info"}},
        {"event_action": "resolve"},
    ],
)
def test_pagerduty_refuses_an_event_that_is_wrong(inbox: Inbox, changes: dict[str, object]) -> None:
    answer = post(inbox, inbox.url("pagerduty"), pagerduty_event(inbox, **changes))

    assert answer.status == 400
    assert len(json.loads(answer.body)["errors"]) == 1


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        (b"not JSON", b"invalid_payload"),
        ({}, b"no_text"),
        ({"blocks": [{"type": "divider"}] * 51}, b"invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"text": "x" * 151}}]}, b"invalid_blocks"),
        ({"blocks": [{"type": "section", "text": {"text": "x" * 3001}}]}, b"invalid_blocks"),
        ({"blocks": [{"type": "section"}]}, b"invalid_blocks"),
        ({"attachments": [{"blocks": [{"type": "context"}]}]}, b"invalid_blocks"),
        ({"blocks": ["section"]}, b"invalid_blocks"),
    ],
)
def test_slack_refuses_a_message_beyond_its_limits(
    inbox: Inbox, message: object, refusal: bytes
) -> None:
    answer = post(inbox, inbox.url("slack"), message)

    assert (answer.status, answer.body) == (400, refusal)


def test_teams_refuses_a_message_beyond_28_kib(inbox: Inbox) -> None:
    assert post(inbox, inbox.url("teams"), {"text": "x" * 28 * 1024}).status == 413


def test_keeps_what_it_received(inbox: Inbox) -> None:
    post(inbox, inbox.url("webhook"), b'{"a":  1}', headers={"X-Signature": "s"})
    post(inbox, inbox.url("slack"), b"not JSON")

    first, second = inbox.received
    assert (first.channel, first.body, first.json) == ("webhook", b'{"a":  1}', {"a": 1})
    assert first.headers["x-signature"] == "s"
    assert first.is_accepted
    assert (second.channel, second.json, second.is_accepted) == ("slack", None, False)
    assert first.received_at <= second.received_at


def test_answers_what_is_scripted_so_many_times(inbox: Inbox) -> None:
    inbox.script("slack", Answer(429, headers={"Retry-After": "7"}), times=2)

    answers = [post(inbox, inbox.url("slack"), SLACK_TEXT) for _ in range(3)]

    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert [received.is_accepted for received in inbox.received] == [False, False, True]


def test_answers_what_is_scripted_until_repaired(inbox: Inbox) -> None:
    inbox.script("teams", Answer(503))
    broken = [post(inbox, inbox.url("teams"), {}).status for _ in range(3)]
    other = post(inbox, inbox.url("slack"), SLACK_TEXT).status
    inbox.repair("teams")

    assert (broken, other) == ([503] * 3, 200)
    assert post(inbox, inbox.url("teams"), {}).status == 202


def test_answers_what_a_script_makes_of_the_request(inbox: Inbox) -> None:
    def refuse_long(posted: Posted) -> Answer | None:
        return Answer(413, b"too long") if len(posted.json["text"]) > 3 else None

    inbox.script("slack", refuse_long)

    texts = ("long", "ok")
    statuses = [post(inbox, inbox.url("slack"), {"text": text}).status for text in texts]
    assert statuses == [413, 200]


def test_is_found_only_by_who_knows_the_address(inbox: Inbox) -> None:
    slack = inbox.url("slack")[:-1] + "?"
    teams = inbox.url("teams").replace("sig=", "sig=x")

    assert [post(inbox, url, SLACK_TEXT).status for url in (slack, teams)] == [404, 404]
    assert inbox.received == ()
    assert len(inbox.troubles) == 2


def test_has_other_addresses_than_another_inbox(inbox: Inbox) -> None:
    with Inbox() as other:
        assert not {*inbox.secrets().values()} & {*other.secrets().values()}


def test_gives_every_channel_a_secret(inbox: Inbox) -> None:
    secrets = {channel: json.loads(secret) for channel, secret in inbox.secrets().items()}

    assert {channel: set(secret) for channel, secret in secrets.items()} == {
        "slack": {"url"},
        "teams": {"url"},
        "pagerduty": {"url", "routing_key"},
        "webhook": {"url", "signing_key"},
    }
    assert all(secret["url"].startswith("https://127.0.0.1:") for secret in secrets.values())


def test_is_trusted_only_with_its_certificate_authority(inbox: Inbox) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(inbox.url("slack"), b"{}", timeout=60)

    assert inbox.received == ()
    assert post(inbox, inbox.url("slack"), SLACK_TEXT).status == 200


def test_takes_many_requests_at_once(inbox: Inbox) -> None:
    def one(number: int) -> int:
        channel: Channel = CHANNELS[number % 4]
        return post(inbox, inbox.url(channel), pagerduty_event(inbox) | SLACK_TEXT).status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(40)))

    assert sorted(set(statuses)) == [200, 202, 204]
    assert len(inbox.received) == 40
