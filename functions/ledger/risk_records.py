"""What the ledger keeps of accepted risks: the last valid document, and who sent which notice.

Partition key ``accepted-risks``; sort key ``in-force`` for the last valid document,
``expiry-notices`` for the notices about acceptances that expire, and ``notice#<notice>`` for the
event that sent another notice. Version 0.3.0 wrote the latter for acceptances that expired, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.table import Key, Table, ledger_table
from runtime.messages import decode

_SINGLY = "expired-"


@dataclass(frozen=True)
class ExpiryNotices:
    """The notices about acceptances that expire, of the last day that had one.

    day: as YYYY-MM-DD, in UTC. event: the one event of that day that sends them.
    expired, expiring: the acceptances in the two notices of that day, by id.
    reported, warned_of: the day of the notice by the id of each acceptance that was in one.
    """

    day: str
    event: str
    expired: tuple[str, ...] = ()
    expiring: tuple[str, ...] = ()
    reported: dict[str, str] = field(default_factory=dict)
    warned_of: dict[str, str] = field(default_factory=dict)


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

    def expiry_notices(self) -> ExpiryNotices | None:
        """Read the last notices about acceptances that expire; None if there were none yet."""
        item = self._table.get(_key("expiry-notices"))
        return decode(ExpiryNotices, item) if item else None

    def note_expiry_notices(
        self, notices: ExpiryNotices, *, instead_of: ExpiryNotices | None
    ) -> bool:
        """Claim the notices of a day for their event, and return whether it has them.

        instead_of: what expiry_notices has returned.
        """
        when, values = "attribute_not_exists(pk)", {}
        if instead_of:
            when = "#day = :day AND #event = :event"
            values = {":day": instead_of.day, ":event": instead_of.event}
        return self._table.put(_key("expiry-notices"), vars(notices), when=when, values=values)

    def reported_singly(self, acceptances: Iterable[str]) -> set[str]:
        """Return those of some acceptances that version 0.3.0 has reported as expired."""
        keys = [_notice_key(f"{_SINGLY}{acceptance}") for acceptance in acceptances]
        items = self._table.get_many(keys)
        return {item["sk"].removeprefix(f"notice#{_SINGLY}") for item in items}

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
