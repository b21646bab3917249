from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.boards import Board, Draw
from rescan_registry import pacing
from rescan_registry.pacing import Call, Look, Report, Schedule, Step, Wait
from tests.support.boards import BoardsInMemory

NOW = 1_000.0
rates = st.floats(0.5, 200)


def any_board(rate: float = 10, **changes: float) -> Board:
    """Make a board that shows 0 now."""
    board = Board(rate=rate, front=0, front_at=NOW, window_at=NOW, touched_at=NOW)
    return replace(board, **changes)  # type: ignore[arg-type] # its counts are whole numbers


def least(low: float, high: float) -> float:
    return low


def most(low: float, high: float) -> float:
    return high


# What the board shows


def test_shows_numbers_at_its_rate() -> None:
    board = any_board(rate=10, front=100)
    assert board.shown(NOW) == 100
    assert board.shown(NOW + 0.25) == 102.5
    assert board.shown(NOW - 1) == 90  # as seen by a clock that is behind


def test_each_refused_call_sets_it_back_by_one() -> None:
    assert any_board(front=100, refused=3).shown(NOW) == 97


def test_counts_the_numbers_that_wait() -> None:
    assert any_board(front=100, issued=150).waiting(NOW) == 50
    assert any_board(front=200, issued=150).waiting(NOW) == -50


# The rate


def test_an_unknown_rate_starts_with_one_full_window() -> None:
    board = pacing.first_board(NOW)
    assert (board.rate, board.shown(NOW), board.is_learnt) == (20, 0, False)
    assert (board.window_at, board.touched_at) == (NOW, NOW)


@pytest.mark.parametrize(
    ("is_learnt", "seconds", "accepted", "refused", "rate"),
    [
        # Every number was used, and no call refused.
        (True, 1.0, 100, 0, 104.0),
        (True, 2.0, 200, 0, 104.0),
        (True, 1.0, 50, 0, 104.0),
        (False, 1.0, 100, 0, 150.0),
        # Numbers went unused, which says nothing about the limit.
        (True, 1.0, 49, 0, 100.0),
        (False, 1.0, 49, 0, 100.0),
        (True, 10.0, 100, 0, 100.0),
        # Refused calls: the share that was accepted.
        (True, 1.0, 90, 10, 90.0),
        (False, 1.0, 90, 10, 90.0),
        (True, 1.0, 10, 90, 10.0),
        # Few calls say little: they count as one refused of twenty.
        (True, 1.0, 0, 1, 95.0),
        (True, 1.0, 18, 1, 95.0),
        # Never below the floor.
        (True, 1.0, 0, 20, 0.5),
        (True, 1.0, 0, 1000, 0.5),
        # The clock of another host, which began the window, is ahead.
        (True, -2.0, 200, 0, 104.0),
    ],
)
def test_a_complete_window_changes_the_rate(
    *, is_learnt: bool, seconds: float, accepted: int, refused: int, rate: float
) -> None:
    board = any_board(100, accepted=7 + accepted, refused=3 + refused, is_learnt=is_learnt)
    board = replace(board, window_accepted=7, window_refused=3)
    adjusted = pacing.adjusted(board, NOW + seconds)
    assert adjusted.rate == pytest.approx(rate)
    assert adjusted.is_learnt == (is_learnt or refused > 0)
    assert adjusted.window_at == NOW + seconds
    assert adjusted.window_accepted == board.accepted
    assert adjusted.window_refused == board.refused
    assert adjusted.shown(NOW + seconds) == pytest.approx(board.shown(NOW + seconds))


@pytest.mark.parametrize(
    ("seconds", "accepted", "refused"),
    [(0.99, 100, 0), (0.99, 50, 50), (-0.99, 100, 0), (100.0, 19, 0), (1.0, 0, 0)],
)
def test_an_incomplete_window_changes_nothing(seconds: float, accepted: int, refused: int) -> None:
    board = any_board(100, accepted=accepted, refused=refused)
    assert pacing.adjusted(board, NOW + seconds) == board


@given(rates, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400))))
def test_the_rate_stays_within_bounds(rate: float, windows: list[tuple[int, int]]) -> None:
    board, now = any_board(rate), NOW
    for accepted, refused in windows:
        now += 1
        board = replace(board, accepted=board.accepted + accepted, refused=board.refused + refused)
        board = pacing.adjusted(board, now)
        assert 0.5 <= board.rate <= max(rate, 1.5 * 400 / 0.5)


@given(rates, rates)
def test_the_rate_converges_to_the_limit(rate: float, limit: float) -> None:
    """A bucket without savings: what is above the limit is refused."""
    board, now, limit = replace(any_board(rate), is_learnt=True), NOW, max(limit, 1.0)
    asked: list[float] = []
    for _ in range(200):
        seconds = max(1.0, 20 / board.rate)
        now += seconds
        calls = board.rate * seconds
        accepted = min(calls, limit * seconds)
        board = replace(
            board,
            accepted=board.accepted + round(accepted),
            refused=board.refused + round(calls - accepted),
        )
        board = pacing.adjusted(board, now)
        asked.append(board.rate)
    assert 0.8 * limit < sum(asked[-50:]) / 50 < 1.15 * limit


# Who is late


def test_a_late_number_is_shown_only_just_now() -> None:
    late = pacing.held_back(any_board(10, front=100, refused=4), 50, NOW)
    assert late.shown(NOW) == 55  # as many later ones as half a second has
    assert late.shown(NOW + 1) == 65


def test_at_a_low_rate_one_number_may_be_late() -> None:
    assert pacing.held_back(any_board(1, front=9), 5, NOW).shown(NOW) == 6


@pytest.mark.parametrize("number", [95, 100, 200])
def test_a_number_that_is_not_late_holds_nothing_back(number: int) -> None:
    board = any_board(10, front=100)
    assert pacing.held_back(board, number, NOW) == board


def test_a_report_decides_on_the_rate_and_on_who_is_late() -> None:
    board = any_board(10, front=100, accepted=20, is_learnt=True)
    assert pacing.decided(board, None, NOW + 2).rate == pytest.approx(10.4)
    assert pacing.decided(board, None, NOW + 2).shown(NOW + 2) == pytest.approx(120)
    assert pacing.decided(board, 50, NOW + 2).rate == pytest.approx(10.4)
    assert pacing.decided(board, 50, NOW + 2).shown(NOW + 2) == pytest.approx(55.2)
    assert pacing.decided(any_board(), 5, NOW) == any_board()


# The queue


@pytest.mark.parametrize(
    ("rate", "issued", "wanted", "count"),
    [
        (1, 0, 1000, 50),  # a batch at least
        (1, 50, 1000, 50),
        (1, 51, 1000, 0),
        (5, 0, 1000, 100),  # 20 seconds
        (5, 100, 1000, 100),
        (5, 101, 1000, 0),
        (11, 0, 1000, 250),  # whole batches
        (100, 0, 5000, 1000),  # what a state may hold
        (100, 2000, 5000, 1000),
        (100, 2001, 5000, 0),
        (100, 0, 7, 7),
    ],
)
def test_numbers_are_drawn_while_the_queue_is_short(
    rate: float, issued: int, wanted: int, count: int
) -> None:
    draw = pacing.draw(any_board(rate, issued=issued), wanted, NOW)
    expected = Draw(count, most=round(max(50, 20 * rate))) if count else None
    assert draw == expected


def test_numbers_that_were_shown_but_not_drawn_are_left_out() -> None:
    board = any_board(10, front=100.5, issued=40)
    assert pacing.draw(board, 20, NOW) == Draw(20, most=300, first=96)  # half a second may be late


def test_what_was_shown_in_the_last_half_second_is_still_drawn() -> None:
    board = any_board(10, front=45, issued=40)
    assert pacing.draw(board, 20, NOW) == Draw(20, most=245)


@pytest.mark.parametrize(
    ("issued", "touched", "is_abandoned"),
    [(10, -61, True), (10, -60, False), (10, 61, True), (0, -61, False)],
)
def test_numbers_without_a_sign_of_life_are_abandoned(
    *, issued: int, touched: float, is_abandoned: bool
) -> None:
    board = any_board(issued=issued, touched_at=NOW + touched)
    assert pacing.is_abandoned(board, NOW) is is_abandoned


def test_an_abandoned_board_goes_on_behind_its_numbers() -> None:
    board = pacing.resumed(any_board(issued=400, refused=7), NOW + 100)
    assert board.shown(NOW + 100) == 400
    assert board.waiting(NOW + 100) == 0


@pytest.mark.parametrize(
    ("rate", "issued", "polls", "shortest", "longest"),
    [
        (10, 0, 0, 1, 10),
        (10, 201, 0, 1, 11),
        (10, 300, 0, 10, 20),  # until the queue is short
        (10, 300, 1, 10, 25),
        (10, 300, 4, 10, 61),
        (10, 300, 9, 10, 70),
        (10, 300, 10_000, 10, 70),  # at most three times the queue
        (1, 1000, 0, 300, 300),
    ],
)
def test_a_nap_is_until_the_queue_is_short_and_by_chance_longer(
    rate: float, issued: int, polls: int, shortest: int, longest: int
) -> None:
    board = any_board(rate, issued=issued)
    assert pacing.nap(board, polls, NOW, least_or_zero) == shortest
    assert pacing.nap(board, polls, NOW, most) == longest


def least_or_zero(low: float, high: float) -> float:
    assert low == 0
    return low


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 30), st.booleans())))
def test_no_number_is_drawn_twice_and_the_queue_stays_short(
    callers: list[tuple[int, float, bool]],
) -> None:
    table, now = BoardsInMemory(pacing.first_board(NOW)), NOW
    last = -1
    for wanted, seconds, is_refused in callers:
        now += seconds
        board = table.report("any", 30, 5 if is_refused else 0, now)
        assert board
        table.change("any", board, pacing.decided(board, None, now))
        board = table.read("any")
        assert board
        if draw := pacing.draw(board, wanted, now):
            first = table.draw("any", draw, board, now)
            assert first is not None
            assert first > last
            assert 1 <= draw.count <= wanted
            last = first + draw.count - 1
            assert first - board.shown(now) <= pacing.queue_length(board)


# The calls of one invocation


def schedule(count: int, board: Board | None, *, first: int = 0, seconds: float = 100) -> Schedule:
    return Schedule(count, first, board, NOW, NOW + seconds, most)


def follow(calls: Schedule, board: Board, latency: float = 0.1) -> list[float]:
    """Take all steps in virtual time, while every call is accepted; return when calls are made."""
    now, made, ends = NOW, [], dict[int, float]()
    while step := calls.next(now):
        match step:
            case Call(index):
                made.append(now)
                ends[index] = now + latency
            case Wait(seconds):
                now = min([now + seconds, *ends.values()])
            case Look():
                calls.saw(board, now)
            case Report():
                calls.reported(step, board, now)
        for index in [index for index, end in ends.items() if end <= now]:
            del ends[index]
            calls.answered(index)
    return made


def test_calls_when_the_board_shows_its_number() -> None:
    board = any_board(10)
    assert follow(schedule(4, board, first=5), board) == pytest.approx(
        [NOW + 0.5, NOW + 0.6, NOW + 0.7, NOW + 0.8]
    )


def test_who_is_late_catches_up_by_a_fifth() -> None:
    board = any_board(10, front=100)
    assert follow(schedule(4, board, first=5), board) == pytest.approx(
        [NOW, NOW + 0.08, NOW + 0.16, NOW + 0.24]
    )


def test_makes_sixteen_calls_at_most_concurrently() -> None:
    board = any_board(1000, front=100)
    made = follow(schedule(40, board), board, latency=1.0)
    assert sum(at < NOW + 1 for at in made) == 16
    assert sum(NOW + 1 <= at < NOW + 2 for at in made) == 16


@given(rates, st.integers(0, 300), st.integers(1, 60), st.floats(0.01, 3))
def test_calls_keep_their_distance_and_none_is_early(
    rate: float, first: int, count: int, latency: float
) -> None:
    board = any_board(rate)
    made = follow(schedule(count, board, first=first, seconds=10_000), board, latency)
    assert len(made) == count
    for number, at in enumerate(made, start=first):
        assert board.shown(at) >= number - 0.0011 * rate  # a millisecond
    for before, after in pairwise(made):
        assert after - before >= 0.8 / rate - 0.0011


def test_a_number_that_is_shown_too_late_is_left_at_once() -> None:
    board = any_board(1)
    made = follow(schedule(50, board, first=40, seconds=60), board)
    assert made == pytest.approx([NOW + 40 + number for number in range(20)])
    assert follow(schedule(50, board, first=60, seconds=60), board) == []


def test_ends_without_anything_to_call() -> None:
    assert schedule(0, any_board()).next(NOW) is None
    assert schedule(0, None).next(NOW) is None


def test_reports_once_a_second_and_at_the_end() -> None:
    board = any_board(10, front=100)
    calls = schedule(3, board)
    assert calls.next(NOW) == Call(0)
    calls.answered(0)
    assert calls.next(NOW + 0.99) == Call(1)
    calls.answered(1)
    assert calls.next(NOW + 1) == Report(2, 0)
    calls.reported(Report(2, 0), board, NOW + 1)
    assert calls.next(NOW + 1.1) == Call(2)
    assert calls.next(NOW + 1.1) == Wait(5)
    calls.answered(2)
    assert calls.next(NOW + 1.2) == Report(1, 0)
    calls.reported(Report(1, 0), board, NOW + 1.2)
    assert calls.next(NOW + 1.2) is None


def test_calls_counted_during_a_report_are_reported_next() -> None:
    board = any_board(10, front=100)
    calls = schedule(2, board)
    assert calls.next(NOW) == Call(0)
    assert calls.next(NOW + 0.5) == Call(1)
    calls.answered(0)
    assert calls.next(NOW + 1) == Report(1, 0)
    calls.answered(1)
    calls.reported(Report(1, 0), board, NOW + 1)
    assert calls.next(NOW + 1) == Report(1, 0)


def test_reports_a_refused_call_immediately_and_its_number_counts_for_the_next_item() -> None:
    calls = schedule(2, any_board(10), first=0)
    assert calls.next(NOW) == Call(0)
    calls.throttled(0, NOW + 0.05)
    assert calls.next_number == 0
    assert calls.next(NOW + 0.05) == Report(0, 1)
    calls.reported(Report(0, 1), any_board(10, refused=1), NOW + 0.05)
    assert calls.next(NOW + 0.05) == Wait(pytest.approx(0.05))
    assert calls.next(NOW + 0.1) == Call(1)
    assert calls.next(NOW + 0.2) == Call(0)
    assert calls.next_number is None


def test_ten_refused_calls_in_a_row_leave_the_rest_for_another_turn() -> None:
    board, now = any_board(10, front=1000), NOW
    calls = schedule(50, board)
    for refused in range(10):
        now += 0.1
        assert calls.next(now) == Call(refused)
        calls.throttled(refused, now)
        assert calls.next(now) == Report(0, 1)
        calls.reported(Report(0, 1), board, now)
    assert calls.next(now + 0.1) is None


def test_an_answer_between_refused_calls_starts_the_count_again() -> None:
    board, now = any_board(10, front=1000), NOW
    calls = schedule(50, board)
    for _ in range(30):
        now += 0.1
        step = calls.next(now)
        assert isinstance(step, Call)
        if step.index % 10 == 9:
            calls.answered(step.index)
        else:
            calls.throttled(step.index, now)
            assert isinstance(calls.next(now), Report)
            calls.reported(Report(0, 1), board, now)


def test_looks_at_the_board_when_its_copy_is_old() -> None:
    calls = schedule(1, any_board(1), first=12)
    assert calls.next(NOW) == Wait(5)
    assert calls.next(NOW + 4.9) == Wait(5)
    assert calls.next(NOW + 5) == Look()
    calls.saw(any_board(1, front=4), NOW + 5)
    assert calls.next(NOW + 5) == Wait(3)
    assert calls.next(NOW + 8) == Look()
    calls.saw(any_board(1, front=4), NOW + 8)
    assert calls.next(NOW + 8) == Call(0)


def test_who_waits_shows_that_the_queue_is_not_abandoned() -> None:
    calls = schedule(1, any_board(1), first=50)
    assert calls.next(NOW + 19.9) == Look()
    assert calls.next(NOW + 20) == Report(0, 0)


def test_a_stopped_invocation_waits_for_calls_under_way_and_reports() -> None:
    calls = schedule(5, any_board(10, front=100))
    assert calls.next(NOW) == Call(0)
    assert calls.next(NOW + 0.5) == Call(1)
    calls.failed(1)
    calls.stop()
    assert calls.next(NOW + 0.6) == Wait(5)
    calls.answered(0)
    assert calls.next(NOW + 0.7) == Report(1, 0)
    calls.reported(Report(1, 0), any_board(), NOW + 0.7)
    assert calls.next(NOW + 0.7) is None


# Without a board


def test_without_a_board_one_call_follows_the_other() -> None:
    calls = schedule(2, None)
    assert calls.next(NOW) == Call(0)
    assert calls.next(NOW) == Wait(5)
    calls.answered(0)
    assert calls.next(NOW) == Call(1)
    calls.answered(1)
    assert calls.next(NOW) is None


def test_without_a_board_each_refused_call_doubles_the_backoff() -> None:
    calls, now = schedule(1, None, seconds=10_000), NOW
    backoffs: list[float] = []
    for _ in range(7):
        assert calls.next(now) == Call(0)
        calls.throttled(0, now)
        step = calls.next(now)
        assert isinstance(step, Wait)
        backoffs.append(step.seconds)
        now += step.seconds
    assert backoffs == [5, 10, 20, 40, 80, 120, 120]


def test_without_a_board_an_answer_ends_the_backoff() -> None:
    calls = schedule(3, None)
    for index in range(2):
        assert calls.next(NOW + 50) == Call(index)
        calls.throttled(index, NOW)
    assert calls.next(NOW + 50) == Call(2)
    calls.answered(2)
    assert calls.next(NOW + 50) == Call(0)
    calls.throttled(0, NOW + 50)
    assert calls.next(NOW + 50) == Wait(5)


def test_without_a_board_no_call_is_made_after_the_end() -> None:
    calls = schedule(2, None, seconds=10)
    assert calls.next(NOW + 10) is None
    assert calls.next(NOW + 9) == Call(0)
    calls.throttled(0, NOW + 9)
    assert calls.next(NOW + 9) is None


def test_a_board_that_is_lost_midway_slows_down_to_one_call() -> None:
    board = any_board(10, front=100)
    calls = schedule(3, board)
    steps: list[Step | None] = [calls.next(NOW), calls.next(NOW + 0.5)]
    assert steps == [Call(0), Call(1)]
    calls.answered(0)
    assert calls.next(NOW + 1) == Report(1, 0)
    calls.reported(Report(1, 0), None, NOW + 1)
    assert calls.next(NOW + 1) == Wait(5)
    calls.answered(1)
    assert calls.next(NOW + 1) == Call(2)
    calls.answered(2)
    assert calls.next(NOW + 1) is None
