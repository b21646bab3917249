import json
from datetime import timedelta

import pytest

from ledger.run_records import LONGEST_PROBLEM, Example, RecordStatus, RunRecord
from own_events.rescan_finished import MOST_PROBLEMS, Problem
from rescan_registry.outcomes import Decision, Outcome, Tally
from rescan_registry.run_summary import (
    NEVER_REACHED,
    RunStatus,
    RunSummary,
    summary_of,
)
from tests.support.builders import any_record
from tests.support.clock import NOW

STARTED_AT = NOW - timedelta(hours=1)


def report(names: list[str], records: list[RunRecord], *, dry_run: bool = False) -> RunSummary:
    return summary_of("run-1", names, records, dry_run=dry_run, started_at=STARTED_AT, now=NOW)


def failed(repository: str, **given: object) -> RunRecord:
    return any_record(
        repository, status=RecordStatus.FAILED, error="EcrThrottled", cause="Rate", **given
    )


def test_is_finished_when_every_repository_is_done() -> None:
    records = [
        any_record("team/api", images={"STARTED": {"accepted": 2}, "FRESH": {"young": 1}}),
        any_record("team/old", status=RecordStatus.GONE, images={"STARTED": {"accepted": 1}}),
    ]
    assert report(["team/api", "team/old"], records) == RunSummary(
        run="run-1",
        status=RunStatus.FINISHED,
        dry_run=False,
        started_at=STARTED_AT,
        ended_at=NOW,
        repositories=2,
        repositories_gone=1,
        images=Tally()
        .plus_many(Decision(Outcome.STARTED, "accepted"), 3)
        .plus(Decision(Outcome.FRESH, "young")),
        results_missing=0,
        results_found=0,
        problems=(),
        rerun=None,
    )


def test_takes_a_repository_without_a_record_for_unfinished() -> None:
    unfinished = report(["team/api", "team/web"], [any_record("team/api")])
    assert unfinished.status is RunStatus.INCOMPLETE
    assert unfinished.problems == (Problem("team/web", NEVER_REACHED),)
    assert unfinished.rerun == {"rerun_of": "run-1"}


def test_the_rerun_of_a_dry_run_is_dry() -> None:
    unfinished = report(["team/api"], [], dry_run=True)
    assert unfinished.rerun == {"rerun_of": "run-1", "dry_run": True}
    assert unfinished.sentence().endswith('the input {"rerun_of": "run-1", "dry_run": true}')
    assert report([], [], dry_run=True).rerun is None


def test_counts_the_images_of_a_repository_that_failed() -> None:
    partly = report(["team/api"], [failed("team/api", images={"STARTED": {"accepted": 7}})])
    assert partly.problems == (Problem("team/api", "EcrThrottled: Rate"),)
    assert partly.images.outcomes() == {Outcome.STARTED: 7}


def test_adds_up_the_results_that_were_missing_and_found() -> None:
    records = [
        any_record("team/api", results_missing=3, results_found=2),
        failed("team/web", results_missing=1),
    ]
    added = report(["team/api", "team/web"], records)
    assert (added.results_missing, added.results_found) == (4, 2)


def test_is_finished_when_there_was_nothing_to_do() -> None:
    assert report([], []).status is RunStatus.FINISHED


def test_says_that_all_is_done() -> None:
    done = report(["team/api", "team/web"], [any_record("team/api"), any_record("team/web")])
    assert done.sentence() == "Every repository is done, 2 in all."


def test_says_what_failed_and_how_to_rerun_it() -> None:
    names = ["team/api", "team/web", "team/cli"]
    sentence = report(names, [any_record("team/api"), failed("team/web")]).sentence()
    assert sentence == (
        "2 of 3 repositories did not finish: team/web (EcrThrottled: Rate), "
        "team/cli (not started, or stopped before it finished). "
        'To rerun only them, start an execution with the input {"rerun_of": "run-1"}'
    )


@pytest.mark.parametrize(
    ("repositories", "said"),
    [
        (MOST_PROBLEMS, f"team/{MOST_PROBLEMS - 1} ({NEVER_REACHED}). To rerun"),
        (MOST_PROBLEMS + 1, f"team/{MOST_PROBLEMS - 1} ({NEVER_REACHED}) and 1 more. To rerun"),
        (
            MOST_PROBLEMS + 2_000,
            f"team/{MOST_PROBLEMS - 1} ({NEVER_REACHED}) and 2000 more. To rerun",
        ),
    ],
)
def test_names_only_the_first_repositories(repositories: int, said: str) -> None:
    sentence = report([f"team/{n}" for n in range(repositories)], []).sentence()
    assert said in sentence
    assert f"team/{MOST_PROBLEMS} " not in sentence


def test_keeps_the_sentence_within_what_a_cause_may_hold() -> None:
    longest = [f"{n:03}{'a' * 253}" for n in range(1_000)]
    records = [any_record(name, status=RecordStatus.FAILED, error="e" * 9_999) for name in longest]
    assert len(report(longest, records).sentence()) < 32_768


@pytest.mark.parametrize(
    ("cause", "problem"),
    [
        # As Lambda reports it, as Step Functions reports it, and whatever else there may be.
        (json.dumps({"errorMessage": "Rate exceeded", "errorType": "E"}), "E: Rate exceeded"),
        ("The execution timed out", "E: The execution timed out"),
        (json.dumps({"errorType": "E"}), 'E: {"errorType": "E"}'),
        ("[1, 2]", "E: [1, 2]"),
        ("5", "E: 5"),
        ('{"errorMessage": null}', "E: None"),
        ("two\nlines  and   spaces", "E: two lines and spaces"),
        ("x" * 1_000, "E: " + "x" * 497),
        (None, "E: "),
    ],
)
def test_says_a_problem_in_one_line(cause: str | None, problem: str) -> None:
    record = any_record("team/api", status=RecordStatus.FAILED, error="E", cause=cause)
    assert record.problem() == problem


def test_says_a_problem_with_one_image_per_reason() -> None:
    examples = {
        "AccessDenied": Example(f"sha256:{1:064x}", "StartImageScan: denied"),
        "ClientError": Example(f"sha256:{2:064x}", "Odd:\nno  idea"),
    }
    record = any_record("team/api", error="ImageScansFailed", cause="3 of 9", examples=examples)
    assert record.problem() == (
        f"ImageScansFailed: 3 of 9; AccessDenied, for example, on sha256:{1:064x}: StartImageScan: "
        f"denied; ClientError, for example, on sha256:{2:064x}: Odd: no idea"
    )
    many = {f"Error{n}": Example(f"sha256:{n:064x}", "x" * 200) for n in range(9)}
    long = any_record("team/api", error="ImageScansFailed", cause="9 of 9", examples=many)
    assert len(long.problem()) == LONGEST_PROBLEM


def test_a_deferred_repository_is_not_done() -> None:
    assert not any_record("team/api", status=RecordStatus.DEFERRED).is_done
