"""The repositories of a run, and how many of them may fail."""

import math
from dataclasses import dataclass

from ledger.bucket import RunBucket
from ledger.run_records import RunRecords
from registry.ecr import EcrRegistry
from registry.errors import RepositoryNotFound
from rescan_registry.policy import RescanPolicy
from rescan_registry.request import InvalidRescanRequest, RescanRequest
from runtime.patterns import QUICK, PatternTooSlow, matching_texts
from runtime.settings import SettingsError

ENHANCED_SCANNING = (
    "The registry uses enhanced scanning. Amazon Inspector rescans its images, and ECR accepts no "
    "manual scans. No scan was started."
)


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
    tolerated_failure_percentage: int
    policy: RescanPolicy
    records_expire_at: str
    notice: str


def chosen_repositories(
    request: RescanRequest,
    registry: EcrRegistry,
    bucket: RunBucket,
    records: RunRecords,
    *,
    default_filter: str | None,
) -> tuple[list[str], str]:
    """Return the names of the repositories, and one sentence that says how they were chosen.

    Raises InvalidRescanRequest for a repository or a run that does not exist.
    """
    if request.rerun_of:
        return _unfinished(request.rerun_of, bucket, records)
    if request.repositories:
        try:
            registry.confirm(request.repositories)
        except RepositoryNotFound as error:
            raise InvalidRescanRequest(
                f"repositories must name repositories of this registry: {error}"
            ) from error
        return list(request.repositories), f"{len(request.repositories)} repositories, as asked for"
    pattern = request.repository_filter
    if pattern is None:
        pattern = default_filter or ""
    names = list(registry.repositories())
    try:
        matched_names = matching_texts(pattern, names)
    except PatternTooSlow as error:
        raise _too_slow(request, pattern) from error
    matching = [name for name in names if name in matched_names]
    matched = f"whose names match {pattern!r} from the start" if pattern else "in the registry"
    return matching, f"{len(matching)} of {len(names)} repositories {matched}"


def _too_slow(request: RescanRequest, pattern: str) -> Exception:
    """Name the pattern, and where it is from."""
    if request.repository_filter is None:
        return SettingsError(f"RepositoryFilter must be {QUICK}, not {pattern!r}")
    return InvalidRescanRequest(f"repository_filter must be {QUICK}, not {pattern!r}")


def tolerated_failure_percentage(request: RescanRequest, repositories: int, tolerated: int) -> int:
    """Return the percentage of repositories that may fail before the run is stopped.

    At least one repository may fail; a run with an explicit choice of repositories tolerates all
    failures.
    """
    if request.rerun_of or request.repositories:
        return 100
    return max(tolerated, math.ceil(100 / max(1, repositories)))


def _unfinished(run: str, bucket: RunBucket, records: RunRecords) -> tuple[list[str], str]:
    names = bucket.repositories(run)
    if names is None:
        raise InvalidRescanRequest(
            f"rerun_of: no repository list found for run {run!r}. It does not exist, ended before "
            "it listed repositories, or is older than RunRetentionDays."
        )
    done = {record.repository for record in records.for_run(run) if record.is_done}
    unfinished = [name for name in names if name not in done]
    return unfinished, f"{len(unfinished)} of {len(names)} repositories did not finish in {run}"
