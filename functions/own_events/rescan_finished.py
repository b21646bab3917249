"""The event Rescan Finished: a run of RescanRegistry has ended and reports its result."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from runtime.messages import Json, encode

# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
MOST_PROBLEMS = 10  # an event names; summary.json has all
MOST_REASONS = 15  # of an outcome


class RunChange(StrEnum):
    """How a run over the registry compares with the run before it."""

    ENHANCED_SCANNING = "ENHANCED_SCANNING"  # Amazon Inspector scans now
    BASIC_SCANNING = "BASIC_SCANNING"  # ECR scans again
    NO_REPOSITORIES = "NO_REPOSITORIES"  # nothing to rescan, unlike before: a problem
    UNCHANGED = "UNCHANGED"  # none of these


@dataclass(frozen=True)
class Problem:
    """A repository that did not finish, and the reason."""

    repository: str
    problem: str


@dataclass(frozen=True)
class RescanFinished:
    """The result of a run, small enough for any target of the event.

    NotifyScan believes only the name of the run, and reads summary.json for the rest.

    images, reasons: counts by outcome, and by outcome and reason.
    problems: the first repositories that did not finish; repositories_not_done counts all.
    rerun: the execution input that reruns only those, and those that are deferred.
    summary_key: object in the run bucket with the full result.
    scan_type: BASIC or ENHANCED.
    change: compared with the run before; absent for a dry run and for chosen repositories.
    remark: what an operator must know about the run as a whole, such as why it rescanned nothing.
    deferred: the first repositories that the run has not reached; repositories_deferred counts all.
    """

    DETAIL_TYPE: ClassVar[str] = "Rescan Finished"

    run: str
    status: str
    dry_run: bool
    started_at: datetime
    ended_at: datetime
    repositories: int
    repositories_gone: int
    repositories_not_done: int
    problems: tuple[Problem, ...]
    images: dict[str, int]
    reasons: dict[str, dict[str, int]]
    results_missing: int
    results_found: int
    rerun: dict[str, object] | None
    summary_key: str | None
    scan_type: str | None = None
    change: str | None = None
    remark: str | None = None
    repositories_deferred: int = 0
    deferred: tuple[str, ...] = ()

    def detail(self) -> Json:
        """Write the detail of the event."""
        return encode(self)


def is_execution_name(text: str) -> bool:
    """Return whether Step Functions accepts a text as the name of an execution."""
    return bool(_EXECUTION_NAME.fullmatch(text))


def rerun_input(run: str, *, dry_run: bool) -> dict[str, object]:
    """Return the execution input that reruns what a run has not finished."""
    return {"rerun_of": run, "dry_run": True} if dry_run else {"rerun_of": run}
