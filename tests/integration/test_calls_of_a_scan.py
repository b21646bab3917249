"""What a scan costs: the calls of ComposeNotification, and the bytes that it writes and passes on.

The state RecordScan adds one UpdateItem, and each delivery two writes.
"""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from ledger.announcements import Announcements
from ledger.changes import MOST_NAMED
from ledger.digest_entries import DigestEntries
from ledger.image_baselines import Baselines
from ledger.image_records import ImageRecords
from ledger.known_findings import LARGEST
from ledger.table import Table
from notify_scan.new_baseline import Ledger
from notify_scan.notification import Notification
from registry.findings import Finding, ScanFindings
from registry.images import LastScan
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ChannelsInUse, ImmediateFrom
from reporting.reports import FoundImage, ScanReport
from runtime.messages import encode
from tests.support.clock import NOW
from tests.support.reports import (
    DIGEST,
    EVERY_CHANNEL,
    FakeScans,
    any_composer,
    any_finding,
    any_scan_report,
    interpreted_of,
)

HOUR = timedelta(hours=1)
ITEM = 400 * 1024  # bytes that DynamoDB takes
STATE = 256 * 1024  # bytes that a state machine passes on
SHIPPED = ChannelsInUse(
    EVERY_CHANNEL.targets,
    frozenset({Channel.SNS, Channel.CHATBOT, Channel.SLACK, Channel.TEAMS}),
    ImmediateFrom.CRITICAL,
)
FOUND = [any_finding(f"CVE-2025-{number:05}", package=f"p{number % 90}") for number in range(500)]


class Scanned:
    """An image with one tag that is scanned hour by hour, and what each scan costs."""

    def __init__(self, name: str) -> None:
        client = boto3.client("dynamodb")
        table = Table(client, name)
        self.ledger = Ledger(
            ImageRecords(table), Baselines(table), DigestEntries(table), Announcements(table)
        )
        self.calls: Counter[str] = Counter()
        self.asked = 0
        self._scans = 0
        client.meta.events.register("before-call.dynamodb", self._count)

    def scan(self, found: list[Finding]) -> Notification:
        """Compose the notification about a scan."""
        self._scans += 1
        self.calls.clear()
        severities = Counter(each.severity for each in found)
        at = NOW + self._scans * HOUR
        report = any_scan_report(severities=dict(severities), scanned_at=at)
        return self._composed(report, FakeScans(found), at)

    def look(self, found: list[Finding], status: str = "COMPLETE") -> Notification:
        """Compose the notification about a scan that ECR is asked for."""
        self._scans += 1
        self.calls.clear()
        at = NOW + self._scans * HOUR
        counts = Counter(each.severity for each in found)
        scan = LastScan(status, at, severities=dict(counts))
        listed = ScanFindings(status, findings=tuple(found), scan=scan)
        return self._composed(FoundImage("team/api", DIGEST), FakeScans(listed, tags=("v1",)), at)

    def _composed(
        self, report: ScanReport | FoundImage, scans: FakeScans, at: datetime
    ) -> Notification:
        composer = any_composer(
            channels=SHIPPED, registry=scans.as_registry, ledger=self.ledger, now=at
        )
        notification = composer.compose(interpreted_of(report, f"event-{self._scans}"))
        self.asked = len(scans.asked)
        return notification

    def _count(self, model: Any, **_: object) -> None:
        self.calls[model.name] += 1


@pytest.fixture
def scanned(ledger_table: str) -> Scanned:
    return Scanned(ledger_table)


def items() -> dict[str, dict[str, Any]]:
    found = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    return {item["sk"]["S"].partition("#")[0]: item for item in found}


def size(value: Any) -> int:
    """Return the bytes of an item or attribute, as DynamoDB counts them."""
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return 3 + sum(1 + len(name) + size(inner) for name, inner in content.items())
        case "L":
            return 3 + sum(1 + size(inner) for inner in content)
        case "B":
            return len(content)
        case "N" | "S":
            return len(str(content).encode())
    return 1


def test_an_unchanged_scan_is_one_read_one_write_and_one_call_of_ecr(scanned: Scanned) -> None:
    scanned.scan(FOUND)
    notification = scanned.scan(FOUND)
    assert (notification.reason, notification.deliveries) == ("unchanged", ())
    assert scanned.calls == {"BatchGetItem": 1, "UpdateItem": 1}
    assert scanned.asked == 1


def test_a_change_that_waits_for_the_digest_is_one_transaction_more(scanned: Scanned) -> None:
    scanned.scan(FOUND)
    notification = scanned.scan([*FOUND, any_finding("CVE-2026-1", "HIGH", package="new")])
    assert notification.reason == "worse than before"
    assert {each.channel for each in notification.deliveries} == {
        Channel.EVENTBRIDGE,
        Channel.WEBHOOK,
    }
    assert scanned.calls == {"BatchGetItem": 1, "TransactWriteItems": 1, "UpdateItem": 1}
    assert scanned.asked == 1


def test_urgent_news_take_a_claim_and_a_place_on_either_way(scanned: Scanned) -> None:
    """Each takes a read, a claim for the vulnerability, and a place in the budget of the hour."""
    scanned.scan(FOUND)
    notification = scanned.scan([*FOUND, any_finding("CVE-2026-1", "CRITICAL", package="new")])
    assert {each.channel for each in notification.deliveries} == {*Channel}
    assert scanned.calls == {
        "BatchGetItem": 3,
        "PutItem": 2,
        "TransactWriteItems": 1,
        "UpdateItem": 3,
    }
    assert scanned.asked == 1


def test_a_scan_that_ecr_is_asked_for_takes_two_calls_of_ecr_and_is_written_once(
    scanned: Scanned,
) -> None:
    """One for the scan and its findings, one for the tags. Events of ECR are written by a state."""
    scanned.look(FOUND)
    notification = scanned.look(FOUND)
    assert (notification.reason, notification.deliveries) == ("unchanged", ())
    assert scanned.calls == {"BatchGetItem": 1, "UpdateItem": 2}
    assert scanned.asked == 2


def test_a_clean_image_is_not_asked_about(scanned: Scanned) -> None:
    for _ in range(2):
        scanned.scan([])
        assert scanned.asked == 0
    assert scanned.calls == {"BatchGetItem": 1, "UpdateItem": 1}


@pytest.mark.slow
def test_the_largest_image_fits_an_item_and_a_state(scanned: Scanned) -> None:
    """10,000 findings with names of their own, of which five changes of all have been noted."""

    def found(release: int, severity: str) -> list[Finding]:
        return [
            any_finding(
                f"CVE-20{number % 30:02}-{number * 7 + release:06}",
                severity,
                package=f"package-{number % 900}",
                version="1.2.3-4ubuntu5",
                fixed_in="1.2.3-4ubuntu6",
                uri=f"https://people.ubuntu.com/~ubuntu-security/cve/{number}",
                score=7.5,
            )
            for number in range(10_000)
        ]

    for release in range(6):
        notification = scanned.scan(found(release % 2, "CRITICAL"))
        assert notification.deliveries
    stored = items()
    output = json.dumps(encode(notification)).encode()
    # In bytes 93,200, 93,400, 2,400, 3,800, and 84,900: each of them is urgent news of the image.
    assert len(stored["findings"]["found"]["B"]) < 100_000 < LARGEST
    assert size({"M": stored["findings"]}) < 100_000 < ITEM
    assert size({"M": stored["image"]}) < 3_000
    assert size({"M": stored["change"]}) < MOST_NAMED * 30
    assert len(output) < 90_000 < STATE
