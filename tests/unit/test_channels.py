import json
from dataclasses import replace
from typing import Any

import pytest

from reporting.channels import chatbot, pagerduty, slack, sns, teams
from reporting.channels.delivery import Channel
from reporting.channels.document import document
from reporting.channels.in_use import ChannelsInUse, channels_in_use
from reporting.decision import Incident, NotificationPolicy, decide
from reporting.message import Level, Message, Value, sections
from reporting.reports import Change, ScanReport
from reporting.wording import message_of_run, message_of_scan
from send_digest.settings import ComposeDigestSettings
from tests.support.reports import (
    DEFAULT_SETTINGS,
    MOST_TEAMS_TAKES,
    any_finding,
    any_notification_policy,
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
POLICY: NotificationPolicy = any_notification_policy()


def message_about(report: ScanReport) -> Message:
    return message_of_scan(report, decide(report, POLICY))


def run_message(**given: Any) -> Message:
    report = any_run_report(**given)
    return message_of_run(report)


REPORT = any_scan_report(
    worst_findings=(
        any_finding(
            "CVE-2026-1", "CRITICAL", package="zlib", version="1.2", uri="https://a.example/1"
        ),
        any_finding("", "NOVEL"),
    ),
    remarks=("Something is missing.",),
)
MESSAGE = message_about(REPORT)


# Which channels there are


def test_uses_the_channels_that_are_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
    assert channels_in_use(settings_now(ComposeDigestSettings)) == ChannelsInUse({})
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
        }
    )


# Slack


def test_slack_links_the_title_and_shows_the_worst() -> None:
    body: Any = slack.webhook_message(MESSAGE)
    assert body["text"] == "ECR: 1 critical, 2 high findings in `team/api:v1`"
    assert body["blocks"][0]["text"]["text"] == (
        f"\N{LARGE RED CIRCLE} *<{REPORT.link}|ECR: 1 critical, 2 high findings in>* `team/api:v1`"
    )
    worst, *_, remarks = body["attachments"][0]["blocks"]
    assert worst["text"]["text"] == (
        "*Worst findings*\n• <https://a.example/1|CVE-2026-1> critical in `zlib 1.2`\n• `unnamed`"
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
        slack.webhook_message(message_about(report)), ensure_ascii=False
    )


def test_slack_leaves_lines_out_of_a_long_message() -> None:
    message = replace(MESSAGE, sections=sections("Any", ((Value.of("&" * 500),),) * 40))
    body = slack.webhook_message(message)
    assert len(json.dumps(body, ensure_ascii=False)) <= slack.LONGEST_MESSAGE
    assert "and 3" in json.dumps(body)


# Teams


def test_teams_shows_a_card_that_is_coloured_by_level() -> None:
    card: Any = teams.webhook_message(MESSAGE)
    content = card["attachments"][0]["content"]
    assert content["body"][0]["inlines"][1] == {
        "type": "TextRun",
        "text": "ECR: 1 critical, 2 high findings in ",
        "size": "large",
        "weight": "bolder",
        "color": "attention",
    }
    assert content["actions"][0]["url"] == REPORT.link
    assert json.dumps(card).count("selectAction") == 1


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
ECR: 1 critical, 2 high findings in team/api:v1

Worst findings:
  CVE-2026-1 critical in zlib 1.2 https://a.example/1
  unnamed

  1 critical
  2 high
  3 medium
  4 low

Repository:    team/api
Tags:          v1
Image digest:  sha256:0000000000000000000000000000000000000000000000000000000000000007
Scan:          basic, COMPLETE
Scanned:       2026-03-14 03:00 UTC
Account:       123456789012 in eu-central-1

Something is missing.

Open the scan in the console:
https://console.aws.amazon.com/ecr/any
"""
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
    }
    run: Any = sns.publication(run_message(), any_run_report())
    assert "repository" not in run["attributes"]


def test_a_subject_is_one_short_line_of_ascii() -> None:
    content: Any = sns.publication(MESSAGE, REPORT)
    assert content["subject"] == ("[CRITICAL] ECR: 1 critical, 2 high findings in team/api:v1")
    title = ("Nüll\ufffd ", Value("x" * 200))
    message = replace(MESSAGE, level=Level.OK, title=title, headlines=())
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
@pytest.mark.parametrize("is_reminder", [False, True])
@pytest.mark.parametrize("given", [{"severities": {"CRITICAL": 1_234, "HIGH": 5_678}}, {}])
def test_a_subject_names_the_whole_image(
    image: str, change: Change | None, is_reminder: bool, given: dict[str, Any]
) -> None:
    repository, _, tag = image.rpartition(":")
    report = any_scan_report(
        repository=repository, tags=(tag,), change=change, is_reminder=is_reminder, **given
    )
    for each in (report, replace(report, status="FAILED"), replace(report, severities={})):
        content: Any = sns.publication(message_of_scan(each, decide(each, POLICY)), each)
        assert content["subject"].endswith(image)
        assert len(content["subject"]) <= sns.LONGEST_SUBJECT
        assert json.loads(content["message"])["sms"].endswith(image)


def test_a_subject_has_as_many_counts_as_fit() -> None:
    def subject(tag: str) -> str:
        report = any_scan_report(tags=(tag,))
        content: Any = sns.publication(message_of_scan(report, decide(report, POLICY)), report)
        return str(content["subject"]).removesuffix(tag)

    assert [subject("x" * length) for length in (43, 44, 52, 53)] == [
        "[CRITICAL] ECR: 1 critical, 2 high findings in team/api:",
        "[CRITICAL] ECR: 1 critical finding in team/api:",
        "[CRITICAL] ECR: 1 critical finding in team/api:",
        "[CRITICAL] ECR: findings in team/api:",
    ]


# Chat applications


def test_a_chat_application_groups_messages_by_image() -> None:
    told = notification_in(chatbot.publication(MESSAGE, REPORT))
    assert told["metadata"]["threadId"] == REPORT.subject
    assert told["content"]["title"] == (
        "\N{LARGE RED CIRCLE} ECR: 1 critical, 2 high findings in `team/api:v1`"
    )
    assert told["content"]["nextSteps"] == [f"Open the scan in the console: {REPORT.link}"]
    assert "*Repository:* `team/api`\n" in told["content"]["description"]


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
    assert content["description"].startswith(f"Open the scan in the console: {link}\n")


def test_a_chat_application_gets_no_empty_code() -> None:
    message = replace(MESSAGE, facts=(("Any", (Value(""),)),))
    description = notification_in(chatbot.publication(message, REPORT))["content"]["description"]
    assert "*Any:* \n" in description


# PagerDuty


def test_an_incident_is_about_an_image() -> None:
    event: Any = pagerduty.event(MESSAGE, REPORT, Incident.TRIGGER)
    assert (event["event_action"], event["dedup_key"]) == ("trigger", REPORT.subject)
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["component"] == "team/api"
    assert event["payload"]["timestamp"] == "2026-03-14T03:00:00+00:00"


def test_an_incident_of_a_run_has_a_time_only_if_the_run_has_one() -> None:
    report = any_run_report(status="FAILED", error="Any", ended_at=None)
    event: Any = pagerduty.event(run_message(status="FAILED"), report, Incident.TRIGGER)
    assert "timestamp" not in event["payload"]
    assert (event["payload"]["component"], event["payload"]["severity"]) == ("run-1", "error")


def test_a_long_subject_keeps_an_incident_of_its_own() -> None:
    one, other = (pagerduty.dedup_key("ecr/" + "x" * 300 + end) for end in "ab")
    assert len(one) == len(other) == pagerduty.LONGEST_KEY
    assert one != other
    assert pagerduty.dedup_key("x" * 255) == "x" * 255


# Machines


def test_a_document_has_a_version() -> None:
    told: Any = document(MESSAGE, REPORT)
    assert (told["version"], told["severity"]) == ("2", "CRITICAL")
    assert told["title"] == "ECR: 1 critical, 2 high findings in team/api:v1"
    assert told["report"]["kind"] == "scan"
