"""How large the page gets, and how long it takes, with the images of an account."""

import gzip
import sys
import time

import pytest

from cli.report.contents import MOST_IMAGES
from cli.report.page import page
from tests.support.made_up_reports import report


@pytest.mark.scale
@pytest.mark.parametrize(("images", "most_megabytes"), [(600, 1.2), (10_000, 7), (100_000, 9)])
def test_the_page_stays_small(images: int, most_megabytes: float) -> None:
    """The bytes are bounded; the seconds depend on the machine, and are printed: pytest -s."""
    made = report(images)
    began = time.perf_counter()
    html = page(made)
    seconds = time.perf_counter() - began
    size = len(html.encode())
    rows = html.count('<tr class="more">')
    packed = len(gzip.compress(html.encode()))
    sys.stdout.write(
        f"\n{images:,} images, {sum(len(each.findings) for each in made.images):,} findings: "
        f"{seconds:.2f} s, {size / 1e6:.2f} MB, packed {packed / 1e6:.2f} MB, {rows:,} rows\n"
    )
    assert rows == images if images <= MOST_IMAGES else 0 < rows <= MOST_IMAGES
    assert size <= most_megabytes * 1e6
