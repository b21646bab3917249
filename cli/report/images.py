"""One image of the report: what the listing, the ledger and the newest run know of it, together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from accepted_risks.risks import AcceptedRisk
from cli.report.document import (
    Acceptance,
    Freshness,
    Notified,
    ReportedFinding,
    ReportedImage,
)
from cli.report.listing import ListedImage
from cli.report.named_findings import NamedFindings, of_last_scan
from cli.run_files import ImageLine
from ledger.image_records import ImageRecord
from ledger.known_findings import KnownFinding
from ledger.notified_images import NotifiedImage, first_notified
from ledger.platforms import Child
from registry.findings import FindingKey, severity_rank
from reporting.reports import COMPLETE
from reporting.thresholds import OTHER
from rescan_registry.last_scans import scan_dates
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.policy import RescanPolicy
from rescan_registry.staleness import UNSUPPORTED, is_overdue, newest, why_refused_before

BASIC, ENHANCED = "BASIC", "ENHANCED"
NOT_MONITORED = "NOT_MONITORED"  # an outcome of the report alone: no run evaluates such images
_NO_LONGER = "Amazon Inspector no longer monitors the image"
_SUPPRESSED_BY = "Amazon Inspector"
_SUPPRESSED = "suppressed by a rule"
_CANNOT_BE_SCANNED = frozenset({Outcome.UNSCANNABLE, Outcome.ARCHIVED})


@dataclass(frozen=True)
class Rules:
    """By what images are judged.

    scan_type: of the registry. accepted: by repository and vulnerability.
    lowest: the lowest severity whose findings are listed.
    only: a vulnerability that alone is listed, at any severity, in lower case.
    has_names: whether scans are read by name: IncludeFindings of the stack.
    """

    policy: RescanPolicy
    scan_type: str
    accepted: Mapping[str, Mapping[str, AcceptedRisk]]
    now: datetime
    lowest: str
    only: str = ""
    has_names: bool = True

    def accepts(self, repository: str, name: str, finding: KnownFinding, scan_type: str) -> bool:
        """Return whether a finding is accepted now.

        What was accepted when the image was scanned, and is in no entry, is suppressed by a rule of
        Amazon Inspector, or its entry has ended; basic scanning has no such rules.
        """
        is_suppressed = finding.is_accepted and scan_type == ENHANCED
        return name in self.accepted.get(repository, ()) or is_suppressed

    def lists(self, name: str, severity: str) -> bool:
        """Return whether a finding is listed, and not only counted."""
        if self.only:
            return name.casefold() == self.only
        return severity_rank(severity) <= severity_rank(self.lowest)


@dataclass(frozen=True)
class Known:
    """What the ledger knows of one image, and the line of a run about it.

    origins: what was delivered about the other images of the repository, by digest.
    """

    record: ImageRecord
    findings: NamedFindings | None = None
    child: Child | None = None
    notified: NotifiedImage | None = None
    line: ImageLine | None = None
    origins: Mapping[str, NotifiedImage] = field(default_factory=dict)


def reported_image(listed: ListedImage, known: Known, rules: Rules) -> ReportedImage:
    """Return an image as the report has it."""
    image, line = listed.image, known.line
    record = known.record.without_future(rules.now)
    scanned_at = newest(
        record.last_scan.scanned_at if record.last_scan else None,
        image.last_scan.completed_at if image.last_scan else None,
        line.last_scan_at if line else None,
    )
    not_scanned = _why_not_scanned(listed, record, rules)
    at = scanned_at or image.pushed_at
    named = of_last_scan(known.findings, record) if rules.has_names else None
    counts, accepted = _counts(listed.repository, named, known, rules)
    return ReportedImage(
        repository=listed.repository,
        image_digest=image.digest,
        freshness=(
            Freshness.NONE if not_scanned else freshness(record, scanned_at, image.pushed_at, rules)
        ),
        tags=image.tags or (known.child.tags if known.child else ()),
        platform=known.child.platform if known.child else None,
        pushed_at=image.pushed_at,
        pulled_at=image.pulled_at,
        scanned_at=scanned_at,
        age_hours=round((rules.now - at).total_seconds() / 3_600, 1) if at else None,
        scan_type=record.last_scan.scan_type if record.last_scan else None,
        status=record.last_scan.status if record.last_scan else None,
        outcome=not_scanned[0] if not_scanned else line.outcome if line else None,
        reason=not_scanned[1] if not_scanned else line.reason if line else None,
        counts=counts,
        accepted_counts=accepted,
        is_named=named is not None or not counts,
        findings=tuple(_findings(listed.repository, named, known, rules)) if named else (),
        notified=_notified(known.notified),
        has_incident=bool(record.baseline and record.baseline.incident),
    )


def freshness(
    record: ImageRecord, scanned_at: datetime | None, pushed_at: datetime | None, rules: Rules
) -> Freshness:
    """Return how fresh the last scan of an image is that can be scanned.

    Amazon Inspector scans the images that it monitors again by itself, as soon as it learns of a
    vulnerability: the scan of such an image is not older than what is known.
    """
    if rules.scan_type == ENHANCED:
        is_scanned = record.last_scan is not None and record.last_scan.scan_type == ENHANCED
        return Freshness.INSIDE if is_scanned else Freshness.WAITING
    if is_overdue(scanned_at or pushed_at, rules.policy, rules.now):
        return Freshness.OVERDUE
    if scanned_at is None:
        return Freshness.WAITING
    is_inside = rules.now - scanned_at <= rules.policy.rescan_after
    return Freshness.INSIDE if is_inside else Freshness.DUE


def by_severity(counts: Mapping[str, int]) -> dict[str, int]:
    """Sort findings by severity, the worst first, without severities that have none."""
    ranked = sorted(counts, key=lambda severity: (severity_rank(severity), severity))
    return {severity: counts[severity] for severity in ranked if counts[severity]}


def _why_not_scanned(
    listed: ListedImage, record: ImageRecord, rules: Rules
) -> tuple[str, str] | None:
    """Return outcome and reason of an image that is in no share of scans; None of all others."""
    decision = listed.decision
    if rules.scan_type == ENHANCED:
        # The parameters of the stack do not select what Amazon Inspector scans.
        if decision and decision.outcome in _CANNOT_BE_SCANNED:
            return decision.outcome, decision.reason
        is_monitored = record.baseline is None or record.baseline.image_state.is_monitored
        return None if is_monitored else (NOT_MONITORED, _NO_LONGER)
    scan = record.last_scan
    if decision is None and scan and scan.status in UNSUPPORTED:
        decision = Decision(Outcome.UNSUPPORTED, UNSUPPORTED[scan.status])
    if decision is None:
        decision = why_refused_before(scan_dates(listed.image, record), rules.policy, rules.now)
    return (decision.outcome, decision.reason) if decision else None


def _counts(
    repository: str, named: NamedFindings | None, known: Known, rules: Rules
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the findings of the last scan that completed, and those that are accepted."""
    if named:
        accepted = Counter(
            finding.severity
            for (name, _), finding in named.kept.items()
            if rules.accepts(repository, name, finding, named.scan_type)
        )
        return by_severity(named.counts), by_severity(accepted)
    scan, baseline = known.record.last_scan, known.record.baseline
    if scan and scan.status in COMPLETE:
        return by_severity(Counter(scan.severities) + Counter({OTHER: scan.other})), {}
    if baseline:
        return by_severity(baseline.image_state.counts), {}
    return by_severity(known.line.severities if known.line else {}), {}


def _findings(
    repository: str, named: NamedFindings, known: Known, rules: Rules
) -> Iterable[ReportedFinding]:
    risks = rules.accepted.get(repository, {})
    # Most findings of an image came together, and share what was delivered since.
    shared: dict[tuple[object, ...], tuple[dict[str, datetime], frozenset[str]]] = {}
    for (name, package), finding in sorted(named.kept.items(), key=_worst_first):
        if not rules.lists(name, finding.severity):
            continue
        came = finding.revision, finding.origin, finding.first_seen
        if came not in shared:
            shared[came] = _deliveries(finding, known)
        notified, notified_before = shared[came]
        is_accepted = rules.accepts(repository, name, finding, named.scan_type)
        yield ReportedFinding(
            name=name,
            package=package,
            version=named.versions.get((name, package), ""),
            severity=finding.severity,
            first_seen=finding.first_seen,
            is_seen_later=finding.first_seen <= named.since,
            accepted=_acceptance(risks.get(name)) if is_accepted else None,
            notified=notified,
            notified_before=notified_before,
        )


def _deliveries(finding: KnownFinding, known: Known) -> tuple[dict[str, datetime], frozenset[str]]:
    """Return when each channel was first notified, and those that may have been earlier."""
    found = first_notified(finding, known.notified, known.origins.get(finding.origin))
    return (
        {channel: first.delivery.delivered_at for channel, first in found.items()},
        frozenset(channel for channel, first in found.items() if not first.is_exact),
    )


def _acceptance(risk: AcceptedRisk | None) -> Acceptance:
    if risk is None:
        return Acceptance(None, _SUPPRESSED_BY, _SUPPRESSED)
    return Acceptance(risk.expires, risk.accepted_by, risk.reason)


def _notified(image: NotifiedImage | None) -> dict[str, Notified]:
    return {
        channel: Notified(
            each.first.delivered_at,
            max(delivery.delivered_at for delivery in (each.first, *each.recent)),
        )
        for channel, each in (image.channels.items() if image else ())
    }


def _worst_first(found: tuple[FindingKey, KnownFinding]) -> tuple[int, object, FindingKey]:
    key, finding = found
    return severity_rank(finding.severity), finding.first_seen, key
