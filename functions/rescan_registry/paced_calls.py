"""Calls of ECR, made in turn and at the rate that ECR accepts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.errors import EcrThrottled, EcrUnavailable
from rescan_registry.pacing import Operation


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
    left: indexes of items that were without an answer, which need another turn.
    refusal: the last EcrThrottled or EcrUnavailable, for a caller without any answer.
    """

    answers: dict[int, A]
    left: tuple[int, ...]
    refusal: Exception | None


class Pace:
    """The pace of one operation, in one invocation."""

    def draw(self, wanted: int, *, polls: int) -> Turn:
        """Draw numbers in the queue, at most as many as are wanted.

        polls: how often this caller has waited in a row.
        """
        del polls
        return Turn(count=min(wanted, 1000))

    def closed_until(self) -> datetime | None:
        """Return until when the daily quota is used up, or None."""
        return None

    def close(self, until: datetime) -> None:
        """Record until when the daily quota is used up."""

    def calls[T, A](
        self,
        items: Sequence[T],
        call: Callable[[T], A],
        *,
        first: int | None,
        seconds: float,
    ) -> PacedCalls[A]:
        """Make a call per item, in the order of their numbers, for at most some seconds.

        EcrThrottled: tried again by the same number. EcrUnavailable: left for another turn. Any other
        exception ends the calls, and is raised when those under way have ended.
        """
        del first, seconds
        answers: dict[int, A] = {}
        refusal: Exception | None = None
        for index, item in enumerate(items):
            try:
                answers[index] = call(item)
            except EcrUnavailable as error:
                refusal = error
            except EcrThrottled as error:
                refusal = error
                break
        left = tuple(index for index in range(len(items)) if index not in answers)
        return PacedCalls(answers, left, refusal)


def pace(table_name: str, operation: Operation) -> Pace:
    """Make the pace of an operation, on its board in a ledger table."""
    del table_name, operation
    return Pace()
