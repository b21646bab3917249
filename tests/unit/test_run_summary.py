import json
from typing import Any

import pytest

from ledger.run_records import LONGEST_PROBLEM, Example, RecordStatus, RunRecord
from own_events.rescan_finished import MOST_PROBLEMS, MOST_REASONS, Problem, RunChange
from rescan_registry.outcomes import Outcome
from rescan_registry.run_change import News
from rescan_registry.run_summary import (
    NEVER_REACHED,
    RunStatus,
    RunSummary,
    summary_of,
)
from runtime.messages import encode
from tests.support.builders import any_facts, any_record


def report(names: list[str], records: list[RunRecord], **facts: Any) -> RunSummary:
    return summary_of(any_facts(**facts), names, records)


def problems(summary: RunSummary) -> list[Problem]:
    return [Problem(**json.loads(text)) for text in summary.problems.texts()]


def failed(repository: str, **given: object) -> RunRecord:
    return any_record(
        repository, status=RecordStatus.FAILED, error="EcrThrottled", cause="Rate", **given
    )


def test_is_finished_when_every_repository_is_done() -> None:
    records = [
        any_record("team/api", images={"STARTED": {"accepted": 2}, "FRESH": {"young": 1}}),
        any_record("team/old", status=RecordStatus.GONE, images={"STARTED": {"accepted": 1}}),
    ]
    done = report(["team/api", "team/old"], records)
    assert encode(done.document()) == {
        "run": "run-1",
        "status": "FINISHED",
        "dry_run": False,
        "scan_type": "BASIC",
        "change": None,
        "remark": None,
        "started_at": "2026-03-14T02:00:00+00:00",
        "ended_at": "2026-03-14T03:00:00+00:00",
        "repositories": 2,
        "repositories_gone": 1,
        "repositories_not_done": 0,
        "repositories_deferred": 0,
        "images": {"counts": {"FRESH": {"young": 1}, "STARTED": {"accepted": 3}}},
        "results_missing": 0,
        "results_found": 0,
        "repositories_unknown": 0,
        "is_whole": False,
        "freshness": {
            "scannable": 0,
            "overdue": 0,
            "never": 0,
            "oldest_at": None,
            "oldest": [],
            "severities": {},
            "images_with": {},
        },
        "rerun": None,
        "begin_with": None,
        "problems": [],
        "deferred": [],
    }
    assert {name: list(items) for name, items in done.lists().items()} == {
        "problems": [],
        "deferred": [],
    }


def test_takes_a_repository_without_a_record_for_unfinished() -> None:
    unfinished = report(["team/api", "team/web"], [any_record("team/api")])
    assert unfinished.status is RunStatus.INCOMPLETE
    assert problems(unfinished) == [Problem("team/web", NEVER_REACHED)]
    assert unfinished.rerun == {"rerun_of": "run-1"}


def test_the_rerun_of_a_dry_run_is_dry() -> None:
    unfinished = report(["team/api"], [], dry_run=True)
    assert unfinished.rerun == {"rerun_of": "run-1", "dry_run": True}
    assert unfinished.sentence().endswith('the input {"rerun_of": "run-1", "dry_run": true}')
    assert report([], [], dry_run=True).rerun is None


def test_counts_the_images_of_a_repository_that_failed() -> None:
    partly = report(["team/api"], [failed("team/api", images={"STARTED": {"accepted": 7}})])
    assert problems(partly) == [Problem("team/api", "EcrThrottled: Rate")]
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
            f"team/{MOST_PROBLEMS - 1} ({NEVER_REACHED}) and 2,000 more. To rerun",
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
        ('{"errorMessage": null}', 'E: {"errorMessage": null}'),
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


def late(repository: str) -> RunRecord:
    return any_record(repository, status=RecordStatus.DEFERRED)


def cut_off(repository: str, reason: str) -> RunRecord:
    return any_record(repository, images={"DEFERRED": {reason: 3}, "FRESH": {"young": 1}})


def test_a_deferred_repository_is_no_failure_but_is_rerun() -> None:
    assert not late("team/api").is_done
    deferred = report(["team/web", "team/api"], [late("team/api"), any_record("team/web")])
    assert (deferred.status, deferred.repositories_not_done) == (RunStatus.FINISHED, 0)
    assert (deferred.repositories_deferred, deferred.deferred.start) == (1, ["team/api"])
    assert deferred.rerun == {"rerun_of": "run-1"}
    assert deferred.sentence() == (
        "1 of 2 repositories was not reached: team/api. The next run begins with team/api. "
        'To rerun only them, start an execution with the input {"rerun_of": "run-1"}'
    )


def test_names_only_the_first_deferred_repositories() -> None:
    names = [f"team/{n:02}" for n in range(MOST_PROBLEMS + 3)]
    deferred = report(names, [late(name) for name in names])
    assert deferred.document().event("any").deferred == tuple(names[:MOST_PROBLEMS])
    assert [json.loads(text) for text in deferred.lists()["deferred"]] == names
    assert "team/09 and 3 more. The next run begins with team/00. To rerun" in deferred.sentence()


@pytest.mark.parametrize(
    ("records", "first"),
    [
        ([], None),
        ([cut_off("a", "repository budget"), cut_off("b", "ECR throttles")], None),
        ([cut_off("a", "registry scan quota"), cut_off("b", "run time")], "b"),
        ([any_record("b"), cut_off("c", "run time"), late("a")], "c"),
        ([late("a")], "a"),
        ([failed("b"), failed("c", images={"DEFERRED": {"run time": 1}})], "c"),
    ],
)
def test_the_next_run_begins_where_this_one_had_to_end(
    records: list[RunRecord], first: str | None
) -> None:
    """In the order of the list, which begins where the run before had to end."""
    assert report(["b", "c", "a"], records).begin_with == first


def test_a_run_without_repositories_is_incomplete_only_where_it_is_a_problem() -> None:
    lost = report([], [], news=News(RunChange.NO_REPOSITORIES, "Check the filter."))
    assert (lost.status, lost.rerun) == (RunStatus.INCOMPLETE, None)
    assert lost.sentence() == "Check the filter."
    same = report([], [], news=News(RunChange.UNCHANGED, "No repository."))
    assert (same.status, same.sentence()) == (RunStatus.FINISHED, "No repository.")


def test_says_what_is_new_before_what_failed() -> None:
    both = report(["team/api"], [], news=News(RunChange.BASIC_SCANNING, "Basic again."))
    assert both.sentence().startswith("Basic again. 1 of 1 repository did not finish: team/api (")


def test_an_event_names_the_most_frequent_reasons_and_adds_up_the_others() -> None:
    reasons = {f"Code{n:02}": n for n in range(1, MOST_REASONS + 3)}
    record = failed("team/api", images={"FAILED": reasons})
    told = report(["team/api"], [record]).document().event("any").reasons["FAILED"]
    assert len(told) == MOST_REASONS
    assert told["others"] == 1 + 2 + 3
    assert sum(told.values()) == sum(reasons.values())
    few = failed("team/api", images={"FAILED": {"Code01": 1}})
    assert report(["team/api"], [few]).document().event("any").reasons == {"FAILED": {"Code01": 1}}


def test_only_a_run_over_the_registry_moves_the_beginning_of_the_next() -> None:
    chosen = report(["team/api"], [late("team/api")], moves_the_beginning=False)
    assert chosen.begin_with is None
    assert "next run" not in chosen.sentence()
