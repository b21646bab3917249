"""NotifyScan, the real definition and the real handlers: what people are told, and what is kept."""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from cli.kept_messages import Message, read
from local.registry.simulated_registry import SimulatedRegistry
from notify_scan.webhooks.client import (
    WebhookRefused,
    WebhookThrottled,
    WebhookThrottledForLong,
    WebhookUnavailable,
)
from reporting.channels.delivery import Channel
from tests.support.clock import NOW
from tests.support.engine import Engine, Execution
from tests.support.receivers import ALL_CHANNELS, SECRET_PARTS, SECRETS, Trouble
from tests.workflow.conftest import Deploy

FINDINGS = {
    "critical": 1,
    "high": 3,
    "cves": [
        {"name": "CVE-2024-3094", "severity": "critical", "package": "xz-utils", "version": "5.6.1"}
    ],
}
REGISTRY = {
    "repositories": [
        {
            "name": "team/api",
            "images": [
                {"tags": "v1", "scanned": "8d", "findings": FINDINGS},
                {"tags": "bad", "scanned": "8d", "last_result": "failed", "reason": "No layers."},
            ],
        }
    ]
}
_events = count(1)


def event_of(
    registry: SimulatedRegistry, tag: str, counts: Mapping[str, int] | None = None, **more: Any
) -> dict[str, Any]:
    """Make an event, each a second later than the one before, and none in the future."""
    number = next(_events)
    (digest,) = [
        image.digest
        for image in registry.repositories["team/api"].images.values()
        if tag in image.tags
    ]
    return {
        "id": f"85fc3613-e913-7fc4-a80c-{number:012}",
        "detail-type": "ECR Image Scan",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": (NOW - timedelta(hours=2) + timedelta(seconds=number)).isoformat(),
        "region": "eu-west-1",
        "resources": ["arn:aws:ecr:eu-west-1:123456789012:repository/team/api"],
        "detail": {
            "scan-status": "COMPLETE",
            "repository-name": "team/api",
            "image-digest": digest,
            "image-tags": [tag],
            **({"finding-severity-counts": dict(counts)} if counts else {}),
            **more,
        },
    }


def failing(*errors: Exception, channel: Channel) -> Trouble:
    """Make a channel fail so many times, and then work."""
    left = list(errors)
    return lambda told: left.pop(0) if told is channel and left else None


def dead(*channels: Channel) -> Trouble:
    return lambda told: WebhookUnavailable(f"{told} is down") if told in channels else None


def told(deployed: Engine) -> set[Channel]:
    return {each.channel for each in deployed.receivers.received}


def assert_no_secret_in(*texts: object) -> None:
    assert len(SECRET_PARTS) == 8
    for text in map(str, texts):
        assert [part for part in SECRET_PARTS if part in text] == []


def histories(execution: Execution) -> str:
    return json.dumps(execution.events, default=str)


def test_notifies_every_channel_of_findings_above_a_threshold(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1, "HIGH": 2}))
    assert execution.status == "SUCCEEDED", execution.cause
    assert told(deployed) == set(Channel)
    assert len(deployed.receivers.received) == len(Channel)
    assert deployed.undelivered() == []


def test_sends_each_channel_its_own_form(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    (publication,) = deployed.receivers.of(Channel.SNS)
    (chat,) = deployed.receivers.of(Channel.CHATBOT)
    (slack,) = deployed.receivers.of(Channel.SLACK)
    (teams,) = deployed.receivers.of(Channel.TEAMS)
    (event,) = deployed.receivers.of(Channel.EVENTBRIDGE)
    (document,) = deployed.receivers.of(Channel.WEBHOOK)
    (incident,) = deployed.receivers.of(Channel.PAGERDUTY)
    texts = json.loads(publication["Message"])
    subject = "ECR: 5 new vulnerabilities (2 critical, 3 high) in team/api:v1"
    assert publication["Subject"] == subject
    assert texts["sms"] == f"{subject}. Open now: 2 critical, 3 high."
    assert json.loads(texts["default"]) == document == json.loads(event["Detail"])
    assert json.loads(json.loads(chat["Message"])["default"])["source"] == "custom"
    assert slack["text"] == "5 new vulnerabilities (2 critical, 3 high) in `team/api:v1`"
    assert teams["attachments"][0]["content"]["type"] == "AdaptiveCard"
    assert (event["Source"], event["DetailType"]) == ("ecr-rescan", "Scan Report")
    assert incident["event_action"] == "trigger"
    assert incident["routing_key"] == SECRETS[Channel.PAGERDUTY]["routing_key"]


def test_names_the_worst_findings(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, DigestChannels="NONE")
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    (publication,) = deployed.receivers.of(Channel.SNS)
    text = json.loads(publication["Message"])["email"]
    assert "CVE-2024-3094 critical · xz-utils 5.6.1" in text


def test_says_why_a_scan_failed(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, DigestChannels="NONE")
    deployed.notify(event_of(deployed.registry, "bad", **{"scan-status": "FAILED"}))
    (publication,) = deployed.receivers.of(Channel.SNS)
    text = json.loads(publication["Message"])["email"]
    assert "Scan of team/api:bad failed" in text
    assert "No layers." in text


@pytest.mark.parametrize(
    ("counts", "parameters"),
    [
        ({}, {}),
        ({"CRITICAL": 0, "HIGH": 0}, {}),
        ({"INFORMATIONAL": 9, "UNDEFINED": 9}, {}),
        ({"LOW": 12}, {"LowThreshold": "off"}),
        ({"LOW": 12}, {"LowThreshold": "12"}),
    ],
)
def test_is_silent_at_and_below_the_thresholds(
    deploy: Deploy, counts: dict[str, int], parameters: dict[str, str]
) -> None:
    findings = {severity.lower(): count for severity, count in counts.items()}
    image = {"tags": "v1", "scanned": "8d", "findings": findings}
    deployed = deploy(
        {"repositories": [{"name": "team/api", "images": [image]}]},
        DigestChannels="NONE",
        **parameters,
    )
    execution = deployed.notify(event_of(deployed.registry, "v1", counts))
    assert execution.states[-3] == "NothingToReport"
    assert told(deployed) == set()
    # ECR is asked for names, but not about an image in which nothing was found.
    asked = {"DescribeImageScanFindings": 1} if any(counts.values()) else {}
    assert deployed.registry.calls == asked


def test_logs_no_more_than_the_price_beside_its_log_level_says(deploy: Deploy) -> None:
    """At level ALL every event of the history is a line of some 440 bytes, as CloudWatch counts."""
    deployed = deploy(REGISTRY, **{**ALL_CHANNELS, "PagerDutySecretArn": ""})
    silent = len(deployed.notify(event_of(deployed.registry, "v1")).events)
    told = len(deployed.notify(event_of(deployed.registry, "v1", {"HIGH": 1})).events)
    once = 9  # the Map, and the states before and after it, beside NothingToReport
    a_message = (told - silent - once) / 6
    assert (silent, a_message) == (39, 32)


def test_is_silent_where_no_channel_is_in_use(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, NotificationTopicState="DISABLED")
    execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    assert execution.states[-3] == "NothingToReport"


def test_resolves_an_incident_without_a_notification_elsewhere(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS, NotifyOn="NEW")
    deployed.notify(event_of(deployed.registry, "v1"))
    assert told(deployed) == set()  # none is open
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    (opened,) = deployed.receivers.of(Channel.PAGERDUTY)
    deployed.receivers.received.clear()
    deployed.notify(event_of(deployed.registry, "v1"))
    assert told(deployed) == {Channel.PAGERDUTY}
    (incident,) = deployed.receivers.of(Channel.PAGERDUTY)
    assert incident["event_action"] == "resolve"
    assert incident["dedup_key"] == opened["dedup_key"]


def test_reports_a_clean_scan_where_that_is_wanted(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, NotifyOn="CLEAN", DigestChannels="NONE")
    deployed.notify(event_of(deployed.registry, "v1"))
    (publication,) = deployed.receivers.of(Channel.SNS)
    assert publication["Subject"] == "ECR: team/api:v1 has no open vulnerabilities"


@pytest.mark.parametrize(
    "event",
    [
        {"detail-type": "ECR Image Scan", "source": "aws.ecr", "detail": {"scan-status": 7}},
        {"detail-type": "Inspector2 Finding", "source": "aws.inspector2"},
        {},
        {"detail-type": "ECR Image Scan", "source": "aws.ecr", "time": "2099-01-01T00:00:00Z"},
    ],
)
def test_keeps_an_event_that_cannot_be_read_whole(deploy: Deploy, event: object) -> None:
    deployed = deploy(REGISTRY, DigestChannels="NONE")
    execution = deployed.notify(event)
    assert (execution.status, execution.error) == ("FAILED", "UnreadableScanEvent")
    (kept,) = deployed.undelivered()
    assert kept["event"] == event
    assert kept["error"] == "UnreadableScanEvent"


def test_keeps_an_event_when_a_parameter_makes_no_sense(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, CriticalThreshold="many")
    event = event_of(deployed.registry, "v1", {"CRITICAL": 1})
    execution = deployed.notify(event)
    assert execution.error == "SettingsError"
    assert "CriticalThreshold must be a whole number or off, not 'many'" in str(execution.cause)
    (kept,) = deployed.undelivered()
    assert kept["event"] == event


@pytest.mark.parametrize("channel", Channel)
def test_a_dead_channel_silences_no_other_and_its_message_is_kept(
    deploy: Deploy, channel: Channel
) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.receivers.trouble = dead(channel)
    execution = deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    assert execution.status == "SUCCEEDED", execution.cause
    assert Counter(each.channel for each in deployed.receivers.received) == Counter(
        set(Channel) - {channel}
    )
    (kept,) = deployed.undelivered()
    assert kept["delivery"]["channel"] == channel
    assert kept["error"]
    assert_no_secret_in(kept)


@pytest.mark.parametrize("channel", Channel)
def test_what_was_kept_goes_to_its_channel_alone_when_it_is_sent_again(
    deploy: Deploy, channel: Channel
) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.receivers.trouble = dead(channel)
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    (kept,) = deployed.undelivered()
    deployed.receivers.trouble = lambda _: None
    deployed.receivers.received.clear()
    again = read(Message("message-1", json.dumps(kept), {}), {}).content
    for _ in range(2):  # the queue may give a message out twice
        execution = deployed.notify(again)
        assert execution.status == "SUCCEEDED", execution.cause
    assert [each.channel for each in deployed.receivers.received] == [channel]
    assert deployed.undelivered() == []


def test_tries_a_webhook_again_that_did_not_answer(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.receivers.trouble = failing(*[WebhookUnavailable("down")] * 4, channel=Channel.TEAMS)
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    assert len(deployed.receivers.received) == len(Channel)
    assert len(deployed.backoffs) == 4
    assert all(wait <= 16 for wait in deployed.backoffs)


def test_waits_as_long_as_a_webhook_asks_for(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.receivers.trouble = failing(
        WebhookThrottled("wait 5 s"),
        WebhookThrottledForLong("wait 45 s"),
        WebhookThrottled("wait 1 s"),
        channel=Channel.SLACK,
    )
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    assert deployed.backoffs == [10, 60, 20]
    assert told(deployed) == set(Channel)


def test_a_refusal_is_not_tried_again(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    deployed.receivers.trouble = failing(
        WebhookRefused("SLACK answered 404: no_service"), channel=Channel.SLACK
    )
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    (kept,) = deployed.undelivered()
    assert kept["error"] == "WebhookRefused"
    assert "no_service" in kept["cause"]
    assert deployed.invocations["PostToWebhook"] == 4


def test_asks_ecr_again_when_it_throttles_and_goes_on_without_in_the_end(deploy: Deploy) -> None:
    throttled = {
        **REGISTRY,
        "faults": [{"operation": "DescribeImageScanFindings", "error": "ThrottlingException"}],
    }
    deployed = deploy(throttled)
    deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))
    (publication,) = deployed.receivers.of(Channel.SNS)
    text = json.loads(publication["Message"])["email"]
    assert "The findings are not named, because ECR did not list them (EcrThrottled)." in text
    assert deployed.registry.calls == {"DescribeImageScanFindings": 7}
    assert len(deployed.backoffs) == 6
    assert max(deployed.backoffs) <= 30


def test_reports_a_run_with_the_input_that_reruns_it(deploy: Deploy) -> None:
    denied = {"operation": "DescribeImages", "error": "AccessDeniedException"}
    repositories = [
        *REGISTRY["repositories"],
        {"name": "team/shut", "images": [], "faults": [denied]},
    ]
    deployed = deploy({"repositories": repositories})
    run = deployed.run()
    (entry,) = deployed.receivers.events_put
    event = {
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "detail": json.loads(entry["Detail"]),
        "resources": entry["Resources"],
        "account": "123456789012",
        "region": "eu-west-1",
        "time": "2026-03-14T03:09:00Z",
    }
    deployed.notify(event)
    (publication,) = deployed.receivers.of(Channel.SNS)
    text = json.loads(publication["Message"])["email"]
    assert publication["Subject"] == "ECR rescan incomplete: 1 of 2 repositories did not finish"
    assert f'{{"rerun_of": "{run.name}"}}' in text
    assert "team/shut: AccessDenied" in text


def test_no_secret_is_in_a_history_or_a_log(deploy: Deploy, log: Any) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    executions = [deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 1}))]
    deployed.receivers.trouble = dead(*Channel)
    executions.append(deployed.notify(event_of(deployed.registry, "v1", {"CRITICAL": 2})))
    assert_no_secret_in(*map(histories, executions), log.getvalue(), deployed.undelivered())


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(60, marks=pytest.mark.slow),
        pytest.param(500, marks=pytest.mark.scale),
    ],
)
def test_loses_no_message_when_every_channel_fails_half_of_its_calls(
    deploy: Deploy, events: int
) -> None:
    chance = random.Random(events)
    settings = {**ALL_CHANNELS, "PagerDutySecretArn": ""}  # it has 10 incidents per hour
    deployed = deploy(REGISTRY, IncludeFindings="false", **settings)
    deployed.receivers.trouble = lambda channel: (
        WebhookUnavailable(f"{channel} is down") if chance.random() < 0.5 else None
    )
    for number in range(events):
        event = event_of(deployed.registry, "v1", {"CRITICAL": 1})
        event["detail"] |= {"image-digest": f"sha256:{number:064x}", "image-tags": []}
        assert deployed.notify(event).status == "SUCCEEDED"
    delivered = Counter(
        (each.channel, digest_in(each.content)) for each in deployed.receivers.received
    )
    kept = Counter(
        (Channel(each["delivery"]["channel"]), digest_in(each["delivery"]["content"]))
        for each in deployed.undelivered()
    )
    expected = {
        (channel, f"{number:064x}")
        for channel in {*Channel} - {Channel.PAGERDUTY}
        for number in range(events)
    }
    assert delivered.keys() | kept.keys() == expected
    assert delivered.keys() & kept.keys() == set()
    assert set((delivered + kept).values()) == {1}
    # Five calls in a row fail once in 32 messages, of which there are six per event.
    assert kept


def digest_in(content: object) -> str:
    found = re.search(r"sha256:([0-9a-f]{64})", json.dumps(content))
    assert found is not None
    return found[1]
