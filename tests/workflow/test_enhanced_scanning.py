"""From the events of Amazon Inspector to a message, with the real functions and definition."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from local.registry.registry_file import parse
from local.registry.simulated_registry import SimulatedRegistry
from notify_scan.events.findings import QueuedEvent
from notify_scan.recheck_images import QueuedEvents, recheck_images
from own_events.event_bus import SOURCE
from registry.ecr import ecr_registry
from reporting.channels.delivery import Channel
from tests.support.clock import Clock
from tests.support.engine import Engine, Execution
from tests.support.fakes import FakeBus
from tests.support.template import ACCOUNT, REGION
from tests.workflow.conftest import Deploy

IMMEDIATE = {"DigestChannels": "NONE", "NotifyOn": "NEW,WORSE,BETTER,CLEARED,FAILED"}
OPENSSL = {"name": "CVE-2026-1", "severity": "high", "package": "openssl", "version": "3.0"}
ZLIB = {"name": "CVE-2026-2", "severity": "high", "package": "zlib", "version": "1.2"}
_numbers = itertools.count(1)


def registry(**image: Any) -> dict[str, Any]:
    """Describe a registry of one image, which Amazon Inspector has not scanned yet."""
    image = {"tags": "v1", "inspector": "active", "findings": {"cves": [OPENSSL]}} | image
    return {
        "account": ACCOUNT,
        "region": REGION,
        "scanning": "ENHANCED",
        "repositories": [{"name": "team/api", "images": [image]}],
    }


class Inspected:
    """A deployment, and the events that Amazon Inspector has sent."""

    def __init__(self, deployed: Engine, clock: Clock) -> None:
        self.deployed = deployed
        self._clock = clock
        self._events: list[dict[str, Any]] = []
        deployed.registry.on_event = self._events.append

    def sent(self) -> list[dict[str, Any]]:
        """Let Amazon Inspector scan an hour later, and return its events."""
        self._clock.move(timedelta(hours=1))
        self._events.clear()
        self.deployed.registry.inspect()
        return [*self._events]

    def finds(self, *found: dict[str, str], state: str | None = None) -> list[dict[str, Any]]:
        """Change what an image has, and return the events about it."""
        (image,) = self.deployed.registry.repositories["team/api"].images.values()
        (other,) = registry_of(found).repositories["team/api"].images.values()
        image.next_result = other.next_result
        if state:
            image.inspector = state  # type: ignore[assignment]
        return self.sent()

    def notified(self, events: Sequence[dict[str, Any]]) -> list[Execution]:
        """Pass events on finding through RecheckImages, and what it puts through NotifyScan."""
        self._clock.move(timedelta(minutes=10))
        queued = tuple(
            QueuedEvent(event["id"], json.dumps(event))
            for event in events
            if event["detail-type"] == "Inspector2 Finding"
        )
        bus = FakeBus()
        answer = recheck_images(
            QueuedEvents(queued),
            ecr_registry(),
            bus,  # type: ignore[arg-type]
            of=(ACCOUNT, REGION),
            now=self._clock.now(),
        )
        assert (answer.messages_to_retry, answer.messages_elsewhere) == (0, 0)
        return [
            self.deployed.notify(self._delivered(kind, detail)) for kind, detail, _ in bus.events
        ]

    def subjects(self) -> list[str]:
        return [each["Subject"] for each in self.deployed.receivers.of(Channel.SNS)]

    def _delivered(self, kind: str, detail: Any) -> dict[str, Any]:
        """Put an event of ours into the envelope of EventBridge."""
        return {
            "id": f"85fc3613-e913-7fc4-a80c-{next(_numbers):012}",
            "detail-type": kind,
            "source": SOURCE,
            "account": ACCOUNT,
            "time": self._clock.now().isoformat(),
            "region": REGION,
            "resources": [],
            "detail": detail,
        }


def registry_of(found: Sequence[dict[str, str]]) -> SimulatedRegistry:
    return parse(json.dumps(registry(findings={"cves": [*found]})))


@pytest.fixture
def inspected(deploy: Deploy) -> Inspected:
    clock = Clock()
    return Inspected(deploy(registry(), clock=clock, **IMMEDIATE), clock)


def test_the_first_scan_is_reported_once(inspected: Inspected) -> None:
    """Amazon Inspector sends an event about the scan, and one per finding after it."""
    first, *findings = inspected.sent()
    assert first["detail-type"] == "Inspector2 Scan"
    inspected.deployed.notify(first)
    (execution,) = inspected.notified(findings)
    assert execution.output["reason"] == "unchanged"
    assert inspected.subjects() == ["ECR: new high CVE-2026-1 (openssl) in team/api:v1"]


def test_a_vulnerability_that_takes_the_place_of_another_is_named(inspected: Inspected) -> None:
    inspected.notified(inspected.sent())
    events = inspected.finds(ZLIB)
    assert sorted(event["detail"]["status"] for event in events) == ["ACTIVE", "CLOSED"]
    (execution,) = inspected.notified(events)
    assert execution.output["reason"] == "worse than before"
    assert "CVE-2026-2 (zlib)" in inspected.subjects()[-1]


def test_what_was_fixed_is_reported_as_fixed(inspected: Inspected) -> None:
    inspected.notified(inspected.sent())
    (execution,) = inspected.notified(inspected.finds())
    assert execution.output["reason"] == "no longer above a threshold"


def test_findings_that_are_closed_without_monitoring_are_not_fixed(inspected: Inspected) -> None:
    inspected.notified(inspected.sent())
    before = inspected.subjects()
    events = inspected.finds(OPENSSL, state="expires")
    assert [event["detail"]["status"] for event in events] == ["CLOSED"]
    (execution,) = inspected.notified(events)
    assert execution.output["reason"] == "Amazon Inspector no longer monitors the image"
    assert inspected.subjects() == before


def test_what_is_found_again_after_monitoring_is_not_new(inspected: Inspected) -> None:
    """Amazon Inspector reopens findings when an image is eligible again."""
    inspected.notified(inspected.sent())
    inspected.notified(inspected.finds(OPENSSL, state="expires"))
    before = inspected.subjects()
    (execution,) = inspected.notified(inspected.finds(OPENSSL, state="returns"))
    assert execution.output["reason"] == "unchanged"
    assert inspected.subjects() == before


def test_ecr_is_asked_three_times_per_image_however_many_events_come(deploy: Deploy) -> None:
    """For the status by RecheckImages, then for findings and for tags by ComposeNotification."""
    clock, found = Clock(), [{**OPENSSL, "name": f"CVE-2026-{n}"} for n in range(25)]
    described = registry(findings={"cves": found})
    described["repositories"][0]["images"][0] |= {"tags": "v{n}", "count": 12}
    inspected = Inspected(deploy(described, clock=clock, **IMMEDIATE), clock)
    events = [event for event in inspected.sent() if "Finding" in event["detail-type"]]
    assert len(events) == 300
    executions = inspected.notified(events)
    assert len(executions) == 12
    assert Counter(inspected.deployed.registry.calls) == {
        "DescribeImageScanFindings": 24,
        "DescribeImages": 12,
    }
