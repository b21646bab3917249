"""What an operator asks of the account of the demo, with the command line.

Every demo asks for the report. A tour runs each command that needs no build, on what the demo has
left, and breaks one channel meanwhile, so that there is something to find and to repair.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from local.demo.command_line import CommandLine, Ran
from local.receivers.inbox import Inbox
from local.receivers.webhook_services import Answer

REPORT = ".demo/report.html"
WORST = ("report", "--worst", "5", "--html", REPORT)
RUN = "demo-1"  # the first run of every demo
GONE = Answer(404, b"no_service")  # how Slack answers at an address that is no longer one
WAIT_SECONDS = 120.0
UNTIL = "2099-12-31"

type Show = Callable[[Ran], None]


class TourStoppedError(Exception):
    """What the tour waits for has not happened; the message says what."""


@dataclass(frozen=True)
class Worst:
    """The image with the worst findings, and the first of them. None where there is none."""

    image: str | None = None
    repository: str | None = None
    vulnerability: str | None = None


class Tour:
    """The commands of a demo. show: prints each as it ends."""

    def __init__(self, command_line: CommandLine, inbox: Inbox, show: Show) -> None:
        self._command_line = command_line
        self._inbox = inbox
        self._show = show
        self.commands: list[Ran] = []

    def report(self) -> None:
        """Show the worst images, and write the report as a page."""
        self._run(*WORST)

    def all(self) -> None:
        """Run every command that reads, then every command that acts."""
        worst = self._worst()
        for arguments in _reading(worst):
            self._run(*arguments)
        if worst.vulnerability and worst.repository:
            self._run(
                *("accept", worst.vulnerability, "--in", worst.repository, "--until", UNTIL),
                *("--reason", "an example", "--yes"),
            )
            self._run("check-risks")
        if worst.repository:
            chosen = json.dumps({"repositories": [worst.repository]})
            self._run("run", "--input", chosen, "--follow")
        self._run("test", "slack")
        self._run("test", "slack", remark="A test is sent each time, unlike a notification:")
        self._run("digest")
        self._break_slack_and_repair_it()

    def _break_slack_and_repair_it(self) -> None:
        self._inbox.script("slack", GONE)
        self._run("test", "slack", remark="From here on, Slack refuses messages, on purpose:")
        self._run("rerun", RUN, "--yes")
        self._await("a message in the dead-letter queue Undelivered", self._has_undelivered)
        self._run("undelivered")
        self._run("doctor")
        self._inbox.repair("slack")
        self._run("undelivered", "send", remark="Slack takes messages again:")
        self._run("status")

    def _has_undelivered(self) -> bool:
        listed = self._command_line.run("undelivered", "list", "-o", "csv")
        return "slack" in listed.out.casefold()

    def _await(self, what: str, has_happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not has_happened():
            if time.monotonic() > deadline:
                raise TourStoppedError(f"The tour has waited {WAIT_SECONDS:.0f} s for {what}.")
            time.sleep(1)

    def _worst(self) -> Worst:
        ran = self._command_line.run("report", "--worst", "1", "-o", "json")
        images = json.loads(ran.out)["images"] if ran.out else []
        if not images:
            return Worst()
        (image, *_) = images
        findings = image["findings"]
        return Worst(
            image=f"{image['repository']}@{image['image_digest']}",
            repository=image["repository"],
            vulnerability=findings[0]["name"] if findings else None,
        )

    def _run(self, *arguments: str, remark: str = "") -> None:
        ran = replace(self._command_line.run(*arguments), remark=remark)
        self.commands.append(ran)
        self._show(ran)


def _reading(worst: Worst) -> Iterator[tuple[str, ...]]:
    yield ("doctor",)
    yield ("status",)
    yield WORST
    yield ("report", "--oldest", "3")
    yield ("report", "--overdue")
    if worst.vulnerability:
        yield ("report", "--vulnerability", worst.vulnerability)
    if worst.image:
        yield ("why", worst.image)
    yield ("plan",)
    yield ("plan", "--shape", "100x50")
    yield ("check-risks",)
