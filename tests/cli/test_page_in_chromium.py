"""What a browser makes of the page: it asks for nothing, fits, and can be used."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from cli.report.page import page
from reporting.text import visible
from tests.support.chromium import NARROW, PROGRAM, WIDE, chromium, opened
from tests.support.made_up_reports import finding, image, report, report_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on the PATH"),
]
REPORT = report(120)
LONG = "a-name-that-never-ends" * 12
HOSTILE = "</script><script>console.log(1)</script><img src=https://example.com/a.png>"
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("report") / "report.html"
    written.write_text(page(REPORT))
    return written


def hostile(tmp_path: Path) -> Path:
    """Write a page with names of any length and content."""
    images = [
        image(
            finding(name, package=name, version=name),
            repository=name,
            tags=(name, name),
            reason=name,
            outcome="FAILED",
        )
        for name in (LONG, HOSTILE)
    ]
    written = tmp_path / "hostile.html"
    written.write_text(page(replace(report_of(images), stack=LONG, missing=(LONG, HOSTILE))))
    return written


def shown(page: Page) -> int:
    return page.locator("#images > table > tbody:visible").count()


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def width(page: Page) -> int:
    measured: int = page.evaluate("document.documentElement.scrollWidth")
    return measured


@pytest.mark.parametrize("pixels", [NARROW, 720, 1080, WIDE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_asks_for_nothing_and_fits(
    browser: Browser, file: Path, pixels: int, scheme: Scheme
) -> None:
    page, trouble = opened(browser, file, pixels, scheme)
    assert width(page) <= pixels
    open_all(page)
    assert width(page) <= pixels
    assert trouble == []
    page.context.close()


@pytest.mark.parametrize("pixels", [NARROW, WIDE])
def test_hostile_names_do_nothing_and_fit(browser: Browser, tmp_path: Path, pixels: int) -> None:
    page, trouble = opened(browser, hostile(tmp_path), pixels)
    open_all(page)
    assert width(page) <= pixels
    assert trouble == []
    assert visible(HOSTILE) in page.inner_text("#images")
    page.context.close()


def test_follows_the_colors_of_the_system(browser: Browser, file: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    grounds = []
    for scheme in ("light", "dark"):
        page, _ = opened(browser, file, scheme=scheme)  # type: ignore[arg-type]
        grounds.append([int(part) for part in re.findall(r"\d+", page.evaluate(background))])
        page.context.close()
    light, dark = grounds
    assert min(light) > 200
    assert max(dark) < 50


def test_filters_and_sorts(browser: Browser, file: Path) -> None:
    page, trouble = opened(browser, file)
    totals = REPORT.totals
    assert shown(page) == totals.images
    page.get_by_role("radio", name="Critical", exact=True).check()
    assert shown(page) == totals.images_with["CRITICAL"]
    assert page.inner_text("#shown") == f"{totals.images_with['CRITICAL']} of 120 shown"
    page.get_by_role("radio", name="All", exact=True).check()

    repository = REPORT.images[0].repository
    page.fill("[type=search]", repository.upper())
    assert shown(page) == sum(repository in each.repository for each in REPORT.images)
    page.fill("[type=search]", REPORT.images[3].image_digest)
    assert shown(page) == 1
    page.fill("[type=search]", "no such image")
    assert shown(page) == 0
    page.fill("[type=search]", "")
    assert page.inner_text("#shown") == "120 shown"

    ages = "[...document.querySelectorAll('#images > table > tbody > tr:first-child')]" + (
        ".map(row => Number(row.cells[6].dataset.value))"
    )
    page.get_by_role("button", name="Last scan").click()
    oldest_first = page.evaluate(ages)
    assert oldest_first == sorted(oldest_first, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Last scan")
    page.get_by_role("button", name="Last scan").click()
    assert page.evaluate(ages) == sorted(oldest_first)
    page.get_by_role("button", name="Image", exact=True).click()
    names = page.locator("#images > table > tbody > tr:first-child b").all_inner_texts()
    assert names == sorted(names)
    assert trouble == []
    page.context.close()


def test_a_vulnerability_leads_to_the_images_that_have_it(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    link = page.locator("a[data-find^=CVE]").first
    name, images = link.get_attribute("data-find"), int(link.inner_text())
    link.click()
    assert page.input_value("[type=search]") == name
    assert shown(page) == images
    page.context.close()


def test_an_image_opens_by_the_keyboard(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    assert page.locator(".more:visible").count() == 0
    page.locator("#images summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".more:visible").count() == 1
    assert REPORT.images[0].image_digest in page.locator(".more:visible").inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".more:visible").count() == 0
    page.context.close()


def test_every_image_is_there_without_scripts(browser: Browser, file: Path) -> None:
    page, trouble = opened(browser, file, runs_scripts=False)
    assert shown(page) == 120
    assert not page.locator("#filter").is_visible()
    page.locator("#images summary").first.click()
    assert page.locator(".more:visible").count() == 1
    assert trouble == []
    page.context.close()


def test_prints_critical_images_with_their_findings(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3
    page.emulate_media(media="print")
    assert page.locator(".more:visible").count() == REPORT.totals.images_with["CRITICAL"]
    assert not page.locator("#filter").is_visible()
    page.context.close()
