"""The page as a reader of HTML takes it; how a browser shows it is in test_page_in_chromium."""

import base64
import hashlib
import re
import subprocess
import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.report import contents as contents_module
from cli.report.document import (
    Acceptance,
    Details,
    Freshness,
    Notified,
    Report,
    ReportedImage,
)
from cli.report.page import page
from reporting.text import visible
from tests.support.clock import NOW
from tests.support.made_up_reports import ACCEPTANCE, finding, image, report, report_of
from tests.support.template import ROOT

PAGE_FILES = ROOT / "cli" / "report" / "page_files"
REPORT = report(300)
VOID = {"meta", "input"}
OUTSIDE: dict[str, Any] = {"freshness": Freshness.NONE, "scanned_at": None, "age_hours": None}


@dataclass
class Element:
    """An element, with the text directly and deeply inside of it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Document:
    """What a reader of HTML finds: the elements in their order, and the text of all."""

    elements: list[Element] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, html: str) -> Self:
        reader = _Reader(cls())
        reader.feed(html)
        reader.close()
        return reader.document  # type: ignore[return-value]

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            each
            for each in self.elements
            if each.tag == tag and attributes.items() <= each.attributes.items()
        ]

    def text(self) -> str:
        return _plain(self.all("body")[0].text)


class _Reader(HTMLParser):
    def __init__(self, document: Document) -> None:
        super().__init__()
        self.document = document
        self._open: list[Element] = []

    def handle_decl(self, decl: str) -> None:
        self.document.declarations.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.document.elements.append(element)
        for each in self._open:
            each.text += " "
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.document.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and with it those inside whose end is left out."""
        while self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for each in self._open:
            if self._open[-1].tag not in {"style", "script"} or each is self._open[-1]:
                each.text += data


def _plain(text: str) -> str:
    return " ".join(text.split())


def shown(report: Report) -> Document:
    return Document.of(page(report))


def test_is_one_file_that_asks_for_nothing() -> None:
    document = shown(REPORT)
    assert document.declarations == ["doctype html"]
    tags = {each.tag for each in document.elements}
    assert tags & {"link", "img", "iframe", "object", "embed", "base", "video", "audio"} == set()
    for element in document.elements:
        assert not any(name.startswith("on") or name == "style" for name in element.attributes)
        assert element.attributes.keys() & {"src", "srcset", "action", "poster"} == set()
    for link in document.all("a"):
        assert link.attributes["href"].startswith(("#", "https://"))


def test_runs_no_script_and_takes_no_style_but_its_own() -> None:
    document = shown(REPORT)
    policy = document.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]
    parts = dict(part.strip().split(" ", 1) for part in policy.attributes["content"].split(";"))
    assert parts["default-src"] == "'none'"
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (element,) = document.all(tag)
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert parts[directive] == f"'sha256-{digest}'"
    assert len(document.all("style")) == len(document.all("script")) == 1


def test_nothing_is_safe_but_our_style_and_script() -> None:
    for name in ("report.html.j2", "charts.j2"):
        assert not re.search(r"safe|Markup|autoescape", (PAGE_FILES / name).read_text())


def test_names_what_it_is_about() -> None:
    document = shown(REPORT)
    (title,) = document.all("title")[:1]
    critical = REPORT.totals.images_with["CRITICAL"]
    assert title.text == (
        f"{critical} images with critical findings · 111122223333 eu-central-1 · 2026-03-14"
    )
    (headline,) = document.all("h1")
    assert _plain(headline.text).startswith(f"{critical} images have open critical findings, and")
    assert "Account 111122223333 · eu-central-1 · stack ecr-rescan" in document.text()


def test_answers_the_five_questions_of_an_auditor() -> None:
    assert [_plain(each.text) for each in shown(REPORT).all("h2")][:5] == [
        "Which images have critical findings now?",
        "Since when?",
        "Who was notified?",
        "When was each last scanned?",
        "Is the registry inside its RescanAfter of 7 days?",
    ]


def test_lists_every_image_with_its_open_findings() -> None:
    document = shown(REPORT)
    digests = [each.text for each in document.all("code") if each.text.startswith("sha256:")]
    assert digests == [each.image_digest for each in REPORT.images]
    for column, severity in enumerate(("critical", "high", "medium", "low")):
        cells = [
            int(each.attributes["data-value"])
            for each in document.all("td", **{"data-label": severity})
            if "data-value" in each.attributes
        ]
        counts = [each.open_counts().get(severity.upper(), 0) for each in REPORT.images]
        assert cells == counts, column
        assert sum(cells) == REPORT.totals.findings[severity.upper()]


def test_the_filters_show_as_many_images_as_the_answers_count() -> None:
    kinds = Counter(
        kind
        for body in shown(REPORT).all("tbody")
        for kind in body.attributes.get("class", "").split()
    )
    totals = REPORT.totals
    assert kinds["is-critical"] == totals.images_with["CRITICAL"]
    assert kinds["is-not-notified"] == totals.not_notified
    assert kinds["is-late"] == totals.due + totals.overdue + totals.waiting
    assert kinds["is-outside"] == totals.images - totals.scannable


def test_every_filter_of_the_form_is_a_kind_of_image() -> None:
    document = shown(REPORT)
    offered = {each.attributes["value"] for each in document.all("input", type="radio")}
    kinds = {
        kind for body in document.all("tbody") for kind in body.attributes.get("class", "").split()
    }
    assert offered - {""} == kinds


def test_says_what_is_missing_above_everything() -> None:
    incomplete = replace(
        REPORT, missing=("Not allowed: ecr:DescribeImages.", "Two."), as_of_run="run-1"
    )
    text = shown(incomplete).text()
    assert text.index("This report is incomplete.") < text.index("Which images have critical")
    assert "Not allowed: ecr:DescribeImages. Two." in text
    assert "As of run run-1." in text
    assert "those that run run-1 found." in text
    complete = shown(REPORT).text()
    assert "incomplete" not in complete
    assert "those that ECR listed at 2026-03-14 06:14 UTC" in complete


def test_says_where_the_rest_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_module, "MOST_IMAGES", 100)
    document = shown(REPORT)
    listed = len([each for each in document.all("tr") if each.attributes.get("class") == "more"])
    assert listed <= 100
    assert f"{300 - listed} more images are in the CSV file" in document.text()
    assert f"{listed} of 300" in document.text()


def test_an_empty_registry_reads_well() -> None:
    document = shown(report_of([]))
    text = document.text()
    assert "No image was found in the registry." in text
    assert "ECR has no image in the repositories that this stack scans." in text
    assert [*document.all("svg"), *document.all("table"), *document.all("form")] == []


def test_enhanced_scanning_says_who_scans() -> None:
    enhanced = shown(replace(REPORT, scan_type="ENHANCED")).text()
    assert "Amazon Inspector scans images again by itself" in enhanced
    assert "enhanced scanning" in enhanced
    assert "Monitored Amazon Inspector has scanned the image" in enhanced
    assert "RescanAfter)" not in enhanced
    assert "Amazon Inspector" not in shown(REPORT).text()


def test_a_fix_is_missing_only_if_ecr_was_asked() -> None:
    """With --details, ECR is asked for the images that are shown on the terminal."""
    asked = finding("CVE-1", details=Details())
    text = shown(report_of([image(asked, finding("CVE-2"))])).text()
    assert "CVE-1 openssl 1 2026-03-14 0 d team/api no fix yet no channel" in text
    assert "CVE-2 openssl 1 2026-03-14 0 d team/api not asked no channel" in text
    assert "Fixed in" not in shown(report_of([image(finding())])).text()


def test_a_registry_without_a_critical_finding_lists_the_worst_there_is() -> None:
    text = shown(report_of([image(finding(severity="MEDIUM"))])).text()
    assert "Medium vulnerabilities the most widespread first; no critical one is open" in text


DETAILED = finding(
    details=Details("Overflow in parsing", "https://example.com/1", "3.0.11-2", "9.8 (3.1)", True),
    notified={"SLACK": NOW},
    notified_before=frozenset({"SLACK"}),
    is_seen_later=True,
)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (image(DETAILED), "critical 9.8 (3.1) CVE-2026-31337 exploited Overflow in parsing"),
        (image(DETAILED), "openssl 3.0.11-1 → 3.0.11-2 ≤ 2026-03-14 ≤ 2026-03-14 Slack"),
        (image(finding(accepted=ACCEPTANCE)), "accepted until 2026-12-31 k.meyer: not reachable"),
        (
            image(finding(accepted=Acceptance(None, "Amazon Inspector", "rule"))),
            "accepted Amazon Inspector: rule",
        ),
        (
            image(notified={"SNS": Notified(NOW, NOW.replace(hour=4))}),
            "SNS notified 2026-03-14 03:00 UTC, last 2026-03-14 04:00 UTC",
        ),
        (image(has_incident=True), "Incident open in PagerDuty"),
        (image(outcome="FAILED", reason="AccessDenied"), "Last run FAILED: AccessDenied"),
        (image(tags=("a", "b", "c", "d", "e")), "team/api:a, b, c +2"),
        (image(tags=("a", "b", "c", "d", "e")), "Tags a, b, c, d, e"),
        (image(), "The last scan found nothing."),
        (image(counts={"HIGH": 3}, is_named=False), "known by their counts alone."),
        (image(counts={"LOW": 3}), "Its findings are below low"),
        (image(finding()), "no channel"),
        (image(**OUTSIDE, outcome="EXCLUDED"), "excluded"),
        (image(scanned_at=None, freshness=Freshness.OVERDUE), "never overdue"),
    ],
)
def test_says_of_an_image_what_is_known(one: ReportedImage, sentence: str) -> None:
    assert sentence in shown(report_of([one])).text()


def test_keeps_runs_with_what_they_did_not_do() -> None:
    failed = replace(REPORT.runs[0], status="FAILED", repositories_not_done=2, repositories=41)
    part = replace(
        REPORT.runs[1], is_whole=False, is_dry_run=True, overdue=None, findings={}, outcomes={}
    )
    text = shown(replace(REPORT, runs=(failed, part))).text()
    assert "last run 2026-03-14 03:00 UTC, 2 of 41 repositories not done" in text
    assert "2026-03-13T030000Z dry run part of the registry" in text
    assert "Images, run by run" not in text


HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u2066",
    "a\nb\x00c",
    "javascript:alert(1)",
]


def poisoned(text: str) -> Report:
    """Return a report in which all text from outside is this one."""
    bad = finding(
        text,
        package=text,
        version=text,
        accepted=Acceptance(None, text, text),
        details=Details(text, text, text, text),
    )
    one = image(
        bad,
        replace(bad, accepted=None, notified={text: NOW}),
        repository=text,
        tags=(text, text, text, text),
        platform=text,
        status=text,
        outcome=text,
        reason=text,
        notified={text: Notified(NOW, NOW)},
    )
    outside = replace(one, freshness=Freshness.NONE)
    run = replace(REPORT.runs[0], run=text, status=text)
    return replace(
        report_of([one, outside], (run,)),
        stack=text,
        as_of_run=text,
        missing=(text,),
        subscribers={text: 1},
    )


def structure(report: Report) -> list[tuple[str, frozenset[str]]]:
    return [(each.tag, frozenset(each.attributes)) for each in shown(report).elements]


PLAIN = structure(poisoned("plain"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    document = shown(poisoned(text))
    assert [(each.tag, frozenset(each.attributes)) for each in document.elements] == PLAIN
    assert _plain(visible(text)) in document.text()


@settings(max_examples=25)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_no_text_changes_the_structure_of_the_page(text: str) -> None:
    html = page(poisoned(f"x{text}"))
    assert [(each.tag, frozenset(each.attributes)) for each in Document.of(html).elements] == PLAIN
    assert all(visible(line) == line for line in html.split("\n"))


def test_every_number_has_separators_of_thousands() -> None:
    many = replace(
        REPORT,
        totals=replace(REPORT.totals, images=1_234_567, images_with={"CRITICAL": 23_456}),
    )
    text = shown(many).text()
    assert "23,456 of 1,234,567 images" in text
    assert not re.search(r"\b(1234567|23456)\b", text)


def variables(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", css))


def luminance(color: str) -> float:
    full = color[1:] if len(color) == 7 else "".join(2 * each for each in color[1:])
    parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["light", "dark", "print"])
def test_all_text_has_contrast(number: int) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for what a chart draws."""
    css = (PAGE_FILES / "report.css").read_text()
    colors = variables(re.findall(r":root \{(.*?)\}", css, re.DOTALL)[number])
    grounds = {"page", "panel", "soft"}
    assert colors.keys() > grounds
    for ground in grounds:
        for name in colors.keys() - grounds - {"line"}:
            if name.startswith("bar-"):
                assert ground == "soft" or contrast(colors[name], colors[ground]) >= 3, name
            else:
                assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)


def test_every_color_has_a_value_in_light_dark_and_print() -> None:
    css = (PAGE_FILES / "report.css").read_text()
    light, dark, printed = (
        variables(each).keys() for each in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    assert light == dark == printed
    assert {*re.findall(r"var\(--([\w-]+)\)", css)} <= light


def test_the_wheel_has_the_files_of_the_page() -> None:
    """Hatchling takes all files of a package that git does not ignore."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert "cli" in wheel["targets"]["wheel"]["packages"]
    assert wheel["targets"]["wheel"].keys() == {"packages", "force-include"}
    files = sorted(PAGE_FILES.iterdir())
    assert [each.name for each in files] == [
        *("charts.j2", "report.css", "report.html.j2", "report.js"),
    ]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *files], cwd=ROOT, capture_output=True, check=False
    )
    assert (ignored.returncode, ignored.stdout) == (1, b"")


@pytest.mark.parametrize(("name", "width"), [("report", 1280), ("report-narrow", 380)])
def test_a_picture_in_the_documents_is_as_wide_as_it_says(name: str, width: int) -> None:
    picture = (ROOT / "docs" / "pictures" / f"{name}.png").read_bytes()
    assert int.from_bytes(picture[16:20]) == width
    assert len(picture) < 400_000


def test_the_title_counts_one_image_as_one() -> None:
    title, *_ = shown(report_of([image(finding())])).all("title")
    assert title.text.startswith("1 image with critical findings · ")


def test_says_over_how_much_the_last_run_was() -> None:
    part = replace(REPORT.runs[0], is_whole=False, repositories=1, status="FINISHED")
    over_all = replace(REPORT.runs[1], repositories=26, repositories_deferred=2)
    said = shown(replace(REPORT, runs=(part, over_all))).text()
    assert "last run over everything 2026-03-13 03:00 UTC, 2 of 26 repositories not done" in said
    assert "last run, over 1 repository, 2026-03-14" in shown(replace(REPORT, runs=(part,))).text()


def test_a_chart_is_not_alone() -> None:
    """Without a trend, the findings are beside the ages of scans, and not further below."""
    for found in (REPORT, replace(REPORT, runs=())):
        headings = [each.text.split("  ")[0] for each in shown(found).all("figcaption")]
        assert sum(each.startswith("Open findings") for each in headings) == 1
        beside = headings[1].startswith("Open findings")
        assert beside is (not found.runs)
    assert "No finding is open." in shown(report_of([image()])).text()


def test_a_finding_that_may_be_older_is_at_least_as_old() -> None:
    later = shown(report_of([image(finding(is_seen_later=True))])).text()
    assert "≤ 2026-03-14 ≥ 0 d" in later
    assert "0 days or more, the oldest" in later
    assert "≥" not in shown(report_of([image(finding())])).text()


def test_says_how_many_findings_are_accepted_if_any_is() -> None:
    some = [image(finding(accepted=ACCEPTANCE)), image(finding())]
    assert "1 accepted finding, not counted here" in shown(report_of(some)).text()
    assert "not counted here" not in shown(report_of([image(finding())])).text()
