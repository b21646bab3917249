"""NotifyScan, built and deployed: what only its rules, its policies and real receivers can show."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.cloud.account import DEPLOYER_ACCESS_KEY, REGION
from local.cloud.engine import Engine
from local.receivers.inbox import Inbox, Received
from local.receivers.subscribers import Delivered, Subscribers
from local.receivers.webhook_services import Answer
from tests.support.definition import NOTIFY_SCAN
from tests.support.mailbox import Mailbox
from tests.support.payloads import (
    complaints_about_chatbot,
    complaints_about_pagerduty,
    complaints_about_slack,
    complaints_about_teams,
)
from tests.support.stack import DEADLINE_SECONDS, Stack, eventually
from tests.support.template import ROOT

CRITICAL = {
    "cves": [
        {"name": "CVE-2024-3094", "severity": "critical", "package": "xz-utils", "version": "5.6.1"}
    ],
}
WEBHOOKS = {"slack", "teams", "webhook", "pagerduty"}


@dataclass
class People:
    """Everybody who can be told, over the stack's own rules."""

    engine: Engine
    stack: Stack
    inbox: Inbox
    subscribers: Subscribers

    def put_event(self, name: str, repository: str) -> str:
        """Put one of the sample events on the bus, about this repository, and return its ID."""
        event = json.loads((ROOT / "events" / "eventbridge" / f"{name}.json").read_text())
        detail = event["detail"]
        if "repository-name" in detail:
            arn, slash, _ = detail["repository-name"].rpartition("/")
            detail["repository-name"] = f"{arn}{slash}{repository}"
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(detail),
            "Resources": event["resources"],
        }
        answer = self.engine.client("events").put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0
        return str(answer["Entries"][0]["EventId"])

    def posted(self, about: str) -> dict[str, list[Received]]:
        """Pick what the webhooks were posted about something, by channel."""
        posted: dict[str, list[Received]] = {}
        for received in self.inbox.received:
            if about in received.body.decode():
                posted.setdefault(received.channel, []).append(received)
        return posted

    def await_posts(self, about: str, channels: set[str]) -> dict[str, list[Received]]:
        return eventually(
            lambda: self.posted(about),
            until=lambda posted: posted.keys() >= channels,
            what=f"requests about {about} to {', '.join(sorted(channels))}",
        )

    def await_delivered(self, until: Callable[[Delivered], object], *, what: str) -> Delivered:
        return eventually(self.subscribers.received, until=until, what=what)


@pytest.fixture(scope="module")
def people(engine: Engine, stack: Stack, inbox: Inbox) -> Iterator[People]:
    subscribers = Subscribers(engine)
    subscribers.subscribe_queue(stack.outputs["NotificationTopicArn"])
    subscribers.subscribe_chatbot(stack.outputs["ChatbotTopicArn"])
    subscribers.watch_bus("reports")
    stack.let_events_through(open=True, rules=NOTIFY_SCAN.rules)
    yield People(engine, stack, inbox, subscribers)
    stack.let_events_through(open=False)


@pytest.fixture
def repository() -> str:
    """Name a repository that no other test has."""
    return f"team-{uuid.uuid4().hex[:12]}"


def test_a_scan_that_ends_is_told_in_every_channel(people: People, repository: str) -> None:
    """All but PagerDuty: a run that sees an image for the first time opens no incident."""
    channels = WEBHOOKS - {"pagerduty"}
    image = {"tags": "v1", "scanned": "8d", "findings": CRITICAL}
    people.engine.put_registry(
        json.dumps(
            {"repositories": [{"name": repository, "images": [image]}], "scan_duration": "1s"}
        )
    )
    run = people.stack.run()
    assert run.status == "SUCCEEDED", run.cause

    posted = people.await_posts(repository, channels)
    slack, teams = (posted[name][0].json for name in ("slack", "teams"))
    assert complaints_about_slack(slack) == []
    assert complaints_about_teams(teams) == []
    for channel in channels:
        assert "CVE-2024-3094" in posted[channel][0].body.decode()

    delivered = people.await_delivered(
        lambda got: all(
            any(repository in str(each) for each in kind)
            for kind in (got.emails, got.topic_messages, got.chatbot_messages, got.events)
        ),
        what=f"an email, a topic message, a chat message and an event about {repository}",
    )
    (email,) = [each for each in delivered.emails if repository in each.text]
    assert email.subject == f"ECR: new critical CVE-2024-3094 (xz-utils) in {repository}:v1"
    assert "CVE-2024-3094 critical · xz-utils 5.6.1" in email.text
    (message,) = [each for each in delivered.topic_messages if repository in each.text]
    assert message.attributes["severity"] == "CRITICAL"
    assert message.attributes["repository"] == repository
    (chat,) = [each for each in delivered.chatbot_messages if repository in each.text]
    assert complaints_about_chatbot(json.loads(chat.text)) == []
    (event,) = [each for each in delivered.events if repository in str(each.detail)]
    assert (event.source, event.detail_type) == ("ecr-rescan", "Scan Report")
    assert event.detail == json.loads(message.text)
    posted = people.posted(repository)
    assert {name: len(received) for name, received in posted.items()} == dict.fromkeys(channels, 1)


def test_a_run_is_told_with_its_execution(people: People, repository: str) -> None:
    people.engine.put_registry(
        json.dumps({"repositories": [{"name": repository, "images": [{"scanned": "1d"}]}]})
    )
    run = people.stack.run()
    posted = people.await_posts(f":{run.name}", WEBHOOKS - {"pagerduty"})
    report = posted["webhook"][0].json["report"]
    assert (report["kind"], report["status"], report["run"]) == ("run", "FINISHED", run.name)
    assert report["images"] == {"FRESH": 1}


def test_a_run_that_is_stopped_is_told_of_with_the_input_that_goes_on(
    people: People, repository: str
) -> None:
    # Its repository is throttled until the faults are cleared, so the run cannot end by itself.
    throttled = {"operation": "DescribeImages", "error": "ThrottlingException"}
    people.engine.put_registry(
        json.dumps({"repositories": [{"name": repository, "images": [], "faults": [throttled]}]})
    )
    arn = people.stack.start()
    eventually(
        people.engine.registry_counters,
        until=lambda counters: (
            repository in counters["calls_by_repository"].get("DescribeImages", {})
        ),
        what=f"the first call about {repository}",
    )
    run = people.stack.stop(arn)
    people.engine.clear_faults()
    posted = people.await_posts(f":{run.name}", {"webhook"})
    (report,) = [each.json["report"] for each in posted["webhook"]]
    assert report["status"] == "ABORTED"
    assert report["rerun"] == {"rerun_of": run.name}


def test_what_people_know_is_told_once(people: People, repository: str) -> None:
    """The events that ECR sends twice, and the one that FindStaleImages sends for a lost one."""
    people.put_event("ecr_image_scan_complete", repository)
    posted = people.await_posts(repository, WEBHOOKS)
    incident = posted["pagerduty"][0].json
    assert (complaints_about_pagerduty(incident), incident["event_action"]) == ([], "trigger")
    people.put_event("ecr_image_scan_complete", repository)
    people.put_event("scan_result_found", repository)

    def decisions() -> list[bool]:
        lines = [json.loads(line) for line in people.stack.log_lines() if repository in line]
        return [line["notify"] for line in lines if "notify" in line]

    decided = eventually(
        decisions,
        until=lambda found: len(found) == 3,
        what=f"three decisions about {repository} in the log",
    )
    assert sorted(decided) == [False, False, True]
    assert {channel: len(posts) for channel, posts in people.posted(repository).items()} == (
        dict.fromkeys(WEBHOOKS, 1)
    )


def test_a_scan_of_an_instance_starts_nothing(people: People, repository: str) -> None:
    """What the rules of the stack let through goes to a queue as well, event by event."""
    rules = people.stack.physical_names("AWS::Events::Rule").items()
    starting = [name for logical_id, name in rules if logical_id in NOTIFY_SCAN.rules]
    sources = ("aws.ecr", "aws.inspector2")
    with Mailbox(people.engine).join(*starting) as let_through, Mailbox(people.engine) as all_of:
        all_of.watch(*sources)
        ids = [
            people.put_event(name, repository)
            for name in (
                "inspector2_scan_ec2_instance",
                "inspector2_finding",
                "ecr_scan_resource_change",
                "inspector2_scan_ecr",
            )
        ]
        *_, of_image = ids
        eventually(  # it is clean, so no channel gets a message
            lambda: [line for line in people.stack.log_lines() if repository in line],
            until=lambda lines: any('"notify"' in line for line in lines),
            what=f"the decision about {repository} in the log",
        )
        eventually(
            lambda: {event["id"] for event in all_of.events()},
            until=lambda came: came >= {*ids},
            what=f"all of the events {ids} on the bus",
        )
        assert [event["id"] for event in let_through.events() if event["id"] in ids] == [of_image]


def test_a_dead_channel_silences_no_other_and_gets_its_message_later(
    people: People, repository: str
) -> None:
    """Slack refuses what is about this repository, and nothing else."""
    refusal = Answer(404, b"no_service")
    people.inbox.script(
        "slack", lambda posted: refusal if repository in posted.body.decode() else None
    )
    try:
        people.put_event("ecr_image_scan_complete", repository)
        people.await_posts(repository, WEBHOOKS)
        (kept,) = eventually(
            lambda: people.stack.undelivered(repository),
            until=bool,
            what=f"the message about {repository} in the queue Undelivered",
        )
    finally:
        people.inbox.repair("slack")
    assert kept["delivery"]["channel"] == "SLACK"
    assert kept["error"] == "WebhookRefused"

    (listed,) = (line for line in undelivered(people).splitlines() if repository in line)
    assert listed.startswith("slack ")
    assert "slack " in undelivered(people, "send")
    eventually(
        lambda: people.posted(repository)["slack"],
        until=lambda received: [each.is_accepted for each in received] == [False, True],
        what=f"the message about {repository} in Slack, refused and then accepted",
    )
    assert people.stack.undelivered(repository) == []
    for channel in WEBHOOKS - {"slack"}:
        assert len(people.posted(repository)[channel]) == 1


def undelivered(people: People, *action: str) -> str:
    """Run the operator's command against this cloud, in which other tests leave messages, too."""
    result = subprocess.run(
        [sys.executable, "-m", "cli", "undelivered", *action, "--stack", people.stack.name],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": ".",
            "AWS_ENDPOINT_URL": people.engine.url,
            "AWS_ACCESS_KEY_ID": DEPLOYER_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert result.returncode in {0, 4}, result.stderr  # 4: another test's message is left
    return result.stdout


def test_an_event_that_nobody_can_read_is_kept_whole(people: People, repository: str) -> None:
    event = {"detail-type": "ECR Image Scan", "detail": {"repository-name": repository}}
    people.engine.client("stepfunctions").start_execution(
        stateMachineArn=people.stack.outputs["NotifyScanArn"], input=json.dumps(event)
    )
    (kept,) = eventually(
        lambda: people.stack.undelivered(repository),
        until=bool,
        what=f"the event about {repository} in the queue Undelivered",
    )
    assert kept["event"] == event
    assert kept["error"] == "UnreadableScanEvent"
    people.stack.delete_undelivered(repository)


def test_each_role_may_do_its_own_work_and_nothing_else(people: People, repository: str) -> None:
    other = people.engine.client("secretsmanager").create_secret(
        Name=f"other-{repository}", SecretString="other"
    )["ARN"]
    own = people.engine.client("secretsmanager").describe_secret(SecretId="ecr-rescan/slack")["ARN"]
    digest = f"sha256:{0:064x}"
    table = people.stack.outputs["LedgerTableName"]

    def key(partition: str) -> dict[str, Any]:
        return {"pk": {"S": partition}, "sk": {"S": "any"}}

    def get(partition: str) -> tuple[str, str, dict[str, Any]]:
        return "dynamodb", "get_item", {"TableName": table, "Key": key(partition)}

    def get_several(*partitions: str) -> tuple[str, str, dict[str, Any]]:
        keys = [key(each) for each in partitions]
        return "dynamodb", "batch_get_item", {"RequestItems": {table: {"Keys": keys}}}

    def update_and_put(updated: str, put: str) -> tuple[str, str, dict[str, Any]]:
        """Make a transaction that DynamoDB cancels, if it is allowed."""
        part = {"TableName": table, "ConditionExpression": "attribute_exists(pk)"}
        update = {**part, "Key": key(updated), "UpdateExpression": "REMOVE any_attribute"}
        items = [{"Update": update}, {"Put": {**part, "Item": key(put)}}]
        return "dynamodb", "transact_write_items", {"TransactItems": items}

    attempts: dict[str, tuple[str, str, dict[str, Any]]] = {
        "its secret": ("secretsmanager", "get_secret_value", {"SecretId": own}),
        "another secret": ("secretsmanager", "get_secret_value", {"SecretId": other}),
        "findings": (
            "ecr",
            "describe_image_scan_findings",
            {"repositoryName": repository, "imageId": {"imageDigest": digest}},
        ),
        "start a scan": (
            "ecr",
            "start_image_scan",
            {"repositoryName": repository, "imageId": {"imageDigest": digest}},
        ),
        "an image": get("repository#any"),
        "accepted risks": get("accepted-risks"),
        "images": get_several("repository#any"),
        "images and a run": get_several("repository#any", "run#any"),
        "an image and a digest": update_and_put("repository#any", "digest#DAILY"),
        "a run and a digest": update_and_put("run#any", "digest#DAILY"),
        "publish": (
            "sns",
            "publish",
            {"TopicArn": people.stack.outputs["NotificationTopicArn"], "Message": "any"},
        ),
        "its queue": (
            "sqs",
            "receive_message",
            {"QueueUrl": people.stack.outputs["InspectorFindingsQueueUrl"]},
        ),
        "another queue": (
            "sqs",
            "receive_message",
            {"QueueUrl": people.stack.outputs["UndeliveredQueueUrl"]},
        ),
    }
    allowed = {
        "InterpretEventFunctionRole": set[str](),
        "ComposeNotificationFunctionRole": {
            *("findings", "accepted risks", "images", "an image and a digest"),
        },
        "PostToWebhookFunctionRole": {"its secret"},
        "RecheckImagesFunctionRole": {"findings", "its queue"},
        "RecordPlatformsFunctionRole": {"an image"},
        "NotifyScanStateMachineRole": {"publish"},
    }
    for role, expected in allowed.items():
        assert people.stack.granted(role, attempts) == expected, role


def test_no_address_and_no_key_is_in_any_log(people: People, repository: str) -> None:
    people.put_event("ecr_image_scan_complete", repository)
    people.await_posts(repository, WEBHOOKS)
    logged = eventually(
        lambda: [*people.stack.log_lines(), *people.stack.log_lines("NotifyScanLogGroup")],
        until=lambda lines: any('"about":"ecr/' in line and repository in line for line in lines),
        what=f"a decision about {repository} in the log",
    )
    # A secret must be in no line of any test.
    for secret in people.inbox.secrets().values():
        for value in json.loads(secret).values():
            for part in re.split(r"[/?=&:]", value):
                assert len(part) < 12 or not any(part in line for line in logged)
