"""ListRepositories and SummarizeRescan over as many repositories as an account can have."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import DEFAULT_SETTINGS
from tests.support.full_size import LONGEST_NAME, PAGE, RECORDS_A_PAGE
from tests.support.template import ROOT, resources

MEGABYTES = 256 / 2  # half of the smallest function: what it takes does not grow by its CPU
FEW, MANY = 5_000, 100_000
ONE_CPU = 1_769  # megabytes: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html


def measured(function: str, repositories: int, length: int, folder: Path) -> Any:
    """Invoke a function in a process of its own, and return what it took."""
    environment = {
        **os.environ,
        **DEFAULT_SETTINGS,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "functions"), str(ROOT)]),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "POWERTOOLS_SERVICE_NAME": "ecr-rescan",
        "POWERTOOLS_METRICS_NAMESPACE": "EcrRescan",
        "RUN_BUCKET": "run-bucket",
        "LEDGER_TABLE": "ledger-table",
    }
    answer = folder / "measured.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "tests.support.full_size", function),
            *(str(repositories), str(length), str(answer)),
        ],
        env=environment,
        check=True,
        capture_output=True,
    )
    return json.loads(answer.read_text())


def within_half(function: str, took: Any) -> None:
    properties = resources("AWS::Serverless::Function")[f"{function}Function"]
    assert properties["MemorySize"] == ONE_CPU
    assert took["megabytes"] <= MEGABYTES
    assert took["cpu_seconds"] <= properties["Timeout"] / 2


@pytest.mark.parametrize(
    ("repositories", "length"),
    [
        (FEW, 40),
        pytest.param(MANY, 40, marks=pytest.mark.scale),
        pytest.param(MANY, LONGEST_NAME, marks=pytest.mark.scale),
    ],
)
def test_lists_a_whole_registry(repositories: int, length: int, tmp_path: Path) -> None:
    took = measured("ListRepositories", repositories, length, tmp_path)
    assert took["repositories"] == repositories
    assert took["calls"]["DescribeRepositories"] == repositories / PAGE
    assert took["written"]["/runs/run-1/repositories.json"] > repositories * length
    within_half("ListRepositories", took)


@pytest.mark.parametrize(
    ("repositories", "length"),
    [
        (FEW, 40),
        pytest.param(MANY, 40, marks=pytest.mark.scale),
        pytest.param(MANY, LONGEST_NAME, marks=pytest.mark.scale),
    ],
)
def test_summarizes_a_run_over_a_whole_registry(
    repositories: int, length: int, tmp_path: Path
) -> None:
    took = measured("SummarizeRescan", repositories, length, tmp_path)
    assert took["repositories"] == repositories
    assert took["calls"]["Query"] == repositories / RECORDS_A_PAGE
    # One in ten has failed, and one in ten was deferred.
    assert took["written"]["/runs/run-1/summary.json"] > repositories / 10 * 2 * length
    within_half("SummarizeRescan", took)
