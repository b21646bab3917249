"""The findings of an image by name, and whether they are those of its last scan."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ledger.attributes import Key
from ledger.image_records import ImageRecord
from ledger.known_findings import KnownFinding
from registry.findings import FindingKey
from reporting.reports import COMPLETE
from reporting.text import visible
from reporting.thresholds import OTHER, threshold_of
from rescan_registry.last_scans import BASIC
from runtime.nouns import counted

UNNAMED = (
    "Which images have a vulnerability is not known: the stack has IncludeFindings=false, so that "
    "findings are known by number alone."
)


@dataclass(frozen=True)
class NamedFindings:
    """The findings of an image by name.

    since: the day of the first scan that was read; what was seen then may be older.
    counts: all of them, by severity. kept: those that are wanted.
    versions: of packages, where a change names them.
    """

    scan_type: str
    since: date
    counts: Mapping[str, int]
    kept: Mapping[FindingKey, KnownFinding]
    versions: Mapping[FindingKey, str]


def of_last_scan(named: NamedFindings | None, record: ImageRecord) -> NamedFindings | None:
    """Return the findings by name if they can be those of the last scan.

    What was read by name before stays in the ledger when a scan is known by number alone, as with
    more findings than are read.
    """
    if named is None:
        return None
    accepted = Counter(each.severity for each in named.kept.values() if each.is_accepted)
    return named if are_of_last_scan(named.counts, accepted, record) else None


def are_of_last_scan(
    counts: Mapping[str, int], accepted: Mapping[str, int], record: ImageRecord
) -> bool:
    """Return whether findings by name can be those of the last scan: all, and the accepted ones."""
    if record.names_missing:
        return False
    found = _by_threshold(counts)
    # Stored together with the names, or after them by a scan that has none.
    standing = found - _by_threshold(accepted)
    if record.baseline and +Counter(record.baseline.image_state.counts) != standing:
        return False
    scan = record.last_scan
    if scan and scan.scan_type == BASIC and scan.status in COMPLETE:
        numbers = _by_threshold(scan.severities) + Counter({OTHER: scan.other})
        # A package in two places is one finding, but counted twice.
        if found.keys() != numbers.keys() or not found <= numbers:
            return False
    return True


def has_found(record: ImageRecord) -> bool:
    """Return whether the last scan of an image that completed has findings."""
    scan, baseline = record.last_scan, record.baseline
    if scan and scan.status in COMPLETE:
        return bool(scan.other or any(scan.severities.values()))
    return bool(baseline and any(baseline.image_state.counts.values()))


def known_by_number(key: Key, vulnerability: str) -> str:
    """Say that the last scan of an image may have found what an earlier one has."""
    return (
        f"Whether {visible('@'.join(key))} has {visible(vulnerability)} is not known: the findings "
        "of its last scan are known by number alone."
    )


def not_searched(images: int) -> str:
    """Say how many images may have a vulnerability, because their findings have no names."""
    return (
        f"{counted(images, 'image')} could not be searched: the findings of the last scan are "
        "known by number alone."
    )


def _by_threshold(counts: Mapping[str, int]) -> Counter[str]:
    """Count findings by the severities that thresholds have, without those that have none."""
    summed = Counter[str]()
    for severity, count in counts.items():
        summed[threshold_of(severity)] += count
    return +summed
