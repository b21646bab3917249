"""Add what only ECR knows of a scan: why it failed, or what it found by name."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from accepted_risks.risks import AcceptedRisk
from registry.ecr import MOST_FINDINGS, EcrRegistry
from registry.errors import EcrThrottled, EcrUnavailable
from registry.findings import SEVERITIES, Finding, FindingKey, ScanFindings, worst
from registry.images import LastScan, unsupported_status
from reporting.reports import AcceptedFinding, ScanReport, ScanType
from reporting.text import sendable, trimmed

MOST_SHOWN = 5  # findings
LONGEST_REASON = 500  # characters
LONGEST_NAME = 200  # characters, of a finding or a package
LONGEST_URI = 500  # characters
SUPPRESSED_BY = "a suppression rule of Amazon Inspector"
NO_RISKS: Mapping[str, AcceptedRisk] = MappingProxyType({})
RETRIES = 6  # of ComposeNotification, when ECR throttles

_LISTED = frozenset({"COMPLETE", "ACTIVE"})  # the list says what the scan has found
_UNNAMED = "The findings are not named, because "
_ASKED_AGAIN = "The next run asks ECR again."


@dataclass(frozen=True)
class CompletedScan:
    """A scan with what ECR says of it beyond the event.

    counted: the report of the event alone.
    report: its counts are those of the list, where there is one, without what is accepted.
    findings: by vulnerability and package; absent where only their numbers are known.
    accepted: those that an operator has accepted, or that Amazon Inspector suppresses.
    is_missing: ECR did not answer, so that the names are asked for again with the next run.
    """

    counted: ScanReport
    report: ScanReport
    findings: Mapping[FindingKey, Finding] | None = None
    accepted: frozenset[FindingKey] = frozenset()
    is_missing: bool = False


@dataclass(frozen=True)
class EcrAnswer:
    """What ECR has answered for an image. listed: absent where findings were not asked for."""

    scan: LastScan
    listed: ScanFindings | None = None


def completed(
    report: ScanReport,
    registry: EcrRegistry,
    *,
    by_name: bool,
    attempt: int,
    risks: Mapping[str, AcceptedRisk] = NO_RISKS,
    answer: EcrAnswer | None = None,
) -> CompletedScan:
    """Return the scan with what ECR knows of it, or with a remark why that is missing.

    by_name: whether findings are asked for. risks: what is accepted in this repository.
    answer: what ECR has said of the scan already. ECR is not asked about a scan that found nothing.

    Raises EcrThrottled or EcrUnavailable while there are retries left. After that, and for any
    other error, a message without names is better than none.
    """
    if report.is_failed:
        return CompletedScan(report, _with_reason(report, registry, attempt, answer))
    if not report.is_complete:
        return CompletedScan(report, report)
    if not report.other and not any(report.severities.values()):
        return CompletedScan(report, report, findings={})
    if not by_name:
        return CompletedScan(report, report)
    if report.is_elsewhere or not report.image_digest:
        what = "the registry is in another account or Region." if report.is_elsewhere else ""
        return _by_number(report, what or "the event has no image digest.")
    try:
        known = answer.listed if answer else None
        listed = known or registry.findings(report.repository, report.image_digest)
    except Exception as error:
        if is_retried(error, attempt):
            raise
        why = f"ECR did not list them ({type(error).__name__}). {_ASKED_AGAIN}"
        return replace(_by_number(report, why), is_missing=True)
    return _listed(report, listed, risks)


def _listed(
    report: ScanReport, listed: ScanFindings, risks: Mapping[str, AcceptedRisk]
) -> CompletedScan:
    if listed.status not in _LISTED:
        status = _text(listed.status or "none")
        why = f"ECR's list is not of a completed scan (status {status}). {_ASKED_AGAIN}"
        return replace(_by_number(report, why), is_missing=True)
    if not listed.is_whole:
        return _by_number(report, f"the image has more than {MOST_FINDINGS:,}.")
    findings = {finding.key: finding for finding in map(_cut, listed.findings)}
    accepted = {
        key: finding
        for key, finding in findings.items()
        if finding.name in risks or finding.is_suppressed
    }
    standing = [finding for key, finding in findings.items() if key not in accepted]
    shown = [_accepted(each, risks) for each in worst(accepted.values(), MOST_SHOWN)]
    return CompletedScan(
        report,
        replace(
            report,
            scan_type=ScanType(listed.scan_type),
            severities=_counted(standing),
            other=0,
            accepted=_counted(accepted.values()),
            accepted_findings=tuple(shown),
            worst_findings=worst(standing, MOST_SHOWN),
        ),
        findings,
        frozenset(accepted),
    )


def _with_reason(
    report: ScanReport, registry: EcrRegistry, attempt: int, answer: EcrAnswer | None
) -> ScanReport:
    missing = "The failure reason is not available:"
    if report.scan_type is not ScanType.BASIC:
        return report
    if report.is_elsewhere:
        return _remarked(report, f"{missing} the registry is in another account or Region.")
    if not report.image_digest:
        return _remarked(report, f"{missing} the event has no image digest.")
    try:
        known = answer.scan if answer else None
        scan = known or registry.last_scan(report.repository, report.image_digest)
    except Exception as error:
        if is_retried(error, attempt):
            raise
        name = type(error).__name__
        return _remarked(report, f"{missing} reading from ECR failed ({name}).")
    description = scan.description if scan else ""
    return replace(
        report,
        status=(unsupported_status(scan) if scan else None) or report.status,
        failure=_text(description or "ECR states none", LONGEST_REASON),
    )


def is_retried(error: Exception, attempt: int) -> bool:
    """Return whether the state machine repeats the call, because ECR may answer by then."""
    return isinstance(error, EcrThrottled | EcrUnavailable) and attempt < RETRIES


def _counted(findings: Iterable[Finding]) -> dict[str, int]:
    """Count findings by severity, the worst first, as ECR names the severities."""
    counts = Counter(finding.severity for finding in findings)
    others = sorted(name for name in counts if name not in SEVERITIES)
    return {name: counts[name] for name in (*SEVERITIES, *others) if counts[name]}


def _cut(finding: Finding) -> Finding:
    """Return the finding with each text truncated; nothing that ECR returns is that long."""
    return replace(
        finding,
        name=_text(finding.name),
        severity=_text(finding.severity),
        package=_text(finding.package),
        version=_text(finding.version),
        fixed_in=_text(finding.fixed_in),
        related=tuple(map(_text, finding.related)),
        uri=sendable(finding.uri) if len(finding.uri) <= LONGEST_URI else "",
    )


def _accepted(finding: Finding, risks: Mapping[str, AcceptedRisk]) -> AcceptedFinding:
    risk = risks.get(finding.name)
    return AcceptedFinding(
        name=finding.name,
        severity=finding.severity,
        until=risk.expires.isoformat() if risk else "",
        accepted_by=_text(risk.accepted_by) if risk else SUPPRESSED_BY,
    )


def _text(text: str, most: int = LONGEST_NAME) -> str:
    return trimmed(sendable(text), most)


def _by_number(report: ScanReport, why: str) -> CompletedScan:
    return CompletedScan(report, _remarked(report, _UNNAMED + why))


def _remarked(report: ScanReport, remark: str) -> ScanReport:
    return replace(report, remarks=(*report.remarks, remark))
