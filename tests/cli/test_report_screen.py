"""What the report looks like where there is little room."""

import io

from rich.console import Console

from cli.report.answers import answers
from cli.report.document import Freshness
from cli.report.read import Affected
from cli.report.screen import _lines_of, _totals, show_affected
from cli.report.totals import open_findings, worst_first
from tests.support.made_up_reports import image, report, report_of


def test_a_line_wraps_between_its_parts() -> None:
    parts = ["Scanned within 7 d: 2 of 5", "due 1", "oldest 13 d"]
    assert [*_lines_of(parts, 40)] == ["Scanned within 7 d: 2 of 5 · due 1", "oldest 13 d"]
    assert [*_lines_of(parts, 80)] == ["Scanned within 7 d: 2 of 5 · due 1 · oldest 13 d"]


def test_the_share_is_not_all_while_one_is_left() -> None:
    overdue = image(freshness=Freshness.OVERDUE)
    first, *_ = _totals(report_of([overdue, *[image()] * 2_000]), 80)
    assert first.startswith("Scanned within 7 d: 2,000 of 2,001 (99.9 %) · overdue 1")


def test_counts_scans_and_images_without_one_as_the_page_does() -> None:
    """An image that waits for its first scan has no age; it is overdue when two runs missed it."""
    old = image(freshness=Freshness.OVERDUE, age_hours=18.9 * 24)
    never = [
        image(freshness=each, scanned_at=None, age_hours=40 * 24.0)
        for each in (Freshness.WAITING, Freshness.OVERDUE, Freshness.OVERDUE)
    ]
    report = report_of([image(), old, *never])
    first, second = _totals(report, 80)
    assert first == "Scanned within 7 d: 1 of 5 (20.0 %) · overdue 3 · never scanned 3"
    assert second == "oldest scan 18 d"
    scanned = answers(report, ())[3]
    assert (scanned.figure, scanned.warnings) == ("18 d", ("3 images never scanned.",))


def test_remarks_have_a_line_of_their_own_where_there_are_any() -> None:
    images = [image for image in report(images=60).images if open_findings(image)]
    affected = Affected("CVE-2026-31337", worst_first(images), 0, len(images), 1.0, ())
    console = Console(width=80, file=io.StringIO(), markup=False, highlight=False)
    show_affected(affected, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    remarks = [line for line in lines if line.startswith(" " * 8) and "incident open" in line]
    findings = [line for line in lines if line.startswith(("crit", "high", "med", "low"))]
    assert 0 < len(remarks) < len(findings)
