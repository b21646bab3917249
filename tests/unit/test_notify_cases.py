"""Events as people met them in public, and what is right to send."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from notify_scan.interpret_event import ReceivedEvent, interpret_event
from notify_scan.notification import Notification
from registry.findings import Finding
from registry.images import LastScan
from reporting.channels.delivery import Channel
from reporting.thresholds import Thresholds
from tests.support.cases import case
from tests.support.images import SHIPPED, accepting, incidents
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    DEFAULT_THRESHOLDS,
    FakeScans,
    any_composer,
    any_notification_policy,
    findings_of,
)

UNSUPPORTED = (
    "UnsupportedImageError: The operating system and/or package manager are not supported."
)


class Account:
    """An account in which the events of a case arrive."""

    def __init__(self, name: str) -> None:
        self.events: Sequence[Mapping[str, Any]] = case(name, "notify")["events"]
        self.ledger = LedgerInMemory()

    def send(
        self,
        number: int,
        findings: Sequence[Finding] | None = None,
        *,
        accepted: Sequence[str] = (),
        limits: Mapping[str, int | None] | None = None,
        failure: str = "It broke.",
    ) -> Notification:
        """Let an event arrive; ECR lists as many findings as it counts, or those that are given."""
        event = self.events[number]
        now = datetime.fromisoformat(event["time"]) + timedelta(seconds=5)
        interpreted = interpret_event(
            ReceivedEvent(event),
            account=event["account"],
            region=event["region"],
            kept_for=timedelta(days=180),
            now=now,
        )
        if findings is None:
            findings = findings_of(event["detail"].get("finding-severity-counts", {}))
        composer = any_composer(
            policy=any_notification_policy(
                thresholds=Thresholds({**DEFAULT_THRESHOLDS, **(limits or {})})
            ),
            risks=accepting(*accepted),
            channels=SHIPPED,
            registry=FakeScans(findings, LastScan("FAILED", None, failure)).as_registry,
            ledger=self.ledger.as_ledger,
            now=now,
        )
        return composer.compose(self.ledger.record_scan(interpreted))


def report(notification: Notification) -> Any:
    (content,) = (
        each.content for each in notification.deliveries if each.channel is Channel.WEBHOOK
    )
    return content["report"]  # type: ignore[index, call-overload]


def title(notification: Notification) -> Any:
    (content,) = (
        each.content for each in notification.deliveries if each.channel is Channel.WEBHOOK
    )
    return content["title"]  # type: ignore[index, call-overload]


def words(notification: Notification) -> str:
    """Return what Slack gets; only urgent news is sent there immediately."""
    (slack,) = (each.content for each in notification.deliveries if each.channel is Channel.SLACK)
    return json.dumps(slack, ensure_ascii=False)


def test_case_01_an_incident_closes_with_the_image_that_fixes_it() -> None:
    account = Account("01-fixed-by-a-new-image.json")
    ((opened, key),) = incidents(account.send(0))
    assert opened == "trigger"
    assert incidents(account.send(1)) == [("resolve", key)]


def test_case_02_a_difference_is_a_difference_whatever_the_threshold() -> None:
    account = Account("02-threshold-crossed.json")
    limits = {"HIGH": 2, "MEDIUM": None, "LOW": None}
    sent = [account.send(number, limits=limits) for number in range(3)]
    assert report(sent[0])["difference"] == {}
    assert report(sent[1])["difference"] == {"HIGH": 1}
    assert report(sent[2])["difference"] == {"CRITICAL": -1, "HIGH": -1}


def test_case_06_a_critical_vulnerability_that_replaces_another_is_news() -> None:
    account = Account("06-swap-of-findings.json")
    first = Finding("CVE-2026-0001", "CRITICAL", "openssl")
    second = Finding("CVE-2026-9999", "CRITICAL", "openssl")
    account.send(0, [first])
    swapped = account.send(1, [second])
    assert (swapped.notify, swapped.reason) == (True, "worse than before")
    by_name = report(swapped)["by_name"]
    assert [each["name"] for each in by_name["new"]] == ["CVE-2026-9999"]
    assert [each["name"] for each in by_name["gone"]] == ["CVE-2026-0001"]
    assert "CVE-2026-9999" in words(swapped)


def test_case_07_what_is_accepted_is_said_to_be_accepted() -> None:
    account = Account("07-all-accepted.json")
    findings = [Finding("CVE-1", "CRITICAL", "openssl"), Finding("CVE-2", "HIGH", "zlib")]
    account.send(0, findings)
    sent = account.send(1, findings, accepted=("CVE-1", "CVE-2"))
    assert title(sent).startswith("All open vulnerabilities are accepted in ")
    assert title(sent).endswith(" (1 critical, 1 high)")
    accepted = report(sent)
    assert (accepted["change"], accepted["cause"]) == ("CLEARED", "ACCEPTED")
    assert accepted["accepted"] == {"CRITICAL": 1, "HIGH": 1}


def test_case_08_a_first_scan_that_fails_speaks_of_none_before() -> None:
    account = Account("08-first-scan-failed.json")
    sent = account.send(0)
    assert "before" not in title(sent)
    failed = report(sent)
    assert failed["remarks"] == []
    assert (failed["change"], failed["open_before"], failed["by_name"]) == ("FAILED", {}, None)


def test_case_11_an_image_is_named_by_the_tag_that_stays() -> None:
    sent = Account("11-latest-first.json").send(0)
    assert "azure-agent:5715" in title(sent)
    assert report(sent)["tags"] == ["latest", "5715"]


def test_case_14_the_end_of_a_failure_is_said_where_findings_remain() -> None:
    account = Account("14-end-of-failure-same-findings.json")
    account.send(0)
    assert account.send(1).reason == "scan failed"
    again = account.send(2)
    assert (again.notify, again.reason) == (True, "no longer above a threshold")
    assert "can be scanned again: 2 high findings" in title(again)
    assert report(again)["cause"] == "END_OF_FAILURE"
    assert report(again)["open_now"] == {"HIGH": 2}


def test_case_19_an_image_that_ecr_cannot_scan_is_one_line_per_repository() -> None:
    account = Account("19-unsupported-image-each-build.json")
    for number in range(3):
        sent = account.send(number, failure=UNSUPPORTED)
        assert (sent.notify, sent.reason, sent.deliveries) == (
            False,
            "ECR cannot scan the image",
            (),
        )
    assert [each.cause for each in account.ledger.digest] == ["UNSUPPORTED"]
