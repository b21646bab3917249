"""Reports, and all channels together, with what the receivers would say of each delivery."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, cast

from accepted_risks.document import Refusal, RisksInForce
from accepted_risks.expiry import is_due, notices_of
from accepted_risks.risks import AcceptedRisks
from ledger.changes import ChangedFinding
from ledger.risk_records import ExpiryNotices
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.notification import Composer
from notify_scan.own_stack import OwnStack
from notify_scan.scan_record import record_of
from notify_scan.webhooks.request import request_for
from notify_scan.webhooks.secrets import WebhookSecret
from registry.ecr import EcrRegistry
from registry.findings import Finding, ScanFindings
from registry.images import Image, LastScan
from reporting.channels.delivery import Channel, Delivery
from reporting.channels.in_use import ChannelsInUse, Routing
from reporting.channels.pagerduty import dedup_key
from reporting.decision import NotificationPolicy
from reporting.message import Message, plain
from reporting.reports import FoundImage, Interpretation, Reason, RunReport, ScanReport, ScanType
from reporting.thresholds import Thresholds
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket
from tests.support.ledger import LedgerInMemory
from tests.support.payloads import (
    chatbot_structure,
    complaints_about_chatbot,
    complaints_about_event,
    complaints_about_pagerduty,
    complaints_about_slack,
    complaints_about_sns,
    complaints_about_teams,
    slack_structure,
    teams_structure,
)

RESCAN_REGISTRY = "arn:aws:states:eu-central-1:123456789012:stateMachine:ecr-rescan-RescanRegistry"
# The defaults of the template.
DEFAULT_SETTINGS = {
    "CRITICAL_THRESHOLD": "0",
    "HIGH_THRESHOLD": "0",
    "MEDIUM_THRESHOLD": "0",
    "LOW_THRESHOLD": "0",
    "OTHER_THRESHOLD": "off",
    "NOTIFY_ON": "NEW,WORSE,CLEARED,FAILED",
    "REMIND_AFTER": "30d",
    "NOTIFY_ON_RUN": "ALWAYS",
    "INCLUDE_FINDINGS": "true",
    "RESCAN_REGISTRY_STATE_MACHINE": RESCAN_REGISTRY,
    "IMAGE_RECORD_RETENTION_DAYS": "180",
    "DIGEST_CHANNELS": "SNS,CHATBOT,SLACK,TEAMS",
    "IMMEDIATE_FROM": "CRITICAL",
}
DEFAULT_THRESHOLDS: dict[str, int | None] = dict.fromkeys(("CRITICAL", "HIGH", "MEDIUM", "LOW"), 0)
DIGEST = f"sha256:{7:064x}"
STACK = OwnStack(RESCAN_REGISTRY)
EXECUTION = STACK.execution("run-1")
KEPT_FOR = timedelta(days=180)
EVERY_CHANNEL = ChannelsInUse(
    {
        Channel.SNS: "arn:aws:sns:eu-central-1:123456789012:notifications",
        Channel.CHATBOT: "arn:aws:sns:eu-central-1:123456789012:chatbot",
        Channel.EVENTBRIDGE: "arn:aws:events:eu-central-1:123456789012:event-bus/reports",
        Channel.SLACK: None,
        Channel.TEAMS: None,
        Channel.WEBHOOK: None,
        Channel.PAGERDUTY: None,
    }
)
MOST_TEAMS_TAKES = 28 * 1024  # bytes of a body
ANY_SECRET = WebhookSecret("https://example.org/hook", "0123456789abcdef" * 2)


def any_scan_report(**given: Any) -> ScanReport:
    """Make the report of a basic scan that found something of every severity it can name."""
    report = ScanReport(
        account="123456789012",
        region="eu-central-1",
        repository="team/api",
        scan_type=ScanType.BASIC,
        status="COMPLETE",
        scanned_at=NOW,
        link="https://console.aws.amazon.com/ecr/any",
        image_digest=DIGEST,
        tags=("v1",),
        severities={"CRITICAL": 1, "HIGH": 2, "MEDIUM": 3, "LOW": 4},
    )
    return replace(report, **given)


def any_run_report(**given: Any) -> RunReport:
    """Make the report of a run that finished."""
    report = RunReport(
        account="123456789012",
        region="eu-central-1",
        run="run-1",
        execution_arn=EXECUTION,
        status="FINISHED",
        link="https://console.aws.amazon.com/states/any",
        started_at=NOW,
        ended_at=NOW,
        repositories=3,
        images={"STARTED": 5, "FRESH": 7},
        reasons={"STARTED": {"accepted": 5}, "FRESH": {"scanned within RescanAfter": 7}},
    )
    return replace(report, **given)


def any_finding(name: str = "CVE-2026-1", severity: str = "HIGH", **given: Any) -> Finding:
    """Make a finding."""
    return replace(Finding(name=name, severity=severity), **given)


def any_changed_finding(
    name: str = "CVE-2026-1", severity: str = "HIGH", *, package: str = "zlib", **given: Any
) -> ChangedFinding:
    """Make a finding that a scan has changed."""
    return replace(ChangedFinding(name, package, severity), **given)


def findings_of(counts: Mapping[str, int]) -> list[Finding]:
    """Make as many findings of each severity as are counted, with names of their own."""
    return [
        any_finding(f"CVE-2026-{severity}-{number}", severity, package="openssl")
        for severity, count in counts.items()
        for number in range(count)
    ]


DEFAULT_NOTIFY_ON = NotificationPolicy(thresholds=Thresholds({})).notify_on


def any_notification_policy(**given: Any) -> NotificationPolicy:
    """Make the policy that the template's defaults make."""
    return replace(NotificationPolicy(thresholds=Thresholds(DEFAULT_THRESHOLDS)), **given)


def interpreted_of(
    report: ScanReport | RunReport | FoundImage | Reason, event: str = "event-1"
) -> InterpretedEvent:
    """Make an interpreted event with a report, with an image to ask for, or with neither."""
    match report:
        case ScanReport():
            record = record_of(report, kept_for=KEPT_FOR, now=report.scanned_at)
            return InterpretedEvent(event, Interpretation(scan=report), record)
        case RunReport():
            return InterpretedEvent(event, Interpretation(run=report))
        case FoundImage():
            return InterpretedEvent(event, Interpretation(found_image=report))
    return InterpretedEvent(event, Interpretation(silence=report))


def any_composer(**given: Any) -> Composer:
    """Make a composer for every channel, with a ledger that knows nothing."""
    composer = Composer(
        policy=any_notification_policy(),
        risks=AcceptedRisks(),
        channels=EVERY_CHANNEL,
        registry=FakeScans().as_registry,
        ledger=LedgerInMemory().as_ledger,
        bucket=FakeBucket().as_bucket,
        stack=STACK,
        kept_for=KEPT_FOR,
        now=NOW,
        attempt=0,
    )
    return replace(composer, **given)


class FakeAcceptedRisks:
    """A document of accepted risks, and who has claimed a notice."""

    bucket = "run-bucket"

    def __init__(self, text: str = "accepted_risks: []", refusal: Refusal | None = None) -> None:
        self.claims: dict[str, str] = {}
        self.notices: ExpiryNotices | None = None
        self._risks = RisksInForce(AcceptedRisks.read(text), refusal)

    def in_force(self, now: datetime) -> RisksInForce:
        """Return what was given."""
        del now
        return self._risks

    def claim(self, notice: str, *, event: str, expires_at: int) -> bool:
        """Grant a notice to the first event only."""
        del expires_at
        return self.claims.setdefault(notice, event) == event

    def expiry_notices(self, *, event: str, today: date) -> ExpiryNotices | None:
        """Grant the notices of a day to the first event that has something for them."""
        known, risks = self.notices, self._risks.risks
        if known and (known.day, known.event) == (today.isoformat(), event):
            return known
        if known and not is_due(risks, known, today):
            return None
        self.notices = notices_of(risks, known, today=today, event=event, reported_singly=())
        return self.notices


class FakeScans:
    """ECR, asked for findings and for the last scan of any image; an answer may be an error.

    findings: of a completed basic scan, or what ECR returns. tags, pushed_at: of the image.
    """

    def __init__(
        self,
        findings: Sequence[Finding] | ScanFindings | Exception = (),
        last_scan: LastScan | Exception | None = None,
        tags: Sequence[str] | Exception = (),
        pushed_at: datetime = NOW - timedelta(days=30),
    ) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._findings = findings
        self._last_scan = last_scan
        self._tags = tags
        self._pushed_at = pushed_at

    @classmethod
    def of(cls, report: ScanReport | RunReport | Reason) -> "FakeScans":
        """List as many findings as the event of a scan counts."""
        if not isinstance(report, ScanReport):
            return cls()
        return cls(findings_of(report.severities))

    def findings(self, repository: str, image_digest: str) -> ScanFindings:
        """Return the findings."""
        self.asked.append(("findings", repository, image_digest))
        if isinstance(self._findings, Exception):
            raise self._findings
        if isinstance(self._findings, ScanFindings):
            return self._findings
        scan = self._last_scan if isinstance(self._last_scan, LastScan) else None
        return ScanFindings("COMPLETE", findings=tuple(self._findings), scan=scan)

    def image(self, repository: str, image_digest: str) -> Image:
        """Return the image with its tags."""
        self.asked.append(("image", repository, image_digest))
        if isinstance(self._tags, Exception):
            raise self._tags
        return Image(image_digest, self._pushed_at, tuple(self._tags))

    def last_scan(self, repository: str, digest: str) -> LastScan | None:
        """Return the last scan."""
        self.asked.append(("last scan", repository, digest))
        if isinstance(self._last_scan, Exception):
            raise self._last_scan
        return self._last_scan

    @property
    def as_registry(self) -> EcrRegistry:
        """Stand in where only these calls are made."""
        return cast("EcrRegistry", self)


def in_every_channel(message: Message, report: ScanReport | RunReport) -> tuple[Delivery, ...]:
    """Return the deliveries of a message to every channel, with an incident in PagerDuty."""
    routing = Routing(notify=True, is_immediate=True)
    return EVERY_CHANNEL.deliveries(
        message, report, routing, event="event-1", now=NOW
    ) + EVERY_CHANNEL.incidents(
        (message, report, dedup_key(report.subject)),
        about=plain(message.title),
        event="event-1",
        now=NOW,
    )


def complaints_about(delivery: Delivery) -> list[str]:
    """Hold a delivery against what its receiver accepts, as the state machine would send it."""
    content: Any = delivery.content
    match delivery.channel:
        case Channel.SNS:
            said = complaints_about_sns(_publish(delivery))
        case Channel.CHATBOT:
            said = complaints_about_sns(_publish(delivery))
            said += complaints_about_chatbot(notification_in(content))
        case Channel.EVENTBRIDGE:
            said = complaints_about_event(
                {
                    "Source": "ecr-rescan",
                    "DetailType": content["detail_type"],
                    "Detail": content["detail"],
                    "EventBusName": delivery.target,
                }
            )
        case Channel.SLACK:
            said = complaints_about_slack(content)
        case Channel.TEAMS:
            said = complaints_about_teams(content)
        case Channel.PAGERDUTY:
            said = complaints_about_pagerduty({"routing_key": ANY_SECRET.key, **content})
        case Channel.WEBHOOK:
            said = [] if content["version"] == "2" else ["version: 2 is accepted"]
    if delivery.target is None:
        body = request_for(delivery.channel, content, ANY_SECRET, now=NOW).body
        json.loads(body)
        if delivery.channel is Channel.TEAMS and len(body) > MOST_TEAMS_TAKES:
            said.append(f"body: {MOST_TEAMS_TAKES} bytes are accepted, not {len(body)}")
    return [f"{delivery.channel}: {complaint}" for complaint in said]


def structure_of(delivery: Delivery) -> list[str]:
    """Return what the receivers' clients read in a delivery, its literal texts aside."""
    content: Any = delivery.content
    readers: dict[Channel, Callable[[], list[str]]] = {
        Channel.SLACK: lambda: slack_structure(content),
        Channel.TEAMS: lambda: teams_structure(content),
        Channel.CHATBOT: lambda: chatbot_structure(notification_in(content)),
    }
    reader = readers.get(delivery.channel)
    return reader() if reader else []


def notification_in(content: Any) -> Any:
    """Take the custom notification out of what is published for the chat applications."""
    return json.loads(json.loads(content["message"])["default"])


def _publish(delivery: Delivery) -> dict[str, Any]:
    content: Any = delivery.content
    return {
        "TopicArn": delivery.target,
        "Subject": content["subject"],
        "Message": content["message"],
        "MessageStructure": "json",
        "MessageAttributes": content["attributes"],
    }
