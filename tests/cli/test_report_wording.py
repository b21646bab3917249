from dataclasses import replace
from datetime import timedelta

import pytest

from cli.report.document import Details
from cli.report.wording import ago, duration, how_ended, link_of, which_run
from tests.support.made_up_reports import finding, image, report, report_of


@pytest.mark.parametrize(
    ("hours", "written"),
    [
        (0, "0 min"),
        (1.99, "119 min"),
        (2, "2 h"),
        (47.9, "47 h"),
        (48, "2 d"),
        (167.9, "6.9 d"),
        (168, "7 d"),
        (251, "10 d"),
        (24 * 1_200, "1,200 d"),
    ],
)
def test_writes_an_age_in_one_unit_rounded_down(hours: float, written: str) -> None:
    assert ago(hours) == written


@pytest.mark.parametrize(("hours", "written"), [(24, "1 day"), (168, "7 days"), (36, "36 h")])
def test_writes_a_duration(hours: int, written: str) -> None:
    assert duration(timedelta(hours=hours)) == written


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("CVE-2026-31337", "https://www.cve.org/CVERecord?id=CVE-2026-31337"),
        ("GHSA-jfh8-c2jp-5v3q", "https://github.com/advisories/GHSA-jfh8-c2jp-5v3q"),
        ("ALAS-2026-1", ""),
        ("CVE-", ""),
        ("CVE-2026-1&x=<script>", ""),
        ("CVE-٣", ""),
        ("", ""),
    ],
)
def test_links_a_vulnerability_to_who_describes_it(name: str, link: str) -> None:
    assert link_of(finding(name)) == link


def test_takes_the_link_of_ecr_if_it_leads_to_the_web() -> None:
    known = finding(details=Details(link="https://security-tracker.debian.org/tracker/CVE-1"))
    assert link_of(known) == "https://security-tracker.debian.org/tracker/CVE-1"
    hostile = replace(known, name="x", details=Details(link="javascript:alert(1)"))
    assert link_of(hostile) == ""


def test_a_run_over_a_part_does_not_stand_for_the_registry() -> None:
    """It says nothing of the images that were not scanned in time."""
    whole = replace(report(30).runs[0], status="FAILED")
    part = replace(whole, status="FINISHED", is_whole=False, repositories=1)
    dry = replace(part, is_dry_run=True)

    for runs, run, which, ended in (
        ((dry, whole, part), whole, "last run", "failed"),
        ((dry, part, whole), whole, "last run over everything", "failed"),
        ((part, part), part, "last run, over 1 repository,", "done"),
    ):
        said = report_of([image()], runs)
        assert said.last_run is run
        assert (which_run(said, run), how_ended(run)) == (which, ended)


def test_a_run_has_ended_with_what_it_has_left() -> None:
    run = replace(report(30).runs[0], status="FINISHED", repositories=9)
    assert how_ended(run) == "everything done"
    left = replace(run, repositories_not_done=1, repositories_deferred=2)
    assert how_ended(left) == "3 of 9 repositories not done"
