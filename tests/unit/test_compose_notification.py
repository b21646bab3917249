import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from accepted_risks.risks import AcceptedRisks
from ledger.errors import LedgerUnavailable
from notify_scan import compose_notification as module
from notify_scan.compose_notification import Composition
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.notification import Notification
from notify_scan.scan_details import RETRIES
from registry.errors import EcrThrottled
from registry.images import LastScan
from reporting.channels.delivery import CLAIMED_FOR, TRANSPORTS, Channel
from reporting.decision import NotifyOn, NotifyOnRun
from reporting.reports import Interpretation, Reason, RunReport, ScanReport
from rescan_registry.run_summary import RunSummary, summary_of
from runtime import patterns
from runtime.messages import decode
from tests.support.builders import any_facts
from tests.support.cases import case
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    DEFAULT_NOTIFY_ON,
    DEFAULT_SETTINGS,
    DIGEST,
    EVERY_CHANNEL,
    FakeAcceptedRisks,
    FakeScans,
    any_composer,
    any_finding,
    any_notification_policy,
    any_run_report,
    any_scan_report,
    complaints_about,
    interpreted_of,
)
from tests.support.template import ROOT

CLEAN = any_scan_report(severities={"CRITICAL": 0})


def composed(
    report: ScanReport | RunReport | Reason,
    scans: FakeScans | None = None,
    *,
    attempt: int = 0,
    **policy: Any,
) -> Notification:
    ledger = LedgerInMemory()
    composer = any_composer(
        policy=any_notification_policy(**policy),
        registry=(scans or FakeScans.of(report)).as_registry,
        ledger=ledger.as_ledger,
        attempt=attempt,
    )
    return composer.compose(ledger.record_scan(interpreted_of(report)))


def content_of(notification: Notification, channel: Channel) -> Any:
    (delivery,) = (each for each in notification.deliveries if each.channel is channel)
    return delivery.content


def test_words_a_scan_for_every_channel() -> None:
    notification = composed(any_scan_report())
    assert (notification.notify, notification.reason) == (True, "above a threshold")
    assert notification.about == f"ecr/123456789012/eu-central-1/team/api/{DIGEST}"
    assert {each.channel: each.transport for each in notification.deliveries} == TRANSPORTS
    assert {each.about for each in notification.deliveries} == {
        "10 new vulnerabilities (1 critical, 2 high, 7 lower) in team/api:v1"
    }
    assert [c for each in notification.deliveries for c in complaints_about(each)] == []


def test_hands_machines_the_whole_report() -> None:
    scans = FakeScans([any_finding("CVE-1", package="zlib")])
    notification = composed(any_scan_report(), scans)
    document = content_of(notification, Channel.WEBHOOK)
    assert document["report"]["worst_findings"][0]["package"] == "zlib"
    assert content_of(notification, Channel.EVENTBRIDGE) == {
        "detail_type": "Scan Report",
        "detail": document,
    }
    assert json.loads(json.loads(content_of(notification, Channel.SNS)["message"])["default"]) == (
        document
    )


def test_asks_once_for_the_findings_of_every_scan_that_has_some() -> None:
    scans = FakeScans()
    composed(CLEAN, scans)
    composed(any_scan_report(), scans, include_findings=False)
    assert scans.asked == []
    composed(any_scan_report(), scans)
    assert scans.asked == [("findings", "team/api", DIGEST)]


def test_says_why_a_scan_failed() -> None:
    scans = FakeScans(last_scan=LastScan(status="FAILED", description="no such layer"))
    notification = composed(any_scan_report(status="FAILED", severities={}), scans)
    assert "no such layer" in json.dumps(content_of(notification, Channel.SLACK))


def test_sends_the_message_without_details_after_the_last_retry() -> None:
    scans = FakeScans(EcrThrottled("any"))
    for attempt in range(RETRIES):
        with pytest.raises(EcrThrottled):
            composed(any_scan_report(), scans, attempt=attempt)
    notification = composed(any_scan_report(), scans, attempt=RETRIES)
    assert len(notification.deliveries) == 7
    assert "ECR did not list them (EcrThrottled)" in json.dumps(
        content_of(notification, Channel.SLACK)
    )


def test_resolves_an_incident_without_a_notification() -> None:
    ledger = LedgerInMemory()

    def after(report: ScanReport, number: int) -> Notification:
        report = replace(report, scanned_at=NOW + timedelta(seconds=number))
        composer = any_composer(
            policy=any_notification_policy(notify_on=frozenset({NotifyOn.NEW})),
            registry=FakeScans.of(report).as_registry,
            ledger=ledger.as_ledger,
        )
        return composer.compose(ledger.record_scan(interpreted_of(report, f"event-{number}")))

    opened = content_of(after(any_scan_report(), 1), Channel.PAGERDUTY)
    notification = after(CLEAN, 2)
    assert (notification.notify, notification.reason) == (False, "NotifyOn excludes CLEARED")
    (delivery,) = notification.deliveries
    assert delivery.channel is Channel.PAGERDUTY
    assert delivery.content == {
        "event_action": "resolve",
        "dedup_key": f"ecr/123456789012/eu-central-1/team/api/{DIGEST}#1",
    }
    assert opened["dedup_key"] == delivery.content["dedup_key"]
    assert after(CLEAN, 3).deliveries == ()


def test_notifies_every_channel_that_an_image_is_clean_if_asked_to() -> None:
    notification = composed(CLEAN, notify_on=DEFAULT_NOTIFY_ON | {NotifyOn.CLEAN})
    assert {each.channel for each in notification.deliveries} == {*Channel} - {Channel.PAGERDUTY}


@pytest.mark.parametrize("status", ["FINISHED", "INCOMPLETE", "FAILED"])
def test_no_channel_gets_a_message_about_a_dry_run(status: str) -> None:
    notification = composed(any_run_report(status=status, dry_run=True))
    assert (notification.notify, notification.reason) == (False, "the run was a dry run")
    assert notification.deliveries == ()


def test_leaves_an_incident_alone_when_nothing_can_be_said() -> None:
    failed = any_scan_report(status="FAILED")
    assert composed(failed, notify_on=frozenset()).deliveries == ()
    assert composed(any_run_report(), on_run=NotifyOnRun.NEVER).deliveries == ()


def test_words_a_run_for_every_channel() -> None:
    notification = composed(any_run_report())
    assert (notification.notify, notification.reason) == (True, "run finished")
    assert len(notification.deliveries) == 7
    assert content_of(notification, Channel.EVENTBRIDGE)["detail_type"] == "Run Report"
    assert composed(any_run_report(), on_run=NotifyOnRun.INCOMPLETE).deliveries[0].channel is (
        Channel.PAGERDUTY
    )


def bucket_with(summary: RunSummary) -> FakeBucket:
    bucket = FakeBucket()
    bucket.write_summary(summary.run, summary.document(), summary.lists())
    return bucket


def of_run(run: str, bucket: FakeBucket, **given: Any) -> Notification:
    interpreted = InterpretedEvent("event-1", Interpretation(finished_run=run))
    return any_composer(bucket=bucket.as_bucket, **given).compose(interpreted)


def test_names_the_messages_about_a_run_by_the_run() -> None:
    """SummarizeRescan may be repeated, and then sends two events with ids of their own."""
    unfinished = summary_of(any_facts(), ["team/api"], [])
    reported = of_run("run-1", bucket_with(unfinished))
    assert (reported.notify, reported.reason) == (True, "run did not finish")
    assert {each.message_id for each in reported.deliveries} == {"run-run-1-INCOMPLETE"}
    assert {each.channel for each in reported.deliveries} == {*Channel}
    finished = of_run("run-1", bucket_with(summary_of(any_facts(), [], [])))
    assert {each.message_id for each in finished.deliveries} == {"run-run-1-FINISHED"}


def test_a_run_that_is_not_known_is_not_reported() -> None:
    unknown = of_run("run-2", bucket_with(summary_of(any_facts(), [], [])))
    assert unknown == Notification("run-2", notify=False, reason=Reason.UNKNOWN_RUN)


def test_a_run_is_not_reported_when_no_claim_can_be_left_of_its_messages() -> None:
    bucket = bucket_with(summary_of(any_facts(ended_at=NOW), [], []))
    assert of_run("run-1", bucket, now=NOW + CLAIMED_FOR).notify
    late = of_run("run-1", bucket, now=NOW + CLAIMED_FOR + timedelta(seconds=1))
    assert late == Notification("run-1", notify=False, reason=Reason.OLD_RUN)


def test_a_run_is_not_reported_while_the_bucket_does_not_answer() -> None:
    for attempt in (0, RETRIES):
        with pytest.raises(LedgerUnavailable):
            of_run("run-1", FakeBucket(fails=["summary"]), attempt=attempt)


def test_an_event_without_a_report_ends_with_its_reason() -> None:
    reason = Reason.RUN_REPORTED_ALREADY
    assert composed(reason) == Notification(about="", notify=False, reason=reason, deliveries=())


def test_sends_nothing_where_no_channel_is_configured() -> None:
    report = any_scan_report()
    composer = any_composer(
        channels=replace(EVERY_CHANNEL, targets={}), registry=FakeScans.of(report).as_registry
    )
    notification = composer.compose(interpreted_of(report))
    assert (notification.notify, notification.deliveries) == (True, ())


def test_answers_the_state_machine_with_deliveries(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:notifications"
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "EcrRescan")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "any-stack")
    monkeypatch.setenv("NOTIFICATION_TOPIC", topic)
    monkeypatch.setenv("PAGER_DUTY_SECRET_ARN", "arn:any")
    monkeypatch.setenv("CHATBOT_TOPIC", "")
    event = json.loads((ROOT / "events/notify_scan/compose_notification.json").read_text())
    scan = decode(Composition, event).interpreted.interpretation.scan
    assert scan
    monkeypatch.setattr(module, "ecr_registry", lambda: FakeScans.of(scan))
    monkeypatch.setattr(
        module, "accepted_risks_document", lambda bucket, table: FakeAcceptedRisks()
    )
    ledger = LedgerInMemory()
    for name in ("baselines", "digest_entries", "image_records"):
        monkeypatch.setattr(module, name, lambda table: ledger)
    monkeypatch.setattr(module, "run_bucket", lambda name: FakeBucket())
    monkeypatch.setattr(module, "announcements", lambda table: ledger.announcements)
    told: Any = module.handler(event, any_lambda_context())
    assert (told["notify"], told["reason"]) == (True, "above a threshold")
    assert [
        (each["channel"], each["transport"], each["target"]) for each in told["deliveries"]
    ] == [
        ("SNS", "TOPIC", topic),
        ("PAGERDUTY", "WEBHOOK", None),
    ]
    assert json.loads(log.getvalue().splitlines()[-1])["channels"] == "SNS PAGERDUTY"
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["channel"], each["messages"]) for each in counted] == [
        ("SNS", [1]),
        ("PAGERDUTY", [1]),
    ]
    assert {each["service"] for each in counted} == {"any-stack"}


def test_says_which_accepted_risks_are_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.5)
    entry = {"vulnerability": "CVE-1", "reason": "any", "expires": "2027-03-31"}
    hangs = {**entry, "accepted_by": "jane", "repositories": "([a-z]+[-/]?)+-prod"}
    risks = AcceptedRisks.read(json.dumps({"accepted_risks": [hangs]}))
    report = any_scan_report(repository="platform/session-token-revocation-interface")
    composer = any_composer(risks=risks, registry=FakeScans.of(report).as_registry)
    notification = composer.compose(interpreted_of(report))
    assert notification.notify
    (remark,) = content_of(notification, Channel.WEBHOOK)["report"]["remarks"]
    assert remark.startswith("Some accepted risks are not applied: accepted-risks.yaml, ")
    assert remark.endswith("not '([a-z]+[-/]?)+-prod'.")


def test_case_08_is_silent_about_an_image_that_ecr_cannot_scan() -> None:
    _, attestation = case("08-buildx-attestations-fail.yaml")["repositories"][0]["images"]
    scans = FakeScans(last_scan=LastScan("FAILED", None, attestation["reason"]))
    notification = composed(any_scan_report(status="FAILED", severities={}), scans)
    assert (notification.notify, notification.reason) == (False, "ECR cannot scan the image")
    assert notification.deliveries == ()
    assert len(scans.asked) == 1


def test_case_08_an_image_that_ecr_cannot_scan_no_longer_counts_as_failed() -> None:
    ledger = LedgerInMemory()

    def after(reason: str, number: int) -> Notification:
        scans = FakeScans(last_scan=LastScan("FAILED", None, reason))
        report = any_scan_report(status="FAILED", severities={})
        report = replace(report, scanned_at=NOW + timedelta(seconds=number))
        composer = any_composer(registry=scans.as_registry, ledger=ledger.as_ledger)
        return composer.compose(ledger.record_scan(interpreted_of(report, f"event-{number}")))

    unsupported = "UnsupportedImageError: The operating system …"
    reasons = ("It broke.", unsupported, unsupported, "It broke.", "It broke.")
    told = [after(reason, number) for number, reason in enumerate(reasons)]
    assert [each.reason for each in told] == [
        Reason.FAILED,
        Reason.UNSUPPORTED,
        Reason.UNSUPPORTED,
        Reason.FAILED,
        Reason.UNCHANGED,
    ]
    assert [bool(each.deliveries) for each in told] == [True, False, False, True, False]
    assert Channel.PAGERDUTY not in {each.channel for each in told[0].deliveries}
