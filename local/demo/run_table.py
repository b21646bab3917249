"""A run as a table for the terminal."""

from collections import Counter

from rich import box
from rich.align import VerticalAlignMethod
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from local.demo.rescan_run import RescanRun, in_order

MOST_ROWS = 30
NARROW_NAME = 24  # columns of a repository's name where there is little room
# Broken by hand, so that a column of numbers stays narrow.
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


def table_of(run: RescanRun, console: Console) -> RenderableType:
    """Show what came of each repository: a column an outcome, or one for all where that is wide.

    A large registry is cut short to the repositories in which most happened.
    """
    shown = _most_eventful(run)
    table = _table(run, shown, is_wide=True)
    unbounded = console.options.update(max_width=10_000)
    if console.measure(table, options=unbounded).maximum > console.width:
        table = _table(run, shown, is_wide=False)
    left_out = len(run.repositories) - len(shown)
    if not left_out:
        return table
    note = f"{left_out:,} more repositories are in the totals; --json FILE lists them all."
    return Group(table, Text(note, "dim"))


def calls_of(run: RescanRun) -> Table:
    """Show the calls that ECR was sent, by operation."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("ECR operation")
    table.add_column("calls", justify="right")
    table.add_column("throttled, and retried", justify="right")
    for operation, count in run.calls.by_operation().items():
        table.add_row(operation, f"{count:,}", _number(run.calls.throttled[operation]))
    return table


def _table(run: RescanRun, repositories: list[str], *, is_wide: bool) -> Table:
    total, calls = run.outcomes(), run.calls.by_repository()
    outcomes = in_order(total)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, padding=0)
    # At the bottom of a heading of two lines, but not of a cell that is wrapped.
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
    """Pick the repositories to show, all of them where they are few, in the order of the run."""
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
