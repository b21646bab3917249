"""A message before a channel formats it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from reporting.text import trimmed, visible

LONGEST_VALUE = 500  # characters
# An address that every channel takes as it is.
_LINK = re.compile(
    r"https://[\w.-]+(:[0-9]{1,5})?([/?#][\w.~:/?#@!$&'(),;=%+*-]{0,500})?", re.ASCII
)


class Level(StrEnum):
    """Severity of a message, the worst first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFO = "INFO"  # findings of lesser severities, or a scan that failed
    OK = "OK"

    @property
    def sign(self) -> str:
        """Return the coloured circle for the severity."""
        return _SIGNS[self]


_SIGNS = {
    Level.CRITICAL: "\N{LARGE RED CIRCLE}",
    Level.HIGH: "\N{LARGE ORANGE CIRCLE}",
    Level.MEDIUM: "\N{LARGE YELLOW CIRCLE}",
    Level.LOW: "\N{LARGE BLUE CIRCLE}",
    Level.INFO: "\N{MEDIUM WHITE CIRCLE}",
    Level.OK: "\N{LARGE GREEN CIRCLE}",
}


@dataclass(frozen=True)
class Value:
    """Text from outside, which is only ever shown: no channel interprets it.

    link: address that the text leads to, if any.
    """

    text: str
    link: str | None = None

    @classmethod
    def of(cls, text: str, link: str | None = None) -> "Value":
        """Return a text made safe to show; a link that no channel would take is dropped."""
        is_link = link is not None and _LINK.fullmatch(link)
        return cls(trimmed(visible(text), LONGEST_VALUE), link if is_link else None)


type Line = tuple[str | Value, ...]  # our own words as text, external text as Value


def plain(line: Line) -> str:
    """Return a line as plain text."""
    return "".join(part.text if isinstance(part, Value) else part for part in line)


@dataclass(frozen=True)
class Message:
    """What a notification says, the same for every channel.

    title: what happened, in our own words, and to what.
    shorter_titles: for where the title is too long, each shorter than the one before.
    counts: findings by severity, or images by outcome, with the level of each.
    facts: further labels with their values.
    heading, lines: a list whose end can be omitted where space is short.
    command_heading, command: text to copy, and what to do with it.
    remarks: what is missing, and why.
    subject: the same for all messages about the same thing, to group them by.
    """

    level: Level
    title: Line
    link: str
    link_text: str
    subject: str
    shorter_titles: tuple[Line, ...] = ()
    counts: tuple[tuple[Level, Line], ...] = ()
    facts: tuple[tuple[str, Line], ...] = ()
    heading: str = ""
    lines: tuple[Line, ...] = ()
    command_heading: str = ""
    command: str | None = None
    remarks: tuple[Line, ...] = ()

    def within[P](self, render: Callable[["Message"], P], fits: Callable[[P], bool]) -> P:
        """Return the largest rendering that fits: lines are omitted from the end, with a remark."""
        message, shown = self, len(self.lines)
        while not fits(rendered := render(message)) and shown:
            shown //= 2
            left = len(self.lines) - shown
            message = replace(
                self,
                lines=self.lines[:shown],
                remarks=(
                    *self.remarks,
                    (f"{left:,} more omitted: the message would be too long for this channel.",),
                ),
            )
        return rendered
