"""Calls of ECR, made in turn and at the rate that ECR accepts.

rescan_registry/pacing.py decides; here are the threads, the clock and the ledger.
"""

import math
import random
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ledger.boards import Board, Boards, boards
from ledger.errors import LedgerUnavailable
from registry.errors import EcrThrottled, EcrUnavailable
from rescan_registry import pacing
from rescan_registry.pacing import THREADS, Call, Look, Operation, Report, Schedule, Wait
from rescan_registry.progress import BATCH
from runtime import clock
from runtime.log import logger

DRAWS = 5  # how often to try, while other invocations draw


@dataclass(frozen=True)
class Turn:
    """The answer to a request for numbers in the queue of an operation.

    count: numbers drawn. 0: the queue is long, wait.
    first: the first number. Absent with a count above 0: the ledger does not answer, so calls are
        not paced.
    wait_seconds: more than 0 exactly when count is 0.
    """

    count: int
    first: int | None = None
    wait_seconds: int = 0


@dataclass(frozen=True)
class PacedCalls[A]:
    """The result of the calls of one invocation.

    answers: by index of the item.
    left: indexes of items without an answer, which need another turn.
    refusal: the last EcrThrottled or EcrUnavailable, for a caller without any answer. Absent
        without any answer: no number was shown in time.
    """

    answers: dict[int, A]
    left: tuple[int, ...]
    refusal: Exception | None


class Sleep(Protocol):
    """How to wait: clock.sleep."""

    def __call__(self, seconds: float, until: Collection[Future[Any]] = ()) -> None:
        """Wait for some seconds, but no longer than until one of some calls has ended."""


def threads() -> Executor:
    """Make the threads of one invocation."""
    return ThreadPoolExecutor(THREADS)


@dataclass(frozen=True)
class Host:
    """What an invocation runs on: a clock, chance and threads."""

    now: Callable[[], datetime]
    sleep: Sleep
    random: pacing.Random = random.SystemRandom().uniform
    threads: Callable[[], Executor] = threads

    def seconds(self) -> float:
        """Return the time in seconds since 1970."""
        return self.now().timestamp()


class Pace:
    """The pace of one operation, in one invocation.

    calls_made: calls that have ended. calls_throttled: those of them that ECR throttled.
    """

    def __init__(self, boards: Boards, operation: Operation, host: Host) -> None:
        self.calls_made = self.calls_throttled = 0
        self._boards = boards
        self._operation = operation
        self._host = host

    def draw(self, wanted: int, *, polls: int) -> Turn:
        """Draw numbers in the queue, at most as many as are wanted.

        polls: how often this caller has waited in a row.
        """
        try:
            return self._drawn(wanted, polls)
        except LedgerUnavailable as error:
            logger.warning("calls are not paced", extra={"error": str(error)})
            return Turn(count=min(wanted, BATCH))

    def closed_until(self) -> datetime | None:
        """Return until when the daily quota is used up, or None."""
        try:
            until = self._boards.closed_until(self._operation)
        except LedgerUnavailable:
            return None
        return until if until and until > self._host.now() else None

    def close(self, until: datetime) -> None:
        """Record until when the daily quota is used up."""
        try:
            self._boards.close(self._operation, until)
        except LedgerUnavailable as error:
            logger.warning("the used-up quota is not recorded", extra={"error": str(error)})

    def draw_again(self, first: int | None, wanted: int, *, polls: int) -> Turn:
        """Return those of the numbers of an earlier attempt that are not shown yet, or draw others.

        A number that is shown has passed: its call would be made beside those whose turn it is.
        """
        board = None if first is None else self._look()
        if board is not None and first is not None:
            number = max(first, math.ceil(board.shown(self._host.seconds())))
            if number < first + wanted:
                return Turn(count=first + wanted - number, first=number)
        return self.draw(wanted, polls=polls)

    def calls[T, A](
        self,
        items: Sequence[T],
        call: Callable[[T], A],
        *,
        first: int | None,
        seconds: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> PacedCalls[A]:
        """Make a call per item, in the order of their numbers, for at most some seconds.

        is_over: whether an answer has made the other calls needless; asked after each.
        EcrThrottled: made again, by the same number. EcrUnavailable: left for another turn. Any
        other exception ends the calls, and is raised when those under way have ended.
        """
        now = self._host.seconds()
        schedule = Schedule(
            len(items),
            first or 0,
            None if first is None else self._look(),
            now,
            now + seconds,
            self._host.random,
        )
        with self._host.threads() as threads:
            made = _Calls(items, call, schedule, threads, self._host)
            while step := schedule.next(self._host.seconds()):
                match step:
                    case Call(index):
                        made.begin(index)
                    case Wait(longest):
                        made.wait(longest)
                    case Look():
                        schedule.saw(self._look(), self._host.seconds())
                    case _:
                        board = self._report(step, schedule.next_number)
                        schedule.reported(step, board, self._host.seconds())
                made.collect()
                if is_over():
                    schedule.stop()
        self.calls_made += made.ended
        self.calls_throttled += made.throttled
        return made.result()

    def _drawn(self, wanted: int, polls: int) -> Turn:
        board = pacing.first_board(self._host.seconds())
        for _ in range(DRAWS):
            now = self._host.seconds()
            known = self._boards.read(self._operation)
            if known is None:
                self._boards.create(self._operation, board)
                continue
            board = known
            if pacing.is_abandoned(board, now):
                self._boards.change(self._operation, board, pacing.resumed(board, now))
                continue
            draw = pacing.draw(board, wanted, now)
            if draw is None:
                break
            first = self._boards.draw(self._operation, draw, board, now)
            if first is not None:
                return Turn(count=draw.count, first=first)
        nap = pacing.nap(board, polls, self._host.seconds(), self._host.random)
        return Turn(count=0, wait_seconds=nap)

    def _look(self) -> Board | None:
        """Return the board, or None if it is lost."""
        try:
            return self._boards.read(self._operation)
        except LedgerUnavailable as error:
            return self._lost(error)

    def _report(self, report: Report, number: int | None) -> Board | None:
        """Report calls, decide on the rate, and return the board, or None if it is lost."""
        now = self._host.seconds()
        try:
            board = self._boards.report(self._operation, report.accepted, report.refused, now)
            if board is None:
                return None
            new = pacing.decided(board, number, now)
            if new != board and self._boards.change(self._operation, board, new):
                return new
        except LedgerUnavailable as error:
            return self._lost(error)
        return board

    @staticmethod
    def _lost(error: LedgerUnavailable) -> None:
        logger.warning("calls are no longer paced", extra={"error": str(error)})


class _Calls[T, A]:
    """The calls of one invocation: under way, answered, or left."""

    def __init__(
        self,
        items: Sequence[T],
        call: Callable[[T], A],
        schedule: Schedule,
        threads: Executor,
        host: Host,
    ) -> None:
        self._items = items
        self._call = call
        self._schedule = schedule
        self._threads = threads
        self._host = host
        self._under_way: dict[Future[A], int] = {}
        self._answers: dict[int, A] = {}
        self._refusal: Exception | None = None
        self._error: BaseException | None = None
        self.ended = self.throttled = 0

    def begin(self, index: int) -> None:
        """Begin the call of an item."""
        self._under_way[self._threads.submit(self._call, self._items[index])] = index

    def wait(self, seconds: float) -> None:
        """Wait for some seconds, or for the end of a call."""
        self._host.sleep(seconds, self._under_way)

    def collect(self) -> None:
        """Note the calls that have ended, on the schedule too."""
        for future in [future for future in self._under_way if future.done()]:
            index = self._under_way.pop(future)
            self.ended += 1
            match future.exception():
                case None:
                    self._answers[index] = future.result()
                    self._schedule.answered(index)
                case EcrThrottled() as refusal:
                    self.throttled += 1
                    self._refusal = refusal
                    self._schedule.throttled(index, self._host.seconds())
                case EcrUnavailable() as refusal:
                    self._refusal = refusal
                    self._schedule.failed(index)
                case error:
                    self._error = self._error or error
                    self._schedule.failed(index)
                    self._schedule.stop()

    def result(self) -> PacedCalls[A]:
        """Return what the calls have brought, or raise the error that ended them."""
        if self._error:
            raise self._error
        left = tuple(index for index in range(len(self._items)) if index not in self._answers)
        return PacedCalls(self._answers, left, self._refusal)


def pace(table_name: str, operation: Operation) -> Pace:
    """Make the pace of an operation, on its board in a ledger table."""
    return Pace(boards(table_name), operation, Host(clock.now, clock.sleep))
