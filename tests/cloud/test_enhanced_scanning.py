"""Enhanced scanning, built and deployed: many events of Amazon Inspector become one digest.

In a stack of its own, because a digest has the changes of a whole stack.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.cloud.deployment import deploy
from local.cloud.engine import Engine
from local.receivers.inbox import Inbox, Received
from tests.support.events import sample
from tests.support.stack import Stack, eventually

IMAGES, VULNERABILITIES, INSTANCES = 12, 25, 20
EVENTS = IMAGES * VULNERABILITIES


@dataclass
class Watched:
    """A stack that gets the events of Amazon Inspector, and the Slack channel of its digests."""

    engine: Engine
    stack: Stack
    inbox: Inbox

    def log(self, key: str) -> list[dict[str, Any]]:
        """Read the log lines of the functions that have a key."""
        lines = [json.loads(line) for line in self.stack.log_lines() if f'"{key}"' in line]
        return [line for line in lines if key in line]

    def rechecked(self) -> Counter[str]:
        """Add up what RecheckImages has logged."""
        names = ("messages", "results_found", "images_dropped", "messages_to_retry")
        lines = self.log("messages_to_retry")
        return Counter({name: sum(line[name] for line in lines) for name in names})

    def compared(self, about: str) -> list[str]:
        """Return which images ComposeNotification has compared, once per comparison."""
        return [line["about"] for line in self.log("notify") if about in line["about"]]

    def looked_up(self, about: str) -> int:
        """Count the calls of ECR for the findings of images in repositories of that name."""
        counted = self.engine.registry_counters()["calls_by_repository"]
        by_name = counted["DescribeImageScanFindings"]
        return sum(calls for name, calls in by_name.items() if about in name)

    def posted(self, about: str) -> list[Received]:
        """Return what was posted to Slack about something."""
        return [each for each in self.inbox.received if about in each.body.decode()]

    def left_in(self, queue: str) -> int:
        """Count the messages of a queue, those that it hides among them."""
        url = self.stack.physical_names("AWS::SQS::Queue")[queue]
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        names = ("", "Delayed", "NotVisible")
        return sum(int(answer["Attributes"][f"ApproximateNumberOfMessages{n}"]) for n in names)

    def put_events_on_instances(self, how_many: int) -> None:
        """Put events of Amazon Inspector that are about instances."""
        event = sample("inspector2_finding")
        instance = {"type": "AWS_EC2_INSTANCE", "id": "i-0123456789abcdef0", "details": {}}
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"] | {"resources": [instance]}),
        }
        for _ in range(how_many // 10):
            self.engine.client("events").put_events(Entries=[entry] * 10)


@pytest.fixture(scope="module")
def watched(engine: Engine, inbox: Inbox) -> Iterator[Watched]:
    name = f"enhanced-{uuid.uuid4().hex[:8]}"
    secret = engine.client("secretsmanager").create_secret(
        Name=name, SecretString=inbox.secrets()["slack"]
    )
    parameters = {
        "LogLevel": "DEBUG",
        "NotificationTopicState": "DISABLED",
        "SlackWebhookSecretArn": secret["ARN"],
        "DigestChannels": "SLACK",
    }
    stack = Stack(engine, name, deploy(engine, parameters, stack=name))
    yield Watched(engine, stack, inbox)
    stack.let_events_through(open=False)


def test_300_events_of_12_images_are_at_most_24_comparisons_and_one_digest(
    watched: Watched,
) -> None:
    team = f"team-{uuid.uuid4().hex[:12]}"
    found = [
        {"name": f"CVE-2026-{team}-{n}", "severity": "high", "package": "openssl", "version": "3.0"}
        for n in range(VULNERABILITIES)
    ]
    image = {"tags": "v{n}", "count": 3, "scanned": "1d", "inspector": "active"}
    image |= {"last_findings": {"low": 2}, "findings": {"low": 2, "cves": found}}
    repository = {"name": f"{team}/service-{{n}}", "count": 4, "images": [image]}
    watched.engine.put_registry(json.dumps({"scanning": "ENHANCED", "repositories": [repository]}))

    before, left = watched.rechecked(), watched.left_in("InspectorFindings")
    watched.put_events_on_instances(INSTANCES)
    assert watched.engine.inspect() == EVENTS
    rechecked = eventually(
        lambda: watched.rechecked() - before,
        until=lambda summed: summed["messages"] >= EVENTS,
        what=f"{EVENTS} messages in the log of RecheckImages",
    )
    comparisons = eventually(
        lambda: watched.compared(team),
        until=lambda compared: len(compared) >= rechecked["results_found"],
        what=f"{rechecked['results_found']} comparisons in the log of ComposeNotification",
    )
    assert rechecked["messages"] == EVENTS  # none on an instance
    assert not rechecked["images_dropped"] + rechecked["messages_to_retry"]
    assert len(set(comparisons)) == IMAGES
    assert rechecked["results_found"] <= 2 * IMAGES
    assert len(comparisons) >= rechecked["results_found"]  # a busy machine repeats some
    assert watched.left_in("InspectorFindings") == left
    # Status, and names; a comparison that is repeated may find both kept.
    assert 2 * IMAGES <= watched.looked_up(team) <= 2 * len(comparisons)

    assert watched.posted(team) == []
    run = watched.stack.wait(
        watched.stack.client("stepfunctions").start_execution(
            stateMachineArn=watched.stack.outputs["SendDigestArn"], input="{}"
        )["executionArn"]
    )
    assert run.status == "SUCCEEDED", run.cause
    (digest,) = eventually(
        lambda: watched.posted(team), until=bool, what=f"a digest about {team} in Slack"
    )
    assert digest.channel == "slack"
    assert f"CVE-2026-{team}-" in digest.body.decode()
    assert watched.stack.undelivered(team) == []


def test_an_event_that_cannot_be_read_is_asked_about_no_image_and_stays(watched: Watched) -> None:
    """Its message is retried, and ends in the dead-letter queue; the others of its batch do not."""
    name = f"odd-{uuid.uuid4().hex[:12]}"
    left = watched.left_in("InspectorFindings")
    urls = watched.stack.physical_names("AWS::SQS::Queue")
    watched.stack.client("sqs").send_message(
        QueueUrl=urls["InspectorFindings"], MessageBody=json.dumps({"detail": name}), DelaySeconds=0
    )
    eventually(
        lambda: [line for line in watched.log("problem") if name in line["problem"]],
        until=bool,
        what=f"a problem about {name} in the log of RecheckImages",
    )
    (line,) = [line for line in watched.log("problem") if name in line["problem"]]
    assert line["problem"] == f"the event.detail must be an object, not '{name}'"
    assert line["messages_to_retry"] == 1
    assert watched.left_in("InspectorFindings") == left + 1
