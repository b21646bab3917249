from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from cli.report import contents as module
from cli.report.contents import MOST_FINDINGS, Reason, Row, contents
from cli.report.document import Details, Freshness, Notified
from tests.support.clock import NOW
from tests.support.made_up_reports import ACCEPTANCE, finding, image, report, report_of

OUTSIDE: dict[str, Any] = {"freshness": Freshness.NONE, "scanned_at": None, "age_hours": None}
WEEK_AGO = NOW.date() - timedelta(days=7)


def row(*findings: Any, **changes: Any) -> Row:
    (row,) = contents(report_of([image(*findings, **changes)])).rows
    return row


def test_lists_every_image_in_the_order_of_the_report() -> None:
    made = report(200)
    found = contents(made)
    assert [row.image for row in found.rows] == [*made.images]
    assert found.hidden == 0


def test_lists_of_many_images_those_that_need_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    late = [image(freshness=each) for each in (Freshness.DUE, Freshness.OVERDUE, Freshness.WAITING)]
    high = image(finding(severity="HIGH"))
    calm = [image(finding(severity="LOW")), image(), image(**OUTSIDE)]
    made = report_of([*late, high, *calm])

    monkeypatch.setattr(module, "MOST_IMAGES", 6)
    found = contents(made)
    assert [row.image for row in found.rows] == [high, *late]
    assert found.hidden == 3

    monkeypatch.setattr(module, "MOST_IMAGES", 2)
    found = contents(made)
    assert found.rows[0].image == high
    assert (len(found.rows), found.hidden) == (2, 5)


def test_a_row_counts_what_is_open() -> None:
    found = row(finding(), finding("CVE-1", severity="HIGH", accepted=ACCEPTANCE))
    assert found.counts == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (row(), ""),
        (row(finding()), "is-critical is-serious is-not-notified"),
        (row(finding(notified={"SNS": NOW})), "is-critical is-serious"),
        (row(finding(severity="HIGH")), "is-serious"),
        (row(finding(accepted=ACCEPTANCE)), ""),
        (row(freshness=Freshness.DUE), "is-late"),
        (row(**OUTSIDE), "is-outside"),
    ],
)
def test_a_row_is_shown_by_the_filters_that_fit(found: Row, kinds: str) -> None:
    assert found.kinds == kinds


def test_a_row_says_since_when_the_worst_is_open() -> None:
    old = finding("CVE-1", severity="HIGH", first_seen=WEEK_AGO)
    accepted = finding("CVE-2", first_seen=WEEK_AGO, accepted=ACCEPTANCE)
    assert [each.day for each in [row(finding(), old, accepted).since] if each] == [NOW.date()]
    assert [each.days for each in [row(old).since] if each] == [7]
    assert row().since is None


def test_a_row_says_when_a_channel_was_first_notified_of_the_worst() -> None:
    early, late = NOW - timedelta(days=9), NOW - timedelta(days=2)
    of_high = finding("CVE-1", severity="HIGH", notified={"SNS": early})
    of_critical = finding(notified={"SLACK": late, "SNS": NOW})
    again = finding("CVE-2", notified={"SLACK": NOW})
    notified = row(of_critical, again, of_high).notified
    assert notified
    assert (notified.at, notified.channels, notified.is_later) == (late, ("SLACK", "SNS"), False)


def test_a_notification_may_have_been_earlier() -> None:
    notified = row(finding(notified={"SNS": NOW}, notified_before=frozenset({"SNS"}))).notified
    assert notified
    assert notified.is_later


def test_a_notification_of_the_image_counts_where_no_finding_has_a_name() -> None:
    known = {"SNS": Notified(NOW, NOW)}
    found = row(counts={"HIGH": 1}, is_named=False, notified=known)
    assert found.notified
    assert (found.notified.channels, found.notified.is_later) == (("SNS",), True)
    assert row(counts={"HIGH": 1}, is_named=False).notified is None


def test_a_row_lists_the_first_findings() -> None:
    found = row(*(finding(f"CVE-2026-{number}") for number in range(MOST_FINDINGS + 3)))
    assert [each.name for each, _ in found.findings][:2] == ["CVE-2026-0", "CVE-2026-1"]
    assert (len(found.findings), found.more) == (MOST_FINDINGS, 3)


def test_the_most_widespread_vulnerabilities_come_first() -> None:
    old = finding("CVE-1", first_seen=WEEK_AGO, details=Details(fixed_in="2", is_exploited=True))
    made = report_of(
        [
            image(finding("CVE-2"), replace(old, notified={"SNS": NOW})),
            image(replace(old, first_seen=NOW.date(), details=Details(fixed_in="3"))),
            image(replace(old, details=None, is_seen_later=True), repository="team/auth"),
            image(replace(old, accepted=ACCEPTANCE)),
        ]
    )
    first, second = contents(made).vulnerabilities
    assert (first.name, first.package, first.images) == ("CVE-1", "openssl", 3)
    assert str(first.since) == "on or before 2026-03-07"
    assert first.fixed_in == {"2", "3"}
    assert first.is_exploited
    assert first.not_notified == 2
    assert first.where() == "team/api, team/auth"
    assert [each.channels for each in [first.first_notified()] if each] == [("SNS",)]
    assert (second.name, second.images, second.first_notified()) == ("CVE-2", 1, None)


def test_a_vulnerability_is_where_it_has_the_most_images() -> None:
    names = ["a", "b", "b", "c", "d"]
    made = report_of([image(finding(), repository=name) for name in names])
    assert contents(made).vulnerabilities[0].where() == "b, a and 2 more"


@pytest.mark.parametrize("severity", ["HIGH", "LOW", "UNDEFINED"])
def test_vulnerabilities_are_those_of_the_worst_severity_that_is_open(severity: str) -> None:
    found = contents(report_of([image(finding(accepted=ACCEPTANCE), finding(severity=severity))]))
    assert found.severity == severity.lower()
    assert [each.name for each in found.vulnerabilities] == ["CVE-2026-31337"]
    assert found.answers[0].sentences == ()


def test_says_how_many_lines_are_left_out() -> None:
    open_ones = [finding(f"CVE-1-{number}") for number in range(30)]
    accepted = [finding(f"CVE-2-{number}", accepted=ACCEPTANCE) for number in range(27)]
    found = contents(report_of([image(*open_ones, *accepted)]))
    assert (len(found.vulnerabilities), len(found.accepted)) == (25, 25)
    assert found.more == {"vulnerabilities": 5, "accepted": 2}
    assert contents(report_of([])).more == {"vulnerabilities": 0, "accepted": 0}


def test_accepted_risks_that_end_first_come_first() -> None:
    soon = replace(ACCEPTANCE, until=date(2026, 4, 1))
    no_end = replace(ACCEPTANCE, until=None)
    made = report_of(
        [
            image(finding("CVE-1", accepted=no_end), finding("CVE-2", accepted=ACCEPTANCE)),
            image(finding("CVE-2", accepted=ACCEPTANCE), finding("CVE-3", accepted=soon)),
        ]
    )
    assert [(each.name, each.images) for each in contents(made).accepted] == [
        ("CVE-3", 1),
        ("CVE-2", 2),
        ("CVE-1", 1),
    ]


def test_repositories_with_the_most_critical_images_come_first() -> None:
    high = finding(severity="HIGH")
    made = report_of(
        [
            image(high, repository="b"),
            image(finding(), high, repository="c"),
            image(high, repository="a"),
            image(high, repository="b"),
            image(finding(severity="LOW"), repository="d"),
        ]
    )
    found = contents(made).repositories
    assert [(each.name, {**each.counts}) for each in found] == [
        ("c", {"critical": 1, "high": 0}),
        ("b", {"critical": 0, "high": 2}),
        ("a", {"critical": 0, "high": 1}),
    ]
    assert {each.most for each in found} == {2}


def test_severities_are_those_of_open_findings() -> None:
    found = contents(report_of([image(finding(), *[finding("CVE-1", severity="LOW")] * 3)]))
    assert [(each.name, each.counts[each.name], each.most) for each in found.severities] == [
        ("critical", 1, 3),
        ("low", 3, 3),
    ]
    assert found.severities[0].says == "in 1 image"


def test_says_why_images_are_not_scannable() -> None:
    chart = image(**OUTSIDE, outcome="UNSCANNABLE", reason="Helm chart")
    found = contents(report_of([chart, chart, image(**OUTSIDE), image()]))
    assert found.reasons == [Reason("unscannable", "Helm chart", 2), Reason("unknown", "", 1)]
