"""What the demo refuses, what it shows of a run, and when it says that something went wrong."""

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from local.demo.demo import main
from local.demo.display import MOST_ROWS, DemoDisplay, calls_of, table_of
from local.demo.document import document_of
from local.demo.expectations import Script
from local.demo.messages import Decided, Notifications
from local.demo.run import (
    EcrCalls,
    Histories,
    ImageOutcome,
    RepositoryRecord,
    RescanRun,
    RunProgress,
)
from local.registry import registry_file

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAILED = ImageOutcome("FAILED", "AccessDenied")
STARTED = ImageOutcome("STARTED", "accepted")
FRESH = ImageOutcome("FRESH", "scanned lately")

FINISHED_RUN = RescanRun(
    name="demo-1",
    arn="arn:demo-1",
    input={},
    status="SUCCEEDED",
    started_at=NOON,
    ended_at=NOON,
    output={"conclusion": "All is done."},
    repositories=("team/api", "team/web"),
    records={
        "team/api": RepositoryRecord("FINISHED", Counter({STARTED: 1, FRESH: 1})),
        "team/web": RepositoryRecord("GONE"),
    },
    images={"team/api": {"a": STARTED, "b": FRESH}},
    calls=EcrCalls(
        Counter({("DescribeImages", "team/api"): 1, ("StartImageScan", "team/api"): 3}),
        Counter({"StartImageScan": 2}),
    ),
    histories=Histories(12, 40, "team/api", 512),
)
INCOMPLETE_RUN = replace(
    FINISHED_RUN,
    status="FAILED",
    output=None,
    error="RescanIncomplete",
    cause='1 of 2 did not finish (x: {}). Start one with the input {"rerun_of": "demo-1"}',
    records={
        "team/api": RepositoryRecord(
            "FAILED",
            Counter({STARTED: 1, FAILED: 1}),
            "ImageScansFailed",
            '{"errorMessage": "1 image failed"}',
        ),
        "team/web": RepositoryRecord("GONE"),
    },
    images={"team/api": {"a": STARTED, "b": FAILED}},
)
RERUN = replace(FINISHED_RUN, name="demo-2", repositories=("team/api",))
NOTIFIED = Notifications(
    scans_started=2,
    scan_events={"COMPLETE": 2},
    executions=3,
    executions_failed=0,
    decisions=(
        Decided("ecr/1/r/team/api/a", notify=True, reason="above a threshold"),
        Decided("ecr/1/r/team/api/b", notify=False, reason="nothing above a threshold"),
        Decided("ecr-rescan/1/r/machine", notify=True, reason="run finished"),
    ),
    received={"slack": 2, "pagerduty": 3},
    refused={"slack": 1},
)
FAULTY = """
repositories:
  - name: team/api
    images:
      - {tags: a, faults: [{operation: StartImageScan, error: AccessDeniedException, times: 1}]}
"""


def shown(renderable: object, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def table(run: RescanRun, width: int) -> str:
    return shown(table_of(run, Console(width=width)), width)


def script(text: str) -> Script:
    return Script.of(registry_file.parse(text))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--input", "{"], "--input { is not JSON"),
        (["--registry", "nowhere.yaml"], "nowhere.yaml cannot be read: No such file"),
        (["--json", "no/such/directory/demo.json"], "must be a file in a directory that exists"),
    ],
)
def test_refuses_wrong_options_before_anything_starts(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2

    complaint = capsys.readouterr()
    assert said in complaint.err
    assert complaint.out == ""


def test_refuses_a_wrong_registry_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "mine.yaml"
    wrong.write_text("repositories:\n  - nme: team/api\n")

    assert main(["--registry", str(wrong)]) == 2

    assert "mine.yaml, line 2: `nme` is not a key" in capsys.readouterr().err


def test_shows_a_column_for_each_outcome_that_occurs() -> None:
    text = table(FINISHED_RUN, 120)

    assert [line.split() for line in text.splitlines() if "team/api" in line] == [
        ["team/api", "2", "1", "1", "4", "done"]
    ]
    assert "FRESH" in text
    assert "GONE" not in text
    assert ["team/web", "gone"] in [line.split() for line in text.splitlines()]


def test_fits_a_narrow_terminal() -> None:
    names = ("data/notebooks/jupyter-of-everybody", "team/web")
    outcomes = ("STARTED", "FRESH", "DEFERRED", "UNSCANNABLE", "UNSUPPORTED", "EXCLUDED")
    images = {names[0]: {each: ImageOutcome(each, "any") for each in outcomes}}

    text = table(replace(FINISHED_RUN, repositories=names, images=images), 80)

    assert max(map(len, text.splitlines())) <= 80
    assert "1 STARTED, 1 FRESH" in text


def test_the_last_line_of_progress_in_a_log_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.demo.display.SECONDS_BETWEEN_LINES", 0)
    console = Console(width=100, file=io.StringIO(), color_system=None)

    with DemoDisplay(console).run("run demo-1", "") as show:
        show(RunProgress(2, 0, 3, 0))
        monkeypatch.setattr("local.demo.display.time.monotonic", lambda: 0)  # no line is due
        show(RunProgress(2, 1, 3, 0))
        show(RunProgress(2, 2, 3, 0, has_ended=True))

    assert isinstance(console.file, io.StringIO)
    first, last, _ = console.file.getvalue().splitlines()
    assert "0 of 2 repositories done" in first
    assert "2 of 2 repositories done" in last


def test_a_short_run_has_no_progress_in_a_log() -> None:
    console = Console(width=100, file=io.StringIO(), color_system=None)

    with DemoDisplay(console).run("run demo-1", "") as show:
        show(RunProgress(2, 2, 3, 0, has_ended=True))

    assert isinstance(console.file, io.StringIO)
    assert "repositories done" not in console.file.getvalue()


def test_cuts_a_fleet_short_but_keeps_what_failed() -> None:
    names = (*(f"fleet/{n}" for n in range(300)), "team/api")

    text = table(replace(INCOMPLETE_RUN, repositories=names), 120)

    assert text.count("fleet/") < MOST_ROWS
    assert "team/api" in text
    assert f"{301 - MOST_ROWS} more repositories" in text


def test_shows_calls_and_those_that_were_throttled() -> None:
    lines = [line.split() for line in shown(calls_of(FINISHED_RUN), 80).splitlines()]

    assert ["StartImageScan", "3", "2"] in lines
    assert ["DescribeImages", "1"] in lines


def test_writes_everything_for_machines() -> None:
    document = document_of(
        [INCOMPLETE_RUN, RERUN],
        registry="mine.yaml",
        parameters={"RescanAfter": "7d"},
        seconds={"run demo-1": 1.23},
        notifications=NOTIFIED,
        unexpected=None,
    )

    assert json.loads(json.dumps(document)) == document
    assert document["as_scripted"] is True
    assert document["scans"] == {"started": 2, "events_sent": 2}
    assert document["notifications"] == {
        "scan_events": {"COMPLETE": 2},
        "executions": 3,
        "executions_failed": 0,
        "notified": {"above a threshold": 1, "run finished": 1},
        "not_notified": {"nothing above a threshold": 1},
        "messages": {"slack": 2, "pagerduty": 3},
        "refused": {"slack": 1},
        "undelivered": 0,
        "digests": 0,
        "inspector": None,
    }
    first = document["runs"][0]
    assert first["images"]["team/api"]["b"] == {"outcome": "FAILED", "reason": "AccessDenied"}
    assert first["outcomes"] == {"STARTED": 1, "FAILED": 1}
    assert first["repositories"]["team/api"]["status"] == "FAILED"
    assert first["repositories"]["team/api"]["ecr_calls"] == 4
    assert first["ecr_calls"] == {"DescribeImages": 1, "StartImageScan": 3}
    assert first["throttled_calls"] == {"StartImageScan": 2}
    assert first["history_events"] == {"run": 12, "largest": 40, "largest_of": "team/api"}
    assert first["started_at"] == "2026-11-22T12:00:00+00:00"


def test_reads_the_rerun_that_the_run_printed() -> None:
    assert INCOMPLETE_RUN.rerun_input() == {"rerun_of": "demo-1"}


def test_a_run_without_repositories_has_nothing_to_rerun() -> None:
    cause = "No repository matches the filter x{2}."
    assert replace(INCOMPLETE_RUN, cause=cause).rerun_input() is None
    assert replace(INCOMPLETE_RUN, cause=None).rerun_input() is None


def test_counts_only_the_calls_of_this_run() -> None:
    before = EcrCalls(Counter({("DescribeImages", "team/api"): 1}))

    assert FINISHED_RUN.calls.since(before).by_operation() == {"StartImageScan": 3}


def test_is_content_with_a_run_that_succeeds() -> None:
    assert script("repositories: []").unexpected([FINISHED_RUN]) is None


def test_is_content_when_only_what_was_scripted_fails_and_the_rerun_succeeds() -> None:
    assert script(FAULTY).unexpected([INCOMPLETE_RUN, RERUN]) is None


def test_reports_a_repository_that_fails_without_a_script() -> None:
    unexpected = script("repositories: []").unexpected([INCOMPLETE_RUN, RERUN])

    assert unexpected == (
        "demo-1: unscripted failures of repositories: team/api (ImageScansFailed: 1 image failed)"
    )


def test_reports_a_repository_without_a_record() -> None:
    lost = replace(INCOMPLETE_RUN, records={})

    unexpected = script(FAULTY).unexpected([lost, RERUN])

    assert unexpected
    assert "team/web (not started, or stopped before it finished)" in unexpected
    assert "team/api" not in unexpected


def test_reports_a_rerun_that_fails_again() -> None:
    again = replace(INCOMPLETE_RUN, name="demo-2", repositories=("team/api",))

    unexpected = script(FAULTY).unexpected([INCOMPLETE_RUN, again])

    assert unexpected
    assert unexpected.startswith("demo-2: unscripted failures in a rerun: team/api")


def test_expects_a_fault_without_an_end_to_fail_the_rerun_too() -> None:
    again = replace(INCOMPLETE_RUN, name="demo-2", repositories=("team/api",))

    assert script(FAULTY.replace(", times: 1", "")).unexpected([INCOMPLETE_RUN, again]) is None


def test_reports_a_rerun_that_took_other_repositories() -> None:
    everything = replace(RERUN, repositories=("team/api", "team/web"))

    unexpected = script(FAULTY).unexpected([INCOMPLETE_RUN, everything])

    assert unexpected
    assert unexpected.startswith("demo-2 worked on 2 repositories")


@pytest.mark.parametrize("error", ["ThrottlingException", "ServerException"])
def test_expects_what_is_retried_to_stop_nothing(error: str) -> None:
    faulty = FAULTY.replace("AccessDeniedException, times: 1", f"{error}, times: 15")

    assert script(faulty).unexpected([INCOMPLETE_RUN, RERUN])
    assert script(faulty.replace("15", "16")).unexpected([INCOMPLETE_RUN, RERUN]) is None


def test_reports_a_wrong_input_in_the_words_of_the_run() -> None:
    cause = json.dumps({"errorMessage": "The execution input has no key 'repos'", "stackTrace": []})
    refused = replace(FINISHED_RUN, status="FAILED", error="InvalidRescanRequest", cause=cause)

    assert script(FAULTY).unexpected([refused]) == (
        "demo-1 ended FAILED with InvalidRescanRequest: The execution input has no key 'repos'"
    )


def test_takes_the_notice_of_a_run_that_had_nothing_to_do() -> None:
    idle = replace(FINISHED_RUN, output={"notice": "Enhanced scanning is on."}, repositories=())

    assert idle.conclusion == "Enhanced scanning is on."
    assert script("repositories: []").unexpected([idle]) is None
