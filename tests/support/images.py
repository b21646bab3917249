"""One image after another, scanned day by day by the real composer, with the ledger in memory."""

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from accepted_risks.risks import AcceptedRisks
from ledger.changes import LISTS
from ledger.digest_entries import DigestChange
from ledger.platforms import Child
from notify_scan.notification import Notification
from notify_scan.scan_details import RETRIES
from registry.errors import EcrThrottled
from registry.findings import Finding, ScanFindings
from registry.images import LastScan
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ChannelsInUse, ImmediateFrom
from reporting.reports import ScanReport, ScanType
from reporting.thresholds import Thresholds
from tests.support.clock import NOW
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    DEFAULT_THRESHOLDS,
    FakeScans,
    any_composer,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)

SEVERITIES = {"C": "CRITICAL", "H": "HIGH", "M": "MEDIUM", "L": "LOW", "U": "UNDEFINED"}
SHIPPED = ChannelsInUse(
    {Channel.SLACK: None, Channel.WEBHOOK: None, Channel.PAGERDUTY: None},
    digest_channels=frozenset({Channel.SLACK}),
    immediate_from=ImmediateFrom.CRITICAL,
)


@dataclass(frozen=True)
class Scan:
    """A scan that has found some findings, each as vulnerability/package/severity.

    limits: thresholds other than 0. counted: by the event, if it is not what ECR lists.
    counts: instead of names, which ECR does not list then.
    """

    findings: tuple[str, ...] = ()
    limits: dict[str, int | None] = field(default_factory=dict)
    accepted: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()
    related: dict[str, tuple[str, ...]] = field(default_factory=dict)
    version: str = "1.0"
    counts: dict[str, int] | None = None
    counted: dict[str, int] | None = None
    status: str = "COMPLETE"
    listed_status: str = "COMPLETE"
    scan_type: ScanType = ScanType.BASIC
    is_whole: bool = True
    reason: str = ""
    image: int = 1
    tags: tuple[str, ...] = ("v1",)
    tagged_days_ago: float | None = None
    days: float = 1

    @property
    def listed(self) -> tuple[Finding, ...]:
        """Return the findings as ECR lists them."""
        return tuple(
            Finding(
                name=name,
                severity=SEVERITIES[severity],
                package=package,
                version=self.version,
                related=self.related.get(name, ()),
                is_suppressed=name in self.suppressed,
            )
            for name, package, severity in (each.split("/") for each in self.findings)
        )

    @property
    def severities(self) -> dict[str, int]:
        """Count the findings as the event does, which knows nothing of what is accepted."""
        if (counts := self.counted or self.counts) is not None:
            return counts
        names = [finding.severity for finding in self.listed]
        return {name: names.count(name) for name in sorted(set(names))}


def scan(*findings: str, **given: Any) -> Scan:
    """Make a scan."""
    return Scan(findings, **given)


class Images:
    """The images of one repository, and what is sent about them."""

    def __init__(self, channels: ChannelsInUse = SHIPPED, **policy: Any) -> None:
        self.ledger = LedgerInMemory()
        self.now = NOW
        self.asked = 0
        self._channels = channels
        self._policy = policy
        self._events = 0
        self._scans: dict[str, tuple[Scan, ScanReport]] = {}

    def scan(self, scanned: Scan) -> Notification:
        """Let a scan end, some days after the one before."""
        self.now += timedelta(days=scanned.days)
        self._events += 1
        event = f"event-{self._events}"
        report = any_scan_report(
            status=scanned.status,
            severities=scanned.severities if scanned.status != "FAILED" else {},
            scan_type=scanned.scan_type,
            scanned_at=self.now,
            image_digest=f"sha256:{scanned.image:064x}",
            tags=scanned.tags,
            tagged_at=None
            if scanned.tagged_days_ago is None
            else self.now - timedelta(days=scanned.tagged_days_ago),
        )
        self._scans[event] = scanned, report
        return self.send(event)

    def send(self, event: str, attempt: int = 0) -> Notification:
        """Deliver the event of a scan, perhaps once more."""
        scanned, report = self._scans[event]
        interpreted = self.ledger.record_scan(interpreted_of(report, event))
        scans = self._registry(scanned)
        is_missing = scanned.counts is not None and scanned.is_whole
        composer = any_composer(
            policy=any_notification_policy(
                thresholds=Thresholds({**DEFAULT_THRESHOLDS, **scanned.limits}), **self._policy
            ),
            risks=accepting(*scanned.accepted),
            channels=self._channels,
            registry=scans.as_registry,
            ledger=self.ledger.as_ledger,
            now=self.now,
            attempt=RETRIES if is_missing else attempt,
        )
        try:
            return composer.compose(interpreted)
        finally:
            self.asked += len(scans.asked)

    def child(self, image: int, platform: str, *tags: str) -> None:
        """Let an image be one of an index with some tags."""
        digest = f"sha256:{image:064x}"
        self.ledger.children["team/api", digest] = Child(digest, platform, tags)

    @property
    def last_event(self) -> str:
        """Return the event of the newest scan."""
        return f"event-{self._events}"

    def change_of(self, event: str) -> DigestChange | None:
        """Return what is in the digest about an event."""
        found = [each for each in self.ledger.digest if each.image.event_id == event]
        return found[0] if found else None

    def _registry(self, scanned: Scan) -> FakeScans:
        if scanned.status == "FAILED":
            return FakeScans(last_scan=LastScan("FAILED", None, scanned.reason))
        if scanned.counts is not None and scanned.is_whole:
            return FakeScans(EcrThrottled("Rate exceeded"))
        return FakeScans(
            ScanFindings(scanned.listed_status, scanned.scan_type, scanned.listed, scanned.is_whole)
        )


def accepting(*names: str) -> AcceptedRisks:
    """Accept some vulnerabilities in every repository."""
    risks = [
        {
            "vulnerability": name,
            "reason": "any",
            "expires": (NOW + timedelta(days=3_000)).date().isoformat(),
            "accepted_by": "jane",
        }
        for name in names
    ]
    return AcceptedRisks.read(json.dumps({"accepted_risks": risks}))


def named(change: DigestChange | None) -> dict[str, set[str]]:
    """Return the vulnerabilities in each list of a change that names any."""
    if change is None or change.by_name is None:
        return {}
    lists = {name: {each.name for each in getattr(change.by_name, name)} for name in LISTS}
    return {name: names for name, names in lists.items() if names}


def incidents(notification: Notification) -> list[tuple[str, str]]:
    """Return what is sent to PagerDuty: the action and the key of the incident."""
    contents: list[Any] = [
        each.content for each in notification.deliveries if each.channel is Channel.PAGERDUTY
    ]
    return [(content["event_action"], content["dedup_key"]) for content in contents]


def at(scanned: Scan, **given: Any) -> Scan:
    """Change a scan."""
    return replace(scanned, **given)
