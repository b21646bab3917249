"""Executions of NotifyScan that have not finished, or that AWS has ended early.

Partition key ``unfinished``, sort key ``execution#<name>``. NotifyScan writes the item when it
starts, with its input, replaces that by the messages once they are composed, and removes the item
when every message is delivered or kept.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.table import Table, ledger_table
from runtime.messages import Json

_PARTITION = "unfinished"
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

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def ended_early(self, now: datetime) -> Iterator[UnfinishedExecution]:
        """Read those that cannot be in progress any more."""
        for item in self._table.query(_PARTITION):
            started_at = datetime.fromisoformat(item["started_at"])
            if now - started_at >= FINISHED_WITHIN:
                yield UnfinishedExecution(
                    name=item["sk"].removeprefix("execution#"),
                    started_at=started_at,
                    event=json.loads(item.get("input", "null")),
                    deliveries=json.loads(item.get("deliveries", "null")),
                )

    def forget(self, name: str) -> None:
        """Remove an execution that was started again."""
        self._table.delete((_PARTITION, f"execution#{name}"))


def unfinished_executions(table: str) -> UnfinishedExecutions:
    """Make the adapter of a table."""
    return UnfinishedExecutions(ledger_table(table))
