"""What receivers answer: their own words stay, and no part of an address or of a key does."""

import re
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from notify_scan.webhooks import client as client_module
from notify_scan.webhooks.redaction import (
    HIDDEN,
    KNOWN_AT_THE_END_BY,
    KNOWN_BY,
    PUBLIC,
    redacted,
)
from notify_scan.webhooks.secrets import PAGERDUTY, WebhookSecret

LETTERS = string.ascii_letters + string.digits
SLACK = WebhookSecret(
    "https://hooks.slack.com/services/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"
)
LOGIC_APP = WebhookSecret(
    "https://prod-12.westeurope.logic.azure.com:443/workflows/5e8f1c0b7a9d4e63b2c5f7a1d8e90b34"
    "/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0"
    "&sig=kX3vB9qLz2RmTn8Yc5Wd7Hf0Js4Gp6Ua1Ei-Oo_Kb2M"
)
POWER_PLATFORM = WebhookSecret(
    "https://default9c2f7b41e8d64a0fb35c6e1d7082f9.aa.environment.api.powerplatform.com:443"
    "/powerautomate/automations/direct/workflows/5e8f1c0b7a9d4e63b2c5f7a1d8e90b34"
    "/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0"
    "&sig=kX3vB9qLz2RmTn8Yc5Wd7Hf0Js4Gp6Ua1Ei-Oo_Kb2M"
)
OFFICE = WebhookSecret(
    "https://example.webhook.office.com/webhookb2/9c2f7b41-e8d6-4a0f-b35c-6e1d7082f9a4@"
    "0b5d3e72-1c8f-4d96-a7e0-f24b8c6d9135/IncomingWebhook/7d1e4b9f0c3a4826b5f8e2d7a6c09b31/"
    "2f8c6d91-35a7-4e0f-b5d3-e721c8f4d960"
)
PAGER = WebhookSecret(PAGERDUTY, "R0ut1ngK3yXq7Zv2Bn9Lm4Td8Wc6Hs5F")
ECHOES = (SLACK, LOGIC_APP, POWER_PLATFORM, OFFICE, PAGER)

# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
SLACK_ERRORS = """\
action_prohibited channel_is_archived channel_not_found invalid_attachments invalid_blocks
invalid_payload invalid_token invalid_workflow missing_text_or_fallback_or_attachments
no_active_hooks no_service no_service_id no_team no_text posting_to_general_channel_denied
rollup_error team_disabled too_many_attachments user_not_found"""
# Of Workflows, and of the connectors before them.
TEAMS_ERRORS = (
    '{"error":{"code":"DirectApiAuthorizationRequired","message":"The request must be '
    'authenticated only by Shared Access scheme."}}',
    '{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"Could not execute workflow trigger '
    "'manual' with state 'Disabled': trigger is not enabled.\"}}",
    '{"error":{"code":"TriggerInputSchemaMismatch","message":"The input body for trigger '
    "'manual' of type 'Request' did not match its schema definition.\"}}",
    '{"error":{"code":"InvalidRequestContent","message":"The request content is not valid."}}',
    "The api-version '2016-06-01' is not supported.",
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403",
    "Summary or Text is required.",
    "Invalid webhook URL",
    "Bad payload received by generic incoming webhook.",
)
# https://developer.pagerduty.com/docs/send-alert-event
PAGERDUTY_ERRORS = (
    '{"status":"invalid event","message":"Event object is invalid","errors":["Length of '
    "'routing_key' is incorrect (should be 32 characters)\"]}",
    '{"status":"invalid event","message":"Event object is invalid","errors":["\'payload.severity\' '
    "is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')\"]}",
    '{"status":"invalid event","errors":["Invalid routing key"]}',
)
USUAL = (
    *(pytest.param(SLACK, text, id=text) for text in SLACK_ERRORS.split()),
    *(
        pytest.param(secret, text, id=f"{name} {text[:60]}")
        for name, secret in (("apps", LOGIC_APP), ("power", POWER_PLATFORM), ("office", OFFICE))
        for text in TEAMS_ERRORS
    ),
    *(pytest.param(PAGER, text, id=text[-30:]) for text in PAGERDUTY_ERRORS),
    pytest.param(SLACK, "this must be sent over http", id="a scheme"),
    pytest.param(SLACK, "", id="nothing"),
    pytest.param(SLACK, "ok", id="a short one"),
)


def tokens(secret: WebhookSecret) -> list[str]:
    """Return what no one may see of an example, in small letters: all that is random in it."""
    parts = re.split("[/&?=]|%2f", f"{secret.url.partition('//')[2]}/{secret.key}".lower())
    known = (*PUBLIC, "api-version")
    return [part for part in parts[1:] if len(part) >= KNOWN_BY and part not in known]


def assert_kept(shown: str, secret: WebhookSecret) -> None:
    for token in tokens(secret):
        for text in shown.lower().split(HIDDEN):
            assert not any(
                token[at : at + KNOWN_BY] in text for at in range(len(token) - KNOWN_BY + 1)
            )
            assert not text.endswith(token[:KNOWN_AT_THE_END_BY])


@pytest.mark.parametrize(("secret", "text"), USUAL)
def test_error_texts_stay_as_they_are(secret: WebhookSecret, text: str) -> None:
    assert redacted(text, secret) == text


@given(st.sampled_from(SLACK_ERRORS.split()), st.text(LETTERS, min_size=24, max_size=24))
def test_no_token_hides_an_error_that_has_nothing_of_it(text: str, token: str) -> None:
    pieces = {token[at : at + KNOWN_BY].lower() for at in range(len(token) - KNOWN_BY + 1)}
    assume(not any(piece in text for piece in pieces))
    assume(not text.endswith(token[:KNOWN_AT_THE_END_BY].lower()))
    secret = WebhookSecret(f"https://hooks.slack.com/services/T024BE7LD/B07Q2M4XKTZ/{token}")
    assert redacted(text, secret) == text


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        (SLACK, SLACK.url, HIDDEN),
        (SLACK, f"no hook at {SLACK.url}: no_service", f"no hook at {HIDDEN}: no_service"),
        (SLACK, "no hook T024BE7LD/B07Q2M4XKTZ", f"no hook {HIDDEN}/{HIDDEN}"),
        (SLACK, "hooks.slack.com has no services", f"{HIDDEN} has no services"),
        (SLACK, "token q8ZrY2mW… is invalid", f"token {HIDDEN}… is invalid"),
        (SLACK, "token Q8ZRY2MWN0 is invalid", f"token {HIDDEN} is invalid"),
        (SLACK, "token q8Zr", f"token {HIDDEN}"),
        (SLACK, "token q8Z", "token q8Z"),
        (PAGER, f"bad key {PAGER.key[4:20]}.", f"bad key {HIDDEN}."),
        (WebhookSecret("https://h/x", "k"), "key k", f"{HIDDEN}ey {HIDDEN}"),
        (WebhookSecret("https://h.org/?a=b", '\u00fc"-1234'), 'of \\u00fc\\"-1234', f"of {HIDDEN}"),
        (
            WebhookSecret("https://h.org/x?token=a%2Bbcdefg"),
            "no a+bcdefg here",
            f"no {HIDDEN} here",
        ),
        (WebhookSecret("https://h.org/x?token=a1b2c3"), "no token a1b2c3", f"no token {HIDDEN}"),
        (WebhookSecret("https://h.org/x?a1b2c3"), "no token a1b2c3", f"no token {HIDDEN}"),
        (WebhookSecret("https://h.org/schl\u00fcssel"), "schl%C3%BCssel?", f"{HIDDEN}?"),
        (WebhookSecret("https://h.org/x#a1b2c3"), "no a1b2c3.", f"no {HIDDEN}."),
    ],
)
def test_what_is_hidden(secret: WebhookSecret, text: str, shown: str) -> None:
    assert redacted(text, secret) == shown


@given(st.sampled_from(ECHOES), st.data(), st.text(max_size=9), st.text(max_size=9))
def test_hides_any_piece_of_a_part(
    secret: WebhookSecret, data: st.DataObject, before: str, after: str
) -> None:
    token = data.draw(st.sampled_from(tokens(secret)))
    start = data.draw(st.integers(0, len(token) - KNOWN_BY))
    end = data.draw(st.integers(start + KNOWN_BY, len(token)))
    shown = redacted(before + token[start:end].swapcase() + after, secret)
    assert HIDDEN in shown
    assert_kept(shown, secret)


@given(st.sampled_from(ECHOES), st.integers(0, 400), st.sampled_from(["", " \x00", "\n\u2028"]))
@example(SLACK, 60, "")
def test_hides_what_a_body_was_cut_off_within(secret: WebhookSecret, at: int, filler: str) -> None:
    body = f"unknown: {filler}{secret.url} {secret.key}".encode()[:at]
    assert_kept(client_module._shown(body, secret), secret)


def test_a_key_that_ends_within_a_character() -> None:
    secret = WebhookSecret("https://h.org/x", "gehe\u00fcr-1234")
    assert client_module._shown("no gehe\u00fc".encode()[:-1], secret) == f"no {HIDDEN}"
