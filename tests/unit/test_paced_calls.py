import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.boards import Board
from registry.errors import AccessDenied, EcrThrottled, EcrUnavailable
from rescan_registry import pacing
from rescan_registry.paced_calls import Host, Pace, PacedCalls, Turn
from rescan_registry.pacing import Operation
from tests.support.boards import BoardsInMemory
from tests.support.clock import NOW, Clock, FastClock

SECOND = timedelta(seconds=1)
ANY_BOARD = pacing.first_board(NOW.timestamp())


class OneThread(Executor):
    """Makes each call where it is submitted."""

    def submit[**P, R](
        self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]:
        future: Future[R] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 a future holds every error
            future.set_exception(error)
        return future


class Ecr:
    """Takes calls of items; throttles those that are given, in the order of calls."""

    def __init__(self, clock: Clock, *answers: Exception | None, after: Exception | None = None):
        self.asked: list[tuple[str, float]] = []
        self._clock = clock
        self._answers = list(answers)
        self._after = after

    def __call__(self, item: str) -> str:
        self.asked.append((item, round((self._clock.now() - NOW).total_seconds(), 2)))
        if error := self._answers.pop(0) if self._answers else self._after:
            raise error
        return item.upper()


def any_pace(boards: BoardsInMemory, clock: Clock, threads: type[Executor] = OneThread) -> Pace:
    host = Host(clock.now, clock.sleep, random=lambda low, high: high, threads=threads)
    return Pace(boards.as_boards, Operation.START_IMAGE_SCAN, host)


THROTTLED = EcrThrottled("Rate exceeded")


# Draws


def test_the_first_draw_creates_the_board() -> None:
    boards = BoardsInMemory()
    assert any_pace(boards, Clock()).draw(30, polls=0) == Turn(count=30, first=0)
    assert boards.board == replace(ANY_BOARD, issued=30)


def test_numbers_follow_on_each_other() -> None:
    boards, clock = BoardsInMemory(ANY_BOARD), Clock()
    turns = [any_pace(boards, clock).draw(70, polls=0) for _ in range(2)]
    assert turns == [Turn(count=70, first=0), Turn(count=70, first=70)]


@pytest.mark.parametrize(
    ("shown", "turn"),
    [
        (-5, Turn(count=50, first=10)),  # the attempt before has not begun
        (30, Turn(count=30, first=30)),
        (59, Turn(count=1, first=59)),
        (60, Turn(count=50, first=200)),  # all have passed
    ],
)
def test_another_attempt_keeps_the_numbers_that_have_not_passed(shown: int, turn: Turn) -> None:
    boards = BoardsInMemory(replace(ANY_BOARD, front=shown, issued=200))
    assert any_pace(boards, Clock()).draw_again(10, 50, polls=1) == turn


def test_another_attempt_draws_where_there_were_no_numbers() -> None:
    boards = BoardsInMemory(replace(ANY_BOARD, issued=200))
    assert any_pace(boards, Clock()).draw_again(None, 50, polls=1) == Turn(count=50, first=200)


def test_makes_no_call_that_an_answer_has_made_needless() -> None:
    boards, clock = BoardsInMemory(replace(ANY_BOARD, issued=5)), Clock()
    ecr = Ecr(clock)
    made = any_pace(boards, clock).calls(
        list("abcde"), ecr, first=0, seconds=60, is_over=lambda: len(ecr.asked) == 2
    )
    assert (made.answers, made.left) == ({0: "A", 1: "B"}, (2, 3, 4))
    assert boards.board is not None
    assert boards.board.accepted == 2


def test_a_long_queue_is_waited_for() -> None:
    boards = BoardsInMemory(replace(ANY_BOARD, issued=401))
    assert any_pace(boards, Clock()).draw(70, polls=0) == Turn(count=0, wait_seconds=11)
    assert boards.board == replace(ANY_BOARD, issued=401)


def test_an_abandoned_queue_is_resumed() -> None:
    clock = Clock()
    boards = BoardsInMemory(replace(ANY_BOARD, issued=4_000))
    clock.move(61 * SECOND)
    assert any_pace(boards, clock).draw(70, polls=0) == Turn(count=70, first=4_000)


class Contended(BoardsInMemory):
    """A board on which others draw, and create, whenever it was read."""

    def read(self, operation: str) -> Board | None:
        board = super().read(operation)
        if self.board:
            self.board = replace(self.board, issued=self.board.issued + 1)
        return board


def test_who_never_wins_waits() -> None:
    clock = Clock()
    boards = Contended(ANY_BOARD)
    clock.move(60 * SECOND)  # so that numbers are to be left out, for which no other may draw
    assert any_pace(boards, clock).draw(70, polls=0) == Turn(count=0, wait_seconds=10)
    assert boards.writes == 5


def test_a_board_that_is_deleted_again_and_again_is_waited_for() -> None:
    class Forgetful(BoardsInMemory):
        def create(self, operation: str, board: Board) -> None:
            pass

    assert any_pace(Forgetful(), Clock()).draw(70, polls=0) == Turn(count=0, wait_seconds=10)


def test_without_the_ledger_one_batch_is_not_paced() -> None:
    boards = BoardsInMemory()
    boards.is_lost = True
    assert any_pace(boards, Clock()).draw(70, polls=3) == Turn(count=50, first=None)
    assert any_pace(boards, Clock()).draw(7, polls=3) == Turn(count=7, first=None)


# The daily quota


def test_a_used_up_quota_is_known_until_it_is_over() -> None:
    clock, boards = Clock(), BoardsInMemory()
    pace = any_pace(boards, clock)
    assert pace.closed_until() is None
    pace.close(NOW + SECOND)
    assert pace.closed_until() == NOW + SECOND
    clock.move(SECOND)
    assert pace.closed_until() is None


def test_without_the_ledger_the_quota_is_not_known() -> None:
    boards = BoardsInMemory()
    boards.is_lost = True
    pace = any_pace(boards, Clock())
    pace.close(NOW + SECOND)
    assert pace.closed_until() is None


# Calls


def test_makes_calls_at_the_rate_of_the_board() -> None:
    clock, boards = Clock(), BoardsInMemory(replace(ANY_BOARD, rate=10))
    ecr = Ecr(clock)
    made = any_pace(boards, clock).calls(["a", "b", "c"], ecr, first=10, seconds=60)
    assert made == PacedCalls({0: "A", 1: "B", 2: "C"}, left=(), refusal=None)
    assert ecr.asked == [("a", 1.0), ("b", 1.1), ("c", 1.2)]
    assert boards.board
    assert (boards.board.accepted, boards.board.refused) == (3, 0)


def test_the_number_of_a_throttled_call_counts_for_the_next() -> None:
    clock, boards = Clock(), BoardsInMemory(replace(ANY_BOARD, rate=10))
    ecr = Ecr(clock, None, THROTTLED)
    pace = any_pace(boards, clock)
    made = pace.calls(["a", "b", "c"], ecr, first=10, seconds=60)
    assert (pace.calls_made, pace.calls_throttled) == (4, 1)
    assert made.answers == {0: "A", 1: "B", 2: "C"}
    assert made.left == ()
    assert made.refusal is THROTTLED
    assert ecr.asked[:2] == [("a", 1.0), ("b", 1.1)]
    assert [item for item, _ in ecr.asked] == ["a", "b", "c", "b"]
    assert ecr.asked[2][1] == pytest.approx(1.2, abs=0.02)
    assert boards.board
    assert (boards.board.accepted, boards.board.refused) == (3, 1)


def test_what_is_throttled_to_the_last_is_left() -> None:
    clock, boards = Clock(), BoardsInMemory(replace(ANY_BOARD, rate=10))
    ecr = Ecr(clock, after=THROTTLED)
    made = any_pace(boards, clock).calls(["a", "b"], ecr, first=0, seconds=60)
    assert made == PacedCalls({}, left=(0, 1), refusal=THROTTLED)
    assert boards.board
    assert boards.board.refused == len(ecr.asked) == 10


def test_what_ecr_fails_to_answer_is_left_and_no_throttling() -> None:
    clock, boards = Clock(), BoardsInMemory(ANY_BOARD)
    failure = EcrUnavailable("503")
    made = any_pace(boards, clock).calls(
        ["a", "b", "c"], Ecr(clock, None, failure), first=0, seconds=30
    )
    assert made == PacedCalls({0: "A", 2: "C"}, left=(1,), refusal=failure)
    assert boards.board
    assert (boards.board.accepted, boards.board.refused) == (2, 0)


def test_another_error_ends_the_calls_and_is_raised() -> None:
    clock, boards = Clock(), BoardsInMemory(ANY_BOARD)
    ecr = Ecr(clock, None, AccessDenied("no"))
    pace = any_pace(boards, clock)
    with pytest.raises(AccessDenied, match="no"):
        pace.calls(["a", "b", "c"], ecr, first=0, seconds=30)
    assert (pace.calls_made, pace.calls_throttled) == (2, 0)
    assert [item for item, _ in ecr.asked] == ["a", "b"]
    assert boards.board
    assert boards.board.accepted == 1


def test_an_error_waits_for_calls_under_way_and_the_first_is_raised() -> None:
    """Two threads are in their calls when both fail."""
    boards, clock = BoardsInMemory(replace(ANY_BOARD, front=100.0)), FastClock(times=1)
    both = threading.Barrier(2)
    ended: list[str] = []

    def call(item: str) -> None:
        both.wait(timeout=10)
        ended.append(item)
        raise AccessDenied(item)

    host = Host(clock.now, clock.sleep)
    pace = Pace(boards.as_boards, Operation.START_IMAGE_SCAN, host)
    with pytest.raises(AccessDenied):
        pace.calls(["a", "b"], call, first=0, seconds=30)
    assert sorted(ended) == ["a", "b"]


def test_numbers_that_are_shown_too_late_are_left() -> None:
    clock, boards = Clock(), BoardsInMemory(replace(ANY_BOARD, rate=1))
    ecr = Ecr(clock)
    made = any_pace(boards, clock).calls(["a", "b", "c"], ecr, first=9, seconds=11)
    assert made == PacedCalls({0: "A", 1: "B"}, left=(2,), refusal=None)


def test_a_higher_rate_is_seen_while_waiting() -> None:
    clock, boards = Clock(), BoardsInMemory(replace(ANY_BOARD, rate=1))

    def sleep(seconds: float, until: object = ()) -> None:
        clock.move(seconds * SECOND)
        boards.board = replace(ANY_BOARD, rate=10)

    ecr = Ecr(clock)
    host = Host(clock.now, sleep, threads=OneThread)
    pace = Pace(boards.as_boards, Operation.START_IMAGE_SCAN, host)
    pace.calls(["a"], ecr, first=60, seconds=100)
    assert ecr.asked == [("a", 6.0)]


def test_calls_by_many_threads_are_all_made_once() -> None:
    clock, boards = FastClock(times=100), BoardsInMemory(replace(ANY_BOARD, rate=1000))
    items = [f"item-{number}" for number in range(200)]
    ecr = Ecr(clock)

    def call(item: str) -> str:
        clock.sleep(0.5)
        return ecr(item)

    pace = Pace(boards.as_boards, Operation.START_IMAGE_SCAN, Host(clock.now, clock.sleep))
    made = pace.calls(items, call, first=0, seconds=1_000)
    assert made.left == ()
    assert made.answers == {number: item.upper() for number, item in enumerate(items)}
    assert sorted(item for item, _ in ecr.asked) == sorted(items)
    assert boards.board
    assert boards.board.accepted == 200


# Without the ledger


def test_without_the_ledger_one_call_follows_the_other_with_backoff() -> None:
    clock, boards = Clock(), BoardsInMemory()
    boards.is_lost = True
    ecr = Ecr(clock, None, THROTTLED, THROTTLED)
    made = any_pace(boards, clock).calls(["a", "b", "c"], ecr, first=None, seconds=60)
    assert made == PacedCalls({0: "A", 1: "B", 2: "C"}, left=(), refusal=THROTTLED)
    assert ecr.asked == [("a", 0), ("b", 0), ("c", 5), ("b", 15), ("c", 15)]


class LostLater(BoardsInMemory):
    """A ledger that is lost after some requests."""

    def __init__(self, board: Board, requests: int) -> None:
        super().__init__(board)
        self._left = requests

    def _answer(self) -> None:
        self.is_lost = self._left <= 0
        self._left -= 1
        super()._answer()


@pytest.mark.parametrize("requests", range(6))
def test_a_ledger_that_is_lost_midway_costs_no_call(requests: int) -> None:
    clock, boards = Clock(), LostLater(replace(ANY_BOARD, rate=2), requests)
    ecr = Ecr(clock, None, THROTTLED)
    items = ["a", "b", "c", "d", "e"]
    made = any_pace(boards, clock).calls(items, ecr, first=4, seconds=60)
    assert made.answers == {0: "A", 1: "B", 2: "C", 3: "D", 4: "E"}
    assert len(ecr.asked) == 6


def test_a_board_that_is_deleted_midway_is_a_lost_one() -> None:
    clock, boards = Clock(), BoardsInMemory(replace(ANY_BOARD, rate=2))

    def call(item: str) -> str:
        boards.board = None
        return item.upper()

    made = any_pace(boards, clock).calls(["a", "b"], call, first=0, seconds=60)
    assert made.answers == {0: "A", 1: "B"}
    assert boards.board is None
