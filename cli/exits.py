"""How a command ends: its exit codes, and the errors that become one sentence."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command. 130 is that of Ctrl-C."""

    DONE = 0
    BAD = 1  # the answer is bad, or the operator has answered no
    USAGE = 2
    REFUSED = 3  # AWS refused or did not answer, or there is no such stack
    INCOMPLETE = 4  # part of the answer is missing, or part of the work is left


class CommandError(Exception):
    """A command cannot continue. The text is one sentence, or two: what happened, what to do."""

    code = ExitCode.REFUSED


class UsageError(CommandError):
    """What the operator has given cannot be used."""

    code = ExitCode.USAGE


class Declined(CommandError):
    """The operator has answered no, so that nothing is done."""

    code = ExitCode.BAD

    def __init__(self, sentence: str = "Nothing was changed.") -> None:
        super().__init__(sentence)
