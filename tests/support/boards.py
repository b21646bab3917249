"""The boards of the ledger table in memory: every method is one request."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from ledger.boards import Board, Boards, Draw
from ledger.errors import LedgerUnavailable


class BoardsInMemory:
    """One board, of whichever operation; `is_lost` makes the table answer nothing."""

    def __init__(self, board: Board | None = None) -> None:
        self.board = board
        self.closed: datetime | None = None
        self.reads = self.writes = 0
        self.is_lost = False
        self._lock = threading.Lock()

    @property
    def as_boards(self) -> Boards:
        """Stand in for the adapter of the table."""
        return cast("Boards", self)

    def read(self, operation: str) -> Board | None:
        """Read the board."""
        self._answer()
        self.reads += 1
        return self.board

    def create(self, operation: str, board: Board) -> None:
        """Write the first board, unless there is one."""
        self._write()
        self.board = self.board or board

    def draw(self, operation: str, draw: Draw, seen: Board, now: float) -> int | None:
        """Draw numbers and return the first."""
        with self._lock:
            self._write()
            if not self.board:
                return None
            issued = self.board.issued
            if issued > draw.most if draw.first is None else issued != seen.issued:
                return None
            first = issued if draw.first is None else draw.first
            self.board = replace(self.board, issued=first + draw.count, touched_at=now)
            return first

    def report(self, operation: str, accepted: int, refused: int, now: float) -> Board | None:
        """Count calls, and return the board with them."""
        with self._lock:
            self._write()
            if self.board:
                self.board = replace(
                    self.board,
                    accepted=self.board.accepted + accepted,
                    refused=self.board.refused + refused,
                    touched_at=now,
                )
            return self.board

    def change(self, operation: str, seen: Board, new: Board) -> bool:
        """Write what was computed from a board, unless that has changed."""
        with self._lock:
            self._write()
            if not self.board or self.board.version != seen.version:
                return False
            self.board = replace(
                new,
                issued=self.board.issued,
                accepted=self.board.accepted,
                refused=self.board.refused,
                touched_at=self.board.touched_at,
                version=seen.version + 1,
            )
            return True

    def close(self, operation: str, until: datetime) -> None:
        """Record until when the daily quota is used up."""
        self._write()
        self.closed = until

    def closed_until(self, operation: str) -> datetime | None:
        """Return until when the daily quota is used up."""
        self._answer()
        return self.closed.astimezone(UTC) if self.closed else None

    def _write(self) -> None:
        self._answer()
        self.writes += 1

    def _answer(self) -> None:
        if self.is_lost:
            raise LedgerUnavailable("no table today")
