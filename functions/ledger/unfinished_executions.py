"""Executions of NotifyScan that have not finished, or that AWS has ended early.

Partition key ``unfinished``, sort key ``execution#<name>``. NotifyScan writes the item when it
starts, with its input, replaces that by the messages once they are composed, and removes the item
when every message is delivered or kept.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.attributes import Item, Key
from ledger.table import Table, ledger_table
from runtime.messages import Json

_PARTITION, _EXECUTION = "unfinished", "execution#"
# The 5 minutes of an Express execution, then the time until every claim that it may have made in
# its last moment counts as abandoned. One minute more, for clocks.
FINISHED_WITHIN = timedelta(minutes=12)


@dataclass(frozen=True)
class UnfinishedExecution:
    """What an execution was started with.

    event: its input. deliveries: its messages, once they are composed, and the event not needed.
    """

    name: str
    started_at: datetime
    event: Json = None
    deliveries: Json = None


class UnfinishedExecutions:
    """The unfinished executions in the ledger table.

    unreadable: the names of those whose item is damaged, as far as they were read. The others are
    read nevertheless. Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self.unreadable: list[str] = []
        self._table = table

    def ended_early(self, now: datetime) -> Iterator[UnfinishedExecution]:
        """Read those that cannot be in progress any more."""
        for item in self._table.query(_PARTITION):
            name = item["sk"].removeprefix(_EXECUTION)
            try:
                execution = _execution(name, item)
                has_ended = now - execution.started_at >= FINISHED_WITHIN
            except (KeyError, TypeError, ValueError):
                self.unreadable.append(name)
                continue
            if has_ended:
                yield execution

    def forget(self, name: str) -> None:
        """Remove an execution that was started again."""
        self._table.delete(unfinished_key(name))


def unfinished_key(name: str) -> Key:
    """Return the key of the item of an execution."""
    return _PARTITION, f"{_EXECUTION}{name}"


def unfinished_executions(table: str) -> UnfinishedExecutions:
    """Make the adapter of a table."""
    return UnfinishedExecutions(ledger_table(table))


def _execution(name: str, item: Item) -> UnfinishedExecution:
    return UnfinishedExecution(
        name=name,
        started_at=datetime.fromisoformat(item["started_at"]),
        event=json.loads(item.get("input", "null")),
        deliveries=json.loads(item.get("deliveries", "null")),
    )
