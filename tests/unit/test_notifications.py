"""Who is to get how many messages in the demo, when that is a unexpected, and which are shown."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

import pytest
from rich.console import Console

from local.cloud.engine import Engine
from local.demo.display import messages_of, summary_of
from local.demo.expectations import unexpected_in_messages, unexpected_in_week
from local.demo.messages import (
    CHANNELS,
    SENT_TO,
    Decided,
    Highlights,
    Notifications,
    NotificationsTimeoutError,
    NotifyWatch,
    channels_on,
    decisions_in,
    executions_caused,
    received_by_channel,
    refused_by_channel,
)
from local.demo.run import RescanRun
from local.demo.weeks import Week
from local.receivers.inbox import Channel, Received
from local.receivers.subscribers import Delivered, Email, TopicMessage
from local.receivers.webhook_services import Answer
from reporting.channels.delivery import Channel as Destination

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALL = ("SNS", "SLACK", "PAGERDUTY")
ABOVE = Decided("ecr/1/r/team/api/a", notify=True, reason="above a threshold", channels=ALL)
CLEAN = Decided("ecr/1/r/team/api/b", notify=False, reason="nothing above a threshold")
RUN = Decided("ecr-rescan/1/r/machine", notify=True, reason="run finished", channels=ALL)
CLOSED = Decided(
    "ecr/1/r/team/api/c",
    notify=False,
    reason="NotifyOn excludes CLEARED",
    channels=("PAGERDUTY", "PAGERDUTY"),
)
KNOWN = Decided("", notify=False, reason="the run itself has sent Rescan Finished")
ALL_WELL = Notifications(
    scans_started=3,
    scan_events={"COMPLETE": 2, "UNSUPPORTED_IMAGE": 1},
    executions=4,
    executions_failed=0,
    decisions=(ABOVE, CLEAN, RUN, KNOWN),
    received={"slack": 2, "pagerduty": 2, "email": 2},
    refused={"slack": 1},
)
FINISHED_RUN = RescanRun(
    "demo-1", "arn", {}, "SUCCEEDED", NOON, NOON, output={"conclusion": "All is done."}
)


def posted(channel: Channel, body: Any, status: HTTPStatus = HTTPStatus.OK) -> Received:
    return Received(channel, {}, json.dumps(body).encode(), body, NOON, Answer(status))


def slack(title: str, *sections: str) -> Received:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in sections]
    return posted("slack", {"text": title, "blocks": blocks})


def teams(title: str) -> Received:
    inlines = [{"type": "TextRun", "text": text} for text in ("* ", title)]
    card = {"body": [{"type": "RichTextBlock", "inlines": inlines}]}
    return posted("teams", {"attachments": [{"content": card}]})


def queued(title: str, report: Mapping[str, Any]) -> TopicMessage:
    text = json.dumps({"title": title, "report": report})
    return TopicMessage("arn:topic", None, text, {}, NOON)


def test_is_content_when_every_channel_got_every_message() -> None:
    assert unexpected_in_messages(ALL_WELL) is None


def test_expects_what_is_sent_to_a_channel_and_nothing_else() -> None:
    seen = replace(ALL_WELL, decisions=(*ALL_WELL.decisions, CLOSED))

    assert {name: number for name in CHANNELS if (number := seen.expected(name))} == {
        "slack": 2,
        "email": 2,
        "sms": 2,
        "queue": 2,
        "pagerduty": 4,  # an event can end several incidents
    }


def test_knows_which_channel_a_message_is_sent_to() -> None:
    assert SENT_TO.keys() == CHANNELS.keys()
    assert {*SENT_TO.values()} == {*Destination}


def test_knows_which_runs_are_dry() -> None:
    assert replace(FINISHED_RUN, input={"dry_run": True}).is_dry
    assert not FINISHED_RUN.is_dry


def test_counts_scans_and_runs_apart() -> None:
    assert (ALL_WELL.notified_scans, ALL_WELL.notified_runs) == (1, 1)
    assert ALL_WELL.not_notified == {CLEAN.reason: 1, KNOWN.reason: 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scans_started": 4}, "4 scans were started, but ECR sent 3 events."),
        ({"executions_failed": 1}, "1 of 4 executions of NotifyScan failed."),
        ({"executions": 5}, "should have logged 5 decisions, but logged 4."),
        (
            {"undelivered": [json.dumps({"error": "WebhookRefused", "cause": "Slack said no"})]},
            "Undelivered holds 1 messages. The first: WebhookRefused: Slack said no",
        ),
        ({"undelivered": ["from EventBridge"]}, "The first: from EventBridge"),
        ({"received": {"slack": 1}}, "Slack received 1 messages instead of 2."),
        ({"received": {"slack": 3}}, "Slack received 3 messages instead of 2."),
        ({"received": {"pagerduty": 3}}, "PagerDuty received 3 messages instead of 2."),
        ({"received": {"teams": 1}}, "Microsoft Teams received 1 messages instead of 0."),
    ],
)
def test_says_what_went_wrong(change: dict[str, Any], said: str) -> None:
    assert said in (unexpected_in_messages(replace(ALL_WELL, **change)) or "")


@pytest.mark.parametrize(
    ("changes", "decisions", "said"),
    [
        (False, (CLEAN, RUN), None),
        (True, (ABOVE, CLEAN), None),
        (False, (ABOVE,), f"notifications were sent for 1 scans, the first for {ABOVE.about}."),
        (True, (CLEAN, RUN), "Findings had changed, but no notification was sent."),
    ],
)
def test_expects_notifications_in_a_week_with_changes_only(
    *, changes: bool, decisions: tuple[Decided, ...], said: str | None
) -> None:
    unexpected = unexpected_in_week(Week("any", "any", ("any",), changes), decisions)

    assert (said in unexpected) if said and unexpected else unexpected is said


def test_knows_the_channels_of_a_stack_by_its_parameters() -> None:
    everything = {
        "SlackWebhookSecretArn": "arn",
        "TeamsWebhookSecretArn": "arn",
        "PagerDutySecretArn": "arn",
        "WebhookSecretArn": "arn",
        "ChatbotTopicState": "ENABLED",
        "ReportEventBusArn": "arn",
    }

    assert channels_on(everything) == list(CHANNELS)
    assert channels_on({"SlackWebhookSecretArn": ""}) == ["email", "sms", "queue"]
    assert channels_on({"NotificationTopicState": "DISABLED"}) == []


def test_counts_what_a_channel_took_and_what_it_refused() -> None:
    requests = [slack("any"), posted("slack", {}, HTTPStatus.SERVICE_UNAVAILABLE)]
    delivered = Delivered(emails=(Email("any", "any", "any", NOON),))

    taken = received_by_channel(["slack", "teams", "email"], requests, delivered)

    assert taken == {"slack": 1, "teams": 0, "email": 1}
    assert refused_by_channel(requests) == {"slack": 1}


def test_expects_an_execution_for_each_event_that_a_rule_takes() -> None:
    events = {"COMPLETE": 2, "FAILED": 1, "UNSUPPORTED_IMAGE": 5}
    left_over = replace(FINISHED_RUN, status="FAILED", output=None, error="RescanIncomplete")
    refused = replace(left_over, error="InvalidRescanRequest")
    idle = replace(FINISHED_RUN, output={"notice": "Enhanced scanning is on."})

    assert executions_caused(events, []) == 3
    assert executions_caused({}, [FINISHED_RUN]) == 1
    assert executions_caused({}, [left_over]) == 2
    assert executions_caused({}, [refused]) == 1
    assert executions_caused({}, [idle]) == 0


def test_reads_decisions_from_a_log_that_holds_more() -> None:
    decision = {"about": "ecr/x", "notify": True, "reason": "above a threshold", "level": "INFO"}
    sent = {**decision, "channels": "SLACK PAGERDUTY"}
    lines = ["Traceback", "[]", '{"notify": true}', json.dumps(decision), json.dumps(sent)]

    silent = Decided("ecr/x", notify=True, reason="above a threshold")
    assert list(decisions_in(iter(lines))) == [
        silent,
        replace(silent, channels=("SLACK", "PAGERDUTY")),
    ]


class LogOfExecutions:
    """An engine whose log group holds these events of executions."""

    def __init__(self, *types: str) -> None:
        self.events = [{"message": json.dumps({"type": each})} for each in types]

    def client(self, _service: str) -> "LogOfExecutions":
        return self

    def get_paginator(self, _operation: str) -> "LogOfExecutions":
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"events": self.events}]


def watch(*types: str) -> NotifyWatch:
    return NotifyWatch(cast("Engine", LogOfExecutions(*types)), {"NotifyScanLogGroup": "any"})


def test_counts_failed_executions_when_all_have_ended() -> None:
    started = ["ExecutionStarted"] * 2

    assert watch(*started, "ExecutionSucceeded", "ExecutionTimedOut").failed_executions(2) == 1


def test_gives_up_on_executions_that_never_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.demo.messages.STILL_SECONDS", 0)
    monkeypatch.setattr("local.demo.messages.time.sleep", lambda _: None)

    with pytest.raises(NotificationsTimeoutError, match="1 have started and 1 have ended"):
        watch("ExecutionStarted", "ExecutionSucceeded").failed_executions(2)


def test_shows_the_worst_scan_and_the_run_that_did_not_finish() -> None:
    mild, worst = "1 high in team/api", "2 critical in team/<web>"
    fine, left_over = (
        "ECR rescan finished: all",
        "ECR rescan incomplete: 1 of 2 repositories did not finish",
    )
    delivered = Delivered(
        emails=tuple(Email("any", "any", f"{each}\n\nmore", NOON) for each in (fine, left_over)),
        topic_messages=(
            queued(fine, {"kind": "run", "run": "demo-2", "status": "FINISHED"}),
            queued(mild, {"kind": "scan", "repository": "team/api", "severities": {"HIGH": 1}}),
            queued(
                worst, {"kind": "scan", "repository": "team/<web>", "severities": {"CRITICAL": 2}}
            ),
            queued(left_over, {"kind": "run", "run": "demo-1", "status": "INCOMPLETE"}),
        ),
    )
    worst_in_slack = slack(
        "2 critical in `team/&lt;web&gt;`", "*<https://a.b|2 critical>*", "`&lt;more&gt;`"
    )
    requests = [slack(mild), worst_in_slack, teams(worst), slack(left_over), teams(fine)]

    highlights = Highlights.of(requests, delivered)

    assert highlights.slack_scan() == "2 critical\n<more>"
    email = highlights.run_email()
    assert email
    assert email.text.startswith(left_over)
    assert highlights.pictured() == (worst_in_slack, requests[3], requests[2])


def test_shows_nothing_of_channels_that_are_off() -> None:
    highlights = Highlights.of([], Delivered())

    assert highlights.slack_scan() is None
    assert highlights.run_email() is None
    assert highlights.pictured() == ()


def test_shows_what_came_back_and_what_became_of_it() -> None:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(summary_of(ALL_WELL))
        console.print(messages_of(Highlights()))

    lines = [line.split() for line in captured.get().splitlines()]
    assert ["Slack", "2", "1"] in lines
    reasons = f"{ABOVE.reason} (1), {RUN.reason} (1)"
    sent = f"Notifications were sent for 1 scan and 1 run: {reasons}."
    assert sent in captured.get().splitlines()
    assert "Undelivered is empty." in captured.get()
    assert max(map(len, captured.get().splitlines())) <= 100


def test_counts_reasons() -> None:
    assert ALL_WELL.notified == Counter({"above a threshold": 1, "run finished": 1})
