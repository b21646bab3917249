"""What is new about a run, as a table: each row is one of what an operator may find at night."""

from dataclasses import replace
from typing import Any

import pytest

from ledger.run_records import LONGEST_PROBLEM
from ledger.run_state import LastRun
from own_events.rescan_finished import RunChange
from rescan_registry.repository_choice import (
    ENHANCED_SCANNING,
    RepositoryChoice,
    Selection,
)
from rescan_registry.run_change import FoundByRun, News, compare, news_of, noted
from tests.support.fakes import FakeRunState

PRDO = RepositoryChoice(Selection.PARAMETER, "prdo/", listed=312)
ALL = RepositoryChoice(Selection.PARAMETER, listed=312)
NONE = RepositoryChoice(Selection.PARAMETER)
TYPED = RepositoryChoice(Selection.FILTER, "prdo/", listed=312)
NO_MATCH = "No repository name matches the filter 'prdo/' from the start: 0 of 312 repositories."


def found(choice: RepositoryChoice, repositories: int = 0, scan_type: str = "BASIC") -> FoundByRun:
    return FoundByRun("run-2", False, scan_type, repositories, choice)


def before(repositories: int | None, scan_type: str = "BASIC") -> LastRun:
    return LastRun("run-1", scan_type, repositories)


@pytest.mark.parametrize(
    ("now", "earlier", "remark"),
    [
        (
            found(PRDO),
            before(41),
            f"{NO_MATCH} The run before had 41. Check the parameter RepositoryFilter.",
        ),
        (
            found(TYPED),
            before(4_100),
            f"{NO_MATCH} The run before had 4,100. Check repository_filter in the input of the "
            "run.",
        ),
        (
            found(PRDO),
            None,
            f"{NO_MATCH} This is the first run. Check the parameter RepositoryFilter.",
        ),
        (
            found(PRDO),
            before(1),
            f"{NO_MATCH} The run before had 1. Check the parameter RepositoryFilter.",
        ),
        # Only enhanced scanning was seen so far.
        (
            found(PRDO),
            before(None, "ENHANCED"),
            f"{NO_MATCH} This is the first run. Check the parameter RepositoryFilter.",
        ),
        (
            found(NONE),
            before(41),
            "The registry has no repositories. The run before had 41. Check whether they were "
            "deleted on purpose, and whether the stack is in the right Region.",
        ),
        # The filter was changed while enhanced scanning was active.
        (
            found(PRDO),
            before(41, "ENHANCED"),
            f"{NO_MATCH} The run before had 41. Check the parameter RepositoryFilter.",
        ),
    ],
)
def test_a_run_without_repositories_is_a_problem_when_that_is_new(
    now: FoundByRun, earlier: LastRun | None, remark: str
) -> None:
    assert news_of(now, earlier) == News(RunChange.NO_REPOSITORIES, remark)


@pytest.mark.parametrize(
    ("now", "earlier", "news"),
    [
        (found(PRDO), before(0), News(RunChange.UNCHANGED, NO_MATCH)),
        (found(TYPED), before(0), News(RunChange.UNCHANGED, NO_MATCH)),
        (found(NONE), None, News(RunChange.UNCHANGED, "The registry has no repositories.")),
        (found(NONE), before(0), News(RunChange.UNCHANGED, "The registry has no repositories.")),
        (found(ALL, 41), None, News(RunChange.UNCHANGED)),
        (found(ALL, 41), before(0), News(RunChange.UNCHANGED)),
        (found(PRDO, 1), before(41), News(RunChange.UNCHANGED)),
    ],
)
def test_what_was_so_before_is_no_problem(
    now: FoundByRun, earlier: LastRun | None, news: News
) -> None:
    assert news_of(now, earlier) == news


AGAIN = "The registry uses basic scanning again, so that runs start scans again."


@pytest.mark.parametrize(
    ("now", "earlier", "news"),
    [
        (
            found(NONE, scan_type="ENHANCED"),
            None,
            News(
                RunChange.ENHANCED_SCANNING,
                f"{ENHANCED_SCANNING} This is reported once, until it changes.",
            ),
        ),
        (
            found(PRDO, scan_type="ENHANCED"),
            before(41),
            News(
                RunChange.ENHANCED_SCANNING,
                f"{ENHANCED_SCANNING} This is reported once, until it changes.",
            ),
        ),
        (
            found(NONE, scan_type="ENHANCED"),
            before(41, "ENHANCED"),
            News(RunChange.UNCHANGED, ENHANCED_SCANNING),
        ),
        (found(ALL, 41), before(41, "ENHANCED"), News(RunChange.BASIC_SCANNING, AGAIN)),
        (
            found(NONE),
            before(0, "ENHANCED"),
            News(RunChange.BASIC_SCANNING, f"{AGAIN} The registry has no repositories."),
        ),
    ],
)
def test_enhanced_scanning_is_new_once_when_it_comes_and_once_when_it_goes(
    now: FoundByRun, earlier: LastRun | None, news: News
) -> None:
    assert news_of(now, earlier) == news


@pytest.mark.parametrize(
    ("now", "earlier", "kept"),
    [
        (found(ALL, 41), None, 41),
        (found(PRDO), before(41), 0),
        (found(NONE, scan_type="ENHANCED"), before(41), 41),
        (found(NONE, scan_type="ENHANCED"), None, None),
        # A mistyped filter in the input must not hide that of the parameter the next night.
        (found(TYPED), before(41), 41),
        (found(TYPED, 3), None, None),
    ],
)
def test_notes_what_the_next_run_is_compared_with(
    now: FoundByRun, earlier: LastRun | None, kept: int | None
) -> None:
    assert noted(now, earlier) == LastRun("run-2", now.scan_type, kept)


@pytest.mark.parametrize(
    ("now", "remark"),
    [
        (found(PRDO, scan_type="ENHANCED"), ENHANCED_SCANNING),
        (found(PRDO), NO_MATCH),
        (found(ALL, 41), None),
        (
            found(RepositoryChoice(Selection.RERUN, "run-0", listed=41)),
            "Every repository of the run run-0 is done, 41 in all.",
        ),
    ],
)
def test_explains_a_run_that_is_not_compared(now: FoundByRun, remark: str | None) -> None:
    state: Any = FakeRunState(before(41))
    dry = replace(now, dry_run=now.choice.by is not Selection.RERUN)
    assert compare(dry, state) == News(None, remark)
    assert state.reads == 0


@pytest.mark.parametrize("now", [found(PRDO), found(TYPED), found(ALL, 41)])
def test_compares_and_notes_a_run_and_does_the_same_in_another_attempt(now: FoundByRun) -> None:
    state: Any = FakeRunState(before(41))
    first = compare(now, state)
    assert first == news_of(now, before(41))
    assert state.noted == [before(41), noted(now, before(41))]
    assert compare(now, state) == first
    assert state.noted[2:] == state.noted[1:2]


@pytest.mark.parametrize(
    ("by", "dry_run", "is_whole", "moves_the_beginning"),
    [
        (Selection.PARAMETER, False, True, True),
        (Selection.PARAMETER, True, True, False),
        (Selection.FILTER, False, False, False),
        (Selection.RERUN, True, False, False),
    ],
)
def test_a_run_over_all_repositories_moves_where_the_next_one_begins(
    by: Selection, *, dry_run: bool, is_whole: bool, moves_the_beginning: bool
) -> None:
    run = replace(found(RepositoryChoice(by)), dry_run=dry_run)
    assert (run.is_whole, run.moves_the_beginning) == (is_whole, moves_the_beginning)


def test_a_long_filter_leaves_room_for_what_to_do() -> None:
    long: Any = RepositoryChoice(Selection.PARAMETER, "(" + "a" * 4_000 + ")", listed=312)
    remark = news_of(found(long), before(41)).remark
    assert remark
    assert len(remark) < LONGEST_PROBLEM
    assert remark.endswith("Check the parameter RepositoryFilter.")
