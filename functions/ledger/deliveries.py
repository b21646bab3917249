"""The claims on deliveries, which the state machine NotifyScan writes itself.

Partition key ``delivery#<message id>``, sort key ``channel#<channel>``: who has claimed it, when,
and how often, and one of two marks: when it was delivered, or when it was kept in the dead-letter
queue. Claims of version 0.3.0 have no time and no mark.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ledger.table import Key, Table, ledger_table


@dataclass(frozen=True)
class DeliveryKey:
    """What a claim is on: one message to one channel."""

    message_id: str
    channel: str


@dataclass(frozen=True)
class DeliveryClaim:
    """A claim with its marks. delivered_at, kept_at: in ISO 8601."""

    claimed_at: str | None = None
    delivered_at: str | None = None
    kept_at: str | None = None

    @property
    def is_settled(self) -> bool:
        """Return whether nothing is left to do; also of a claim of version 0.3.0."""
        is_of_0_3_0 = self.claimed_at is None
        return is_of_0_3_0 or self.delivered_at is not None or self.kept_at is not None


class Deliveries:
    """The claims in the ledger table. Raises LedgerUnavailable when the table does not answer."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def claims(self, deliveries: Iterable[DeliveryKey]) -> Mapping[DeliveryKey, DeliveryClaim]:
        """Read the claims on some deliveries; one that was never claimed is left out."""
        by_key = {_key(each): each for each in deliveries}
        return {
            by_key[item["pk"], item["sk"]]: DeliveryClaim(
                item.get("claimed_at"), item.get("delivered_at"), item.get("kept_at")
            )
            for item in self._table.get_many(list(by_key), consistent=True)
        }


def deliveries(table: str) -> Deliveries:
    """Make the adapter of a table."""
    return Deliveries(ledger_table(table))


def _key(delivery: DeliveryKey) -> Key:
    return f"delivery#{delivery.message_id}", f"channel#{delivery.channel}"
