"""What a run leaves for the run after it: items of the ledger table that do not expire.

Partition key ``run-state``. Sort key ``last``: what the last run found. Sort key ``rotation``: the
repository with which the next run begins.
"""

from dataclasses import dataclass

from ledger.table import Table, ledger_table
from runtime.messages import decode

_LAST = ("run-state", "last")
_ROTATION = ("run-state", "rotation")


@dataclass(frozen=True)
class LastRun:
    """What a run has found.

    repositories: how many; with enhanced scanning, how many the last run with basic scanning found.
        Absent if there was none.
    scan_type: BASIC or ENHANCED.
    """

    run: str
    scan_type: str
    repositories: int | None = None


@dataclass(frozen=True)
class _Kept:
    run: str
    scan_type: str
    repositories: int | None = None
    before: LastRun | None = None


class RunState:
    """The items of the ledger table that outlive a run.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def run_before(self, run: str) -> LastRun | None:
        """Read what the run before this one found, also if this one is already noted."""
        item = self._table.get(_LAST)
        if item is None:
            return None
        kept = decode(_Kept, item)
        if kept.run == run:
            return kept.before
        return LastRun(kept.run, kept.scan_type, kept.repositories)

    def note(self, last: LastRun, *, before: LastRun | None) -> None:
        """Write what a run found, and what it was compared with, for an attempt after this one."""
        self._table.put(_LAST, {**vars(last), "before": before})

    def first_repository(self) -> str | None:
        """Read the repository with which a run over the registry begins."""
        item = self._table.get(_ROTATION)
        return item["repository"] if item else None

    def begin_with(self, repository: str) -> None:
        """Write the repository with which the next run begins."""
        self._table.put(_ROTATION, {"repository": repository})


def run_state(table: str) -> RunState:
    """Make the adapter of a table."""
    return RunState(ledger_table(table))
