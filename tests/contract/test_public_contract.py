"""The closed vocabularies that others depend on: documents list each word, and no other."""

import dataclasses
import re
from collections.abc import Iterator

import pytest

from own_events.event_bus import SOURCE
from own_events.rescan_finished import RescanFinished, RunChange
from own_events.scan_result_found import ScanResultFound
from reporting.channels.in_use import DETAIL_TYPES
from reporting.message import Level
from reporting.reports import (
    Change,
    DigestReport,
    NoticeReport,
    Reason,
    RunReport,
    ScanReport,
)
from rescan_registry.outcomes import Outcome
from tests.support.definition import NOTIFY_SCAN, RESCAN_REGISTRY
from tests.support.errors import LEAVES
from tests.support.metrics import directives_of_a_run, names_of
from tests.support.template import ROOT, resources, template

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
CODE = "".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
OF_POWERTOOLS = {"function_name", "function_request_id"}
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
OF_STEP_FUNCTIONS = {"type", "execution_arn", "details.error"}


def section(heading: str) -> str:
    """Read what is under a heading, up to the next one of its level."""
    _, found, rest = OPERATIONS.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def table(text: str, first: str) -> Iterator[list[str]]:
    """Read the table whose first column has this title, as rows of cells."""
    _, found, rest = text.partition(f"| {first} |")
    assert found, first
    for line in rest.splitlines()[2:]:
        if not line.lstrip().startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def words(cells: Iterator[list[str]], column: int = 0) -> list[str]:
    """List the words that a column of a table sets as code."""
    return [word for row in cells for word in re.findall(r"`([^`]+)`", row[column])]


def test_kinds_of_reports() -> None:
    kinds = [
        next(field.default for field in dataclasses.fields(report) if field.name == "kind")
        for report in (ScanReport, RunReport, DigestReport, NoticeReport)
    ]
    assert words(table(section("Reports"), "`kind`")) == kinds


def test_detail_types_of_reports() -> None:
    rows = table(section("Reports"), "`kind`")
    assert {row[0].strip("`"): row[1].strip("`") for row in rows} == DETAIL_TYPES


def test_own_events() -> None:
    (paragraph,) = re.findall(r"two events on the default event bus.*?\n\n", OPERATIONS, re.S)
    patterns = [rule["EventPattern"] for rule in resources("AWS::Events::Rule").values()]
    matched = {
        detail_type
        for pattern in patterns
        if pattern["source"] == [SOURCE]
        for detail_type in pattern["detail-type"]
    }
    assert matched == {RescanFinished.DETAIL_TYPE, ScanResultFound.DETAIL_TYPE}
    assert set(re.findall(r"`([A-Z][\w ]+)`", paragraph)) == matched


def test_severities() -> None:
    assert words(table(section("Reports"), "`severity`")) == list(Level)


def test_changes() -> None:
    assert words(table(section("Reports"), "`change` of a scan")) == list(Change)


def test_changes_of_runs() -> None:
    assert words(table(section("Reports"), "`change` of a run")) == list(RunChange)


def test_outcomes() -> None:
    assert words(table(section("Outcomes"), "outcome")) == list(Outcome)


def test_reasons() -> None:
    documented = words(table(section("Why was this scan not reported?"), "reason"))
    assert sorted(documented) == sorted(Reason)


def test_log_fields() -> None:
    queried = re.findall(r"\| fields @timestamp, (.*)", OPERATIONS)
    lines = section("Metrics and log fields").partition("Every log line of a function has")[2]
    listed = lines.partition("\n\n")[0]
    named = {*", ".join(queried).split(", "), *re.findall(r"`(\w+)`", listed)}
    assert len(named) > 8
    for name in named - OF_POWERTOOLS - OF_STEP_FUNCTIONS:
        assert re.search(rf'"{name}"|^    {name}: ', CODE, re.M), name


def test_warnings_in_the_log() -> None:
    texts = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    warnings = [name for text in texts for name in re.findall(r"a warning,?\s`([^`]+)`", text)]
    assert len(warnings) == 2
    for warning in warnings:
        assert f'"{warning}"' in CODE


def test_errors_of_runs() -> None:
    documented = words(table(section("When a run has failed"), "error"))
    raised = {name for state in RESCAN_REGISTRY.states for name in LEAVES.get(state.name, ())}
    own = {
        "ManualScanningDisabled",
        "RescanIncomplete",
        "States.ExceedToleratedFailureThreshold",
        "TIMED_OUT",
    }
    assert sorted(documented) == sorted(raised | own)


def test_errors_of_deliveries() -> None:
    documented = words(table(section("Undelivered notifications"), "error"))
    functions = ("InterpretEvent", "ComposeNotification", "PostToWebhook", "RecordPlatforms")
    raised = {name for function in functions for name in LEAVES[function]}
    services = {name for name in documented if name.endswith("…")}
    assert services == {"SNS.…", "Sns.…", "EventBridge.…"}
    of_aws = {name for name in documented if "." in name} - services
    assert of_aws <= {
        name
        for state in NOTIFY_SCAN.states
        for retrier in state.body.get("Retry", [])
        for name in retrier["ErrorEquals"]
    }
    assert sorted(set(documented) - services - of_aws) == sorted(raised)


def test_metrics(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = names_of(directives_of_a_run(capsys, monkeypatch)) | {"messages"}
    assert sorted(words(table(section("Metrics and log fields"), "metric"))) == sorted(names)


def test_outputs_that_are_named_exist() -> None:
    named = re.findall(r"output\s+`(\w+)`", OPERATIONS)
    assert named
    assert set(named) <= template()["Outputs"].keys()
