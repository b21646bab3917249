"""Which vulnerabilities have been reported immediately lately, and how much of the hour is used up.

Partition key ``announced#<route>``, sort key the vulnerability; ``budget#<route>``, sort key the hour.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from ledger.table import Table, ledger_table


class Route(StrEnum):
    """A way on which news travels immediately; each has its own budget and memory."""

    IMMEDIATE = "IMMEDIATE"  # to all channels that otherwise get a digest
    PAGERDUTY = "PAGERDUTY"


class Announcements:
    """The announcements of the ledger table.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def place(
        self, route: Route, names: Sequence[str], *, event: str, now: datetime, most: int
    ) -> int | None:
        """Return the place of an event in the budget of this hour, from 1; None if it has none.

        names: the vulnerabilities that it reports, the worst first; none where they are not known.
        An event has no place when all of them were announced by other events within a day, or when
        `most` events of the hour have one. A retry of the same event gets the same answer.
        """
        raise NotImplementedError

    def is_first(self, topic: str, name: str, *, event: str, expires_at: int) -> bool:
        """Claim a name for an event, and return whether no other event had it.

        expires_at: seconds since 1970, when DynamoDB may delete the claim.
        """
        raise NotImplementedError


def announcements(table: str) -> Announcements:
    """Make the adapter of a table."""
    return Announcements(ledger_table(table))
