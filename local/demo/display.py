"""The demo's terminal output: steps, the progress of a run, and results as tables.

In a terminal, progress is animated. Elsewhere it is lines, few enough for a log.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import indent

from rich import box
from rich.align import VerticalAlignMethod
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from local.demo.messages import CHANNELS, Decided, Highlights, Notifications
from local.demo.run import RescanRun, RunProgress, in_order

WIDTH_OF_A_LOG = 120
SECONDS_BETWEEN_LINES = 5.0  # before the first line; each later pause is 1.5 times as long
MOST_ROWS = 30
NARROW_NAME = 24  # columns of a repository's name where there is little room
# With line breaks, so that columns of numbers stay narrow.
HEADINGS = {
    "STARTED": "STAR-\nTED",
    "RECENT": "RE-\nCENT",
    "DEFERRED": "DEFER-\nRED",
    "UNSCANNABLE": "UNSCAN-\nNABLE",
    "UNSUPPORTED": "UNSUP-\nPORTED",
    "ARCHIVED": "ARCHI-\nVED",
    "EXCLUDED": "EX-\nCLUDED",
    "FAILED": "FAI-\nLED",
}
STYLES = {"STARTED": "green", "DUE": "green", "DEFERRED": "yellow", "FAILED": "bold red"}
MARGIN = "    "


def console_for(*, stderr: bool = False) -> Console:
    """Return a console that is animated only in a terminal outside of CI."""
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
    """Output of steps and runs, and the seconds that each of them took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while it runs, and then how long it took."""
        began = time.monotonic()
        with self._console.status(f"{title} …"):
            yield
        self._end(title, began)

    @contextmanager
    def run(self, title: str, detail: str) -> Iterator[Callable[[RunProgress], None]]:
        """Show the progress of a run, whenever the function that this yields is called."""
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
            TextColumn("{task.fields[line]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=None, line="")

            def show(now: RunProgress) -> None:
                done, line = now.repositories_done, _wording(now)
                progress.update(task, completed=done, total=now.repositories, line=line)

            yield show

    @contextmanager
    def _plain(self, _title: str) -> Iterator[Callable[[RunProgress], None]]:
        shown, shown_at, pause = "", time.monotonic(), SECONDS_BETWEEN_LINES

        def show(now: RunProgress) -> None:
            nonlocal shown, shown_at, pause
            line = _wording(now)
            is_time = time.monotonic() - shown_at >= pause
            # A line that stays the last one must not be out of date when the run has ended.
            if line != shown and (is_time or (shown and now.has_ended)):
                self._console.print(Text(f"{'':10}{line}"))
                shown, shown_at, pause = line, time.monotonic(), pause * 1.5

        yield show


def _wording(now: RunProgress) -> str:
    if now.repositories is None:
        return "listing repositories"
    return (
        f"{now.repositories_done} of {now.repositories} repositories done, "
        f"{now.scans_started:,} scans started, {now.throttled:,} calls throttled"
    )


def table_of(run: RescanRun, console: Console) -> RenderableType:
    """Return a run as a table: one column per outcome, or one for all of them on a narrow console.

    Of a large registry, only the repositories with failures and with most scans are shown.
    """
    shown = _most_eventful(run)
    table = _table(run, shown, is_wide=True)
    unbounded = console.options.update(max_width=10_000)
    if console.measure(table, options=unbounded).maximum > console.width:
        table = _table(run, shown, is_wide=False)
    left_out = len(run.repositories) - len(shown)
    if not left_out:
        return table
    note = f"{left_out:,} more repositories are in the totals. --json FILE lists them all."
    return Group(table, Text(note, "dim"))


def calls_of(run: RescanRun) -> Table:
    """Return the calls to ECR by operation."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("ECR operation")
    table.add_column("calls", justify="right")
    table.add_column("throttled and retried", justify="right")
    for operation, count in run.calls.by_operation().items():
        table.add_row(operation, f"{count:,}", _number(run.calls.throttled[operation]))
    return table


def _table(run: RescanRun, repositories: list[str], *, is_wide: bool) -> Table:
    total, calls = run.outcomes(), run.calls.by_repository()
    outcomes = in_order(total)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, padding=0)
    # Bottom of a heading with two lines, top of a wrapped cell.
    align: VerticalAlignMethod = "bottom" if is_wide else "top"
    widest = None if is_wide else NARROW_NAME
    table.add_column(
        "repository", "all", overflow="ellipsis", no_wrap=True, max_width=widest, vertical=align
    )
    table.add_column("images", _number(total.total()), justify="right", vertical=align)
    if is_wide:
        for outcome in outcomes:
            heading = Text(HEADINGS.get(outcome, outcome), STYLES.get(outcome, ""))
            footer = _number(total[outcome], outcome)
            table.add_column(heading, footer, justify="right", vertical=align)
    else:
        table.add_column("outcomes", _in_words(total))
    calls_made = _number(run.calls.made.total())
    table.add_column("ECR\ncalls" if is_wide else "calls", calls_made, justify="right")
    table.add_column("status", no_wrap=True, vertical=align)
    for repository in repositories:
        counts = run.outcomes_of(repository)
        columns = [_number(counts[outcome], outcome) for outcome in outcomes]
        table.add_row(
            Text(repository),
            _number(counts.total()),
            *(columns if is_wide else [_in_words(counts)]),
            _number(calls[repository]),
            _status(run, repository),
        )
    return table


def _most_eventful(run: RescanRun) -> list[str]:
    """Return the repositories to show, in the order of the run; all of them if they are few."""
    by_events = sorted(
        run.repositories,
        key=lambda name: (name not in run.unfinished, -run.outcomes_of(name)["STARTED"], name),
    )
    picked = set(by_events[:MOST_ROWS])
    return [name for name in run.repositories if name in picked]


def _number(count: int, outcome: str = "") -> Text:
    return Text(f"{count:,}" if count else "", STYLES.get(outcome, ""))


def _in_words(outcomes: Counter[str]) -> Text:
    words = [
        Text(f"{outcomes[each]:,} {each}", STYLES.get(each, "")) for each in in_order(outcomes)
    ]
    return Text(", ").join(words)


def _status(run: RescanRun, repository: str) -> Text:
    record = run.records.get(repository)
    if record is None:
        return Text("not reached", "bold red")
    if record.status == "FAILED":
        return Text("FAILED", "bold red")
    return Text("gone", "dim") if record.status == "GONE" else Text("done", "green")


def summary_of(notifications: Notifications) -> RenderableType:
    """Return the scan events, the decisions on them, and the messages by channel."""
    left = notifications.events_sent - notifications.events_taken
    lines = [
        f"ECR sent {notifications.events_sent:,} scan events."
        + (
            f" {left:,} of them reported an unsupported image; no rule matches those."
            if left
            else ""
        ),
        f"Notifications were sent for {_counted(notifications.notified_scans, 'scan')} and "
        f"{_counted(notifications.notified_runs, 'run')}"
        f"{_reasons_in_words(notifications.notified)}.",
        f"No notification was sent for {_counted(notifications.not_notified.total(), 'event')}"
        f"{_reasons_in_words(notifications.not_notified)}.",
    ]
    return Group(*map(Text, lines), _channels(notifications), Text(_queue(notifications)))


def messages_of(highlights: Highlights) -> RenderableType:
    """Return a scan as shown by Slack, a run and a digest as emailed, if they were sent."""
    shown: list[Text] = []
    if slack := highlights.slack_scan():
        shown += [Text("The worst scan, as Slack shows it:", "bold"), _quoted(slack)]
    for what, email in (("run", highlights.run_email()), ("digest", highlights.digest_email())):
        if email:
            head = f"To: {email.address}\nSubject: {email.subject}\n\n"
            shown += [Text(f"The {what}, as emailed:", "bold"), _quoted(head + email.text)]
    return Group(*shown)


def what_is_new(decisions: Sequence[Decided]) -> Text:
    """Return one line about the scans of a week."""
    scans = [each for each in decisions if each.is_of_a_scan]
    notified = Counter(each.reason for each in scans if each.notify)
    others = Counter(each.reason for each in scans if not each.notify)
    return Text(
        f"Notifications were sent for {notified.total():,} of {_counted(len(scans), 'scan')}"
        f"{_reasons_in_words(notified)}. No notification was sent for {others.total():,}"
        f"{_reasons_in_words(others)}."
    )


def _channels(notifications: Notifications) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("channel")
    table.add_column("messages", justify="right")
    table.add_column("refused and sent again", justify="right")
    for channel, received in notifications.received.items():
        refused = notifications.refused.get(channel, 0)
        table.add_row(
            CHANNELS[channel],
            f"{received:,}",
            Text(f"{refused:,}" if refused else "", "yellow"),
        )
    return table


def _queue(notifications: Notifications) -> str:
    kept = len(notifications.undelivered)
    return (
        f"The dead-letter queue Undelivered {f'holds {kept:,} messages' if kept else 'is empty'}."
    )


def _quoted(text: str) -> Text:
    return Text(indent(text.rstrip(), MARGIN) + "\n", no_wrap=True, overflow="ignore")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _reasons_in_words(reasons: Counter[str]) -> str:
    """Write each reason and how often it was one, after a colon; nothing if there is none."""
    words = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common())
    return f": {words}" if words else ""
