import json
import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from ledger.changes import LISTS, Cause, Change, FindingsChange
from reporting.channels import chatbot, pagerduty, slack, sns, teams
from reporting.channels.delivery import Channel
from reporting.channels.document import document
from reporting.channels.in_use import ChannelsInUse, ImmediateFrom, channels_in_use
from reporting.message import Level, Message, Value, sections
from reporting.scan_wording import message_of_scan
from reporting.wording import message_of_run
from send_digest.settings import ComposeDigestSettings
from tests.support.reports import (
    DEFAULT_SETTINGS,
    MOST_TEAMS_TAKES,
    any_changed_finding,
    any_finding,
    any_run_report,
    any_scan_report,
    notification_in,
)
from tests.support.settings import settings_now

SETTINGS = (
    "NOTIFICATION_TOPIC",
    "CHATBOT_TOPIC",
    "REPORT_EVENT_BUS_ARN",
    "SLACK_WEBHOOK_SECRET_ARN",
    "TEAMS_WEBHOOK_SECRET_ARN",
    "WEBHOOK_SECRET_ARN",
    "PAGER_DUTY_SECRET_ARN",
)


def run_message(**given: Any) -> Message:
    report = any_run_report(**given)
    return message_of_run(report)


REPORT = any_scan_report(
    severities={"CRITICAL": 1, "HIGH": 2},
    open_now={"CRITICAL": 1, "HIGH": 2},
    open_before={"HIGH": 3},
    change=Change.WORSE,
    compared_with=f"sha256:{8:064x}",
    by_name=FindingsChange(
        new=(
            any_changed_finding("CVE-2026-1", "CRITICAL", version="1.2", uri="https://a.example/1"),
        ),
        gone=(
            any_changed_finding("CVE-2025-1", package="libxml2", uri="https://a.example/2"),
            any_changed_finding("CVE-2025-2", package=""),
        ),
    ),
    remarks=("Something is missing.",),
)
MESSAGE = message_of_scan(REPORT)
PREVIOUS = (
    "https://eu-central-1.console.aws.amazon.com/ecr/repositories/private/123456789012/team/api/"
)


# Which channels there are


def test_uses_the_channels_that_are_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
    digests: Any = {
        "digest_channels": {Channel.SNS, Channel.CHATBOT, Channel.SLACK, Channel.TEAMS},
        "immediate_from": ImmediateFrom.CRITICAL,
    }
    none = ChannelsInUse({}, **digests)
    assert channels_in_use(settings_now(ComposeDigestSettings)) == none
    for name in SETTINGS:
        monkeypatch.setenv(name, f"arn:{name}")
    assert channels_in_use(settings_now(ComposeDigestSettings)) == ChannelsInUse(
        {
            Channel.SNS: "arn:NOTIFICATION_TOPIC",
            Channel.CHATBOT: "arn:CHATBOT_TOPIC",
            Channel.EVENTBRIDGE: "arn:REPORT_EVENT_BUS_ARN",
            Channel.SLACK: None,
            Channel.TEAMS: None,
            Channel.WEBHOOK: None,
            Channel.PAGERDUTY: None,
        },
        **digests,
    )


# Slack


def test_slack_links_the_title_and_shows_what_is_new_first() -> None:
    body: Any = slack.webhook_message(MESSAGE)
    assert body["text"] == "1 new critical vulnerability in `team/api:v1`; 2 fixed"
    assert body["blocks"][0]["text"]["text"] == (
        f"\N{LARGE RED CIRCLE} *<{REPORT.link}|1 new critical vulnerability in>* "
        "`team/api:v1`; 2 fixed"
    )
    lead, new, fixed, counts, *_, remarks = body["attachments"][0]["blocks"]
    assert lead["text"]["text"].startswith("Compared with the previous `v1` (<https://")
    assert lead["text"]["text"].endswith("|sha256:000000000000…>): 1 new, 2 fixed, 2 unchanged.")
    assert new["text"]["text"] == (
        "*New*\n• <https://a.example/1|CVE-2026-1> critical · `zlib 1.2`"
    )
    assert fixed["text"]["text"] == (
        "*Fixed:* <https://a.example/2|CVE-2025-1> (`libxml2`), `CVE-2025-2`"
    )
    assert counts["text"]["text"] == (
        "*Open findings:*   \N{LARGE RED CIRCLE} 1 critical   \N{LARGE ORANGE CIRCLE} 2 high"
    )
    assert remarks["elements"][0]["text"] == "`Something is missing.`"


def test_slack_shows_what_to_paste() -> None:
    message = run_message(status="INCOMPLETE", rerun={"rerun_of": "run-`1`"})
    body: Any = slack.webhook_message(message)
    text = body["attachments"][0]["blocks"][-1]["text"]["text"]
    assert text.endswith('\n```{"rerun_of": "run-\N{PRIME}1\N{PRIME}"}```')


@pytest.mark.parametrize("link", ["https://a.example/?a&b", "https://a.example/"])
def test_slack_links_no_name_or_address_that_it_might_read_differently(link: str) -> None:
    name = "CVE-1" if "&" in link else "*CVE-1*"
    report = any_scan_report(worst_findings=(any_finding(name, uri=link),))
    assert f"• `{name}` high" in json.dumps(
        slack.webhook_message(message_of_scan(report)), ensure_ascii=False
    )


def test_slack_links_the_words_after_an_image_that_comes_first() -> None:
    body: Any = slack.webhook_message(message_of_scan(any_scan_report(severities={})))
    assert body["blocks"][0]["text"]["text"] == (
        f"\N{LARGE GREEN CIRCLE} `team/api:v1` *<{REPORT.link}|has no open vulnerabilities>*"
    )


def test_slack_links_names_of_images() -> None:
    message = replace(MESSAGE, lead=((Value.of("payments/ledger:r42", "https://a.example/"),),))
    body: Any = slack.webhook_message(message)
    lead = body["attachments"][0]["blocks"][0]
    assert lead["text"]["text"] == "<https://a.example/|payments/ledger:r42>"


def test_slack_leaves_lines_out_of_a_long_message() -> None:
    message = replace(MESSAGE, sections=sections("Any", ((Value.of("&" * 500),),) * 40))
    body = slack.webhook_message(message)
    assert len(json.dumps(body, ensure_ascii=False)) <= slack.LONGEST_MESSAGE
    assert "and 3" in json.dumps(body)


def test_slack_shows_no_empty_code() -> None:
    message = replace(MESSAGE, title=("ECR: 200 acceptances expired", Value("")))
    body: Any = slack.webhook_message(message)
    assert body["text"] == "ECR: 200 acceptances expired"


def test_slack_says_once_how_many_lines_are_left_out() -> None:
    """Those that a section has no room for, and those that the report has beyond them."""
    lines = [("x" * 400,)] * 10
    message = replace(MESSAGE, lead=(), sections=sections("Any", lines, more=1_200))
    text = slack.webhook_message(message)["attachments"][0]["blocks"][0]["text"]["text"]  # type: ignore[index, call-overload]
    shown = text.count("•")
    assert 0 < shown < 10
    assert text.endswith(f"\n… and {1_210 - shown:,} more")


@pytest.mark.parametrize("is_inline", [True, False])
def test_every_channel_says_how_many_more_there_are(is_inline: bool) -> None:
    listed = sections("Any", [("one",)], is_inline=is_inline, more=1_200)
    message = replace(MESSAGE, sections=listed)
    for channel in ("slack", "teams", "chatbot", "sns"):
        content = {
            "slack": lambda: slack.webhook_message(message),
            "teams": lambda: teams.webhook_message(message),
            "chatbot": lambda: chatbot.publication(message, REPORT),
            "sns": lambda: sns.publication(message, REPORT),
        }[channel]()
        assert json.dumps(content).count("and 1,200 more") == 1, channel


# Teams


def test_teams_shows_a_card_that_is_coloured_by_level() -> None:
    card: Any = teams.webhook_message(MESSAGE)
    content = card["attachments"][0]["content"]
    assert content["body"][0]["inlines"][1] == {
        "type": "TextRun",
        "text": "1 new critical vulnerability in ",
        "size": "large",
        "weight": "bolder",
        "color": "attention",
    }
    assert content["actions"][0]["url"] == REPORT.link
    assert json.dumps(card).count("selectAction") == 4


def test_teams_shows_what_to_paste() -> None:
    card = teams.webhook_message(run_message(status="INCOMPLETE", rerun={"rerun_of": "run-1"}))
    assert json.dumps('{"rerun_of": "run-1"}') in json.dumps(card)


def test_teams_leaves_lines_out_of_a_long_message_and_says_so() -> None:
    message = replace(
        MESSAGE, sections=sections("Any", ((Value.of("\N{PARTY POPPER}" * 500),),) * 40)
    )
    body = teams.webhook_message(message)
    assert len(json.dumps(body, ensure_ascii=False).encode()) <= teams.LARGEST < MOST_TEAMS_TAKES
    assert "more omitted: the message would be too long for this channel." in json.dumps(body)


# SNS


def test_an_email_can_be_read_from_top_to_bottom() -> None:
    assert (
        sns.email(MESSAGE)
        == """\
1 new critical vulnerability in team/api:v1; 2 fixed

Compared with the previous v1 (sha256:000000000000…): 1 new, 2 fixed, 2 unchanged.

New:
  CVE-2026-1 critical · zlib 1.2 https://a.example/1

Fixed: CVE-2025-1 (libxml2), CVE-2025-2

Open findings: 1 critical, 2 high

Findings before:  3 high
Image digest:     sha256:000000000000…
Scanned:          2026-03-14 03:00 UTC, basic scanning
Account:          123456789012 in eu-central-1

Something is missing.

View in ECR:
https://console.aws.amazon.com/ecr/any
"""
    )


def test_an_email_says_which_address_is_which() -> None:
    line = (Value("CVE-1", "https://a.example/1"), " high · ", Value("team/api:v1", "https://b/2"))
    lines = ((Value("CVE-2", "https://a.example/2"), " low"), line, ("CVE-3",))
    email = sns.email(replace(MESSAGE, sections=sections("New", lines)))
    assert (
        """
New:
  CVE-2 low https://a.example/2
  CVE-1 high · team/api:v1
    CVE-1: https://a.example/1
    team/api:v1: https://b/2
  CVE-3

Open findings"""
        in email
    )


def test_an_email_on_a_run_ends_in_what_to_paste() -> None:
    email = sns.email(run_message(status="INCOMPLETE", rerun={"rerun_of": "run-1"}))
    assert '\n  {"rerun_of": "run-1"}\n\nOpen the execution' in email


def test_sns_lets_subscribers_filter() -> None:
    content: Any = sns.publication(MESSAGE, REPORT)
    values = {name: each["StringValue"] for name, each in content["attributes"].items()}
    assert values == {
        "kind": "scan",
        "severity": "CRITICAL",
        "account": "123456789012",
        "region": "eu-central-1",
        "repository": "team/api",
        "change": "WORSE",
    }
    run: Any = sns.publication(run_message(), any_run_report())
    assert "repository" not in run["attributes"]


def test_a_subject_is_one_short_line_of_ascii() -> None:
    content: Any = sns.publication(MESSAGE, REPORT)
    assert content["subject"] == "ECR: new critical CVE-2026-1 (zlib) in team/api:v1; 2 fixed"
    title = ("Nüll\ufffd ", Value("x" * 200))
    message = replace(MESSAGE, level=Level.OK, title=title, headlines=(), texts=())
    content = sns.publication(message, REPORT)
    assert content["subject"].startswith("N?ll? xxx")
    assert content["subject"].endswith("xxx...")
    assert len(content["subject"]) == sns.LONGEST_SUBJECT
    sms = json.loads(content["message"])["sms"]
    assert sms.isascii()
    assert len(sms) == sns.LONGEST_SMS


@pytest.mark.parametrize(
    "image",
    [
        "platform/payments/checkout-api:2026.11.25-rc.1",
        "platform/payments/checkout-api:v12.34.5-linux-arm64-a1b2c3d4e5f6",
        "team/payments/checkout-api:0123456789abcdef0123456789abcdef01234567",  # a git commit
        "123456789012-mirror/quay.io/prometheus/alertmanager@sha256:0123456789ab",
    ],
)
@pytest.mark.parametrize("change", [None, *Change])
def test_a_subject_names_the_whole_image_and_a_noun(image: str, change: Change | None) -> None:
    repository, _, tag = image.rpartition(":")
    many = tuple(
        any_changed_finding(f"GHSA-{'x' * 100}{number}", severity, package="p" * 100)
        for number, severity in enumerate(("CRITICAL", "HIGH", "LOW"))
    )
    counts = {"CRITICAL": 1_234, "HIGH": 5_678, "LOW": 9_999}
    report = any_scan_report(
        repository=repository,
        tags=(tag,),
        change=change,
        accepted=counts,
        severities={},
        open_before=counts,
        difference=dict.fromkeys(counts, 1_000),
    )
    changes = [
        FindingsChange(**{**dict.fromkeys(LISTS[number:], many), name: many[:most]})
        for number, name in enumerate(LISTS)
        for most in (1, 3)
    ]
    for cause, is_reminder, (status, severities, open_now), by_name in product(
        (None, *Cause),
        (False, True),
        (
            ("FAILED", {}, {}),
            ("COMPLETE", {}, {}),
            ("COMPLETE", counts, {}),
            ("COMPLETE", counts, counts),
        ),
        (None, *(changes if change else ())),
    ):
        told = replace(
            report,
            cause=cause,
            is_reminder=is_reminder,
            status=status,
            severities=severities,
            open_now=open_now,
            by_name=by_name,
        )
        message = message_of_scan(told)
        subject, sms = sns.subject(message), sns.sms(message)
        for text, most in ((subject, sns.LONGEST_SUBJECT), (sms, sns.LONGEST_SMS)):
            assert image in text
            assert len(text) <= most
            assert re.search("vulnerabilit|finding|scan|Inspector", text)


def test_a_subject_says_as_much_as_fits() -> None:
    def subject(length: int) -> str:
        tag = "x" * length
        new = tuple(
            any_changed_finding(f"CVE-{severity}", severity)
            for severity in ("CRITICAL", "HIGH", "LOW")
        )
        report = any_scan_report(
            tags=(tag,),
            open_now={"CRITICAL": 9},
            change=Change.WORSE,
            by_name=FindingsChange(new=new, gone=new),
        )
        return sns.subject(message_of_scan(report)).replace(tag, "TAG")

    assert [subject(length) for length in (21, 22, 30, 31, 38, 39, 60, 61)] == [
        "ECR: 3 new vulnerabilities (1 critical, 1 high, 1 lower) in team/api:TAG; 3 fixed",
        "ECR: 3 new vulnerabilities (1 critical, 1 high, 1 lower) in team/api:TAG",
        "ECR: 3 new vulnerabilities (1 critical, 1 high, 1 lower) in team/api:TAG",
        "ECR: 3 new vulnerabilities (1 critical, 2 lower) in team/api:TAG",
        "ECR: 3 new vulnerabilities (1 critical, 2 lower) in team/api:TAG",
        "ECR: 3 new vulnerabilities in team/api:TAG",
        "ECR: 3 new vulnerabilities in team/api:TAG",
        "ECR: vulnerabilities in team/api:TAG",
    ]


# Chat applications


def test_a_chat_application_groups_messages_by_image() -> None:
    told = notification_in(chatbot.publication(MESSAGE, REPORT))
    assert told["metadata"]["threadId"] == REPORT.subject
    assert told["content"]["title"] == (
        "\N{LARGE RED CIRCLE} 1 new critical vulnerability in `team/api:v1`; 2 fixed"
    )
    assert told["content"]["nextSteps"] == [f"View in ECR: {REPORT.link}"]
    assert told["content"]["description"].splitlines()[:5] == [
        "Compared with the previous `v1` (`sha256:000000000000…`): 1 new, 2 fixed, 2 unchanged.",
        "*New*",
        "• `CVE-2026-1` critical · `zlib 1.2`",
        "*Fixed:* `CVE-2025-1` (`libxml2`), `CVE-2025-2`",
        "*Open findings:* \N{LARGE RED CIRCLE} 1 critical   \N{LARGE ORANGE CIRCLE} 2 high",
    ]


def test_a_chat_application_gets_what_to_paste() -> None:
    report = any_run_report(status="INCOMPLETE", rerun={"rerun_of": "run-1"})
    message = message_of_run(report)
    told = notification_in(chatbot.publication(message, report))
    assert told["content"]["description"].endswith('\n`{"rerun_of": "run-1"}`')


def test_a_title_is_cut_within_its_code_span() -> None:
    message = replace(MESSAGE, title=("1 critical in ", Value("x" * 400)))
    title = notification_in(chatbot.publication(message, REPORT))["content"]["title"]
    assert len(title) == chatbot.LONGEST_TITLE
    assert title.endswith("x…`")


def test_a_link_too_long_for_a_step_comes_first_in_the_description() -> None:
    link = "https://console.aws.amazon.com/" + "x" * chatbot.LONGEST_STEP
    content = notification_in(chatbot.publication(replace(MESSAGE, link=link), REPORT))["content"]
    assert "nextSteps" not in content
    assert content["description"].startswith(f"View in ECR: {link}\n")


def test_a_chat_application_gets_no_empty_code() -> None:
    message = replace(MESSAGE, facts=(("Any", (Value(""),)),))
    description = notification_in(chatbot.publication(message, REPORT))["content"]["description"]
    assert "*Any:* \n" in description


# PagerDuty


def test_an_incident_is_about_an_image() -> None:
    event: Any = pagerduty.trigger(MESSAGE, REPORT, "incident-1")
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "incident-1")
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["summary"] == (
        "ECR: new critical CVE-2026-1 (zlib) in team/api:v1; 2 fixed"
    )
    assert event["payload"]["component"] == "team/api"
    assert event["payload"]["timestamp"] == "2026-03-14T03:00:00+00:00"


def test_an_incident_of_a_run_has_a_time_only_if_the_run_has_one() -> None:
    report = any_run_report(status="FAILED", error="Any", ended_at=None)
    event: Any = pagerduty.trigger(run_message(status="FAILED"), report, "any")
    assert "timestamp" not in event["payload"]
    assert (event["payload"]["component"], event["payload"]["severity"]) == ("run-1", "error")


def test_an_incident_is_resolved_by_its_key() -> None:
    assert pagerduty.resolve("incident-1") == {
        "event_action": "resolve",
        "dedup_key": "incident-1",
    }


def test_a_long_subject_keeps_an_incident_of_its_own() -> None:
    one, other = (pagerduty.dedup_key("ecr/" + "x" * 300 + end) for end in "ab")
    assert len(one) == len(other) == pagerduty.LONGEST_KEY
    assert one != other
    assert pagerduty.dedup_key("x" * 255) == "x" * 255


# Machines


def test_a_document_has_a_version() -> None:
    told: Any = document(MESSAGE, REPORT)
    assert (told["version"], told["severity"]) == ("2", "CRITICAL")
    assert told["title"] == "1 new critical vulnerability in team/api:v1; 2 fixed"
    assert told["report"]["kind"] == "scan"
