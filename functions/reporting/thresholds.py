"""Thresholds: the number of findings per severity above which an image is in ALARM."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registry.findings import SEVERITIES
from reporting.reports import ScanReport

OTHER = "OTHER"


def threshold_of(severity: str) -> str:
    """Return the severity whose threshold applies: OTHER for those that AWS does not document."""
    return severity if severity in SEVERITIES else OTHER


@dataclass(frozen=True)
class Thresholds:
    """The highest count of each severity that is not reported; absent if the severity is off.

    OTHER stands for severities that AWS does not document, for Inspector's UNTRIAGED, and for
    findings that an event counts in its total alone.
    """

    accepted: dict[str, int | None]

    @property
    def in_force(self) -> dict[str, int]:
        """Return the thresholds of the severities that are on."""
        return {name: most for name, most in self.accepted.items() if most is not None}

    def counts(self, report: ScanReport) -> dict[str, int]:
        """Count the findings of each severity that a threshold can be set for, the worst first."""
        counts = {name: report.severities.get(name, 0) for name in SEVERITIES}
        counts[OTHER] = report.other + sum(
            count for name, count in report.severities.items() if name not in SEVERITIES
        )
        return counts

    def exceeded(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Pick the severities with more findings than accepted, the worst first."""
        return {
            name: count
            for name, count in counts.items()
            if (most := self.accepted.get(name)) is not None and count > most
        }


def counted(severities: Iterable[str]) -> dict[str, int]:
    """Count findings, given by severity, of each severity that a threshold can be set for."""
    counts = Counter(map(threshold_of, severities))
    return {name: counts[name] for name in (*SEVERITIES, OTHER)}
