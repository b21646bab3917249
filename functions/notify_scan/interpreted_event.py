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
    """An event, and what is stored of the scan that it reports.

    event: the id of the event, the same for each of its deliveries.
    record: what RecordScan stores; absent if the event names no image.
    """

    event: str
    interpretation: Interpretation
    record: ScanRecord | None = None


def interpreted(
    event: Fields,
    interpretation: Interpretation,
    *,
    account: str,
    region: str,
    kept_for: timedelta,
) -> InterpretedEvent:
    """Return the event with its id and with what RecordScan stores.

    account, region: where NotifyScan runs; event buses elsewhere can forward their events to it.
    """
    scan, deletion, record = interpretation.scan, interpretation.deletion, None
    if deletion:
        is_elsewhere = (deletion.account, deletion.region) != (account, region)
        deletion = replace(deletion, is_elsewhere=is_elsewhere)
        interpretation = replace(interpretation, deletion=deletion)
    if scan:
        scan = replace(scan, is_elsewhere=(scan.account, scan.region) != (account, region))
        interpretation = replace(interpretation, scan=scan)
        record = record_of(scan, kept_for=kept_for, now=event.now)
    return InterpretedEvent(_name(event), interpretation, record)


def _name(event: Fields) -> str:
    """Return the id that EventBridge gave the event, or a hash of the event if it has none."""
    given = event.values.get("id")
    if isinstance(given, str) and _ID.fullmatch(given):
        return given
    return hashlib.sha256(json.dumps(event.values, sort_keys=True).encode()).hexdigest()
