"""What the start of a function imports: boto3 where AWS is called, and nowhere else."""

import subprocess
import sys

import pytest

from tests.support.definition import Function, functions
from tests.support.template import ROOT

CALLS_NOTHING = {"InterpretEvent"}


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.name)
def test_loads_boto3_with_the_function_where_it_is_needed(function: Function) -> None:
    """During the start of a function, Lambda gives it more CPU than during its first call."""
    module = function.module
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print('boto3' in sys.modules)"],
        cwd=ROOT / "functions",
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"{function.name not in CALLS_NOTHING}\n"
