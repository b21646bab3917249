"""The commands that a demo runs: which, in what order, and when it says that one has failed."""

import json
from collections.abc import Callable
from typing import cast

import pytest

from local.demo import tour
from local.demo.command_line import CommandLine, Ran, unexpected_in_commands
from local.demo.tour import RUN, WORST, Tour, TourStoppedError
from local.receivers.inbox import Inbox

IMAGE = {
    "repository": "team/api",
    "image_digest": "sha256:9b",
    "findings": [{"name": "CVE-2026-31337"}],
}


class FakeCommandLine:
    """Answers without an account. kept: what is in the dead-letter queue, as CSV."""

    def __init__(self, *images: object, kept: str = "what\r\nslack\r\n") -> None:
        self._images = images
        self._kept = kept

    def run(self, *arguments: str) -> Ran:
        out = ""
        if "json" in arguments:
            out = json.dumps({"images": self._images})
        if "csv" in arguments:
            out = self._kept
        return Ran(" ".join(arguments), 0, out, "")


class FakeInbox:
    def __init__(self) -> None:
        self.is_broken: list[bool] = []

    def script(self, channel: str, _answer: object) -> None:
        assert channel == "slack"
        self.is_broken.append(True)

    def repair(self, channel: str) -> None:
        assert channel == "slack"
        self.is_broken.append(False)


def toured(
    command_line: FakeCommandLine, run: Callable[[Tour], None]
) -> tuple[list[str], FakeInbox]:
    inbox, shown = FakeInbox(), list[Ran]()
    made = Tour(cast("CommandLine", command_line), cast("Inbox", inbox), shown.append)
    run(made)
    assert made.commands == shown
    return [ran.command for ran in shown], inbox


def test_every_demo_shows_the_worst_images_and_writes_the_page() -> None:
    commands, inbox = toured(FakeCommandLine(IMAGE), Tour.report)
    assert commands == [" ".join(WORST)]
    assert inbox.is_broken == []


def test_a_tour_asks_about_the_worst_image_and_repairs_what_it_has_broken() -> None:
    commands, inbox = toured(FakeCommandLine(IMAGE), Tour.all)
    assert "why team/api@sha256:9b" in commands
    assert "report --vulnerability CVE-2026-31337" in commands
    assert commands.count("test slack") == 3
    assert 'run --input {"repositories": ["team/api"]} --follow' in commands
    assert f"rerun {RUN} --yes" in commands
    assert inbox.is_broken == [True, False]
    assert commands[-2:] == ["undelivered send", "status"]


def test_a_tour_of_an_empty_registry_leaves_out_what_needs_an_image() -> None:
    commands, _ = toured(FakeCommandLine(), Tour.all)
    assert not any(command.startswith(("why", "accept", "run")) for command in commands)


def test_an_image_without_named_findings_has_none_to_accept() -> None:
    commands, _ = toured(FakeCommandLine(IMAGE | {"findings": []}), Tour.all)
    assert "why team/api@sha256:9b" in commands
    assert not any(command.startswith("accept") for command in commands)


def test_a_tour_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(TourStoppedError, match="dead-letter queue"):
        toured(FakeCommandLine(kept="what\r\n"), Tour.all)


@pytest.mark.parametrize(("code", "is_unexpected"), [(0, 0), (1, 0), (4, 0), (2, 1), (3, 1)])
def test_a_command_that_cannot_answer_fails_the_demo(code: int, is_unexpected: bool) -> None:
    ran = Ran("ecr-rescan doctor", code, "", "There is no stack.\n")
    sentence = f"ecr-rescan doctor ended with {code}: There is no stack."
    assert unexpected_in_commands([ran]) == (sentence if is_unexpected else None)
