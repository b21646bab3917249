"""The command line `ecr-rescan`, as an operator of the local account runs it."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from local.cloud.engine import Engine
from local.cloud.interpreters import REPOSITORY, command_line_python

TIMEOUT_SECONDS = 300  # a command takes a few seconds on a calm machine
WIDTH = "80"
ANSWERS = {0, 1, 4}  # all is well, the answer is bad, the answer is incomplete


@dataclass(frozen=True)
class Ran:
    """What a command has written, and its exit code. remark: what to know before it."""

    command: str
    code: int
    out: str
    err: str
    remark: str = ""


class CommandLine:
    """Runs commands in processes of their own, with the credentials of the engine's deployer."""

    def __init__(self, engine: Engine) -> None:
        self._environment = {
            **os.environ,
            **engine.environment,
            "PYTHONPATH": str(REPOSITORY),
            "COLUMNS": WIDTH,
        }
        self._environment.pop("AWS_PROFILE", None)

    def run(self, *arguments: str) -> Ran:
        """Run a command, without a terminal."""
        ran = subprocess.run(  # noqa: S603 # the command is ours
            [str(command_line_python()), "-m", "cli", *arguments],
            cwd=REPOSITORY,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        command = shlex.join(["ecr-rescan", *arguments])
        return Ran(command, ran.returncode, ran.stdout, ran.stderr)


def unexpected_in_commands(commands: Sequence[Ran]) -> str | None:
    """Say which command could not answer; a bad answer is what a command is for."""
    for ran in commands:
        if ran.code not in ANSWERS:
            return f"{ran.command} ended with {ran.code}: {ran.err.strip()}"
    return None
