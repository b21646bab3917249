"""Add what only ECR knows of a scan: why it failed, and the worst findings."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from accepted_risks.risks import AcceptedRisk, apply
from registry.ecr import EcrRegistry
from registry.errors import EcrThrottled, EcrUnavailable
from registry.findings import Finding, worst
from registry.images import unsupported_status
from reporting.reports import AcceptedFinding, ScanReport, ScanType
from reporting.text import sendable, trimmed

MOST_FINDINGS = 5
LONGEST_REASON = 500  # characters
LONGEST_NAME = 200  # characters, of a finding or a package
LONGEST_URI = 500  # characters
NO_RISKS: Mapping[str, AcceptedRisk] = MappingProxyType({})
RETRIES = 4  # of ComposeNotification, when ECR throttles


def with_details(
    report: ScanReport,
    registry: EcrRegistry,
    *,
    findings: bool,
    attempt: int,
    risks: Mapping[str, AcceptedRisk] = NO_RISKS,
) -> ScanReport:
    """Return the report with what ECR knows beyond the event, or with a remark why that is missing.

    risks: what is accepted in this repository; such findings are subtracted from the counts.

    Raises EcrThrottled or EcrUnavailable while there are retries left. After that, and for any
    other error, a message without details is better than none.
    """
    if report.scan_type is not ScanType.BASIC or (report.is_complete and not findings):
        return report
    missing = "Worst findings are" if report.is_complete else "The failure reason is"
    missing += " not available:"
    if report.is_elsewhere:
        return _without(report, f"{missing} the registry is in another account or Region.")
    if not report.image_digest:
        return _without(report, f"{missing} the event has no image digest.")
    try:
        if report.is_complete:
            listed = registry.findings(report.repository, report.image_digest)
            found = apply(listed.findings, risks)
            return replace(
                report,
                severities=found.taken_off(report.severities),
                accepted=found.counts,
                accepted_findings=tuple(
                    _accepted(finding, risks[finding.name])
                    for finding in worst(found.accepted, MOST_FINDINGS)
                ),
                worst_findings=tuple(map(_cut, worst(found.standing, MOST_FINDINGS))),
            )
        scan = registry.last_scan(report.repository, report.image_digest)
        description = scan.description if scan else ""
        return replace(
            report,
            status=(unsupported_status(scan) if scan else None) or report.status,
            failure=_text(description or "ECR states none", LONGEST_REASON),
        )
    except Exception as error:
        if isinstance(error, EcrThrottled | EcrUnavailable) and attempt < RETRIES:
            raise
        name = type(error).__name__
        return _without(report, f"{missing} reading from ECR failed ({name}).")


def _cut(finding: Finding) -> Finding:
    """Return the finding with each text truncated; nothing that ECR returns is that long."""
    return replace(
        finding,
        name=_text(finding.name),
        severity=_text(finding.severity),
        package=_text(finding.package),
        version=_text(finding.version),
        uri=sendable(finding.uri) if len(finding.uri) <= LONGEST_URI else "",
    )


def _accepted(finding: Finding, risk: AcceptedRisk) -> AcceptedFinding:
    return AcceptedFinding(
        name=_text(finding.name),
        severity=_text(finding.severity),
        until=risk.expires.isoformat(),
        accepted_by=_text(risk.accepted_by),
    )


def _text(text: str, most: int = LONGEST_NAME) -> str:
    return trimmed(sendable(text), most)


def _without(report: ScanReport, remark: str) -> ScanReport:
    return replace(report, remarks=(*report.remarks, remark))
