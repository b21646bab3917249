"""What a check of the deployment found, what follows from it, and what repairs it."""

from dataclasses import dataclass
from enum import StrEnum

from cli.exits import CommandError


class State(StrEnum):
    """How well something works."""

    OK = "ok"
    WARN = "warn"  # it works, and an operator should know this
    FAULT = "fault"  # it does not work until an operator repairs it
    UNCHECKED = "unchecked"


@dataclass(frozen=True)
class Result:
    """One thing that a check found.

    follows, repair: of a warning or a fault. A line of `repair` is a sentence or a whole command.
    """

    state: State
    found: str
    follows: str = ""
    repair: tuple[str, ...] = ()


def ok(found: str) -> Result:
    """Make the result of a check that found nothing wrong."""
    return Result(State.OK, found)


def warn(found: str, follows: str, *repair: str) -> Result:
    """Make a warning."""
    return Result(State.WARN, found, follows, repair)


def fault(found: str, follows: str, *repair: str) -> Result:
    """Make a fault."""
    return Result(State.FAULT, found, follows, repair)


def unchecked(error: CommandError | str, of: str = "") -> Result:
    """Make the result of a check that AWS refused, or could not answer."""
    return Result(State.UNCHECKED, f"{of}{error}")
