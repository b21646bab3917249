"""Settings of a function: a dataclass, read from environment variables named for its fields.

Each variable has the name of the parameter or resource that the template takes its value from, and
errors name that, as operators know it.
"""

import functools
import os
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from runtime import durations


class SettingsError(Exception):
    """A parameter of the stack holds a value that ecr-rescan cannot work with."""


@dataclass(frozen=True)
class Limits:
    """The smallest and the largest number that a field accepts."""

    least: int
    most: int


@dataclass(frozen=True)
class AtLeast:
    """The shortest duration that a field accepts, in whole hours, and the reason."""

    least: timedelta
    reason: str


class Marks(StrEnum):
    """What else a type says of a setting."""

    PATTERN = "regular expression"
    OFF = "off"  # which is None, while an empty setting is not accepted


type Threshold = Annotated[int | None, Marks.OFF]
type Pattern = Annotated[str | None, Marks.PATTERN]


class Settings:
    """The base of all dataclasses of settings.

    The types of the fields say what is accepted: text, a number with Limits, a duration, true or
    false, one of an enumeration or a set of them, and None for what may be empty.
    """

    @classmethod
    def load(cls) -> Self:
        """Read the settings of a function once, on its first call; raise SettingsError."""
        settings: Self = loaded(cls)  # type: ignore[arg-type]  # a class is hashable
        return settings


@functools.cache
def loaded(kind: type[Settings]) -> Any:
    """Read settings, and return the same ones from then on."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return kind(**{name: _read(name, hint) for name, hint in hints.items()})


def parameter(name: str) -> str:
    """Return the name of the parameter that a field is named for."""
    return "".join(word.capitalize() for word in name.split("_"))


def _read(name: str, hint: Any) -> Any:
    if isinstance(hint, typing.TypeAliasType):
        hint = hint.__value__
    kind, *marks = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    text, is_optional = os.environ.get(name.upper()) or None, isinstance(kind, types.UnionType)
    if is_optional:
        (kind,) = (each for each in typing.get_args(kind) if each is not types.NoneType)
    if Marks.OFF in marks and text == "off":
        return None
    if text is None:
        if is_optional and Marks.OFF not in marks:
            return None
        raise SettingsError(f"{parameter(name)} is not set: deploy the stack again")
    try:
        return _value(text, kind, *marks)
    except ValueError as error:
        raise SettingsError(f"{parameter(name)} must be {error}") from error


def _value(text: str, kind: Any, mark: object = None) -> Any:
    """Read a value; raise ValueError with a phrase that completes "<parameter> must be …"."""
    if typing.get_origin(kind) is frozenset:
        return _some_of(text, *typing.get_args(kind))
    if issubclass(kind, StrEnum):
        return _one_of(text, kind)
    readers: dict[Any, Callable[[str, Any], object]] = {
        str: _text,
        bool: _flag,
        int: _number,
        timedelta: _duration,
    }
    return readers[kind](text, mark)


def _text(text: str, mark: object) -> str:
    if mark is Marks.PATTERN:
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"a regular expression, not {text!r}: {error}") from error
    return text


def _flag(text: str, _: object) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"true or false, not {text!r}")
    return text == "true"


def _number(text: str, mark: Limits | Marks) -> int:
    is_whole = re.fullmatch(r"[0-9]{1,9}", text)
    if isinstance(mark, Limits):
        if not is_whole or not mark.least <= int(text) <= mark.most:
            raise ValueError(f"a whole number from {mark.least} to {mark.most}, not {text!r}")
    elif not is_whole:
        raise ValueError(f"a whole number or off, not {text!r}")
    return int(text)


def _duration(text: str, mark: AtLeast | None) -> timedelta:
    duration = durations.parse(text)
    if mark and duration < mark.least:
        hours = mark.least // timedelta(hours=1)
        raise ValueError(f"at least {hours} hours, not {text}: {mark.reason}")
    return duration


def _one_of[E: StrEnum](text: str, known: type[E]) -> E:
    if text not in known:
        raise ValueError(f"one of {', '.join(known)}, not {text!r}")
    return known(text)


def _some_of[E: StrEnum](text: str, known: type[E]) -> frozenset[E]:
    """Read names with commas between them; NONE is none of them."""
    names = [part.strip() for part in text.split(",")]
    if names == ["NONE"]:
        return frozenset()
    for name in names:
        if name not in known:
            accepted = ", ".join(known)
            raise ValueError(f"NONE, or some of {accepted} with commas between, not {name!r}")
    return frozenset(map(known, names))
