"""YAML without tags, aliases and deep nesting, read so that every value knows its line.

Read from the parser's events, not from its nodes: PyYAML composes nodes by recursion, and where
libyaml is at work a document that is nested deeply enough ends the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import Reader

from reporting.text import sendable, trimmed

DEEPEST = 8  # levels
LONGEST_PROBLEM = 200  # characters

# Ten times as fast with libyaml, which PyYAML has where its wheel fits the machine.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOTHING = {"", "~", "null", "Null", "NULL"}
_AROUND = (
    yaml.StreamStartEvent,
    yaml.StreamEndEvent,
    yaml.DocumentStartEvent,
    yaml.DocumentEndEvent,
)


class UnreadableYaml(Exception):
    """The text is not YAML, or YAML of a kind that is not accepted."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)


@dataclass(frozen=True)
class Scalar:
    """A single value, exactly as it is written, so that 1.10 stays 1.10; none for null."""

    line: int
    text: str | None


@dataclass(frozen=True)
class Sequence:
    """A list."""

    line: int
    items: tuple["Value", ...]


@dataclass(frozen=True)
class Mapping:
    """A mapping; a key may be in it more than once."""

    line: int
    members: tuple[tuple["Value", "Value"], ...]


type Value = Scalar | Sequence | Mapping


def parse(text: str, loader: type[yaml.SafeLoader] | None = None) -> Value:
    """Read the one document of a text; one that is empty is null."""
    if refused := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, refused.start()) + 1
        raise UnreadableYaml(f"not YAML: the character {refused[0]!a} must be escaped.", line)
    try:
        events = (
            event
            for event in yaml.parse(text, Loader=loader or LOADER)
            if not isinstance(event, _AROUND)
        )
        documents = list(_values(events, 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(error.problem, mark.line + 1 if mark else None) from error
    # Of an escape or a version that is no number Python can hold.
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _not_yaml(error, None) from error
    if len(documents) > 1:
        raise UnreadableYaml("a second document begins; one is accepted.", documents[1].line)
    return documents[0] if documents else Scalar(1, None)


def _values(events: Iterator[yaml.Event], depth: int) -> Iterator[Value]:
    """Read values until the collection that they are in ends."""
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            return
        yield _value(event, events, depth)


def _value(event: Any, events: Iterator[yaml.Event], depth: int) -> Value:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent):
        raise UnreadableYaml(f"the alias *{event.anchor} is not accepted.", line)
    if event.tag is not None:
        raise UnreadableYaml(f"the tag {event.tag} is not accepted.", line)
    if isinstance(event, yaml.ScalarEvent):
        is_nothing = not event.style and event.value in _NOTHING
        return Scalar(line, None if is_nothing else sendable(event.value))
    if depth > DEEPEST:
        raise UnreadableYaml(f"nested more than {DEEPEST} levels deep.", line)
    inside = tuple(_values(events, depth + 1))
    if isinstance(event, yaml.SequenceStartEvent):
        return Sequence(line, inside)
    return Mapping(line, tuple(zip(inside[::2], inside[1::2], strict=True)))


def _not_yaml(problem: object, line: int | None) -> UnreadableYaml:
    shown = sendable(" ".join(str(problem).split()))
    return UnreadableYaml(f"not YAML: {trimmed(shown, LONGEST_PROBLEM)}.", line)
