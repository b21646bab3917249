"""Screenshots of the page, if this machine has a Chromium."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup

from local.page.elements import element
from local.page.message_page import CONTENT_POLICY, page
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURES = ("slack", "teams")
WIDTH = 900
MOST_HEIGHT = 5000  # a longer page is cut
SHARPNESS = 2  # device pixels per CSS pixel
TIMEOUT_SECONDS = 40
_MEASURE = Markup(
    "document.documentElement.dataset.height = Math.ceil(document.body.getBoundingClientRect()"
    ".bottom + 24)"
)


class _BrowserFailed(Exception):
    """The browser failed; the message says how."""


def take_screenshots(
    requests: Iterable[Received], delivered: Delivered | None, directory: Path
) -> str:
    """Write screenshots of Slack and Teams messages, slack.png and teams.png; return a sentence.

    Never raises: the screenshots are an extra.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        return f"No screenshots: none of {', '.join(BROWSERS)} is on the PATH."
    received = tuple(requests)
    channels = {request.channel for request in received}
    taken: list[str] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in PICTURES:
            if name in channels:
                target = directory / f"{name}.png"
                _picture(browser, page(received, delivered, only=(name,)), target)
                taken.append(f"{directory.name}/{target.name}")
    except (_BrowserFailed, OSError) as error:
        return f"Screenshots are missing, because {Path(browser).name} failed: {error}"
    if not taken:
        return "No screenshots: neither Slack nor Teams received a message."
    return f"Screenshots: {' and '.join(taken)}"


def _picture(browser: str, text: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="screenshot-", ignore_cleanup_errors=True) as scratch:
        source, shot = Path(scratch) / "page.html", Path(scratch) / "page.png"
        # The page allows no script. A copy without that policy measures its own height.
        measuring = text.replace(CONTENT_POLICY, "").replace(
            "</body>", f"{element('script', _MEASURE)}</body>"
        )
        source.write_text(measuring)
        dom = _run(browser, Path(scratch), [f"--window-size={WIDTH},800", "--dump-dom"], source)
        measured = re.search(r'<html[^>]* data-height="(\d+)"', dom)
        if measured is None:
            raise _BrowserFailed("it did not measure the page.")
        height = min(int(measured.group(1)), MOST_HEIGHT)
        source.write_text(text)
        arguments = [
            f"--window-size={WIDTH},{height}",
            f"--force-device-scale-factor={SHARPNESS}",
            f"--screenshot={shot}",
        ]
        _run(browser, Path(scratch), arguments, source)
        if not shot.exists():
            raise _BrowserFailed("it wrote no picture.")
        shutil.copyfile(shot, target)


def _run(browser: str, scratch: Path, arguments: Sequence[str], source: Path) -> str:
    """Run the browser, and kill it with all its processes on timeout."""
    command = [
        browser,
        *("--headless", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        f"--user-data-dir={scratch / 'profile'}",
        *(
            ["--no-sandbox"] if os.geteuid() == 0 else []
        ),  # Chromium refuses to run as root with its sandbox
        *arguments,
        source.as_uri(),
    ]
    process = subprocess.Popen(  # noqa: S603 # the command is ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _BrowserFailed(f"it took longer than {TIMEOUT_SECONDS} s.") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise _BrowserFailed(f"it ended with {process.returncode}.")
    return output.decode(errors="replace")
