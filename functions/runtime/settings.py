"""Settings of a function: environment variables, each named for its template parameter."""

import os
import re
from datetime import timedelta
from enum import StrEnum

from runtime import durations


class SettingsError(Exception):
    """A parameter of the stack holds a value that ecr-rescan cannot work with."""


def text(name: str) -> str:
    """Read a setting that must not be empty."""
    value = optional_text(name)
    if value is None:
        raise SettingsError(f"{name} is not set: deploy the stack again from its template")
    return value


def optional_text(name: str) -> str | None:
    """Read a setting that may be left empty."""
    return os.environ.get(name) or None


def whole_number(name: str, *, least: int, most: int) -> int:
    """Read a whole number within limits."""
    value = text(name)
    if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return int(value)


def duration(name: str) -> timedelta:
    """Read a duration longer than zero."""
    try:
        return durations.parse(text(name))
    except ValueError as error:
        raise SettingsError(f"{name} must be {error}") from error


def optional_duration(name: str) -> timedelta | None:
    """Read a duration that may be left empty."""
    return duration(name) if optional_text(name) else None


def optional_pattern(name: str) -> str | None:
    """Read a regular expression that may be left empty."""
    value = optional_text(name)
    try:
        re.compile(value or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise SettingsError(
            f"{name} must be a regular expression, not {value!r}: {error}"
        ) from error
    return value


def choice[E: StrEnum](name: str, choices: type[E]) -> E:
    """Read one of a few names."""
    value = text(name)
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return choices(value)


def choices[E: StrEnum](name: str, known: type[E]) -> frozenset[E]:
    """Read some of a few names, with commas between them; NONE is none of them."""
    names = [part.strip() for part in text(name).split(",")]
    if names == ["NONE"]:
        return frozenset()
    for each in names:
        if each not in known:
            raise SettingsError(
                f"{name} must be NONE, or some of {', '.join(known)} with commas between, "
                f"not {each!r}"
            )
    return frozenset(map(known, names))


def flag(name: str) -> bool:
    """Read true or false."""
    value = text(name)
    if value not in ("true", "false"):
        raise SettingsError(f"{name} must be true or false, not {value!r}")
    return value == "true"


def number_or_off(name: str) -> int | None:
    """Read a whole number; none when it is off."""
    value = text(name)
    if value == "off":
        return None
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise SettingsError(f"{name} must be a whole number or off, not {value!r}")
    return int(value)
