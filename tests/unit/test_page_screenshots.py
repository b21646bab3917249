"""Pictures are an extra: what hinders them is said, and nothing fails."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.page.page_screenshots import take_screenshots
from local.receivers.inbox import Received
from local.receivers.webhook_services import Answer

HELLO = Received("slack", {}, b"", {"text": "hello"}, datetime(2026, 1, 1, tzinfo=UTC), Answer(200))


def a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program by the name of chromium on an otherwise empty PATH."""
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_says_that_there_is_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    said = take_screenshots([HELLO], None, tmp_path / "pictures")

    assert said == (
        "No screenshots: none of chromium, chromium-browser, google-chrome is on the PATH."
    )


def test_pictures_what_was_received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "for argument; do case $argument in\n"
        "--screenshot=*) echo picture > ${argument#--screenshot=};;\n"
        "--window-size=*) echo $argument >> " + str(tmp_path / "sizes") + ";;\n"
        """--dump-dom) echo '<html lang="en" data-height="1234">';;\n"""
        "esac; done"
    )
    a_browser(tmp_path, monkeypatch, script)

    said = take_screenshots([HELLO], None, tmp_path / "pictures")

    assert said == "Screenshots: pictures/slack.png"
    assert (tmp_path / "pictures/slack.png").read_text() == "picture\n"
    assert (tmp_path / "sizes").read_text().split()[1] == "--window-size=900,1234"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "it ended with 3."),
        ("exit 0", "it did not measure the page."),
        ("""echo '<html data-height="10">'""", "it wrote no picture."),
        ("exec sleep 5", "it took longer than 0.2 s."),
    ],
)
def test_says_why_the_browser_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    a_browser(tmp_path, monkeypatch, script.replace("sleep", "/bin/sleep"))
    monkeypatch.setattr(
        "local.page.page_screenshots.TIMEOUT_SECONDS", 0.2 if "sleep" in script else 60
    )

    said = take_screenshots([HELLO], None, tmp_path)

    assert said == f"Screenshots are missing, because chromium failed: {reason}"


def test_pictures_only_slack_and_teams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_browser(tmp_path, monkeypatch, "exit 3")

    assert "neither Slack nor Teams" in take_screenshots([], None, tmp_path)
