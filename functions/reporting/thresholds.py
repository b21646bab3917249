"""Thresholds: the number of findings per severity above which an image is in ALARM."""

from dataclasses import dataclass

from registry.findings import SEVERITIES
from reporting.reports import ScanReport

OTHER = "OTHER"


@dataclass(frozen=True)
class Thresholds:
    """The highest count of each severity that is not reported; absent if the severity is off.

    OTHER stands for severities that AWS does not document, for Inspector's UNTRIAGED, and for
    findings that an event counts in its total alone.
    """

    accepted: dict[str, int | None]

    def counts(self, report: ScanReport) -> dict[str, int]:
        """Count the findings of each severity that a threshold can be set for, the worst first."""
        counts = {name: report.severities.get(name, 0) for name in SEVERITIES}
        counts[OTHER] = report.other + sum(
            count for name, count in report.severities.items() if name not in SEVERITIES
        )
        return counts

    def exceeded(self, report: ScanReport) -> dict[str, int]:
        """Pick the severities with more findings than accepted, the worst first."""
        return {
            name: count
            for name, count in self.counts(report).items()
            if (accepted := self.accepted.get(name)) is not None and count > accepted
        }
