"""YAML read node by node, so that every error names its line."""

import difflib
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Never, cast

import yaml

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"(\d{1,6})(ms|min|s|h|d|w)")
_LONGEST = timedelta(days=36_500)


class RegistryFileError(Exception):
    """A registry file is invalid; the message names the file, the line and what is accepted."""


def read(path: Path) -> str:
    """Return the text of a file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RegistryFileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RegistryFileError(f"{path} is not a text file in UTF-8.") from error


def compose(text: str, name: str) -> "Value":
    """Parse the text of a file, which is one document."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise RegistryFileError(f"{name}{line}: not YAML: {error.problem}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise RegistryFileError(f"{name}: not YAML: {reason}.") from error
    if node is None:
        raise RegistryFileError(f"{name} is empty. A registry file has at least `repositories:`.")
    return Value(node, name, "the file")


class Value:
    """A value in the file, with its position and its name."""

    def __init__(self, node: yaml.Node, file: str, title: str) -> None:
        self._node = node
        self._file = file
        self.title = title

    def refuse(self, reason: str) -> Never:
        """Raise RegistryFileError with the position of this value."""
        line = self._node.start_mark.line + 1
        raise RegistryFileError(f"{self._file}, line {line}: {self.title} {reason}")

    def members(
        self, kind: str, known: tuple[str, ...], required: tuple[str, ...] = ()
    ) -> "Members":
        """Read a mapping with known keys, each of which may occur once."""
        if not isinstance(self._node, yaml.MappingNode):
            self.refuse(f"must be a mapping with keys of {kind}: {', '.join(known)}.")
        members = Members()
        for key_node, node in self._node.value:
            shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            key = Value(key_node, self._file, f"`{shown}`")
            if shown not in known:
                close = difflib.get_close_matches(shown, known, n=1)
                meant = f" Did you mean `{close[0]}`?" if close else ""
                key.refuse(f"is not a key of {kind}.{meant} Known keys: {', '.join(known)}.")
            if shown in members:
                key.refuse("stands twice here. Keep one.")
            members[shown] = Value(node, self._file, f"`{shown}`")
        for name in required:
            if name not in members:
                self.refuse(f"has no `{name}`. The keys of {kind} are {', '.join(known)}.")
        return members

    def items(self) -> Iterator["Value"]:
        """Read a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            self.refuse("must be a list.")
        for node in self._node.value:
            yield Value(node, self._file, f"an item of {self.title}")

    @property
    def is_list(self) -> bool:
        """Return whether this is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_empty_text(self) -> bool:
        """Return whether this is a quoted empty text, not a missing value."""
        return (
            isinstance(self._node, yaml.ScalarNode)
            and self._node.value == ""
            and (self._node.style is not None)
        )

    def text(self) -> str:
        """Read a scalar exactly as written, so that a tag 1.10 stays 1.10."""
        if not isinstance(self._node, yaml.ScalarNode) or self._node.value == "":
            self.refuse("must be a text.")
        return cast("str", self._node.value)

    def matching(self, pattern: str, accepted: str, n: int | None = None) -> str:
        """Read a text that matches a pattern; `{n}` in it is replaced with a number."""
        text = self.text()
        if n is not None:
            text = text.replace("{n}", str(n))
        if not re.fullmatch(pattern, text):
            self.refuse(f"is {text!r}, but must be {accepted}.")
        return text

    def choice(self, choices: tuple[str, ...]) -> str:
        """Read one of several words."""
        text = self.text()
        if text not in choices:
            self.refuse(f"is {text!r}, but must be one of {', '.join(choices)}.")
        return text

    def number(self, least: int, most: int) -> int:
        """Read an integer between two bounds, inclusive."""
        text = self.text()
        if not re.fullmatch(r"\d{1,15}", text) or not least <= int(text) <= most:
            self.refuse(f"is {text!r}, but must be a whole number from {least} to {most}.")
        return int(text)

    def rate(self) -> float:
        """Read a positive number."""
        text = self.text()
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) or float(text) == 0:
            self.refuse(f"is {text!r}, but must be a number above 0 such as 20 or 0.5.")
        return float(text)

    def flag(self) -> bool:
        """Read a boolean."""
        return self.choice(("true", "false")) == "true"

    def duration(self) -> timedelta:
        """Read a duration such as 10d, 36h or 1d12h."""
        return self._duration(self.text())

    def durations(self, count: int) -> list[timedelta | None]:
        """Read an age, `never`, or a range such as 3d..40d that is spread over `count` items."""
        text = self.text()
        if text == "never":
            return [None] * count
        first, separator, last = text.partition("..")
        youngest = self._duration(first)
        step = (self._duration(last) - youngest) / max(count - 1, 1) if separator else timedelta()
        return [youngest + n * step for n in range(count)]

    def _duration(self, text: str) -> timedelta:
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            accepted = "a length of time such as 10d, 36h or 1d12h (units: ms, s, min, h, d, w)"
            self.refuse(f"is {self.text()!r}, but must be {accepted}.")
        length = sum((int(number) * _UNITS[unit] for number, unit in parts), timedelta())
        if length > _LONGEST:
            self.refuse(f"is {self.text()!r}, which is more than 100 years.")
        return length


class Members(dict[str, Value]):
    """The members of a mapping by key."""

    def read[Read, Default](
        self, key: str, read: Callable[[Value], Read], default: Default
    ) -> Read | Default:
        """Read a member, or return the default if it is missing."""
        return read(self[key]) if key in self else default
