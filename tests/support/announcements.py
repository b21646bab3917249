"""The announcements of the ledger table in memory."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ledger.announcements import MOST_NAMES, NEWS_FOR, Announcements, Route
from ledger.errors import LedgerUnavailable


class AnnouncementsInMemory:
    """Claims and budgets; `is_lost` makes the table answer nothing."""

    def __init__(self) -> None:
        self.claims: dict[tuple[Route, str], tuple[str, datetime]] = {}
        self.budgets: dict[tuple[Route, datetime], list[str]] = {}
        self.firsts: dict[tuple[str, str], str] = {}
        self.expiries: dict[tuple[str, str], int] = {}
        self.is_lost = False

    @property
    def as_announcements(self) -> Announcements:
        """Stand in for the adapter of the table."""
        return cast("Announcements", self)

    def place(
        self, route: Route, names: Sequence[str], *, event: str, now: datetime, most: int
    ) -> int | None:
        """Return the place of an event in the budget of this hour, from 1; None if it has none."""
        self._answer()
        wanted = [name for name in names[:MOST_NAMES] if self._is_free(route, name, event, now)]
        events = self.budgets.setdefault(
            (route, now.replace(minute=0, second=0, microsecond=0)), []
        )
        is_full = event not in events and len(events) >= most
        if is_full or (names and not wanted):
            return None
        for name in wanted:
            if self.claims.get((route, name), ("", now))[0] != event:
                self.claims[route, name] = event, now
        if event not in events:
            events.append(event)
        return events.index(event) + 1

    def is_first(self, topic: str, name: str, *, event: str, expires_at: int) -> bool:
        """Claim a name for an event, and return whether no other event had it."""
        self._answer()
        if self.firsts.setdefault((topic, name), event) != event:
            return False
        self.expiries[topic, name] = expires_at
        return True

    def _is_free(self, route: Route, name: str, event: str, now: datetime) -> bool:
        claim = self.claims.get((route, name))
        return claim is None or claim[0] == event or now - claim[1] >= NEWS_FOR

    def _answer(self) -> None:
        if self.is_lost:
            raise LedgerUnavailable("no table today")
