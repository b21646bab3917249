"""What the start of a function imports: boto3 where AWS is called, and nowhere else."""

import subprocess
import sys

import pytest

from tests.support.definition import State, snake, states
from tests.support.template import ROOT

FUNCTIONS = [state for state in states() if state.is_function]
CALLS_NOTHING = {"InterpretEvent"}


@pytest.mark.parametrize("state", FUNCTIONS, ids=lambda state: state.name)
def test_loads_boto3_with_the_function_where_it_is_needed(state: State) -> None:
    """During the start of a function, Lambda gives it more CPU than during its first call."""
    module = f"{state.workflow.package}.{snake(state.name)}"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print('boto3' in sys.modules)"],
        cwd=ROOT / "functions",
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"{state.name not in CALLS_NOTHING}\n"
