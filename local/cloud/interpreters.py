"""The programs of the local cloud's environments: in the repository, or set by variables."""

import os
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class EnvironmentMissingError(Exception):
    """A program of the local cloud is missing; the message says how to install it."""


def local_cloud_python() -> Path:
    """Return the interpreter of the environment with localemu and this project."""
    return _program("LOCAL_CLOUD_PYTHON", ".venvs/local/bin/python")


def lambda_runtime_python() -> Path:
    """Return the interpreter of the environment with the contents of AWS's Lambda runtime."""
    return _program("LAMBDA_RUNTIME_PYTHON", ".venvs/lambda-runtime/bin/python")


def command_line_python() -> Path:
    """Return the interpreter of the environment with what the command line needs."""
    return _program("COMMAND_LINE_PYTHON", ".venvs/cli/bin/python")


def sam_command() -> Path:
    """Return the SAM CLI."""
    return _program("SAM_COMMAND", ".venvs/sam/bin/sam")


def _program(variable: str, default: str) -> Path:
    program = os.environ.get(variable) or str(REPOSITORY / default)
    if shutil.which(program) is None:
        raise EnvironmentMissingError(
            f"{program} does not exist. Run `make cloud` to install the environments of the "
            f"local cloud, or set {variable} to another program."
        )
    # Not resolved: the path of the link to the interpreter identifies a virtual environment.
    return Path(program).absolute()
