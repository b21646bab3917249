"""The boards in the ledger table: many invocations write one item at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from ledger.boards import Board, Boards, Draw
from ledger.errors import LedgerUnavailable
from ledger.table import Table
from rescan_registry.paced_calls import PacedCalls, Turn, pace
from rescan_registry.pacing import Operation

OPERATION = "StartImageScan"
NOW = 1_773_457_200.125
BOARD = Board(rate=20.5, front=7.25, front_at=NOW, window_at=NOW, touched_at=NOW, issued=100)


@pytest.fixture
def boards(ledger_table: str) -> Boards:
    """Make the adapter on a table that changes an item by one request after the other, as AWS."""
    client: Any = boto3.client("dynamodb")
    request, lock = client._make_api_call, threading.Lock()

    def request_alone(*arguments: object) -> object:
        with lock:
            return request(*arguments)

    client._make_api_call = request_alone
    return Boards(Table(client, ledger_table))


def read(boards: Boards) -> Board:
    board = boards.read(OPERATION)
    assert board
    return board


def at_once(count: int, do: Callable[[int], object]) -> list[object]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(do, range(count)))


def test_keeps_a_board_with_thousandths(boards: Boards) -> None:
    assert boards.read(OPERATION) is None
    boards.create(OPERATION, BOARD)
    assert boards.read(OPERATION) == BOARD
    assert boards.read("DescribeImageScanFindings") is None


def test_never_expires(boards: Boards, ledger_table: str) -> None:
    boards.create(OPERATION, BOARD)
    item = Table(boto3.client("dynamodb"), ledger_table).get(("pace#StartImageScan", "board"))
    assert item
    assert "expires_at" not in item


def test_the_first_of_two_that_create_a_board_wins(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    boards.create(OPERATION, replace(BOARD, rate=1))
    assert boards.read(OPERATION) == BOARD


def test_draws_behind_all_others(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    assert boards.draw(OPERATION, Draw(50, most=100), BOARD, NOW + 1) == 100
    assert read(boards) == replace(BOARD, issued=150, touched_at=NOW + 1)


def test_draws_nothing_when_others_have_drawn_too_many(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    assert boards.draw(OPERATION, Draw(50, most=99), BOARD, NOW + 1) is None
    assert boards.read(OPERATION) == BOARD


def test_leaves_out_numbers_that_were_shown_to_nobody(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    draw = Draw(50, most=1000, first=400)
    assert boards.draw(OPERATION, draw, BOARD, NOW) == 400
    assert read(boards).issued == 450
    assert boards.draw(OPERATION, draw, BOARD, NOW) is None  # 100 numbers were seen, now 450


def test_no_number_is_drawn_twice(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    draw = Draw(50, most=10_000)
    firsts = at_once(16, lambda _: boards.draw(OPERATION, draw, BOARD, NOW))
    assert sorted(firsts, key=str) == sorted(range(100, 900, 50), key=str)


def test_no_report_is_lost(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)

    def report(number: int) -> object:
        board = boards.report(OPERATION, number, 1, NOW)
        assert board
        return boards.change(OPERATION, board, replace(board, rate=board.rate + 1))

    changed = at_once(16, report)
    board = read(boards)
    assert (board.accepted, board.refused) == (120, 16)
    assert board.version == changed.count(True)
    assert board.rate == BOARD.rate + changed.count(True)


def test_what_was_computed_from_an_older_version_is_not_written(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    new = replace(
        BOARD,
        rate=10.001,
        front=99.5,
        front_at=NOW + 1,
        window_at=NOW + 2,
        window_accepted=3,
        window_refused=4,
        is_learnt=True,
    )
    assert boards.change(OPERATION, BOARD, new)
    assert not boards.change(OPERATION, BOARD, BOARD)
    assert read(boards) == replace(new, version=1)


def test_a_change_leaves_counters_alone(boards: Boards) -> None:
    boards.create(OPERATION, BOARD)
    seen = boards.report(OPERATION, 5, 1, NOW)
    assert seen
    boards.report(OPERATION, 7, 2, NOW)
    boards.draw(OPERATION, Draw(50, most=100), BOARD, NOW)
    assert boards.change(OPERATION, seen, replace(seen, rate=3))
    board = read(boards)
    assert (board.accepted, board.refused, board.issued) == (12, 3, 150)


def test_a_deleted_board_is_not_made_by_a_report(boards: Boards) -> None:
    assert boards.report(OPERATION, 1, 0, NOW) is None
    assert boards.read(OPERATION) is None


def test_a_closed_operation_needs_no_board(boards: Boards) -> None:
    until = datetime(2026, 3, 14, 4, tzinfo=UTC)
    assert boards.closed_until(OPERATION) is None
    boards.close(OPERATION, until)
    assert boards.closed_until(OPERATION) == until
    assert boards.read(OPERATION) is None
    boards.create(OPERATION, BOARD)
    assert boards.closed_until(OPERATION) == until
    assert read(boards).rate == BOARD.rate


def test_a_table_that_does_not_answer_is_unavailable(account: None) -> None:
    boards = Boards(Table(boto3.client("dynamodb"), "no-table"))
    calls: list[Callable[[], object]] = [
        lambda: boards.read(OPERATION),
        lambda: boards.create(OPERATION, BOARD),
        lambda: boards.draw(OPERATION, Draw(1, most=1), BOARD, NOW),
        lambda: boards.draw(OPERATION, Draw(1, most=1, first=1), BOARD, NOW),
        lambda: boards.report(OPERATION, 1, 1, NOW),
        lambda: boards.change(OPERATION, BOARD, BOARD),
        lambda: boards.close(OPERATION, datetime(2026, 3, 14, tzinfo=UTC)),
        lambda: boards.closed_until(OPERATION),
    ]
    for call in calls:
        with pytest.raises(LedgerUnavailable):
            call()


def test_an_operation_is_paced_by_its_own_board(ledger_table: str) -> None:
    starts = pace(ledger_table, Operation.START_IMAGE_SCAN)
    assert starts.draw(30, polls=0) == Turn(count=30, first=0)
    assert starts.draw(30, polls=0) == Turn(count=30, first=30)
    findings = pace(ledger_table, Operation.DESCRIBE_IMAGE_SCAN_FINDINGS)
    assert findings.draw(30, polls=0) == Turn(count=30, first=0)
    made = findings.calls(["a", "b"], str.upper, first=0, seconds=10)
    assert made == PacedCalls({0: "A", 1: "B"}, left=(), refusal=None)
    assert (read(Boards(Table(boto3.client("dynamodb"), ledger_table))).accepted) == 0
