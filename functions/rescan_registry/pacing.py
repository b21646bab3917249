"""How fast ECR is called, and whose turn it is: the decisions, without clock, threads or table.

ECR does not say how many calls it accepts per second. All invocations of all runs share one board
per operation (ledger/boards.py), on which the rate is learnt: it rises while ECR accepts, and falls
when ECR throttles. docs/performance.md shows what each constant of the controller is for.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import InitVar, dataclass, replace
from enum import StrEnum
from heapq import heappop, heappush

from ledger.boards import Board, Draw
from registry.ecr import CONNECTIONS
from rescan_registry.progress import BATCH


class Operation(StrEnum):
    """ECR operations whose rate is learnt."""

    START_IMAGE_SCAN = "StartImageScan"
    DESCRIBE_IMAGE_SCAN_FINDINGS = "DescribeImageScanFindings"


THREADS = CONNECTIONS  # concurrent calls of one invocation

# The controller.
WINDOW_SECONDS = 1.0  # a measurement takes at least this long
WINDOW_CALLS = 20  # and counts this many calls, unless one is throttled; both are the first rate
BUSY = 0.5  # of the rate, accepted: the numbers were used, so the limit may be higher
FIRST_GROWTH = 1.5  # per window without a refused call, until ECR throttles for the first time
GROWTH = 1.04  # the same, afterwards; after refused calls, the rate falls by their share
LOWEST = 0.5  # calls per second

CONTROLLER = ("WINDOW_SECONDS", "WINDOW_CALLS", "BUSY", "FIRST_GROWTH", "GROWTH", "LOWEST")

# The queue.
QUEUE_SECONDS = 20.0  # numbers are drawn for so long in advance
CATCH_UP_SECONDS = 0.5  # numbers that were shown before anyone drew them, and still count
SPACING = 0.8  # of the time between two numbers, between two calls of an invocation that is late
ABANDONED_SECONDS = 60.0  # without a draw or a report: the numbers drawn are of an aborted run
LONGEST_NAP = 300.0

# Without a board, after a refused call.
FIRST_BACKOFF = 5.0
LONGEST_BACKOFF = 120.0

type Random = Callable[[float, float], float]  # as random.uniform


# The rate


def first_board(now: float) -> Board:
    """Return the board of an operation that was never paced."""
    rate = WINDOW_CALLS / WINDOW_SECONDS
    return Board(rate=rate, front=0, front_at=now, window_at=now, touched_at=now)


def decided(board: Board, number: int | None, now: float) -> Board:
    """Return the board after a report by an invocation whose next number is given, if any."""
    board = adjusted(board, now)
    return board if number is None else held_back(board, number, now)


def adjusted(board: Board, now: float) -> Board:
    """Return the board with a new rate if a measurement is complete."""
    seconds = abs(now - board.window_at)  # another host's clock may be ahead
    accepted = board.accepted - board.window_accepted
    refused = board.refused - board.window_refused
    calls = accepted + refused
    if seconds < WINDOW_SECONDS or (calls < WINDOW_CALLS and not refused):
        return board
    rate, is_learnt = board.rate, board.is_learnt
    if refused:
        rate *= 1 - refused / max(calls, WINDOW_CALLS)
        is_learnt = True
    elif accepted >= BUSY * rate * seconds:
        rate *= GROWTH if is_learnt else FIRST_GROWTH
    return replace(
        _showing(board, board.shown(now), now),
        rate=max(LOWEST, rate),
        window_at=now,
        window_accepted=board.accepted,
        window_refused=board.refused,
        is_learnt=is_learnt,
    )


def held_back(board: Board, number: int, now: float) -> Board:
    """Return the board such that a number whose call is not made yet was shown only just now.

    Otherwise, who is late would call as fast as the rate allows, beside those whose turn it is.
    """
    most = number + max(1.0, CATCH_UP_SECONDS * board.rate)
    return _showing(board, most, now) if board.shown(now) > most else board


def _showing(board: Board, number: float, now: float) -> Board:
    return replace(board, front=number + board.refused, front_at=now)


# The queue


def is_abandoned(board: Board, now: float) -> bool:
    """Return whether the numbers that are waiting are those of an aborted run."""
    return board.waiting(now) > 0 and abs(now - board.touched_at) > ABANDONED_SECONDS


def resumed(board: Board, now: float) -> Board:
    """Return an abandoned board that shows the last number drawn."""
    return _showing(board, board.issued, now)


def draw(board: Board, wanted: int, now: float) -> Draw | None:
    """Return which numbers to draw, or None if the queue is too long."""
    length = queue_length(board)
    if board.waiting(now) > length:
        return None
    count = min(wanted, 1000, math.ceil(length / BATCH) * BATCH)
    oldest = math.ceil(board.shown(now) - CATCH_UP_SECONDS * board.rate)
    return Draw(
        count=count,
        most=math.floor(board.shown(now) + length),
        first=oldest if oldest > board.issued else None,
    )


def queue_length(board: Board) -> float:
    """Return how many numbers may be waiting when another caller draws."""
    return max(BATCH, QUEUE_SECONDS * board.rate)


def nap(board: Board, polls: int, now: float, random: Random) -> int:
    """Return how many seconds to wait for a shorter queue; the longer, the more often in a row."""
    length = queue_length(board)
    until_short = max(0.0, (board.waiting(now) - length) / board.rate)
    longest = min(3 * length / board.rate, 10 * 1.5 ** min(polls, 20))
    return math.ceil(max(1, min(LONGEST_NAP, until_short + random(0, longest))))


# The calls of one invocation


@dataclass(frozen=True)
class Call:
    """Make the call of an item now."""

    index: int


@dataclass(frozen=True)
class Report:
    """Count calls on the board, and look at it."""

    accepted: int
    refused: int


@dataclass(frozen=True)
class Look:
    """Look at the board."""


@dataclass(frozen=True)
class Wait:
    """Wait for some seconds, or for the end of a call."""

    seconds: float


type Step = Call | Report | Look | Wait

MOST_REFUSED = 10  # calls in a row, before what is left waits for another turn
REPORT_SECONDS = 1.0  # how long calls wait for a report, and how old a copy of the board gets
TOUCH_SECONDS = 20.0  # who waits reports nothing that often: the queue is not abandoned
LONGEST_WAIT = 5.0
RESOLUTION_SECONDS = 0.001  # a shorter wait is none: the board keeps milliseconds


@dataclass
class Schedule:
    """The calls of one invocation: which is next, and when. Not for several threads.

    The driver asks for the next step, takes it, and notes the result here.

    count: calls to make.
    first: the number of the first call; the others follow.
    board: the board as last seen; absent if it is lost. Calls are not paced then: one after the
        other, with a backoff after each that ECR throttles.
    until: no call is made later.
    """

    count: int
    first: int
    board: Board | None
    now: InitVar[float]
    until: float
    random: Random

    _accepted: int = 0  # and not reported
    _refused: int = 0  # and not reported
    _refused_in_a_row: int = 0
    _next_at: float = 0.0  # no call before
    _is_stopped: bool = False

    def __post_init__(self, now: float) -> None:
        self._items = deque(range(self.count))  # whose call is not made yet
        self._numbers = list(range(self.first, self.first + self.count))  # a heap
        self._called: dict[int, int] = {}  # items whose call is under way, and the numbers
        self._seen_at = self._reported_at = now

    def next(self, now: float) -> Step | None:
        """Return the next step, or None at the end."""
        return self._next_paced(self.board, now) if self.board else self._next_unpaced(now)

    @property
    def next_number(self) -> int | None:
        """Return the lowest number whose call is not made yet."""
        return self._numbers[0] if self._numbers and not self._is_stopped else None

    def saw(self, board: Board | None, now: float) -> None:
        """Note the state of the board."""
        self.board = board
        self._seen_at = now

    def reported(self, report: Report, board: Board | None, now: float) -> None:
        """Note that calls were reported, and the state of the board afterwards."""
        self._accepted -= report.accepted
        self._refused -= report.refused
        self._reported_at = now
        self.saw(board, now)

    def answered(self, index: int) -> None:
        """Note that ECR answered the call of an item."""
        del self._called[index]
        self._accepted += 1
        self._refused_in_a_row = 0

    def throttled(self, index: int, now: float) -> None:
        """Note that ECR throttled the call of an item: it is made again, after all others.

        The number counts again, for the next item: if ECR throttles one image only, that stops no
        other. If it throttles every call, the rest is left for another turn.
        """
        heappush(self._numbers, self._called.pop(index))
        self._items.append(index)
        self._refused += 1
        if self.board is None:
            longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2**self._refused_in_a_row)
            self._next_at = now + self.random(1, longest)
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= MOST_REFUSED:
            self.stop()

    def failed(self, index: int) -> None:
        """Note that the call of an item failed: it is not made again."""
        del self._called[index]

    def stop(self) -> None:
        """Make no further call."""
        self._is_stopped = True

    def _next_paced(self, board: Board, now: float) -> Step | None:
        age = now - self._reported_at
        if self._refused or age >= (REPORT_SECONDS if self._accepted else TOUCH_SECONDS):
            return Report(self._accepted, self._refused)
        due_at = self._due_at(board, now)
        if due_at >= self.until:
            if self._called:
                return Wait(LONGEST_WAIT)
            return Report(self._accepted, 0) if self._accepted else None
        if len(self._called) >= THREADS:
            return Wait(LONGEST_WAIT)
        longest = min(LONGEST_WAIT, max(0.0, due_at - now))
        if now - self._seen_at >= max(REPORT_SECONDS, longest):
            return Look()
        if longest > RESOLUTION_SECONDS:
            return Wait(longest)
        self._next_at = max(now, self._next_at) + SPACING / board.rate
        return self._call()

    def _next_unpaced(self, now: float) -> Step | None:
        if self._called:
            return Wait(LONGEST_WAIT)
        if self.next_number is None or max(now, self._next_at) >= self.until:
            return None
        longest = self._next_at - now
        return Wait(longest) if longest > RESOLUTION_SECONDS else self._call()

    def _due_at(self, board: Board, now: float) -> float:
        """Return when the next call is due: its number is shown, and the last call is past."""
        number = self.next_number
        if number is None:
            return math.inf
        return max(now + (number - board.shown(now)) / board.rate, self._next_at)

    def _call(self) -> Call:
        index = self._items.popleft()
        self._called[index] = heappop(self._numbers)
        return Call(index)
