from datetime import date

import pytest

from accepted_risks.risks import AcceptedRisk
from notify_scan.scan_details import LONGEST_NAME, RETRIES, with_details
from registry import errors
from registry.images import LastScan
from reporting.reports import AcceptedFinding, ScanReport, ScanType
from tests.support.reports import DIGEST, FakeScans, any_finding, any_scan_report

FAILED = any_scan_report(status="FAILED", severities={})


def detailed(
    report: ScanReport, scans: FakeScans, *, findings: bool = True, attempt: int = 0
) -> ScanReport:
    return with_details(report, scans.as_registry, findings=findings, attempt=attempt)


def test_names_the_five_worst_findings() -> None:
    scans = FakeScans([any_finding(f"CVE-{n}", "LOW", score=n / 10) for n in range(50)])
    report = detailed(any_scan_report(), scans)
    assert [finding.name for finding in report.worst_findings] == [
        f"CVE-{n}" for n in (49, 48, 47, 46, 45)
    ]
    assert scans.asked == [("findings", "team/api", DIGEST)]


def test_cuts_what_no_message_has_room_for() -> None:
    long = "x" * 1_000
    scans = FakeScans([any_finding(long, package=long, version="\ud800", uri="https://" + long)])
    (finding,) = detailed(any_scan_report(), scans).worst_findings
    assert len(finding.name) == len(finding.package) == LONGEST_NAME
    assert (finding.version, finding.uri) == ("\N{REPLACEMENT CHARACTER}", "")


def test_keeps_the_address_of_a_finding() -> None:
    scans = FakeScans([any_finding(uri="https://nvd.example/1")])
    (finding,) = detailed(any_scan_report(), scans).worst_findings
    assert finding.uri == "https://nvd.example/1"


@pytest.mark.parametrize(
    ("last_scan", "reason"),
    [
        (LastScan(status="FAILED", description="The image is corrupt."), "The image is corrupt."),
        (LastScan(status="FAILED"), "ECR states none"),
        (None, "ECR states none"),
        (LastScan(status="FAILED", description="word " * 200), "word " * 98 + "word…"),
    ],
)
def test_gives_the_reason_of_a_failure(last_scan: LastScan | None, reason: str) -> None:
    scans = FakeScans(last_scan=last_scan)
    assert detailed(FAILED, scans, findings=False).failure == reason
    assert scans.asked == [("last scan", "team/api", DIGEST)]


@pytest.mark.parametrize(
    ("report", "findings"),
    [
        (any_scan_report(), False),
        (any_scan_report(scan_type=ScanType.ENHANCED), True),
        (any_scan_report(scan_type=ScanType.ENHANCED, status="FAILED"), True),
    ],
)
def test_asks_for_nothing_that_is_not_wanted_or_not_there(
    report: ScanReport, findings: bool
) -> None:
    scans = FakeScans()
    assert detailed(report, scans, findings=findings) == report
    assert scans.asked == []


@pytest.mark.parametrize(
    ("status", "wanted"), [("COMPLETE", "Worst findings are"), ("FAILED", "The failure reason is")]
)
def test_says_that_without_a_digest_nothing_can_be_asked(status: str, wanted: str) -> None:
    scans = FakeScans()
    report = detailed(any_scan_report(status=status, image_digest=None, remarks=("first",)), scans)
    remark = f"{wanted} not available: the event has no image digest."
    assert report.remarks == ("first", remark)
    assert scans.asked == []


@pytest.mark.parametrize(
    ("status", "wanted"), [("COMPLETE", "Worst findings are"), ("FAILED", "The failure reason is")]
)
def test_asks_no_registry_but_our_own(status: str, wanted: str) -> None:
    scans = FakeScans()
    report = detailed(any_scan_report(status=status, is_elsewhere=True), scans)
    assert report.remarks == (
        f"{wanted} not available: the registry is in another account or Region.",
    )
    assert scans.asked == []


@pytest.mark.parametrize("fault", [errors.EcrThrottled, errors.EcrUnavailable])
@pytest.mark.parametrize("report", [any_scan_report(), FAILED])
def test_leaves_a_passing_fault_to_the_state_machine_until_its_last_retry(
    report: ScanReport, fault: type[Exception]
) -> None:
    scans = FakeScans(fault("any"), fault("any"))
    for attempt in range(RETRIES):
        with pytest.raises(fault):
            detailed(report, scans, attempt=attempt)
    (remark,) = detailed(report, scans, attempt=RETRIES).remarks
    assert remark.endswith(f"not available: reading from ECR failed ({fault.__name__}).")


@pytest.mark.parametrize(
    "fault", [errors.AccessDenied, errors.ImageNotFound, errors.ScanNotFound, KeyError]
)
def test_goes_on_without_details_whatever_else_goes_wrong(fault: type[Exception]) -> None:
    name = fault.__name__
    report = detailed(any_scan_report(), FakeScans(fault("any")))
    assert report.remarks == (
        f"Worst findings are not available: reading from ECR failed ({name}).",
    )
    report = detailed(FAILED, FakeScans(last_scan=fault("any")))
    assert report.remarks == (
        f"The failure reason is not available: reading from ECR failed ({name}).",
    )


RISK = AcceptedRisk("CVE-1", "Not reachable.", date(2027, 3, 31), "jane")


def test_takes_accepted_findings_off_the_counts() -> None:
    scans = FakeScans([any_finding("CVE-1"), any_finding("CVE-1", package="zlib"), any_finding()])
    report = with_details(
        any_scan_report(severities={"CRITICAL": 1, "HIGH": 3}),
        scans.as_registry,
        findings=True,
        attempt=0,
        risks={"CVE-1": RISK},
    )
    assert report.severities == {"CRITICAL": 1, "HIGH": 1}
    assert report.accepted == {"HIGH": 2}
    assert (
        report.accepted_findings
        == (AcceptedFinding("CVE-1", "HIGH", until="2027-03-31", accepted_by="jane"),) * 2
    )
    assert [finding.name for finding in report.worst_findings] == ["CVE-2026-1"]
