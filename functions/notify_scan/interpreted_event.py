"""An interpreted event, and what the ledger records of it."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta

from notify_scan.events.fields import Fields
from notify_scan.scan_record import ScanRecord, record_of
from reporting.reports import Interpretation

_ID = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True)
class InterpretedEvent:
    """An event, and what the ledger knows of its image.

    event: names the event, the same however often it is delivered.
    record: what RecordScan writes; absent where the event names no image.
    known: what RecordScan has found in the ledger.
    """

    event: str
    interpretation: Interpretation
    record: ScanRecord | None = None
    known: object | None = None


def interpreted(
    event: Fields,
    interpretation: Interpretation,
    *,
    account: str,
    region: str,
    kept_for: timedelta,
) -> InterpretedEvent:
    """Name an event, and add the record that RecordScan writes.

    account, region: where NotifyScan runs; buses elsewhere can send their events to its own.
    """
    scan, record = interpretation.scan, None
    if scan:
        scan = replace(scan, is_elsewhere=(scan.account, scan.region) != (account, region))
        interpretation = replace(interpretation, scan=scan)
        record = record_of(scan, kept_for=kept_for)
    return InterpretedEvent(_name(event), interpretation, record)


def _name(event: Fields) -> str:
    """Take the id that EventBridge gives an event; of one that has none, a hash of the whole."""
    given = event.values.get("id")
    if isinstance(given, str) and _ID.fullmatch(given):
        return given
    return hashlib.sha256(json.dumps(event.values, sort_keys=True).encode()).hexdigest()
