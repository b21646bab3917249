"""A message as it is before any channel has put it into its own form."""

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
    """How bad it is, the worst first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFO = "INFO"  # findings of lesser severities, or a scan that failed
    OK = "OK"

    @property
    def sign(self) -> str:
        """Give a sign that is understood at a glance, in every channel that shows colours."""
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
    """Text from outside: it is only shown, and never interpreted.

    link: where it leads, if anywhere.
    """

    text: str
    link: str | None = None

    @classmethod
    def of(cls, text: str, link: str | None = None) -> "Value":
        """Take a text as it came, and make it fit to be shown; a link that may be none is left."""
        is_link = link is not None and _LINK.fullmatch(link)
        return cls(trimmed(visible(text), LONGEST_VALUE), link if is_link else None)


type Line = tuple[str | Value, ...]  # fixed words, and values


def plain(line: Line) -> str:
    """Write a line without any form."""
    return "".join(part.text if isinstance(part, Value) else part for part in line)


@dataclass(frozen=True)
class Message:
    """One notification, before a channel formats it.

    title: what happened, in fixed words, and to what.
    counts: findings by severity, or images by outcome, with the level of each.
    facts: names and values of further details.
    heading, lines: a list of which a part can be left out where room is short.
    command_heading, command: what to paste, and where to.
    remarks: what is missing, and why.
    subject: what all messages about the same thing have in common, to group them by.
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
        """Render as much as fits: lines are left out from the end, and the message says so."""
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
