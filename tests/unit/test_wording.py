from typing import Any

import pytest

from own_events.rescan_finished import Problem
from reporting.message import Level, Message, plain
from reporting.wording import message_of_run
from tests.support.reports import any_run_report


def on_run(**given: Any) -> Message:
    return message_of_run(any_run_report(**given))


def facts(message: Message) -> dict[str, str]:
    return {name: plain(line) for name, line in message.facts}


@pytest.mark.parametrize(
    ("given", "level", "title"),
    [
        ({}, Level.OK, "ECR rescan finished: 5 scans started in 3 repositories"),
        (
            {"repositories": 1, "images": {"STARTED": 1}},
            Level.OK,
            "ECR rescan finished: 1 scan started in 1 repository",
        ),
        (
            {"status": "INCOMPLETE", "repositories_not_done": 2},
            Level.HIGH,
            "ECR rescan incomplete: 2 of 3 repositories did not finish",
        ),
        ({"status": "FAILED", "error": "Boom"}, Level.HIGH, "ECR rescan failed: Boom"),
        (
            {"status": "INCOMPLETE", "repositories": 0, "change": "NO_REPOSITORIES"},
            Level.HIGH,
            "ECR rescan incomplete: no repository to rescan",
        ),
        (
            {"repositories": 0, "scan_type": "ENHANCED", "change": "ENHANCED_SCANNING"},
            Level.OK,
            "ECR rescan finished: enhanced scanning is active, no scan started",
        ),
        (
            {"scan_type": "BASIC", "change": "BASIC_SCANNING"},
            Level.OK,
            "ECR rescan finished: basic scanning again, 5 scans started in 3 repositories",
        ),
        ({"status": "TIMED_OUT"}, Level.HIGH, "ECR rescan timed out: run run-1"),
        ({"status": "ABORTED"}, Level.HIGH, "ECR rescan aborted: run run-1"),
        ({"status": "NOVEL"}, Level.HIGH, "ECR rescan ended: run run-1"),
    ],
)
def test_a_title_says_how_a_run_ended(given: dict[str, Any], level: Level, title: str) -> None:
    message = on_run(**given)
    assert (message.level, plain(message.title)) == (level, title)


def test_states_the_facts_of_a_run() -> None:
    message = on_run(
        repositories_gone=1,
        images={"STARTED": 5, "FRESH": 1_000},
        reasons={
            "UNSCANNABLE": {"image index": 2, "Helm chart": 1},
            "GONE": {"image deleted": 1},
            "DEFERRED": {"registry scan quota": 4},
            "FAILED": {"EcrThrottled": 6},
        },
    )
    assert facts(message) == {
        "Run": "run-1",
        "Repositories": "3, 1 of them deleted during the run",
        "Images": "1,005 evaluated",
        "Skipped": "4 (unscannable: 2 image index, 1 Helm chart; gone: 1 image deleted)",
        "Deferred": "4 registry scan quota",
        "Failed": "6 EcrThrottled",
        "Started": "2026-03-14 03:00 UTC",
        "Ended": "2026-03-14 03:00 UTC",
        "Account": "123456789012 in eu-central-1",
    }
    assert [level for level, _ in message.counts] == [Level.OK, Level.INFO]


def test_reports_a_run_that_ended_early_with_what_step_functions_states() -> None:
    message = on_run(status="FAILED", error="Boom", cause="it went off", started_at=None)
    assert [*facts(message)] == ["Run", "Error", "Cause", "Ended", "Account"]
    assert [*facts(on_run(status="ABORTED", ended_at=None))] == ["Run", "Started", "Account"]


def test_says_first_why_a_run_rescanned_nothing_and_what_to_do() -> None:
    remark = "No repository name matches the filter 'prdo/': check the parameter RepositoryFilter."
    message = on_run(
        status="INCOMPLETE", repositories=0, change="NO_REPOSITORIES", remark=remark, images={}
    )
    assert list(facts(message).items())[:3] == [
        ("Run", "run-1"),
        ("Reason", remark),
        ("Repositories", "0"),
    ]
    assert message.command is None


def test_counts_and_names_the_repositories_that_a_run_has_not_reached() -> None:
    deferred = {"repositories_deferred": 12, "deferred": ("team/a", "team/b")}
    message = on_run(**deferred, rerun={"rerun_of": "run-1"})
    assert facts(message)["Not reached"] == "12 repositories: team/a, team/b and 10 more"
    assert message.command_heading.startswith(
        "To rescan the repositories that were not reached before the next run"
    )
    assert message.command == '{"rerun_of": "run-1"}'
    one = on_run(repositories_deferred=1, deferred=("team/a",))
    assert facts(one)["Not reached"] == "1 repository: team/a"
    both = on_run(status="INCOMPLETE", repositories_not_done=1, **deferred)
    assert both.command_heading.startswith("To rerun only the repositories that did not finish")


def test_lists_what_did_not_finish_and_how_to_rerun_it() -> None:
    message = on_run(
        status="INCOMPLETE",
        repositories_not_done=12,
        problems=(Problem("team/web", "AccessDenied: no"), Problem("team/db", "")),
        rerun={"rerun_of": "run-1"},
    )
    assert [plain(line) for line in message.sections[0].lines] == [
        "team/web: AccessDenied: no",
        "team/db: ",
        "and 10 more; for the full list, see summary.json in the run bucket",
    ]
    assert message.command_heading.endswith("start an execution of RescanRegistry with this input:")
    assert message.command == '{"rerun_of": "run-1"}'
    assert on_run().command is None


@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED"])
def test_says_how_to_rerun_a_run_that_may_have_listed_nothing(status: str) -> None:
    message = on_run(status=status, rerun={"rerun_of": "run-1"})
    assert message.command_heading.endswith("start an execution of RescanRegistry with this input:")
    assert message.command == '{"rerun_of": "run-1"}'
