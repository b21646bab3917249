from datetime import date
from typing import Any

import pytest

from accepted_risks.risks import AcceptedRisk
from notify_scan.scan_details import (
    LONGEST_NAME,
    LONGEST_URI,
    RETRIES,
    SUPPRESSED_BY,
    CompletedScan,
    completed,
)
from registry import errors
from registry.findings import ScanFindings
from registry.images import LastScan
from reporting.reports import AcceptedFinding, ScanReport, ScanType
from tests.support.definition import states
from tests.support.reports import DIGEST, FakeScans, any_finding, any_scan_report

FAILED = any_scan_report(status="FAILED", severities={})
UNNAMED = "The findings are not named, because "
RISK = AcceptedRisk("CVE-1", "Not reachable.", date(2027, 3, 31), "jane")


def completed_by(
    scans: FakeScans, report: ScanReport | None = None, *, by_name: bool = True, **given: Any
) -> CompletedScan:
    return completed(
        report or any_scan_report(),
        scans.as_registry,
        by_name=by_name,
        **{"attempt": 0, **given},
    )


# What a completed scan has found


def test_names_the_five_worst_findings() -> None:
    scans = FakeScans([any_finding(f"CVE-{n}", "LOW", score=n / 10) for n in range(50)])
    scan = completed_by(scans)
    assert [finding.name for finding in scan.report.worst_findings] == [
        f"CVE-{n}" for n in (49, 48, 47, 46, 45)
    ]
    assert scan.findings is not None
    assert scan.findings.keys() == {(f"CVE-{n}", "") for n in range(50)}
    assert scans.asked == [("findings", "team/api", DIGEST)]


def test_counts_what_the_list_has_and_not_what_the_event_says() -> None:
    """The list may be of a newer scan than the event, which then finds nothing new."""
    report = any_scan_report(severities={"CRITICAL": 7}, other=3)
    names = ("HIGH", "ZETA", "CRITICAL", "HIGH", "ALPHA")
    scans = FakeScans([any_finding(f"CVE-{n}", name) for n, name in enumerate(names)])
    scan = completed_by(scans, report)
    assert list(scan.report.severities.items()) == [
        ("CRITICAL", 1),
        ("HIGH", 2),
        ("ALPHA", 1),
        ("ZETA", 1),
    ]
    assert scan.report.other == 0
    assert (scan.counted, scan.is_missing) == (report, False)


def test_takes_the_scan_type_from_the_list() -> None:
    listed = ScanFindings("ACTIVE", "ENHANCED", (any_finding(),))
    assert completed_by(FakeScans(listed)).report.scan_type is ScanType.ENHANCED


def test_cuts_what_no_message_has_room_for() -> None:
    long = "x" * 1_000
    finding = any_finding(
        long,
        package=long,
        version="\ud800",
        fixed_in=long,
        related=(long, "CVE-9"),
        uri="https://" + long,
    )
    (cut,) = completed_by(FakeScans([finding])).report.worst_findings
    assert len(cut.name) == len(cut.package) == len(cut.fixed_in) == LONGEST_NAME
    assert (cut.version, cut.uri) == ("\N{REPLACEMENT CHARACTER}", "")
    assert [len(each) for each in cut.related] == [LONGEST_NAME, 5]


@pytest.mark.parametrize("length", [20, LONGEST_URI])
def test_keeps_the_address_of_a_finding(length: int) -> None:
    uri = "https://nvd.example/".ljust(length, "1")
    (finding,) = completed_by(FakeScans([any_finding(uri=uri)])).report.worst_findings
    assert finding.uri == uri


def test_takes_accepted_findings_off_the_counts() -> None:
    scans = FakeScans([any_finding("CVE-1"), any_finding("CVE-1", package="zlib"), any_finding()])
    scan = completed_by(scans, risks={"CVE-1": RISK})
    assert scan.report.severities == {"HIGH": 1}
    assert scan.report.accepted == {"HIGH": 2}
    assert (
        scan.report.accepted_findings
        == (AcceptedFinding("CVE-1", "HIGH", until="2027-03-31", accepted_by="jane"),) * 2
    )
    assert [finding.name for finding in scan.report.worst_findings] == ["CVE-2026-1"]
    assert scan.accepted == {("CVE-1", ""), ("CVE-1", "zlib")}


def test_takes_suppressed_findings_off_the_counts() -> None:
    suppressed = any_finding("CVE-1", "CRITICAL", is_suppressed=True)
    listed = ScanFindings("ACTIVE", "ENHANCED", (suppressed, any_finding()))
    scan = completed_by(FakeScans(listed))
    assert (scan.report.severities, scan.report.accepted) == ({"HIGH": 1}, {"CRITICAL": 1})
    assert scan.accepted == {("CVE-1", "")}
    assert scan.report.accepted_findings == (
        AcceptedFinding("CVE-1", "CRITICAL", until="", accepted_by=SUPPRESSED_BY),
    )


def test_shows_the_worst_few_of_what_is_accepted() -> None:
    scans = FakeScans([any_finding("CVE-1", package=f"p{n}", score=n) for n in range(9)])
    scan = completed_by(scans, risks={"CVE-1": RISK})
    assert len(scan.report.accepted_findings) == 5
    assert (scan.report.accepted, scan.report.worst_findings) == ({"HIGH": 9}, ())


def test_a_scan_without_findings_needs_no_list() -> None:
    report = any_scan_report(severities={"CRITICAL": 0})
    scans = FakeScans()
    assert completed_by(scans, report) == CompletedScan(report, report, findings={})
    assert completed_by(scans, report, by_name=False).findings == {}
    assert scans.asked == []


@pytest.mark.parametrize("severities", [{}, {"HIGH": 0}])
def test_a_scan_that_counts_something_in_its_total_alone_is_asked_about(
    severities: dict[str, int],
) -> None:
    scans = FakeScans([any_finding("CVE-1", "LOW")])
    report = any_scan_report(severities=severities, other=1, scan_type=ScanType.ENHANCED)
    assert completed_by(scans, report).report.severities == {"LOW": 1}


# What is compared by number


def test_asks_for_no_names_that_are_not_wanted() -> None:
    scans, report = FakeScans(), any_scan_report()
    assert completed_by(scans, report, by_name=False) == CompletedScan(report, report)
    assert scans.asked == []


@pytest.mark.parametrize("status", ["IN_PROGRESS", "SCAN_ELIGIBILITY_EXPIRED", ""])
def test_a_list_of_another_scan_says_nothing_of_this_one(status: str) -> None:
    scan = completed_by(FakeScans(ScanFindings(status, findings=(any_finding(),))))
    named = status or "none"
    why = f"ECR's list is not of a completed scan (status {named}). The next run asks ECR again."
    assert scan.report == any_scan_report(remarks=(UNNAMED + why,))
    assert (scan.findings, scan.is_missing) == (None, True)


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
def test_a_list_of_a_completed_scan_is_read(status: str) -> None:
    scan = completed_by(FakeScans(ScanFindings(status, findings=(any_finding(),))))
    assert (scan.report.remarks, scan.is_missing) == ((), False)


def test_more_findings_than_are_read_are_compared_by_number() -> None:
    """The next run could not read them either, so that they are not missing."""
    listed = ScanFindings("COMPLETE", findings=(any_finding(),), is_whole=False)
    scan = completed_by(FakeScans(listed))
    assert scan.report.remarks == (f"{UNNAMED}the image has more than 10,000.",)
    assert (scan.findings, scan.is_missing) == (None, False)
    assert scan.report.severities == any_scan_report().severities


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"image_digest": None}, "the event has no image digest."),
        ({"is_elsewhere": True}, "the registry is in another account or Region."),
        (
            {"image_digest": None, "is_elsewhere": True},
            "the registry is in another account or Region.",
        ),
    ],
)
def test_says_why_no_list_can_be_asked_for(given: dict[str, Any], why: str) -> None:
    scans = FakeScans()
    scan = completed_by(scans, any_scan_report(remarks=("first",), **given))
    assert scan.report.remarks == ("first", UNNAMED + why)
    assert (scans.asked, scan.is_missing) == ([], False)


@pytest.mark.parametrize("fault", [errors.EcrThrottled, errors.EcrUnavailable])
def test_leaves_a_passing_fault_to_the_state_machine_until_its_last_retry(
    fault: type[Exception],
) -> None:
    scans = FakeScans(fault("any"), fault("any"))
    for attempt in range(RETRIES):
        for report in (any_scan_report(), FAILED):
            with pytest.raises(fault):
                completed_by(scans, report, attempt=attempt)
    scan = completed_by(scans, attempt=RETRIES)
    assert scan.report.remarks == (
        f"{UNNAMED}ECR did not list them ({fault.__name__}). The next run asks ECR again.",
    )
    assert scan.is_missing
    failed = completed_by(scans, FAILED, attempt=RETRIES)
    (remark,) = failed.report.remarks
    assert remark.endswith(f"not available: reading from ECR failed ({fault.__name__}).")
    assert not failed.is_missing


@pytest.mark.parametrize(
    "fault", [errors.AccessDenied, errors.ImageNotFound, errors.ScanNotFound, KeyError]
)
def test_goes_on_without_details_whatever_else_goes_wrong(fault: type[Exception]) -> None:
    name = fault.__name__
    scan = completed_by(FakeScans(fault("any")))
    assert scan.report.remarks == (
        f"{UNNAMED}ECR did not list them ({name}). The next run asks ECR again.",
    )
    assert (scan.findings, scan.is_missing) == (None, True)
    failed = completed_by(FakeScans(last_scan=fault("any")), FAILED)
    assert failed.report.remarks == (
        f"The failure reason is not available: reading from ECR failed ({name}).",
    )


def test_is_retried_as_often_as_the_state_machine_says() -> None:
    (state,) = (each for each in states() if each.name == "ComposeNotification")
    throttled = [each for each in state.body["Retry"] if "EcrThrottled" in each["ErrorEquals"]]
    assert [each["MaxAttempts"] for each in throttled] == [RETRIES]


# Scans that have not completed


@pytest.mark.parametrize(
    ("last_scan", "reason"),
    [
        (LastScan(status="FAILED", description="The image is corrupt."), "The image is corrupt."),
        (LastScan(status="FAILED"), "ECR states none"),
        (None, "ECR states none"),
        (LastScan(status="FAILED", description="word " * 200), "word " * 98 + "word…"),
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_gives_the_reason_of_a_failure(
    last_scan: LastScan | None, reason: str, by_name: bool
) -> None:
    scans = FakeScans(last_scan=last_scan)
    scan = completed_by(scans, FAILED, by_name=by_name)
    assert (scan.report.failure, scan.report.status) == (reason, "FAILED")
    assert (scan.counted, scan.findings) == (FAILED, None)
    assert scans.asked == [("last scan", "team/api", DIGEST)]


@pytest.mark.parametrize(
    ("last_scan", "status"),
    [
        (LastScan("FAILED", None, "UnsupportedImageError: any"), "UNSUPPORTED_IMAGE"),
        (LastScan("UNSUPPORTED_IMAGE"), "UNSUPPORTED_IMAGE"),
        (LastScan("IMAGE_SIZE_EXCEEDED"), "IMAGE_SIZE_EXCEEDED"),
    ],
)
def test_an_image_that_ecr_cannot_scan_has_not_failed(last_scan: LastScan, status: str) -> None:
    report = completed_by(FakeScans(last_scan=last_scan), FAILED).report
    assert (report.status, report.is_unsupported, report.is_failed) == (status, True, False)


@pytest.mark.parametrize(
    "report",
    [
        any_scan_report(scan_type=ScanType.ENHANCED, status="FAILED"),
        any_scan_report(scan_type=ScanType.ENHANCED, status="SCAN_ELIGIBILITY_EXPIRED"),
        any_scan_report(status="UNSUPPORTED_IMAGE"),
    ],
)
def test_asks_for_nothing_that_is_not_there(report: ScanReport) -> None:
    scans = FakeScans()
    assert completed_by(scans, report) == CompletedScan(report, report)
    assert scans.asked == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"image_digest": None}, "the event has no image digest."),
        ({"is_elsewhere": True}, "the registry is in another account or Region."),
    ],
)
def test_says_why_no_reason_can_be_asked_for(given: dict[str, Any], why: str) -> None:
    scans = FakeScans()
    report = any_scan_report(status="FAILED", remarks=("first",), **given)
    remarks = ("first", f"The failure reason is not available: {why}")
    assert completed_by(scans, report).report.remarks == remarks
    assert scans.asked == []
