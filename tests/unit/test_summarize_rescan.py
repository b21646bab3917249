import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from ledger.run_records import Freshness, RecordStatus, RunRecord
from ledger.run_state import LastRun
from own_events.event_bus import EventRefused
from own_events.rescan_finished import MOST_PROBLEMS, RunChange
from rescan_registry import summarize_rescan as module
from rescan_registry.outcomes import Outcome
from rescan_registry.repository_choice import RepositoryChoice, Selection
from rescan_registry.run_change import FoundByRun
from rescan_registry.run_summary import RunOutput, RunStatus
from rescan_registry.summarize_rescan import EndedRun, Kept, summarize_rescan
from tests.support.builders import any_digest, any_record
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket, FakeBus, FakeRecords, FakeRunState

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:RescanRegistry:run-1"
FOUND = FoundByRun(
    run="run-1",
    dry_run=False,
    scan_type="BASIC",
    repositories=3,
    choice=RepositoryChoice(Selection.PARAMETER, listed=3),
)
NOTHING = replace(
    FOUND, repositories=0, choice=RepositoryChoice(Selection.PARAMETER, "prdo/", listed=312)
)
BEFORE = LastRun("run-0", "BASIC", 41)
SUMMARY = "runs/run-1/summary.json"
OF_WORK = {f"images_{outcome.lower()}" for outcome in Outcome if outcome is not Outcome.DUE} | {
    *("repositories", "repositories_not_done", "repositories_deferred"),
}
OF_SUCCESS = {"runs_succeeded", "results_missing", "results_found"}
OF_FRESHNESS = {
    *("images_scannable", "images_overdue", "images_never_scanned", "oldest_scan_age_hours"),
    *("images_with_critical", "images_with_high", "repositories_unknown"),
    *("findings_critical", "findings_high", "findings_medium", "findings_low"),
}


@pytest.fixture(autouse=True)
def powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "ecr-rescan")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "EcrRescan")


def summary(
    bucket: FakeBucket,
    records: FakeRecords,
    bus: FakeBus | None = None,
    *,
    found: FoundByRun = FOUND,
    state: FakeRunState | None = None,
) -> RunOutput:
    kept: Any = Kept(bucket, records, state or FakeRunState())  # type: ignore[arg-type]
    return summarize_rescan(
        EndedRun(EXECUTION, NOW - timedelta(hours=1), found),
        kept=kept,
        bus=bus or FakeBus(),  # type: ignore[arg-type]
        metrics=Metrics(),
        now=NOW,
    )


API = any_record(
    "team/api",
    images={"STARTED": {"accepted": 2}, "FRESH": {"young": 5}},
    results_missing=4,
    results_found=3,
    freshness=Freshness(
        scannable=7,
        overdue=1,
        never=2,
        oldest_at=NOW - timedelta(hours=60.5),
        severities={"CRITICAL": 4, "HIGH": 9, "LOW": 5, "UNDEFINED": 6},
        images_with={"CRITICAL": 1, "HIGH": 3, "LOW": 2, "UNDEFINED": 1},
    ),
)


def done() -> tuple[FakeBucket, FakeRecords]:
    """Every repository finished."""
    return FakeBucket(**{"run-1": ["team/api"]}), FakeRecords(API)


def half_done(first: RunRecord = API) -> tuple[FakeBucket, FakeRecords]:
    """One repository finished, one failed half-way, one was never reached."""
    failure = {"error": "ImageScansFailed", "cause": f"of {any_digest()}"}
    return FakeBucket(**{"run-1": ["team/api", "team/web", "team/cli"]}), FakeRecords(
        first,
        any_record(
            "team/web",
            status=RecordStatus.FAILED,
            images={"FAILED": {"AccessDenied": 1}, "STARTED": {"accepted": 1}},
            freshness=None,
            **failure,
        ),
    )


def test_ends_a_run_that_got_to_its_end() -> None:
    bucket = FakeBucket(**{"run-1": ["team/api"]})
    records = FakeRecords(any_record("team/api", images={"STARTED": {"accepted": 2}}))
    assert summary(bucket, records) == RunOutput(
        run="run-1",
        status=RunStatus.FINISHED,
        dry_run=False,
        scan_type="BASIC",
        change=RunChange.UNCHANGED,
        repositories=1,
        repositories_not_done=0,
        repositories_deferred=0,
        images={Outcome.STARTED: 2},
        results_missing=0,
        results_found=0,
        rerun=None,
        summary_key=SUMMARY,
        conclusion="Every repository is done, 1 in all.",
    )


def test_ends_a_run_with_what_is_left_to_rerun() -> None:
    left = summary(*half_done())
    assert left.status is RunStatus.INCOMPLETE
    assert left.repositories_not_done == 2
    assert (left.results_missing, left.results_found) == (4, 3)
    assert left.images == {Outcome.FAILED: 1, Outcome.FRESH: 5, Outcome.STARTED: 3}
    assert left.rerun == {"rerun_of": "run-1"}
    assert left.conclusion.startswith("2 of 3 repositories did not finish: team/web (ImageScans")


def test_writes_the_whole_report() -> None:
    bucket, records = half_done()
    summary(bucket, records)
    report = bucket.kept[SUMMARY]
    assert report["status"] == "INCOMPLETE"
    assert (report["results_missing"], report["results_found"]) == (4, 3)
    assert report["images"]["counts"]["STARTED"] == {"accepted": 3}
    assert [each["repository"] for each in report["problems"]] == ["team/web", "team/cli"]
    assert (report["started_at"], report["ended_at"]) == (
        "2026-03-14T02:00:00+00:00",
        "2026-03-14T03:00:00+00:00",
    )


def test_puts_one_event_that_names_the_execution() -> None:
    bus = FakeBus()
    summary(FakeBucket(**{"run-1": ["team/api"]}), FakeRecords(any_record("team/api")), bus)
    assert bus.events == [
        (
            "Rescan Finished",
            {
                "run": "run-1",
                "status": "FINISHED",
                "dry_run": False,
                "started_at": "2026-03-14T02:00:00+00:00",
                "ended_at": "2026-03-14T03:00:00+00:00",
                "repositories": 1,
                "repositories_gone": 0,
                "repositories_not_done": 0,
                "problems": [],
                "images": {},
                "reasons": {},
                "results_missing": 0,
                "results_found": 0,
                "rerun": None,
                "summary_key": SUMMARY,
                "scan_type": "BASIC",
                "change": "UNCHANGED",
                "remark": None,
                "repositories_deferred": 0,
                "deferred": [],
            },
            [EXECUTION],
        )
    ]


def test_tells_in_the_event_why_and_only_of_the_first_repositories() -> None:
    bus = FakeBus()
    bucket = FakeBucket(**{"run-1": [f"team/{n}" for n in range(3_000)]})
    records = FakeRecords(any_record("team/0", images={"FAILED": {"AccessDenied": 1}}))
    summary(bucket, records, bus)
    ((_, detail, _),) = bus.events
    assert detail["repositories_not_done"] == 2_999
    assert len(detail["problems"]) == MOST_PROBLEMS
    assert detail["reasons"] == {"FAILED": {"AccessDenied": 1}}
    assert len(json.dumps(detail)) < 256 * 1024
    assert len(bucket.kept[SUMMARY]["problems"]) == 2_999


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the metrics that were emitted."""
    text = capsys.readouterr().out
    document = json.loads(text) if text else {}
    for name in ("_aws", "service"):
        document.pop(name, None)
    return {name: value for name, (value,) in document.items()}


def test_emits_a_metric_for_each_outcome_and_names_no_repository(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary(*done())
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    names = {metric["Name"] for metric in directive["Metrics"]}
    assert names == OF_WORK | OF_SUCCESS | OF_FRESHNESS
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units.pop("oldest_scan_age_hours") == "None"
    assert set(units.values()) == {"Count"}
    assert directive["Namespace"] == "EcrRescan"
    assert directive["Dimensions"] == [["service"]]
    assert document.keys() == names | {"_aws", "service"}
    counted = {name: document[name] for name in names if document[name] != [0]}
    assert counted == {
        "images_fresh": [5],
        "images_started": [2],
        "repositories": [1],
        "runs_succeeded": [1],
        "results_missing": [4],
        "results_found": [3],
        "images_scannable": [7],
        "images_overdue": [1],
        "images_never_scanned": [2],
        "images_with_critical": [1],
        "images_with_high": [3],
        "findings_critical": [4],
        "findings_high": [9],
        "findings_low": [5],
        "oldest_scan_age_hours": [60.5],
    }
    assert "team/" not in line
    assert "sha256:" not in line


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("by", Selection)
def test_emits_what_a_run_has_done_and_what_it_knows_of_the_whole_registry(
    capsys: pytest.CaptureFixture[str], by: Selection, *, dry_run: bool
) -> None:
    """Numbers of a part would end alarms about the whole.

    A dry run has done nothing: what it finds overdue would raise the alarm before the first run.
    """
    found = replace(FOUND, dry_run=dry_run, choice=RepositoryChoice(by, listed=3))
    bucket, records = done()
    summary(bucket, records, found=found)
    is_whole = by is Selection.PARAMETER
    of_the_whole = OF_SUCCESS | OF_FRESHNESS if is_whole else set()
    assert emitted(capsys).keys() == (set() if dry_run else OF_WORK | of_the_whole)
    assert bucket.kept[SUMMARY]["is_whole"] is is_whole
    assert bucket.kept[SUMMARY]["freshness"]["scannable"] == 7


def test_emits_no_sum_of_a_part_of_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    """A graph that drops because a repository failed would be good news that is not known."""
    bucket, records = half_done()
    summary(bucket, records)
    of_state = {name: n for name, n in emitted(capsys).items() if name not in OF_WORK}
    missing = {"results_missing": 4, "results_found": 3}
    assert of_state == {"images_overdue": 1, "repositories_unknown": 2} | missing


def test_ends_no_alarm_while_repositories_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    bucket, records = half_done(any_record("team/api"))
    summary(bucket, records)
    assert emitted(capsys).keys() - OF_WORK == {"repositories_unknown"}


def test_emits_no_success_of_a_run_that_lost_its_repositories(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It fails once, and knows that nothing can be scanned."""
    summary(FakeBucket(), FakeRecords(), found=NOTHING, state=FakeRunState(BEFORE))
    numbers = emitted(capsys)
    of_scans = OF_FRESHNESS - {"oldest_scan_age_hours"}  # there is none
    assert numbers.keys() == OF_WORK | OF_SUCCESS - {"runs_succeeded"} | of_scans
    assert set(numbers.values()) == {0}


def test_does_not_know_what_amazon_inspector_scans(capsys: pytest.CaptureFixture[str]) -> None:
    """No finding would be good news, and is not known; no image to scan ends the alarm."""
    bucket = FakeBucket()
    summary(bucket, FakeRecords(), found=replace(FOUND, scan_type="ENHANCED", repositories=0))
    numbers = emitted(capsys)
    assert numbers.keys() == OF_WORK | OF_SUCCESS | {"images_scannable", "images_overdue"}
    assert {name for name, number in numbers.items() if number} == {"runs_succeeded"}
    assert bucket.kept[SUMMARY]["freshness"] is None


def test_counts_no_age_of_a_scan_that_ended_after_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    late = Freshness(scannable=1, oldest_at=NOW + timedelta(seconds=1))
    records = FakeRecords(any_record("team/api", freshness=late))
    summary(FakeBucket(**{"run-1": ["team/api"]}), records)
    assert emitted(capsys)["oldest_scan_age_hours"] == 0


def test_raises_when_the_event_is_refused_after_the_summary_is_written() -> None:
    bucket, records = half_done()
    with pytest.raises(EventRefused):
        summary(bucket, records, FakeBus(EventRefused("InternalFailure")))
    assert SUMMARY in bucket.kept


def test_answers_the_state_machine_with_the_summary(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    bucket, records = half_done()
    monkeypatch.setattr(module, "run_bucket", lambda name: bucket)
    monkeypatch.setattr(module, "run_records", lambda table: records)
    monkeypatch.setattr(module, "run_state", lambda table: FakeRunState())
    monkeypatch.setattr(module, "event_bus", FakeBus)
    event = {
        "execution_arn": EXECUTION,
        "started_at": "2026-03-14T02:00:00.000Z",
        "found": {
            "run": "run-1",
            "dry_run": False,
            "scan_type": "BASIC",
            "repositories": 3,
            "choice": {"by": "PARAMETER", "pattern": "", "listed": 3},
        },
    }
    answer = module.handler(event, any_lambda_context())
    assert (answer["status"], answer["images"]["STARTED"]) == ("INCOMPLETE", 3)
    assert answer["conclusion"].endswith('{"rerun_of": "run-1"}')


def test_a_run_without_repositories_is_reported_and_reads_no_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket, bus, state = FakeBucket(), FakeBus(), FakeRunState(BEFORE)
    bucket.repositories = None  # type: ignore[assignment,method-assign]
    output = summary(bucket, FakeRecords(), bus, found=NOTHING, state=state)
    assert (output.status, output.change) == (RunStatus.INCOMPLETE, RunChange.NO_REPOSITORIES)
    assert output.conclusion == (
        "No repository name matches the filter 'prdo/' from the start: 0 of 312 repositories. "
        "The run before had 41. Check the parameter RepositoryFilter."
    )
    ((_, detail, _),) = bus.events
    assert (detail["status"], detail["remark"]) == ("INCOMPLETE", output.conclusion)
    assert bucket.kept[SUMMARY]["remark"] == output.conclusion
    assert json.loads(capsys.readouterr().out)["repositories"] == [0]


def test_the_run_after_it_is_green_and_still_says_why_it_did_nothing() -> None:
    state = FakeRunState(BEFORE)
    summary(FakeBucket(), FakeRecords(), found=NOTHING, state=state)
    output = summary(FakeBucket(), FakeRecords(), found=replace(NOTHING, run="run-2"), state=state)
    assert (output.status, output.change) == (RunStatus.FINISHED, RunChange.UNCHANGED)
    assert output.conclusion.startswith("No repository name matches the filter 'prdo/'")


def test_another_attempt_gives_the_same_answer() -> None:
    """Though the first attempt has noted its run before its event was refused."""
    state = FakeRunState(BEFORE)
    with pytest.raises(EventRefused):
        summary(
            FakeBucket(),
            FakeRecords(),
            FakeBus(EventRefused("any")),
            found=NOTHING,
            state=state,
        )
    assert state.noted == [BEFORE, LastRun("run-1", "BASIC", 0)]
    output = summary(FakeBucket(), FakeRecords(), found=NOTHING, state=state)
    assert output.change is RunChange.NO_REPOSITORIES


@pytest.mark.parametrize(
    "chosen",
    [
        {"dry_run": True},
        {"choice": RepositoryChoice(Selection.REPOSITORIES, listed=0)},
        {"choice": RepositoryChoice(Selection.RERUN, "run-0", listed=312)},
        {"dry_run": True, "scan_type": "ENHANCED"},
    ],
)
def test_a_dry_run_and_chosen_repositories_change_nothing(chosen: dict[str, Any]) -> None:
    state = FakeRunState(BEFORE)
    output = summary(FakeBucket(), FakeRecords(), found=replace(NOTHING, **chosen), state=state)
    assert (output.status, output.change) == (RunStatus.FINISHED, None)
    assert (state.reads, state.noted) == (0, [BEFORE])


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({}, "team/web"),
        ({"dry_run": True}, None),
        ({"choice": RepositoryChoice(Selection.FILTER, "team/", listed=3)}, None),
        ({"choice": RepositoryChoice(Selection.REPOSITORIES)}, None),
        ({"choice": RepositoryChoice(Selection.RERUN, "run-0")}, None),
    ],
)
def test_the_next_run_begins_where_a_run_over_the_registry_had_to_end(
    given: dict[str, Any], first: str | None
) -> None:
    bucket = FakeBucket(**{"run-1": ["team/api", "team/web", "team/xml"]})
    records = FakeRecords(
        any_record("team/api"),
        any_record("team/web", images={"DEFERRED": {"registry scan quota": 1}}),
        any_record("team/xml", status=RecordStatus.DEFERRED),
    )
    state = FakeRunState()
    summary(bucket, records, found=replace(FOUND, **given), state=state)
    assert state.first == first


def test_a_run_that_got_to_its_end_leaves_the_order_as_it_is() -> None:
    bucket, state = FakeBucket(**{"run-1": ["team/api"]}), FakeRunState(first="team/cli")
    summary(bucket, FakeRecords(any_record("team/api")), state=state)
    assert state.first == "team/cli"
