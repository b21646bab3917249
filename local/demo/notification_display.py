"""Notifications in the terminal: what came back, who was told, and two messages as they arrived."""

from collections import Counter
from collections.abc import Sequence
from textwrap import indent

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from local.demo.notification_texts import Highlights
from local.demo.notifications import CHANNELS, Decided, Notifications

MARGIN = "    "


def summary_of(notifications: Notifications) -> RenderableType:
    """Show what came back, what became of it, and what each channel received."""
    left = notifications.events_sent - notifications.events_taken
    lines = [
        f"{notifications.events_sent:,} scan events came back from ECR"
        + (
            f", {left:,} of them of images that it does not support, which no rule takes."
            if left
            else "."
        ),
        f"People were told of {notifications.told_scans:,} scans and {notifications.told_runs} "
        f"runs: {_in_words(notifications.told)}.",
        f"Nobody was told of {notifications.silent.total():,} events: "
        f"{_in_words(notifications.silent)}.",
    ]
    return Group(*map(Text, lines), _channels(notifications), Text(_queue(notifications)))


def messages_of(highlights: Highlights) -> RenderableType:
    """Show a scan as Slack got it and a run as it was mailed; nothing of what was not sent."""
    shown: list[Text] = []
    if slack := highlights.slack_scan():
        shown += [Text("The worst scan, as Slack got it:", "bold"), _quoted(slack)]
    if email := highlights.run_email():
        head = f"To: {email.address}\nSubject: {email.subject}\n\n"
        shown += [Text("The run, as it was mailed:", "bold"), _quoted(head + email.text)]
    return Group(*shown)


def what_is_new(decisions: Sequence[Decided]) -> Text:
    """Show in one line what came of the scans of a week."""
    told = Counter(each.reason for each in decisions if each.tell and each.is_of_a_scan)
    silent = Counter(each.reason for each in decisions if not each.tell and each.is_of_a_scan)
    words = f"People were told of {told.total():,} scans"
    if told:
        words += f": {_in_words(told)}"
    return Text(f"{words}. Nobody was told of {silent.total():,}: {_in_words(silent)}.")


def _channels(notifications: Notifications) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("channel")
    table.add_column("messages", justify="right")
    table.add_column("refused, and sent again", justify="right")
    table.add_column("")
    for channel, received in notifications.received.items():
        refused = notifications.refused.get(channel, 0)
        closing = notifications.resolved if channel == "pagerduty" else 0
        table.add_row(
            CHANNELS[channel],
            f"{received:,}",
            Text(f"{refused:,}" if refused else "", "yellow"),
            Text(
                f"{closing:,} of them close an incident, if there is one" if closing else "", "dim"
            ),
        )
    return table


def _queue(notifications: Notifications) -> str:
    kept = len(notifications.undelivered)
    return f"The queue Undelivered holds {kept:,} messages." if kept else "Undelivered is empty."


def _quoted(text: str) -> Text:
    return Text(indent(text.rstrip(), MARGIN) + "\n", no_wrap=True, overflow="ignore")


def _in_words(reasons: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common()) or "none"
