"""The adapter to ECR on the oldest boto3 that is claimed, in an environment of its own."""

import os
import re
import subprocess
from pathlib import Path

import boto3
import pytest

from tests.support.template import ROOT

ADAPTER = ("tests/integration/test_ecr.py", "tests/integration/test_ecr_answers.py")
# It cannot ask for archived images, and ECR lists none unasked.
ARCHIVED = "tests/integration/test_ecr.py::test_lists_archived_images_and_referrers_too"
# The oldest SDK comes first, and everything else from the environment of this test.
RUN = """
import sys
sys.path.append(sys.argv.pop(1))
import boto3, pytest
print("boto3", boto3.__version__)
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_adapter_works_with_the_oldest_boto3() -> None:
    python = ROOT / ".venvs" / "oldest-sdk" / "bin" / "python"
    if not python.exists():
        pytest.fail("Run `make .venvs/oldest-sdk/installed` to install the oldest boto3.")
    ours = Path(boto3.__file__).parents[1]
    options = ["--numprocesses=0", "-p", "no:cacheprovider", "--deselect", ARCHIVED]
    ran = subprocess.run(
        [python, "-c", RUN, ours, *options, *ADAPTER],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("boto3 1.40.4\n")


def test_the_documents_claim_the_version_that_is_tested() -> None:
    lock = (ROOT / "requirements" / "oldest-sdk.txt").read_text()
    found = re.search(r"^boto3==(\S+)", lock, re.M)
    assert found
    assert f"boto3 {found[1]} and newer" in (ROOT / "docs" / "architecture.md").read_text()
