"""Which vulnerabilities have been reported immediately lately, and how much of the hour is used up.

Partition key ``announced#<route or topic>``, sort key ``name#<name>``: the event that has claimed a
name. Partition key ``budget#<route>``, sort key ``hour#<YYYY-MM-DDTHH>``: the events of an hour.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ledger.table import Item, Key, Table, ledger_table

MOST_NAMES = 50  # an event with more vulnerabilities claims the worst ones only
NEWS_FOR = timedelta(hours=24)  # a vulnerability is announced once in this time
KEPT_BEYOND = timedelta(hours=1)  # an item is deleted this long after it has lost its meaning
_LONGEST_NAME = 250  # characters; DynamoDB takes 1,024 bytes as a sort key


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
        keys = list(dict.fromkeys(_name_key(route, name) for name in names[:MOST_NAMES]))
        budget = _budget_key(route, now)
        # One read first, because in a flood it is all that most events need.
        known = {
            _key(item): item for item in self._table.get_many([*keys, budget], consistent=True)
        }
        if _is_full(known.get(budget), event, most):
            return None
        claimed = [key for key in keys if self._has_claim(key, known.get(key), event, now)]
        if keys and not claimed:
            return None
        place = self._place_in(budget, event, now, most)
        if place is None:
            # Filled up meanwhile. These were not announced, so another event may do it.
            for key in claimed:
                self._table.delete(key, when="#event = :event", values={":event": event})
        return place

    def is_first(self, topic: str, name: str, *, event: str, expires_at: int) -> bool:
        """Claim a name for an event, and return whether no other event had it.

        expires_at: seconds since 1970, when DynamoDB may delete the claim.
        """
        return self._table.put(
            _name_key(topic, name),
            {"event": event, "expires_at": expires_at},
            when="attribute_not_exists(pk) OR #event = :event",
            values={":event": event},
        )

    def _has_claim(self, key: Key, known: Item | None, event: str, now: datetime) -> bool:
        """Claim a name unless another event has announced it within a day.

        A claim that the event has already keeps its time.
        """
        a_day_ago = int((now - NEWS_FOR).timestamp())
        if known and known["event"] == event:
            return True
        if known and known["announced_at"] > a_day_ago:
            return False
        return self._table.put(
            key,
            {
                "event": event,
                "announced_at": int(now.timestamp()),
                "expires_at": int((now + NEWS_FOR + KEPT_BEYOND).timestamp()),
            },
            when="attribute_not_exists(pk) OR #event = :event OR announced_at <= :a_day_ago",
            values={":event": event, ":a_day_ago": a_day_ago},
        )

    def _place_in(self, budget: Key, event: str, now: datetime, most: int) -> int | None:
        """Return the place of an event in a budget, the next one if it has none yet."""
        expires_at = int((now + timedelta(hours=1) + KEPT_BEYOND).timestamp())
        item = self._table.updated(
            budget,
            "SET #events = list_append(if_not_exists(#events, :none), :events), "
            "expires_at = :expires_at",
            {
                ":none": [],
                ":events": [event],
                ":event": event,
                ":most": most,
                ":expires_at": expires_at,
            },
            when="attribute_not_exists(#events) "
            "OR (NOT contains(#events, :event) AND size(#events) < :most)",
        )
        item = item or self._table.get(budget)
        events = item["events"] if item else []
        return events.index(event) + 1 if event in events else None


def announcements(table: str) -> Announcements:
    """Make the adapter of a table."""
    return Announcements(ledger_table(table))


def _name_key(topic: str, name: str) -> Key:
    return f"announced#{topic}", f"name#{name[:_LONGEST_NAME]}"


def _budget_key(route: Route, now: datetime) -> Key:
    return f"budget#{route}", f"hour#{now.astimezone(UTC):%Y-%m-%dT%H}"


def _key(item: Item) -> Key:
    return item["pk"], item["sk"]


def _is_full(budget: Item | None, event: str, most: int) -> bool:
    events = budget["events"] if budget else []
    return event not in events and len(events) >= most
