"""The rate and the queue of each paced ECR operation: one item of the ledger table per operation.

Partition key ``pace#<operation>``, sort key ``board``; it never expires. Many invocations write it
concurrently. So counters are only added to, and no report is lost; what is computed from an earlier
state of the item is written only over that version of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from ledger.table import Item, Table, ledger_table


@dataclass(frozen=True)
class Board:
    """The board of one ECR operation, which shows whose turn it is.

    Who wants to call ECR draws a number and calls when the board shows it. The number shown rises
    with the rate, from `front` at the time `front_at`, and each refused call sets it back by one:
    that call waits for its number again, and all later ones keep their distance.

    Times are seconds since 1970.

    rate: calls per second.
    issued: numbers drawn so far.
    accepted, refused: calls that ECR answered, and calls that it throttled, so far.
    window_at, window_accepted, window_refused: start of the current measurement, and the counts
        then.
    is_learnt: ECR has throttled before, so the rate is a measured one.
    touched_at: the last draw or report.
    version: counts the changes of what is not a counter.
    """

    rate: float
    front: float
    front_at: float
    window_at: float
    touched_at: float
    issued: int = 0
    accepted: int = 0
    refused: int = 0
    window_accepted: int = 0
    window_refused: int = 0
    is_learnt: bool = False
    version: int = 0

    def shown(self, now: float) -> float:
        """Return the number that the board shows; parts of a number count towards the next."""
        return self.front - self.refused + self.rate * (now - self.front_at)

    def waiting(self, now: float) -> float:
        """Return how many numbers are drawn and not yet shown; below 0 if some were not drawn."""
        return self.issued - self.shown(now)


@dataclass(frozen=True)
class Draw:
    """Numbers to draw.

    most: numbers that may be drawn already; if more are, the queue is too long.
    first: the first number, if the queue is empty: those before it were never drawn.
    """

    count: int
    most: int
    first: int | None = None


# The table knows whole numbers only, so these are kept as thousandths: milliseconds and the like.
_THOUSANDTHS = ("rate", "front", "front_at", "window_at", "touched_at")
# The fields that are computed from an earlier state.
_COMPUTED = ("rate", "front", "front_at", "window_at", "window_accepted", "window_refused")


class Boards:
    """The boards in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, operation: str) -> Board | None:
        """Read the board of an operation; None before its first use."""
        item = self._table.get(_key(operation))
        return _board(item) if item and "rate" in item else None

    def create(self, operation: str, board: Board) -> None:
        """Write the first board of an operation, unless another invocation has written it."""
        values = _values(vars(board))
        assignments = ", ".join(f"#{name} = :{name}" for name in values)
        self._table.update(
            _key(operation),
            f"SET {assignments}",
            {f":{name}": value for name, value in values.items()},
            when="attribute_not_exists(#rate)",
        )

    def draw(self, operation: str, draw: Draw, seen: Board, now: float) -> int | None:
        """Draw numbers and return the first; None if others have drawn too many meanwhile."""
        touched = {":now": _thousandths(now)}
        if draw.first is not None:
            is_drawn = self._table.update(
                _key(operation),
                "SET touched_at = :now, issued = :issued",
                touched | {":issued": draw.first + draw.count, ":seen": seen.issued},
                when="issued = :seen",
            )
            return draw.first if is_drawn else None
        item = self._table.updated(
            _key(operation),
            "SET touched_at = :now ADD issued :count",
            touched | {":count": draw.count, ":most": draw.most},
            when="issued <= :most",
        )
        return item["issued"] - draw.count if item else None

    def report(self, operation: str, accepted: int, refused: int, now: float) -> Board | None:
        """Count calls, and return the board with them; None if it was deleted."""
        item = self._table.updated(
            _key(operation),
            "SET touched_at = :now ADD accepted :accepted, refused :refused",
            {":now": _thousandths(now), ":accepted": accepted, ":refused": refused},
            when="attribute_exists(rate)",
        )
        return _board(item) if item else None

    def change(self, operation: str, seen: Board, new: Board) -> bool:
        """Write what was computed from a board, unless that has changed; return whether it was."""
        values = _values({name: getattr(new, name) for name in (*_COMPUTED, "is_learnt")})
        assignments = ", ".join(f"#{name} = :{name}" for name in (*values, "version"))
        return self._table.update(
            _key(operation),
            f"SET {assignments}",
            {f":{name}": value for name, value in values.items()}
            | {":version": seen.version + 1, ":seen": seen.version},
            when="version = :seen",
        )

    def close(self, operation: str, until: datetime) -> None:
        """Record until when the daily quota is used up."""
        self._table.update(
            _key(operation),
            "SET closed_until = :until",
            {":until": _thousandths(until.timestamp())},
        )

    def closed_until(self, operation: str) -> datetime | None:
        """Return until when the daily quota is used up; a time in the past counts for nothing."""
        item = self._table.get(_key(operation)) or {}
        until = item.get("closed_until")
        return datetime.fromtimestamp(until / 1000, UTC) if until is not None else None


def boards(table: str) -> Boards:
    """Make the adapter of a table."""
    return Boards(ledger_table(table))


def _key(operation: str) -> tuple[str, str]:
    return f"pace#{operation}", "board"


def _board(item: Item) -> Board:
    names = [field.name for field in fields(Board) if field.name in item]
    return Board(**{name: _read(name, item[name]) for name in names})


def _values(board: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _thousandths(value) if name in _THOUSANDTHS else value
        for name, value in board.items()
        if value is not None
    }


def _read(name: str, value: Any) -> Any:
    return value / 1000 if name in _THOUSANDTHS else value


def _thousandths(value: float) -> int:
    return round(value * 1000)
