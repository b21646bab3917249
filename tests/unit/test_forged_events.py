"""Events that are not what they seem, through both functions and RecordScan."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from ledger.image_records import ImageRecord
from notify_scan.events.fields import UnreadableScanEvent
from registry.ecr import EcrRegistry
from registry.errors import ImageNotFound
from registry.findings import Finding, ScanFindings
from registry.images import Image, LastScan
from reporting.channels.delivery import Channel
from reporting.reports import Reason
from rescan_registry.run_summary import summary_of
from tests.support.builders import any_facts
from tests.support.clock import NOW
from tests.support.events import interpreted_event
from tests.support.fakes import FakeBucket
from tests.support.forged import (
    FORGERIES,
    OLD_RUN,
    REFUSED,
    REPOSITORY,
    RUN,
    Forgery,
    scanned,
)
from tests.support.ledger import LedgerInMemory
from tests.support.reports import DIGEST, any_composer, any_finding

HOUR = timedelta(hours=1)
FOUND = [
    any_finding("CVE-1", "CRITICAL", package="zlib"),
    any_finding("CVE-2", package="zlib"),
    any_finding("CVE-3", package="curl"),
]


class Ecr:
    """A registry of one image with one tag, whose scan has ended."""

    def __init__(self) -> None:
        self.found: Sequence[Finding] = FOUND
        self.status = "COMPLETE"
        self.scanned_at = NOW

    def findings(self, repository: str, image_digest: str) -> ScanFindings:
        """Return what the scan found."""
        if (repository, image_digest) != (REPOSITORY, DIGEST):
            raise ImageNotFound("any")
        scan = LastScan(self.status, self.scanned_at, severities={"CRITICAL": 1, "HIGH": 2})
        kind = "ENHANCED" if self.status == "ACTIVE" else "BASIC"
        return ScanFindings(self.status, kind, findings=tuple(self.found), scan=scan)

    def last_scan(self, repository: str, digest: str) -> LastScan | None:
        """Return the scan."""
        return self.findings(repository, digest).scan

    def image(self, repository: str, image_digest: str) -> Image:
        """Return the image with its tag."""
        return Image(image_digest, NOW - HOUR, ("v1",))


class Stack:
    """A stack that has reported a scan, and has two runs. sent: by channel and message id."""

    def __init__(self) -> None:
        self.now = NOW
        self.ecr = Ecr()
        self.ledger = LedgerInMemory()
        self.bucket = FakeBucket()
        self.sent: set[tuple[Channel, str]] = set()
        for run, ended_at in ((RUN, NOW), (OLD_RUN, NOW - timedelta(days=30))):
            summary = summary_of(any_facts(run=run, ended_at=ended_at), ["team/api"], [])
            self.bucket.write_summary(run, summary.document(), summary.lists())

    def receive(self, event: dict[str, Any]) -> str:
        """Let NotifyScan end, and return the error or the reason; a message is claimed once."""
        try:
            interpreted = interpreted_event(event, now=self.now)
        except UnreadableScanEvent:
            return REFUSED
        composer = any_composer(
            registry=cast("EcrRegistry", self.ecr),
            ledger=self.ledger.as_ledger,
            bucket=self.bucket.as_bucket,
            now=self.now,
        )
        notification = composer.compose(self.ledger.record_scan(interpreted))
        self.sent |= {(each.channel, each.message_id) for each in notification.deliveries}
        return notification.reason

    @property
    def known(self) -> ImageRecord:
        """Return what is known of the image, without the notes of events."""
        record = self.ledger.kept[REPOSITORY, DIGEST]
        assert record.baseline
        return replace(record, baseline=replace(record.baseline, notes=(), revision=0))


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    stack = Stack()
    monkeypatch.setattr("runtime.clock.now", lambda: stack.now)
    assert stack.receive(scanned(id="scan-1")()) == Reason.NEW
    return stack


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_is_refused_or_harmless(stack: Stack, forgery: Forgery) -> None:
    for other in forgery.others:
        stack.receive(other())
    known, tags = stack.known, dict(stack.ledger.tags)
    findings, sent = dict(stack.ledger.findings), set(stack.sent)

    assert stack.receive(forgery.event()) == forgery.ends

    assert stack.known == known
    assert {tag: stack.ledger.tags[tag].image_digest for tag in tags} == {
        tag: pointer.image_digest for tag, pointer in tags.items()
    }
    assert stack.ledger.findings.items() >= findings.items()
    assert (stack.sent == sent) != forgery.is_true
    assert_the_next_scan_is_reported(stack, NOW + HOUR)


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
def test_a_forged_event_that_comes_first_keeps_no_image_from_being_reported(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """A principal that sees a push can be faster than the scan."""
    stack = Stack()
    stack.ecr.status = status
    monkeypatch.setattr("runtime.clock.now", lambda: stack.now)
    assert stack.receive(FORGERIES["result_of_2099"].event()) == Reason.NEW
    assert {channel for channel, _ in stack.sent} >= {Channel.SLACK, Channel.SNS}


def assert_the_next_scan_is_reported(stack: Stack, at: datetime) -> None:
    stack.now = stack.ecr.scanned_at = at
    stack.ecr.found = [*FOUND, any_finding("CVE-4", "CRITICAL", package="openssl")]
    assert stack.receive(scanned(id="scan-9", time=at.isoformat())()) == Reason.WORSE
    assert stack.known.last_scan
    assert stack.known.last_scan.scanned_at == at
