"""Statuses of scans that say neither that a scan has completed nor that it failed."""

from notify_scan.notification import Notification
from reporting.reports import Reason
from tests.support.cases import case
from tests.support.events import interpreted_event
from tests.support.ledger import LedgerInMemory
from tests.support.reports import FakeScans, any_composer, any_finding


def composed(event: object) -> Notification:
    ledger = LedgerInMemory()
    scans = FakeScans([any_finding(f"CVE-2026-{number}") for number in range(3)])
    composer = any_composer(registry=scans.as_registry, ledger=ledger.as_ledger)
    return composer.compose(ledger.record_scan(interpreted_event(event)))


def test_case_17_no_odd_status_is_reported_as_a_failed_scan() -> None:
    notifications = map(composed, case("17-odd-statuses.json", of="notify")["events"])
    assert [(each.notify, each.reason) for each in notifications] == [
        (False, Reason.UNSUPPORTED),
        (True, Reason.NEW),  # ACTIVE: Amazon Inspector has scanned the image
        (False, Reason.UNSUPPORTED),
        (False, Reason.NOT_MONITORED),
    ]
