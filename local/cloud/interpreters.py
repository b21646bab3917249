"""Where the programs of the local cloud's environments are: in the repository, or where told."""

import os
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class EnvironmentMissingError(Exception):
    """A program of the local cloud is not installed: the message says how to install it."""


def local_cloud_python() -> Path:
    """Find the interpreter whose environment holds localemu and this project."""
    return _program("LOCAL_CLOUD_PYTHON", ".venvs/local/bin/python")


def lambda_runtime_python() -> Path:
    """Find the interpreter whose environment holds what AWS's Lambda runtime holds."""
    return _program("LAMBDA_RUNTIME_PYTHON", ".venvs/lambda-runtime/bin/python")


def sam_command() -> Path:
    """Find the SAM command line."""
    return _program("SAM_COMMAND", ".venvs/sam/bin/sam")


def _program(variable: str, default: str) -> Path:
    program = os.environ.get(variable) or str(REPOSITORY / default)
    if shutil.which(program) is None:
        raise EnvironmentMissingError(
            f"{program} is not a program. Run `make cloud` to install the environments of the "
            f"local cloud, or set {variable} to the one to use."
        )
    # Not resolved: a virtual environment is known by the path of its link to the interpreter.
    return Path(program).absolute()
