"""Scans that ECR is asked for, because an event says that there may be a new result."""

import io
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from ledger.errors import LedgerUnavailable
from ledger.image_records import RecordedScan
from notify_scan.notification import Notification
from notify_scan.scan_details import RETRIES
from registry.errors import (
    AccessDenied,
    EcrThrottled,
    EcrUnavailable,
    ImageArchived,
    ImageNotFound,
    ImageNotScannable,
    RepositoryNotFound,
    ScanNotFound,
)
from registry.findings import Finding, ScanFindings
from registry.images import LastScan
from reporting.channels.delivery import Channel
from reporting.reports import FoundImage, Reason
from tests.support.clock import NOW
from tests.support.images import SHIPPED
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    DIGEST,
    KEPT_FOR,
    FakeScans,
    any_composer,
    any_finding,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)

HOUR = timedelta(hours=1)
IMAGE = FoundImage("team/api", DIGEST)
SOME = [any_finding("CVE-1"), any_finding("CVE-2")]
BASIC = LastScan("COMPLETE", NOW - HOUR, severities={"HIGH": 2})
ENHANCED = LastScan("ACTIVE", severities={"HIGH": 2})
FAILED = LastScan("FAILED", description="no such layer")
WITHOUT_DIGEST = set(SHIPPED.targets) - SHIPPED.digest_channels - {Channel.PAGERDUTY}


class Registry:
    """An image of which ECR has a result, and what is known of it."""

    def __init__(self, scans: FakeScans) -> None:
        self.scans = scans
        self.ledger = LedgerInMemory()
        self.events = 0

    def look(self, *, attempt: int = 0, by_name: bool = True) -> Notification:
        """Let an event say that there is a result."""
        self.events += 1
        return self._composer(attempt, by_name).compose(
            interpreted_of(IMAGE, f"hint-{self.events}")
        )

    def scan(self, **given: Any) -> Notification:
        """Let ECR send the event of a scan."""
        interpreted = interpreted_of(any_scan_report(severities={"HIGH": 2}, **given), "scan")
        return self._composer(0, True).compose(self.ledger.record_scan(interpreted))

    def _composer(self, attempt: int, by_name: bool) -> Any:
        return any_composer(
            policy=any_notification_policy(include_findings=by_name),
            registry=self.scans.as_registry,
            channels=SHIPPED,
            ledger=self.ledger.as_ledger,
            attempt=attempt,
        )

    @property
    def record(self) -> Any:
        """Return what is known of the image."""
        return self.ledger.kept["team/api", DIGEST]

    @property
    def asked(self) -> list[str]:
        """Return which calls were made."""
        return [call for call, *_ in self.scans.asked]


def found(scan: LastScan, findings: Sequence[Finding] = SOME, **given: Any) -> Registry:
    status = scan.status if scan.status in ("ACTIVE", "FAILED") else "COMPLETE"
    kind = "ENHANCED" if status == "ACTIVE" else "BASIC"
    listed = ScanFindings(status, kind, findings=tuple(findings), scan=scan)
    return Registry(FakeScans(listed, scan, **{"tags": ("v1", "latest"), **given}))


@pytest.mark.parametrize("by_name", [True, False])
def test_stores_a_basic_scan_as_ecr_has_it_with_two_calls(by_name: bool) -> None:
    registry = found(BASIC)
    assert registry.look(by_name=by_name).reason is Reason.NEW
    assert registry.asked == ["findings" if by_name else "last scan", "image"]
    assert registry.record.last_scan == RecordedScan(
        NOW - HOUR,
        "COMPLETE",
        "BASIC",
        {"CRITICAL": 0, "HIGH": 2, "MEDIUM": 0, "LOW": 0, "INFORMATIONAL": 0, "UNDEFINED": 0},
    )
    assert registry.record.image_tags == ("v1", "latest")
    assert registry.ledger.expiries["team/api", DIGEST] == int((NOW + KEPT_FOR).timestamp())
    assert registry.ledger.tags["team/api", "v1"].scanned_at == NOW


def test_a_scan_of_amazon_inspector_is_as_new_as_the_question() -> None:
    registry = found(ENHANCED)
    registry.look()
    assert registry.record.last_scan.scanned_at == NOW
    assert registry.record.last_scan.scan_type == "ENHANCED"


def test_a_first_result_is_a_baseline_and_sends_nothing_at_once() -> None:
    for scan in (BASIC, ENHANCED):
        registry = found(scan)
        notification = registry.look()
        (change,) = registry.ledger.digest
        assert change.is_first_sight
        assert {each.channel for each in notification.deliveries} == WITHOUT_DIGEST


def test_a_first_result_of_what_was_pushed_is_news_however_it_is_found() -> None:
    """Or a forged event that comes before that of ECR would keep it from being reported."""
    for scan in (BASIC, ENHANCED):
        registry = found(scan, [any_finding("CVE-1", "CRITICAL")], pushed_at=NOW - 23 * HOUR)
        notification = registry.look()
        (change,) = registry.ledger.digest
        assert (change.is_first_sight, change.is_told) == (False, True)
        assert {each.channel for each in notification.deliveries} == set(SHIPPED.targets)


def test_a_second_look_finds_nothing_new() -> None:
    for scan in (BASIC, ENHANCED):
        registry = found(scan)
        registry.look()
        again = registry.look()
        assert (again.notify, again.reason, again.deliveries) == (False, Reason.UNCHANGED, ())


def test_the_event_of_the_same_scan_is_compared_after_a_look() -> None:
    registry = found(BASIC)
    registry.look()
    late = registry.scan(scanned_at=NOW - HOUR)
    assert (late.notify, late.reason) == (False, Reason.UNCHANGED)


def test_an_older_event_is_outdated_after_a_look() -> None:
    registry = found(BASIC)
    registry.look()
    assert registry.scan(scanned_at=NOW - 2 * HOUR).reason is Reason.OUTDATED


def test_ecr_may_have_an_older_scan_than_the_ledger() -> None:
    registry = found(BASIC)
    registry.scan(scanned_at=NOW)
    assert registry.look().reason is Reason.OUTDATED
    assert registry.record.last_scan.scanned_at == NOW


def test_names_what_ecr_did_not_list_with_the_event() -> None:
    registry = found(BASIC)
    registry.scans = FakeScans(EcrThrottled("any"))
    composer = registry._composer(RETRIES, True)
    event = any_scan_report(severities={"HIGH": 2}, scanned_at=NOW - HOUR)
    composer.compose(registry.ledger.record_scan(interpreted_of(event, "scan")))
    assert registry.record.names_missing
    registry.scans = found(BASIC).scans
    registry.look()
    assert registry.record.names_missing is None
    assert len(registry.ledger.findings["team/api", DIGEST].findings) == 2


def test_says_why_a_scan_failed_with_the_answer_that_it_has() -> None:
    registry = found(LastScan("FAILED", NOW - HOUR, "no such layer"))
    notification = registry.look()
    assert notification.reason is Reason.FAILED
    assert registry.asked == ["findings", "image"]
    assert registry.record.baseline.image_state.failed


def test_a_failure_without_a_date_has_that_of_its_start() -> None:
    registry = found(FAILED)
    registry.scan(scanned_at=NOW - 9 * HOUR)
    known = registry.ledger.kept["team/api", DIGEST]
    registry.ledger.kept["team/api", DIGEST] = known.__class__(
        **{**vars(known), "started_at": NOW - HOUR, "started_by": "run-1"}
    )
    assert registry.look().reason is Reason.FAILED
    assert registry.record.last_scan.scanned_at == NOW - HOUR


FUTURE = NOW + timedelta(days=365 * 73)


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (None, Reason.NO_RESULT),
        (FAILED, Reason.NO_RESULT),
        (LastScan("COMPLETE"), Reason.NO_RESULT),
        (LastScan("COMPLETE", FUTURE), Reason.NO_RESULT),
        (LastScan("FAILED", FUTURE), Reason.NO_RESULT),
        (LastScan("SOMETHING_NEW", NOW), Reason.NO_RESULT),
        (LastScan("IN_PROGRESS"), Reason.NOT_ENDED),
        (LastScan("PENDING"), Reason.NOT_ENDED),
        (LastScan("FINDINGS_UNAVAILABLE"), Reason.NO_RESULT),
        (LastScan("LIMIT_EXCEEDED"), Reason.NO_RESULT),
        (LastScan("UNSUPPORTED_IMAGE"), Reason.UNSUPPORTED),
        (LastScan("FAILED", NOW, "UnsupportedImageError: no"), Reason.UNSUPPORTED),
        (ScanNotFound("any"), Reason.NO_RESULT),
        (ImageNotFound("any"), Reason.GONE),
        (RepositoryNotFound("any"), Reason.GONE),
        (ImageArchived("any"), Reason.ARCHIVED),
        (ImageNotScannable("any"), Reason.UNSUPPORTED),
    ],
)
@pytest.mark.parametrize("by_name", [True, False])
def test_what_is_no_result_is_neither_reported_nor_stored(
    scan: LastScan | Exception | None, reason: Reason, by_name: bool
) -> None:
    answer = scan if isinstance(scan, Exception) else ScanFindings("any", scan=scan)
    last = None if isinstance(scan, ScanNotFound) else scan
    registry = Registry(FakeScans(answer, last))
    notification = registry.look(by_name=by_name)
    assert (notification.notify, notification.reason) == (False, reason)
    assert notification.about == f"team/api@{DIGEST}"
    assert registry.ledger.kept == {}
    assert "tags" not in registry.asked


@pytest.mark.parametrize("error", [EcrThrottled("any"), EcrUnavailable("any"), AccessDenied("any")])
def test_without_an_answer_there_is_no_fact_to_report(error: Exception) -> None:
    for attempt in (0, RETRIES):
        with pytest.raises(type(error)):
            Registry(FakeScans(error)).look(attempt=attempt)


@pytest.mark.parametrize("error", [EcrThrottled("any"), EcrUnavailable("any")])
def test_waits_for_the_tags_and_takes_those_of_the_last_scan_in_the_end(
    error: Exception, log: io.StringIO
) -> None:
    registry = found(BASIC, tags=error)
    registry.scan(scanned_at=NOW - 9 * HOUR, tags=("r7",))
    with pytest.raises(type(error)):
        registry.look()
    registry.look(attempt=RETRIES)
    assert registry.record.image_tags == ("r7",)
    assert registry.ledger.tags["team/api", "r7"].scanned_at == NOW - HOUR
    assert "tags not read, those of the last scan used" in log.getvalue()


def test_tags_that_may_not_be_read_are_those_of_the_last_scan() -> None:
    registry = found(BASIC, tags=AccessDenied("any"))
    registry.look()
    assert registry.record.image_tags == ()


def test_an_image_may_go_between_two_calls() -> None:
    registry = found(BASIC, tags=ImageNotFound("any"))
    assert registry.look().reason is Reason.GONE
    assert registry.ledger.kept == {}


def test_a_result_that_cannot_be_stored_is_reported_in_the_end(log: io.StringIO) -> None:
    registry = found(BASIC)
    registry.ledger.is_lost = True
    with pytest.raises(LedgerUnavailable):
        registry.look()
    notification = registry.look(attempt=RETRIES)
    assert notification.notify
    warnings = [json.loads(line).get("message") for line in log.getvalue().splitlines()]
    assert "scan not recorded" in warnings
