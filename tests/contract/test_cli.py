"""The command line: how it starts, and what the oldest Python that it claims understands."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.template import ROOT

# Each takes longer than help and completion may.
SLOW = {"boto3", "botocore", "jinja2", "pydantic", "aws_lambda_powertools"}
MODULES = sorted([*(ROOT / "cli").rglob("*.py"), *(ROOT / "functions").rglob("*.py")])


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_does_not_wait_for_what_only_commands_need() -> None:
    helped = ran("-X", "importtime", "-m", "cli", "--help")
    assert helped.returncode == 0, helped.stderr
    imported = {line.rpartition("|")[2].strip() for line in helped.stderr.splitlines()}
    assert "typer" in imported
    assert imported & SLOW == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_reads_as_python_3_12(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 12))
