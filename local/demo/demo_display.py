"""What the demo shows while it works: steps with their times, and how far a run has come.

In a terminal it moves; elsewhere it is plain lines, few enough to read in a log.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from local.demo.run_watch import RunProgress

WIDTH_OF_A_LOG = 120
SECONDS_BETWEEN_LINES = 5.0  # at first: each is followed by a pause half as long again


def console_for(*, stderr: bool = False) -> Console:
    """Make a console that knows whether somebody watches: CI has terminals, but nobody there."""
    console = Console(highlight=False, soft_wrap=False, stderr=stderr)
    if console.is_terminal and not os.environ.get("CI"):
        return console
    width = None if os.environ.get("COLUMNS") else WIDTH_OF_A_LOG
    return Console(
        highlight=False,
        stderr=stderr,
        width=width,
        force_terminal=False,
        force_interactive=False,
        color_system=None,
    )


class DemoDisplay:
    """The terminal, or what stands for it, and the seconds that each step took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show that a step is under way, and at its end how long it took."""
        began = time.monotonic()
        with self._console.status(f"{title} …"):
            yield
        self._end(title, began)

    @contextmanager
    def run(self, title: str, detail: str) -> Iterator[Callable[[RunProgress], None]]:
        """Show how far a run has come, whenever what is given here is told."""
        began = time.monotonic()
        watch = self._moving if self._console.is_interactive else self._plain
        with watch(title) as show:
            yield show
        self._end(title, began, detail)

    def _end(self, title: str, began: float, detail: str = "") -> None:
        self.seconds[title] = time.monotonic() - began
        taken = f"{self.seconds[title]:6.1f} s"
        self._console.print(Text.assemble((taken, "cyan"), f"  {title}{detail}"))

    @contextmanager
    def _moving(self, title: str) -> Iterator[Callable[[RunProgress], None]]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=None, said="")

            def show(now: RunProgress) -> None:
                done, said = now.repositories_done, _wording(now)
                progress.update(task, completed=done, total=now.repositories, said=said)

            yield show

    @contextmanager
    def _plain(self, _title: str) -> Iterator[Callable[[RunProgress], None]]:
        told, told_at, pause = "", time.monotonic(), SECONDS_BETWEEN_LINES

        def show(now: RunProgress) -> None:
            nonlocal told, told_at, pause
            said = _wording(now)
            if said != told and time.monotonic() - told_at >= pause:
                self._console.print(Text(f"{'':10}{said}"))
                told, told_at, pause = said, time.monotonic(), pause * 1.5

        yield show


def _wording(now: RunProgress) -> str:
    if now.repositories is None:
        return "listing repositories"
    return (
        f"{now.repositories_done} of {now.repositories} repositories done, "
        f"{now.scans_started:,} scans started, {now.throttled:,} calls throttled"
    )
