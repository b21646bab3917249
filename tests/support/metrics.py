"""The metrics that ecr-rescan emits, as it writes them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from ledger.run_records import Freshness
from rescan_registry.run_metrics import count, counted_calls
from rescan_registry.run_summary import summary_of
from tests.support.builders import any_facts
from tests.support.fakes import FakePace
from tests.support.template import resolved, template


def directives_of_a_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **facts: bool
) -> list[dict[str, Any]]:
    """Return what a run emits, and each invocation of it that calls ECR.

    facts: how the run differs from one over everything.
    """
    variables = resolved(template()["Globals"]["Function"]["Environment"]["Variables"])
    for name in ("POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"):
        monkeypatch.setenv(name, variables[name])
    summary = summary_of(any_facts(**{"is_whole": True} | facts), [], [])
    count(replace(summary, freshness=Freshness(oldest_at=summary.ended_at)), Metrics())
    pace = FakePace()
    pace.calls_made = 1
    with counted_calls(pace.as_pace):
        pass
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line)["_aws"]["CloudWatchMetrics"][0] for line in lines]


def names_of(directives: list[dict[str, Any]]) -> set[str]:
    """Return the names of metrics."""
    return {metric["Name"] for directive in directives for metric in directive["Metrics"]}
