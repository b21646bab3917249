"""What outlives a run, in the table that the template declares."""

import boto3
import pytest

from ledger.errors import LedgerUnavailable
from ledger.run_state import LastRun, RunState, run_state

FIRST = LastRun("run-1", "BASIC", 41)
SECOND = LastRun("run-2", "BASIC", 0)


@pytest.fixture
def state(ledger_table: str) -> RunState:
    return run_state(ledger_table)


def test_knows_nothing_at_first(state: RunState) -> None:
    assert state.run_before("run-1") is None
    assert state.first_repository() is None


@pytest.mark.parametrize("last", [FIRST, LastRun("run-1", "ENHANCED")])
def test_reads_what_the_run_before_noted(state: RunState, last: LastRun) -> None:
    state.note(last, before=None)
    assert state.run_before("run-2") == last


def test_reads_what_runs_with_enhanced_scanning_noted(state: RunState) -> None:
    for number in range(1, 5):
        before = state.run_before(f"run-{number}")
        assert before == (LastRun(f"run-{number - 1}", "ENHANCED") if number > 1 else None)
        state.note(LastRun(f"run-{number}", "ENHANCED"), before=before)
        assert state.run_before(f"run-{number}") == before


def test_another_attempt_of_a_run_is_compared_with_the_same_run(state: RunState) -> None:
    state.note(FIRST, before=None)
    assert state.run_before("run-1") is None
    state.note(SECOND, before=state.run_before("run-2"))
    assert state.run_before("run-2") == FIRST
    state.note(SECOND, before=state.run_before("run-2"))
    assert state.run_before("run-2") == FIRST
    assert state.run_before("run-3") == SECOND


def test_reads_the_repository_to_begin_with(state: RunState) -> None:
    state.begin_with("team/api")
    state.begin_with("team/web")
    assert state.first_repository() == "team/web"


def test_keeps_its_items_for_ever(state: RunState) -> None:
    state.note(SECOND, before=FIRST)
    state.begin_with("team/api")
    items = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    assert {(item["pk"]["S"], item["sk"]["S"]) for item in items} == {
        ("run-state", "last"),
        ("run-state", "rotation"),
    }
    assert not any("expires_at" in item for item in items)


def test_a_table_that_does_not_exist_is_unavailable(account: None) -> None:
    state = run_state("ledger-table")
    for call in (
        lambda: state.run_before("run-1"),
        lambda: state.note(FIRST, before=None),
        state.first_repository,
        lambda: state.begin_with("team/api"),
    ):
        with pytest.raises(LedgerUnavailable, match="ResourceNotFoundException"):
            call()
