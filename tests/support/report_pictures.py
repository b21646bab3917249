"""The pictures of the report in the documents, of a registry that does not exist."""

import tempfile
from pathlib import Path

from cli.report.page import page
from tests.support.chromium import NARROW, PROGRAM, WIDE, chromium, opened
from tests.support.made_up_reports import report
from tests.support.template import ROOT

# By width in CSS pixels, with how much of the height is shown.
PICTURES = {
    ROOT / "docs" / "pictures" / "report.png": (WIDE, 1_560),
    ROOT / "docs" / "pictures" / "report-narrow.png": (NARROW, 1_640),
}


def take_pictures() -> None:
    """Write the pictures, if this machine has a Chromium."""
    if PROGRAM is None:
        return
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        file = Path(directory) / "report.html"
        file.write_text(page(report()))
        for picture, (width, height) in PICTURES.items():
            shown, _ = opened(browser, file, width)
            shown.set_viewport_size({"width": width, "height": height})
            shown.screenshot(path=picture)
