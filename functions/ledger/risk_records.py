"""What the ledger keeps of accepted risks: the last valid document, and who sent which notice.

Partition key ``accepted-risks``; sort key ``in-force`` for the last valid document, and
``notice#<notice>`` for the event that sent a notice.
"""

from collections.abc import Iterable

from ledger.table import Key, Table, ledger_table


class RiskRecords:
    """The items of accepted risks in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def last_valid(self) -> str | None:
        """Read the text of the last valid document; None when there was none."""
        item = self._table.get(_key("in-force"))
        return item.get("text") if item else None

    def keep(self, text: str, etag: str) -> None:
        """Keep the text of a valid document, unless the document with this ETag is kept."""
        self._table.put(
            _key("in-force"),
            {"text": text, "etag": etag},
            when="attribute_not_exists(pk) OR etag <> :etag",
            values={":etag": etag},
        )

    def forget(self) -> None:
        """Keep no document."""
        self._table.delete(_key("in-force"))

    def claims(self, notices: Iterable[str]) -> dict[str, str]:
        """Read which event has claimed which of some notices."""
        items = self._table.get_many([_notice_key(notice) for notice in notices])
        return {item["sk"].removeprefix("notice#"): item["event"] for item in items}

    def claim(self, notice: str, *, event: str, expires_at: int) -> bool:
        """Claim a notice for an event, and return whether it has the claim now.

        expires_at: seconds since 1970, when DynamoDB may delete the claim.
        """
        return self._table.put(
            _notice_key(notice),
            {"event": event, "expires_at": expires_at},
            when="attribute_not_exists(pk) OR #event = :event",
            values={":event": event},
        )


def risk_records(table: str) -> RiskRecords:
    """Make the adapter of a table."""
    return RiskRecords(ledger_table(table))


def _key(sort_key: str) -> Key:
    return "accepted-risks", sort_key


def _notice_key(notice: str) -> Key:
    return _key(f"notice#{notice}")
