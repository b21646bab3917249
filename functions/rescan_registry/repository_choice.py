"""The repositories of a run, and how many of them may fail."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import batched

from ledger.bucket import RunBucket
from ledger.run_records import RunRecords
from ledger.run_state import RunState
from registry.ecr import EcrRegistry
from registry.errors import RepositoryNotFound
from rescan_registry.policy import RescanPolicy
from rescan_registry.registry_listing import Waiting, repository_names
from rescan_registry.request import InvalidRescanRequest, RescanRequest
from runtime.nouns import counted
from runtime.patterns import QUICK, PatternTooSlow, matching_texts
from runtime.settings import SettingsError

# A filter that may be slow is matched in a process of its own, which shares the memory.
NAMES_AT_ONCE = 10_000

ENHANCED_SCANNING = (
    "The registry uses enhanced scanning. Amazon Inspector rescans its images, and ECR accepts no "
    "manual scans. No scan was started."
)


class Selection(StrEnum):
    """What selects the repositories of a run."""

    PARAMETER = "PARAMETER"  # RepositoryFilter, or the whole registry if it is empty
    FILTER = "FILTER"  # repository_filter in the input
    REPOSITORIES = "REPOSITORIES"
    RERUN = "RERUN"


@dataclass(frozen=True)
class RepositoryChoice:
    """How the repositories of a run were chosen.

    pattern: the filter, which may be empty; for a rerun, the name of the earlier run.
    listed: how many repositories they were chosen from; 0 where none were listed.
    """

    by: Selection
    pattern: str = ""
    listed: int = 0

    @property
    def shown(self) -> str:
        """Return the pattern for a sentence, at most 100 characters of it."""
        return repr(self.pattern if len(self.pattern) <= 100 else f"{self.pattern[:99]}…")

    def sentence(self, repositories: int) -> str:
        """Say how many repositories were chosen, and how."""
        listed = counted(self.listed, "repository")
        if self.by is Selection.RERUN:
            return f"{repositories:,} of {listed} did not finish in {self.pattern}"
        if self.by is Selection.REPOSITORIES:
            return f"{counted(repositories, 'repository')}, as asked for"
        matched = (
            f"whose names match {self.shown} from the start" if self.pattern else "in the registry"
        )
        return f"{repositories:,} of {listed} {matched}"


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run, as ListRepositories returns it.

    scan_type: BASIC or ENHANCED, as ECR names it.
    repositories: how many.
    list_key: object in the run bucket with their names.
    tolerated_failure_percentage: if more of them fail, Step Functions stops the run.
    records_expire_at: seconds since 1970, as text, because DynamoDB takes numbers as text.
    notice: one sentence for the reader of the execution history.
    """

    run: str
    scan_type: str
    repositories: int
    list_key: str | None
    choice: RepositoryChoice
    tolerated_failure_percentage: int
    policy: RescanPolicy
    records_expire_at: str
    notice: str


def choice_of(request: RescanRequest, *, default_filter: str | None) -> RepositoryChoice:
    """Read from the input of a run what selects its repositories."""
    if request.rerun_of:
        return RepositoryChoice(Selection.RERUN, request.rerun_of)
    if request.repositories:
        return RepositoryChoice(Selection.REPOSITORIES)
    if request.repository_filter is not None:
        return RepositoryChoice(Selection.FILTER, request.repository_filter)
    return RepositoryChoice(Selection.PARAMETER, default_filter or "")


@dataclass(frozen=True)
class Sources:
    """Where the names of repositories come from."""

    registry: EcrRegistry
    bucket: RunBucket
    records: RunRecords
    state: RunState
    waiting: Waiting

    def chosen(
        self, request: RescanRequest, choice: RepositoryChoice
    ) -> tuple[list[str], RepositoryChoice]:
        """Return the names of the repositories, and from how many they were chosen.

        Raises InvalidRescanRequest for a repository or a run that does not exist.
        """
        if request.rerun_of:
            names, listed = _unfinished(request.rerun_of, self.bucket, self.records)
        elif request.repositories:
            names = _confirmed(request.repositories, self.registry)
            listed = len(names)
        else:
            first = self.state.first_repository()
            names, listed = _matching(repository_names(self.registry, self.waiting), choice)
            names = _rotated(names, first)
        return names, replace(choice, listed=listed)


def tolerated_failure_percentage(request: RescanRequest, repositories: int, tolerated: int) -> int:
    """Return the percentage of repositories that may fail before the run is stopped.

    At least one repository may fail; a run with an explicit choice of repositories tolerates all
    failures.
    """
    if request.rerun_of or request.repositories:
        return 100
    return max(tolerated, math.ceil(100 / max(1, repositories)))


def _matching(names: Iterable[str], choice: RepositoryChoice) -> tuple[list[str], int]:
    """Return the names that a filter matches from the start, and how many there are in all.

    Raises InvalidRescanRequest or SettingsError for a filter that takes too long.
    """
    listed, matching = 0, list[str]()
    for some in batched(names, NAMES_AT_ONCE, strict=False):
        listed += len(some)
        try:
            matched = matching_texts(choice.pattern, some)
        except PatternTooSlow as error:
            told = f"must be {QUICK}, not {choice.pattern!r}"
            if choice.by is Selection.FILTER:
                raise InvalidRescanRequest(f"repository_filter {told}") from error
            raise SettingsError(f"RepositoryFilter {told}") from error
        matching += (name for name in some if name in matched)
    return matching, listed


def _rotated(names: Iterable[str], first: str | None) -> list[str]:
    """Sort names, and begin with one of them, or with what follows it if it is gone."""
    in_order = sorted(names)
    start = bisect_left(in_order, first or "")
    return in_order[start:] + in_order[:start]


def _confirmed(names: tuple[str, ...], registry: EcrRegistry) -> list[str]:
    """Return the repositories that the input names.

    Raises InvalidRescanRequest for a repository that does not exist.
    """
    try:
        registry.confirm(names)
    except RepositoryNotFound as error:
        raise InvalidRescanRequest(
            f"repositories must name repositories of this registry: {error}"
        ) from error
    return list(names)


def _unfinished(run: str, bucket: RunBucket, records: RunRecords) -> tuple[list[str], int]:
    """Return the repositories that an earlier run has not finished, and how many it had in all.

    Raises InvalidRescanRequest for a run that is not known.
    """
    done = {record.repository for record in records.for_run(run) if record.is_done}
    names = bucket.repositories(run)  # last, because it is read while it is used
    if names is None:
        raise InvalidRescanRequest(
            f"rerun_of: no repository list found for run {run!r}. It does not exist, ended before "
            "it listed repositories, or is older than RunRetentionDays."
        )
    listed, left = 0, list[str]()
    for name in names:
        listed += 1
        if name not in done:
            left.append(name)
    return left, listed
