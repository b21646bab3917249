"""Messages about scans: what each change reads like, and the texts of email subjects and SMS."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ledger.changes import LISTS, Cause, Change, ChangedFinding, FindingsChange
from notify_scan.compared_scan import MOST_REPORTED
from notify_scan.notification import MOST_INCIDENTS
from reporting.channels import pagerduty, sns
from reporting.channels.delivery import Channel
from reporting.message import Level, Message, plain
from reporting.reports import AcceptedFinding, ScanReport, ScanType
from reporting.scan_wording import MOST_LISTED, message_of_more_incidents, message_of_scan
from runtime.messages import encode
from tests.support.reports import (
    any_changed_finding,
    any_finding,
    any_scan_report,
    complaints_about,
    in_every_channel,
    notification_in,
)

A = any_changed_finding("CVE-2026-1", "CRITICAL", package="ssl")
B = any_changed_finding("CVE-2026-2", "CRITICAL", package="ssl")
C = any_changed_finding("CVE-2026-3", "HIGH", package="zlib")
ACCEPTED = AcceptedFinding("CVE-2026-1", "CRITICAL", until="2027-03-31", accepted_by="jane")
BEFORE = f"sha256:{8:064x}"


def any_change(
    change: Change | None, open_now: dict[str, int], open_before: dict[str, int], **given: Any
) -> ScanReport:
    """Make a report on an image, in which everything that ECR found is above its threshold."""
    report = any_scan_report(severities=open_now, open_now=open_now, open_before=open_before)
    return replace(report, change=change, **given)


def by_name(**lists: tuple[ChangedFinding, ...]) -> FindingsChange:
    return FindingsChange(**lists)  # type: ignore[arg-type] # omitted is never given


def title(report: ScanReport) -> str:
    return plain(message_of_scan(report).title)


def lead(report: ScanReport) -> list[str]:
    return [plain(line) for line in message_of_scan(report).lead]


def facts(report: ScanReport) -> dict[str, str]:
    return {name: plain(line) for name, line in message_of_scan(report).facts}


def lists(report: ScanReport) -> dict[str, list[str]]:
    return {
        section.heading: [plain(line) for line in section.lines]
        for section in message_of_scan(report).sections
    }


# What each row of the decision table reads like


@pytest.mark.parametrize(
    ("report", "says", "explains"),
    [
        pytest.param(
            any_change(Change.NEW, {"CRITICAL": 1, "HIGH": 1}, {}, by_name=by_name(new=(A, C))),
            "2 new vulnerabilities (1 critical, 1 high) in team/api:v1",
            [],
            id="1",
        ),
        pytest.param(
            any_change(None, {}, {}), "team/api:v1 has no open vulnerabilities", [], id="2"
        ),
        pytest.param(
            any_change(
                Change.WORSE, {"CRITICAL": 1}, {"CRITICAL": 1}, by_name=by_name(new=(B,), gone=(A,))
            ),
            "1 new critical vulnerability in team/api:v1; 1 fixed",
            ["Compared with the previous scan: 1 new, 1 fixed."],
            id="4",
        ),
        pytest.param(
            any_change(
                Change.BETTER,
                {"CRITICAL": 1},
                {"CRITICAL": 1, "HIGH": 1},
                by_name=by_name(gone=(C,)),
            ),
            "1 high vulnerability fixed in team/api:v1",
            ["Compared with the previous scan: 1 fixed, 1 unchanged."],
            id="6",
        ),
        pytest.param(
            any_change(
                Change.CLEARED,
                {},
                {"CRITICAL": 1, "HIGH": 1},
                by_name=by_name(gone=(A, C)),
                open_since="2026-03-03",
            ),
            "team/api:v1 has no open vulnerabilities",
            ["Both findings (1 critical, 1 high) that were open since 3 March are fixed."],
            id="7",
        ),
        pytest.param(
            any_change(Change.WORSE, {"CRITICAL": 2}, {"CRITICAL": 1}, by_name=by_name(new=(B,))),
            "1 new critical vulnerability in team/api:v1",
            ["Compared with the previous scan: 1 new, 1 unchanged."],
            id="9",
        ),
        pytest.param(
            any_change(
                Change.WORSE,
                {"CRITICAL": 1},
                {"MEDIUM": 1},
                by_name=by_name(worse=(replace(A, was="MEDIUM"),)),
            ),
            "1 vulnerability is now rated critical in team/api:v1",
            ["Compared with the previous scan: 1 rated higher."],
            id="10",
        ),
        pytest.param(
            any_change(
                Change.BETTER,
                {"CRITICAL": 1, "MEDIUM": 1},
                {"CRITICAL": 1, "HIGH": 1},
                by_name=by_name(better=(replace(C, severity="MEDIUM", was="HIGH"),)),
            ),
            "1 vulnerability rated lower in team/api:v1",
            ["Compared with the previous scan: 1 rated lower."],
            id="11",
        ),
        pytest.param(
            any_change(
                Change.WORSE,
                {"CRITICAL": 2},
                {"CRITICAL": 1},
                by_name=by_name(back=(replace(B, gone_on="2026-03-11", first_seen="2026-03-03"),)),
            ),
            "1 critical vulnerability is back in team/api:v1",
            ["Compared with the previous scan: 1 back, 1 unchanged."],
            id="18",
        ),
        pytest.param(
            any_change(
                Change.BETTER,
                {"CRITICAL": 1},
                {"CRITICAL": 1, "HIGH": 1},
                by_name=by_name(accepted=(C,)),
            ),
            "1 high vulnerability accepted in team/api:v1",
            ["Compared with the previous scan: 1 accepted, 1 unchanged."],
            id="19",
        ),
        pytest.param(
            any_change(
                Change.CLEARED,
                {},
                {"CRITICAL": 1},
                cause=Cause.ACCEPTED,
                by_name=by_name(accepted=(A,)),
                accepted={"CRITICAL": 1},
                accepted_findings=(ACCEPTED,),
            ),
            "All open vulnerabilities are accepted in team/api:v1 (1 critical)",
            ["Compared with the previous scan: 1 accepted."],
            id="20",
        ),
        pytest.param(
            any_change(Change.NEW, {"CRITICAL": 1}, {}, by_name=by_name(ended=(A,))),
            "1 critical vulnerability is no longer accepted in team/api:v1",
            [],
            id="21",
        ),
        pytest.param(
            replace(
                any_change(Change.CLEARED, {}, {"HIGH": 3}, by_name=by_name(gone=(C,))),
                severities={"HIGH": 2},
            ),
            "team/api:v1 has no vulnerabilities above a threshold",
            ["Compared with the previous scan: 1 fixed."],
            id="24",
        ),
        pytest.param(
            any_change(
                Change.UNCHANGED, {"HIGH": 2}, {}, cause=Cause.THRESHOLD, by_name=FindingsChange()
            ),
            "2 high findings in team/api:v1",
            ["Only a threshold has changed; the findings have not."],
            id="26",
        ),
        pytest.param(
            replace(any_change(Change.FAILED, {}, {"CRITICAL": 1}), status="FAILED"),
            "Scan of team/api:v1 failed",
            ["The last result still applies: 1 critical finding."],
            id="29",
        ),
        pytest.param(
            any_change(Change.CLEARED, {}, {}, cause=Cause.END_OF_FAILURE),
            "team/api:v1 can be scanned again, and has no open vulnerabilities",
            ["The previous scan failed."],
            id="31",
        ),
        pytest.param(
            any_change(
                Change.WORSE,
                {"CRITICAL": 2},
                {"CRITICAL": 1},
                cause=Cause.END_OF_FAILURE,
                by_name=by_name(new=(B,)),
            ),
            "1 new critical vulnerability in team/api:v1",
            [
                "Compared with the previous scan: 1 new, 1 unchanged.",
                "The image can be scanned again. The previous scan failed.",
            ],
            id="32",
        ),
        pytest.param(
            any_change(Change.WORSE, {"CRITICAL": 2}, {"CRITICAL": 1}, difference={"CRITICAL": 1}),
            "1 more critical finding in team/api:v1",
            ["+1 critical; which one is new is not known."],
            id="34",
        ),
        pytest.param(
            any_change(
                Change.UNCHANGED,
                {"LOW": 1},
                {"LOW": 1},
                cause=Cause.FIRST_OF_TYPE,
                scan_type=ScanType.ENHANCED,
            ),
            "1 low finding in team/api:v1",
            [
                "This is the first enhanced scan of the image. Its findings are not compared with "
                "those of the other scan type."
            ],
            id="37",
        ),
        pytest.param(
            any_change(
                Change.WORSE,
                {"CRITICAL": 1},
                {"CRITICAL": 1},
                by_name=by_name(new=(B,), gone=(A,)),
                compared_with=BEFORE,
            ),
            "1 new critical vulnerability in team/api:v1; 1 fixed",
            ["Compared with the previous v1 (sha256:000000000000…): 1 new, 1 fixed."],
            id="38",
        ),
        pytest.param(
            replace(
                any_change(Change.UNCHANGED, {}, {"HIGH": 1}, cause=Cause.NOT_MONITORED),
                status="SCAN_ELIGIBILITY_EXPIRED",
            ),
            "Amazon Inspector no longer monitors team/api:v1",
            [
                "The last result still applies: 1 high finding.",
                "New vulnerabilities in this image are no longer found.",
            ],
            id="46",
        ),
        pytest.param(
            any_change(
                Change.CLEARED,
                {},
                {"CRITICAL": 1},
                cause=Cause.ACCEPTED,
                by_name=by_name(accepted=(A,)),
                accepted={"CRITICAL": 1},
                accepted_findings=(replace(ACCEPTED, until=""),),
            ),
            "All open vulnerabilities in team/api:v1 are suppressed in Amazon Inspector "
            "(1 critical)",
            ["Compared with the previous scan: 1 accepted."],
            id="47",
        ),
    ],
)
def test_what_a_row_of_the_decision_table_reads_like(
    report: ScanReport, says: str, explains: list[str]
) -> None:
    assert title(report) == says
    assert lead(report) == explains


def test_a_first_failed_scan_mentions_no_scan_before() -> None:
    report = any_scan_report(status="FAILED", change=Change.FAILED, failure="no such layer")
    assert title(report) == "Scan of team/api:v1 failed"
    assert lead(report) == ["Reason: no such layer"]
    email = sns.email(message_of_scan(report)).lower()
    assert "before" not in email
    assert "previous" not in email


def test_says_which_image_ecr_cannot_scan() -> None:
    report = any_scan_report(status="UNSUPPORTED_IMAGE", failure="no operating system")
    assert title(report) == "ECR cannot scan team/api:v1"
    assert lead(report) == ["Reason: no operating system"]


def test_an_image_that_can_be_scanned_again_has_the_same_findings() -> None:
    report = any_change(Change.CLEARED, {"HIGH": 2}, {"HIGH": 2}, cause=Cause.END_OF_FAILURE)
    assert title(report) == "team/api:v1 can be scanned again: 2 high findings"


def test_reminds_of_an_image_that_is_unchanged() -> None:
    report = any_change(
        Change.UNCHANGED,
        {"HIGH": 2},
        {"HIGH": 2},
        is_reminder=True,
        worst_findings=(any_finding(package="zlib"),),
    )
    assert title(report) == "Reminder: 2 high findings in team/api:v1"
    assert lead(report) == ["Nothing has changed since the last notification about this image."]
    assert lists(report) == {"Worst findings": ["CVE-2026-1 high · zlib"]}
    failed = replace(report, status="FAILED", open_now={})
    assert title(failed) == "Scan of team/api:v1 still fails"


@pytest.mark.parametrize(
    ("difference", "says", "explains"),
    [
        (
            {"CRITICAL": 2, "HIGH": -1},
            "2 more critical findings in team/api:v1",
            "+2 critical, \N{MINUS SIGN}1 high; which ones are new is not known.",
        ),
        (
            {"CRITICAL": 1, "HIGH": 1_000},
            "1,001 more findings (1 critical, 1,000 high) in team/api:v1",
            "+1 critical, +1,000 high; which ones are new is not known.",
        ),
        (
            {"HIGH": -1},
            "1 fewer high finding in team/api:v1",
            "\N{MINUS SIGN}1 high; which one is fixed is not known.",
        ),
    ],
)
def test_says_by_how_much_an_image_differs_that_is_compared_by_number(
    difference: dict[str, int], says: str, explains: str
) -> None:
    change = Change.WORSE if max(difference.values()) > 0 else Change.BETTER
    report = any_change(change, {"CRITICAL": 9}, {"CRITICAL": 8}, difference=difference)
    assert (title(report), lead(report)) == (says, [explains])
    other = replace(report, compared_with=BEFORE)
    counts, ending = explains.split(";")
    previous = "compared with the previous v1 (sha256:000000000000…)"
    assert lead(other) == [f"{counts} {previous};{ending}"]


def test_counts_alone_are_findings_where_nothing_is_compared() -> None:
    report = any_change(None, {"CRITICAL": 1, "HIGH": 2, "MEDIUM": 3, "OTHER": 4}, {})
    assert title(report) == "10 findings (1 critical, 2 high, 7 lower) in team/api:v1"
    assert lead(report) == []
    assert "Findings before" not in facts(report)


def test_the_title_is_about_what_is_new_and_counts_the_rest() -> None:
    change = by_name(new=(A,), back=(B,), worse=(C,), ended=(C,), gone=(A, B), accepted=(C,))
    report = any_change(Change.WORSE, {"CRITICAL": 9}, {"CRITICAL": 9}, by_name=change)
    assert title(report) == (
        "1 new critical vulnerability in team/api:v1; "
        "1 back, 1 rated higher, 1 no longer accepted, 2 fixed, 1 accepted"
    )


def test_a_vulnerability_in_two_packages_is_one() -> None:
    change = by_name(new=(A, replace(A, package="ssl-devel", severity="HIGH")))
    report = any_change(Change.NEW, {"CRITICAL": 1, "HIGH": 1}, {}, by_name=change)
    message = message_of_scan(report)
    assert plain(message.title) == "1 new critical vulnerability in team/api:v1"
    assert plain(message.headlines[0]) == (
        "ECR: new critical CVE-2026-1 (ssl and 1 more) in team/api:v1"
    )
    assert lists(report)["New"] == ["CVE-2026-1 critical · ssl", "CVE-2026-1 high · ssl-devel"]


def test_counts_all_that_a_report_leaves_out() -> None:
    change = replace(by_name(new=(A, B), worse=(C,)), omitted={"new": 198, "worse": 2})
    report = any_change(Change.WORSE, {"CRITICAL": 300}, {"CRITICAL": 100}, by_name=change)
    assert title(report) == "200 new vulnerabilities in team/api:v1; 3 rated higher"
    assert lists(report)["New"][-1] == "and 198 more"
    assert lead(report) == ["Compared with the previous scan: 200 new, 3 rated higher."]
    only_worse = replace(report, by_name=replace(change, new=(), omitted={"worse": 2}))
    assert title(only_worse) == "3 vulnerabilities rated higher in team/api:v1"


def test_a_report_may_have_no_room_for_the_only_name() -> None:
    change = replace(by_name(new=(A, B)), omitted={"gone": 1, "renamed": 1})
    report = any_change(Change.WORSE, {"CRITICAL": 2}, {"HIGH": 1}, by_name=change)
    assert title(report) == "2 new critical vulnerabilities in team/api:v1; 1 fixed"
    assert lists(report)["Fixed"] == ["and 1 more"]
    report = any_change(
        Change.CLEARED, {}, {"HIGH": 1}, by_name=FindingsChange(omitted={"gone": 1})
    )
    assert lead(report) == ["The high finding that was open is fixed."]
    for name in ("accepted", "better"):
        change = FindingsChange(omitted={"gone": 1, name: 1})
        assert lead(replace(report, by_name=change))[0].startswith(
            "Compared with the previous scan"
        )
    change = FindingsChange(omitted={"new": 1})
    report = any_change(Change.WORSE, {"HIGH": 2}, {"HIGH": 1}, by_name=change)
    assert plain(message_of_scan(report).headlines[0]) == (
        "ECR: 1 new vulnerability in team/api:v1"
    )


# The lists


def test_lists_what_has_changed_the_most_important_first() -> None:
    change = by_name(
        new=(
            any_changed_finding(
                "CVE-2026-31337",
                "CRITICAL",
                package="openssl",
                version="3.0.11-1",
                fixed_in="3.0.11-2",
                score=9.8,
                has_exploit=True,
                first_seen="2026-03-14",
            ),
        ),
        back=(replace(A, gone_on="2026-03-11", first_seen="2026-03-03"),),
        worse=(replace(B, was="MEDIUM", first_seen="2025-11-25", is_seen_later=True),),
        better=(replace(C, severity="LOW", was="HIGH"),),
        gone=(A, C),
        accepted=(B,),
        ended=(replace(C, first_seen=""),),
        spread=(A,),
        renamed=(replace(C, was="ALAS-1"),),
    )
    report = any_change(
        Change.WORSE, {"CRITICAL": 9}, {"CRITICAL": 9}, by_name=change, open_since="2026-02-01"
    )
    assert list(lists(report).items()) == [
        (
            "New",
            [
                "CVE-2026-31337 critical · openssl 3.0.11-1 · fixed in 3.0.11-2 · CVSS 9.8 · "
                "exploit known"
            ],
        ),
        ("Back", ["CVE-2026-1 critical · ssl · back after 3 days · first seen 3 March"]),
        (
            "Rated higher",
            ["CVE-2026-2 critical · ssl · was medium · first seen on or before 25 November 2025"],
        ),
        ("No longer accepted", ["CVE-2026-3 high · zlib"]),
        ("Also in other packages", ["CVE-2026-1 (ssl)"]),
        ("Fixed (open since 1 February)", ["CVE-2026-1 (ssl)", "CVE-2026-3 (zlib)"]),
        ("Rated lower", ["CVE-2026-3 (zlib) from high to low"]),
        ("Now accepted", ["CVE-2026-2 (ssl)"]),
        ("Renamed", ["CVE-2026-3 (zlib), was ALAS-1"]),
    ]


def test_what_the_lead_states_of_a_cleared_image_is_not_repeated() -> None:
    assert set(lists(SIX["cleared"])) == {"Fixed"}
    assert "Findings before" not in facts(SIX["cleared"])
    assert lead(SIX["cleared"]) == [
        "The new image sha256:000000000000… fixes all 7 findings (2 critical, 5 high) "
        "that were open since 3 January."
    ]


def test_states_what_was_open_and_since_when_of_an_image_with_open_findings() -> None:
    report = replace(SIX["one new, two gone"], open_since="2026-01-03")
    assert "Fixed (open since 3 January)" in lists(report)
    assert facts(report)["Findings before"] == "10 high"


def test_what_is_not_known_of_a_finding_is_left_out() -> None:
    bare = any_changed_finding("", "NOVEL", package="")
    change = by_name(new=(bare,), back=(bare,), worse=(bare,), better=(bare,), renamed=(bare,))
    report = any_change(Change.WORSE, {"OTHER": 9}, {"OTHER": 9}, by_name=change)
    assert lists(report) == {
        "New": ["unnamed other"],
        "Back": ["unnamed other"],
        "Rated higher": ["unnamed other"],
        "Rated lower": ["unnamed to other"],
        "Renamed": ["unnamed"],
    }


def test_a_list_names_the_worst_and_counts_the_rest() -> None:
    new = tuple(any_changed_finding(f"CVE-2026-{number}") for number in range(MOST_LISTED + 3))
    report = any_change(Change.NEW, {"HIGH": len(new)}, {}, by_name=by_name(new=new))
    assert len(lists(report)["New"]) == MOST_LISTED + 1
    assert lists(report)["New"][-2:] == [f"CVE-2026-{MOST_LISTED - 1} high · zlib", "and 3 more"]


# The facts


def test_states_what_was_open_and_what_a_threshold_allows() -> None:
    report = any_change(
        Change.WORSE, {"CRITICAL": 2, "OTHER": 1}, {"CRITICAL": 1}, by_name=by_name(new=(A,))
    )
    severities = {"CRITICAL": 2, "LOW": 3, "MEDIUM": 0, "NO_SUCH": 1}
    assert facts(replace(report, severities=severities)) == {
        "Findings before": "1 critical",
        "Others": "3 low, within the thresholds",
        "Image digest": "sha256:000000000000…",
        "Scanned": "2026-03-14 03:00 UTC, basic scanning",
        "Account": "123456789012 in eu-central-1",
    }
    novel = any_change(None, {}, {}, other=2, scan_type=ScanType.ENHANCED)
    assert facts(replace(novel, severities={"NO_SUCH": 1}, image_digest=None)) == {
        "Others": "3 other, within the thresholds",
        "Scanned": "2026-03-14 03:00 UTC, enhanced scanning",
        "Account": "123456789012 in eu-central-1",
    }


def test_states_the_status_of_a_failed_scan_and_all_tags() -> None:
    report = any_scan_report(status="FAILED", tags=("v1", "v2"), tags_omitted=1_200)
    assert facts(report)["Tags"] == "v1, v2 and 1,200 more"
    assert facts(report)["Status"] == "FAILED"
    assert message_of_scan(report).level is Level.INFO
    assert message_of_scan(report).counts == ()


def test_names_what_is_accepted_and_until_when() -> None:
    report = any_scan_report(accepted={"HIGH": 1}, accepted_findings=(ACCEPTED,))
    assert facts(report)["Accepted"] == "1 high: CVE-2026-1 until 31 March 2027"
    suppressed = replace(ACCEPTED, name="CVE-2026-2", until="")
    report = replace(
        report, accepted={"HIGH": 5, "LOW": 2}, accepted_findings=(ACCEPTED, suppressed)
    )
    assert facts(report)["Accepted"] == (
        "5 high, 2 low: CVE-2026-1 until 31 March 2027, "
        "CVE-2026-2 suppressed by a rule in Amazon Inspector and 5 more"
    )


def test_the_level_is_that_of_the_worst_that_is_open() -> None:
    def level(open_now: dict[str, int]) -> Level:
        return message_of_scan(any_scan_report(open_now=open_now)).level

    assert level({"CRITICAL": 0, "HIGH": 1, "LOW": 2}) is Level.HIGH
    assert level({"UNDEFINED": 1}) is Level.INFO
    assert level({}) is Level.OK


def test_counts_what_is_open_without_zeros() -> None:
    message = message_of_scan(any_scan_report(open_now={"CRITICAL": 0, "HIGH": 1_234, "OTHER": 2}))
    assert [(level, plain(line)) for level, line in message.counts] == [
        (Level.HIGH, "1,234 high"),
        (Level.INFO, "2 other"),
    ]
    assert message.counts_heading == "Open findings"


def test_links_both_images() -> None:
    report = any_change(
        Change.CLEARED, {}, {"HIGH": 1}, by_name=by_name(gone=(C,)), compared_with=BEFORE
    )
    message = message_of_scan(report)
    assert [plain(line) for line in message.lead] == [
        "The new image sha256:000000000000… fixes the high finding that was open."
    ]
    assert links(message, "lead") == [report.link]
    worse = replace(report, change=Change.WORSE, open_now={"HIGH": 1}, tags=())
    assert plain(message_of_scan(worse).lead[0]) == (
        "Compared with the previous image (sha256:000000000000…): 1 fixed, 1 unchanged."
    )
    (link,) = links(message_of_scan(worse), "lead")
    assert f"/team/api/_/image/{BEFORE}/" in link


def links(message: Message, part: str) -> list[str]:
    lines = getattr(message, part)
    return [each.link for line in lines for each in line if not isinstance(each, str) and each.link]


# Subjects and SMS


SIX = {
    "new": any_change(
        Change.WORSE,
        {"CRITICAL": 1, "HIGH": 7},
        {"HIGH": 7},
        repository="payments/ledger",
        tags=("r42",),
        compared_with=BEFORE,
        by_name=by_name(
            new=(
                any_changed_finding(
                    "CVE-2026-31337", "CRITICAL", package="openssl", version="3.0.11-1", score=9.8
                ),
            )
        ),
    ),
    "one new, two gone": any_change(
        Change.WORSE,
        {"HIGH": 9},
        {"HIGH": 10},
        tags=("latest",),
        by_name=by_name(
            new=(any_changed_finding("CVE-2026-20411", package="libxml2", version="2.9.14"),),
            gone=(
                any_changed_finding("CVE-2025-6021", package="libxml2"),
                any_changed_finding("CVE-2025-4802", package="libc6"),
            ),
        ),
    ),
    "cleared": any_change(
        Change.CLEARED,
        {},
        {"CRITICAL": 2, "HIGH": 5},
        tags=("latest",),
        compared_with=BEFORE,
        open_since="2026-01-03",
        accepted={"MEDIUM": 1},
        accepted_findings=(replace(ACCEPTED, severity="MEDIUM"),),
        by_name=by_name(
            gone=tuple(any_changed_finding(f"CVE-2025-{number}") for number in range(7))
        ),
    ),
}


@pytest.mark.parametrize(
    ("report", "subject", "sms"),
    [
        (
            SIX["new"],
            "ECR: new critical CVE-2026-31337 (openssl) in payments/ledger:r42",
            "ECR: new critical CVE-2026-31337 (openssl) in payments/ledger:r42. "
            "Open now: 1 critical, 7 high.",
        ),
        (
            SIX["one new, two gone"],
            "ECR: new high CVE-2026-20411 (libxml2) in team/api:latest; 2 fixed",
            "ECR: new high CVE-2026-20411 (libxml2) in team/api:latest; 2 fixed. Open now: 9 high.",
        ),
        (
            SIX["cleared"],
            "ECR: team/api:latest has no open vulnerabilities",
            "ECR: team/api:latest has no open vulnerabilities. "
            "Fixed (open since 3 Jan): 2 critical, 5 high.",
        ),
        (
            any_change(Change.CLEARED, {}, {"HIGH": 1}, by_name=by_name(gone=(C,))),
            "ECR: team/api:v1 has no open vulnerabilities",
            "ECR: team/api:v1 has no open vulnerabilities. Fixed: 1 high.",
        ),
        (
            replace(any_change(Change.FAILED, {}, {"HIGH": 2}), status="FAILED"),
            "ECR: scan of team/api:v1 failed",
            "ECR: scan of team/api:v1 failed. The last result still applies: 2 high findings.",
        ),
        (
            replace(any_change(Change.FAILED, {}, {}), status="FAILED"),
            "ECR: scan of team/api:v1 failed",
            "ECR: scan of team/api:v1 failed",
        ),
    ],
)
def test_a_subject_and_an_sms_say_it_in_a_line(report: ScanReport, subject: str, sms: str) -> None:
    message = message_of_scan(report)
    assert plain(message.headlines[0]) == subject
    assert plain(message.texts[0]) == sms
    assert len(subject) <= 69
    assert len(sms) <= 96


@pytest.mark.parametrize(
    ("lists", "subject"),
    [
        ({"new": (C,)}, "ECR: new high CVE-2026-3 (zlib) in team/api:v1"),
        ({"back": (C,)}, "ECR: high CVE-2026-3 (zlib) is back in team/api:v1"),
        ({"worse": (C,)}, "ECR: CVE-2026-3 (zlib) is now rated high in team/api:v1"),
        ({"ended": (C,)}, "ECR: high CVE-2026-3 (zlib) is no longer accepted in team/api:v1"),
        ({"gone": (C,)}, "ECR: high CVE-2026-3 (zlib) is fixed in team/api:v1"),
        ({"accepted": (C,)}, "ECR: high CVE-2026-3 (zlib) is accepted in team/api:v1"),
        ({"better": (C,)}, "ECR: CVE-2026-3 (zlib) is now rated high in team/api:v1"),
        (
            {"new": (replace(C, name="ALAS-3", package=""),)},
            "ECR: new high vulnerability ALAS-3 in team/api:v1",
        ),
        ({"new": (A, C)}, "ECR: 2 new vulnerabilities (1 critical, 1 high) in team/api:v1"),
    ],
)
def test_a_subject_names_the_only_vulnerability(lists: dict[str, Any], subject: str) -> None:
    change = Change.BETTER if lists.keys() & {"gone", "accepted", "better"} else Change.WORSE
    report = any_change(change, {"CRITICAL": 1}, {"CRITICAL": 1}, by_name=by_name(**lists))
    assert plain(message_of_scan(report).headlines[0]) == subject


def test_every_channel_takes_the_messages_of_scans() -> None:
    for report in (*SIX.values(), *(replace(each, by_name=None) for each in SIX.values())):
        deliveries = in_every_channel(message_of_scan(report), report)
        assert {delivery.channel for delivery in deliveries} == {*Channel}
        assert [said for each in deliveries for said in complaints_about(each)] == []


def test_the_first_lines_say_what_to_do_at_three_in_the_morning() -> None:
    """What is shown before anything is opened or scrolled: a lock screen, an inbox, a list."""
    report = SIX["new"]
    told: dict[Channel, Any] = {
        delivery.channel: delivery.content
        for delivery in in_every_channel(message_of_scan(report), report)
    }
    slack, teams = told[Channel.SLACK], told[Channel.TEAMS]["attachments"][0]["content"]
    chat = notification_in(told[Channel.CHATBOT])["content"]
    shown = {
        "Slack, first": slack["text"],
        "Slack, second": slack["attachments"][0]["blocks"][1]["text"]["text"],
        "Teams, first": "".join(run["text"] for run in teams["body"][0]["inlines"]),
        "Teams, second": "".join(run["text"] for run in teams["body"][3]["inlines"]),
        "chat, first": chat["title"],
        "chat, second": "\n".join(chat["description"].splitlines()[1:3]),
        "email": told[Channel.SNS]["subject"],
        "SMS": json.loads(told[Channel.SNS]["message"])["sms"],
        "incident": told[Channel.PAGERDUTY]["payload"]["summary"],
        "webhook": told[Channel.WEBHOOK]["title"],
        "event": told[Channel.EVENTBRIDGE]["detail"]["title"],
    }
    assert shown == {
        "Slack, first": "1 new critical vulnerability in `payments/ledger:r42`",
        "Slack, second": "*New*\n• `CVE-2026-31337` critical · `openssl 3.0.11-1` · CVSS 9.8",
        "Teams, first": (
            "\N{LARGE RED CIRCLE} 1 new critical vulnerability in payments/ledger:r42"
        ),
        "Teams, second": "• CVE-2026-31337 critical · openssl 3.0.11-1 · CVSS 9.8",
        "chat, first": (
            "\N{LARGE RED CIRCLE} 1 new critical vulnerability in `payments/ledger:r42`"
        ),
        "chat, second": "*New*\n• `CVE-2026-31337` critical · `openssl 3.0.11-1` · CVSS 9.8",
        "email": "ECR: new critical CVE-2026-31337 (openssl) in payments/ledger:r42",
        "SMS": (
            "ECR: new critical CVE-2026-31337 (openssl) in payments/ledger:r42. "
            "Open now: 1 critical, 7 high."
        ),
        "incident": "ECR: new critical CVE-2026-31337 (openssl) in payments/ledger:r42",
        "webhook": "1 new critical vulnerability in payments/ledger:r42",
        "event": "1 new critical vulnerability in payments/ledger:r42",
    }


def test_the_largest_change_fits_a_state_in_all_channels_together() -> None:
    findings = tuple(
        any_changed_finding(
            f"CVE-2026-{number}{'x' * 100}",
            package="p" * 100,
            version="1" * 50,
            fixed_in="1" * 50,
            uri="https://nvd.nist.gov/vuln/detail/CVE-2026-31337",
            score=9.8,
            was="MEDIUM",
            first_seen="2026-03-03",
            gone_on="2026-03-03",
        )
        for number in range(200)
    )
    change = FindingsChange(**dict.fromkeys(LISTS, findings)).within(MOST_REPORTED)  # type: ignore[arg-type] # omitted is none of these
    report = any_change(Change.WORSE, {"HIGH": 500}, {"HIGH": 400}, by_name=change)
    deliveries = in_every_channel(message_of_scan(report), report)
    assert [said for each in deliveries for said in complaints_about(each)] == []
    size = len(json.dumps(encode(tuple(deliveries)), ensure_ascii=False).encode())
    assert size < 256 * 1024 / 2


def test_an_hour_with_too_many_incidents_has_one_for_the_rest() -> None:
    report = any_scan_report(open_now={"CRITICAL": 1})
    message = message_of_more_incidents(report)
    assert plain(message.title) == (
        f"ECR: more than {MOST_INCIDENTS} images have new critical vulnerabilities within an hour. "
        "The next digest lists them. Close this incident manually."
    )
    payload = pagerduty.trigger(message, report, "any")["payload"]  # type: ignore[index, call-overload] # JSON
    assert payload["summary"] == plain(message.title)
    assert "component" not in payload
    assert (message.level, message.subject) == (
        Level.CRITICAL,
        "ecr-rescan/123456789012/eu-central-1/more-incidents",
    )


# The name of an image


@pytest.mark.parametrize(
    ("tags", "image"),
    [
        (("latest", "5715"), "team/api:5715"),
        (("Latest", "main", "v1", "v1.2.3"), "team/api:v1.2.3"),
        (("prod", "stable"), "team/api:prod"),
        (("v1", "v2"), "team/api:v1"),
        ((), "team/api@sha256:000000000000"),
    ],
)
def test_an_image_is_named_by_the_tag_that_stays(tags: tuple[str, ...], image: str) -> None:
    assert any_scan_report(tags=tags).image == image
