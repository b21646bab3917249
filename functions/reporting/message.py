"""A message before a channel formats it."""

import re
from collections.abc import Callable, Iterable, Iterator
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
class Section:
    """A list with a heading, whose end can be omitted where space is short.

    is_inline: the lines are short, and shown one after the other in a paragraph.
    more: how many further lines the report has.
    """

    heading: str
    lines: tuple[Line, ...]
    is_inline: bool = False
    more: int = 0

    @property
    def all_lines(self) -> tuple[Line, ...]:
        """Return the lines, and how many more there are."""
        return (*self.lines, (f"and {self.more:,} more",)) if self.more else self.lines


def sections(
    heading: str, lines: Iterable[Line], *, is_inline: bool = False, more: int = 0
) -> tuple[Section, ...]:
    """Return a section of these lines, or none if there are no lines."""
    listed = tuple(lines)
    return (Section(heading, listed, is_inline, more),) if listed or more else ()


@dataclass(frozen=True)
class Message:
    """What a notification says, the same for every channel.

    title: what happened, in our own words, and to what.
    headlines: the same where a line is all there is, in the order of preference.
    texts: for SMS, in the order of preference; the headlines if there is none.
    lead: sentences that explain the title.
    sections: lists, the most important first.
    counts_heading, counts: findings by severity, or images by outcome, with the level of each.
    facts: further labels with their values.
    command_heading, command: text to copy, and what to do with it.
    remarks: what is missing, and why.
    subject: the same for all messages about the same thing, to group them by.
    """

    level: Level
    title: Line
    link: str
    link_text: str
    subject: str
    headlines: tuple[Line, ...] = ()
    texts: tuple[Line, ...] = ()
    lead: tuple[Line, ...] = ()
    sections: tuple[Section, ...] = ()
    counts_heading: str = ""
    counts: tuple[tuple[Level, Line], ...] = ()
    facts: tuple[tuple[str, Line], ...] = ()
    command_heading: str = ""
    command: str | None = None
    remarks: tuple[Line, ...] = ()

    @property
    def one_liners(self) -> tuple[Line, ...]:
        """Return what is said where a line is all there is: the first that fits is used."""
        return self.headlines or (self.title,)

    def within[P](self, render: Callable[["Message"], P], fits: Callable[[P], bool]) -> P:
        """Return the largest rendering that fits: lines are omitted from the end, with a remark."""
        message, shown = self, sum(len(section.lines) for section in self.sections)
        total = shown + sum(section.more for section in self.sections)
        while not fits(rendered := render(message)) and shown:
            shown //= 2
            left = total - shown
            message = replace(
                self,
                sections=tuple(self._first(shown)),
                remarks=(
                    *self.remarks,
                    (f"{left:,} more omitted: the message would be too long for this channel.",),
                ),
            )
        return rendered

    def _first(self, lines: int) -> Iterator[Section]:
        """Return the sections with the first lines, without those that have none left."""
        for section in self.sections:
            if lines > 0:
                yield replace(section, lines=section.lines[:lines], more=0)
            lines -= len(section.lines)
