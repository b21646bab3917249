"""Chromium without a window, for what only a browser can say of a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None
)
WIDE, NARROW = 1280, 380  # CSS pixels: of a desktop and of a telephone


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, and end it. PROGRAM must not be None."""
    with sync_playwright() as playwright:
        # It refuses to run as root with its sandbox, and opens nothing here but our own files.
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def opened(
    browser: Browser,
    file: Path,
    width: int = WIDE,
    scheme: Literal["light", "dark"] = "light",
    *,
    runs_scripts: bool = True,
) -> tuple[Page, list[str]]:
    """Open a file, and return with it what it logs, raises or requests besides itself."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=runs_scripts,
        reduced_motion="reduce",
    )
    page, trouble = context.new_page(), list[str]()
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url))
    page.goto(file.as_uri())
    trouble.remove(file.as_uri())
    return page, trouble
