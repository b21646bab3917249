"""What a run is going to do: which repositories it takes, under which policy."""

import math
import re
from dataclasses import dataclass

from ledger.run_documents import RunDocuments
from ledger.run_records import RunRecords
from registry.ecr import EcrRegistry
from registry.errors import RepositoryNotFound
from rescan_registry.policy import RescanPolicy
from rescan_registry.request import InvalidRescanRequest, RescanRequest
from runtime import settings


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    scan_type: BASIC or ENHANCED, as ECR calls them.
    repositories: how many it takes.
    list_key: where in the run bucket their names are.
    tolerated_failure_percentage: when more of them fail, Step Functions stops the run.
    records_expire_at: seconds since 1970, as text, for that is how DynamoDB takes numbers.
    notice: one sentence for whoever reads the history.
    """

    run: str
    scan_type: str
    repositories: int
    list_key: str | None
    tolerated_failure_percentage: int
    policy: RescanPolicy
    records_expire_at: str
    notice: str


def repositories_to_take(
    request: RescanRequest, registry: EcrRegistry, documents: RunDocuments, records: RunRecords
) -> tuple[list[str], str]:
    """Name the repositories that a request asks for, and say in one sentence how they came about.

    Raises InvalidRescanRequest for a repository or a run that does not exist.
    """
    if request.rerun_of:
        return _unfinished(request.rerun_of, documents, records)
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
        pattern = settings.optional_pattern("REPOSITORY_FILTER") or ""
    names = list(registry.repositories())
    matching = [name for name in names if re.match(pattern, name)]
    matched = f"whose names match {pattern!r} from the start" if pattern else "in the registry"
    return matching, f"{len(matching)} of {len(names)} repositories {matched}"


def tolerated_failure_percentage(request: RescanRequest, repositories: int) -> int:
    """Tell how many of so many repositories may fail: always one, and all that somebody chose.

    A share says that something is wrong with all of them only where there are enough.
    """
    tolerated = settings.whole_number("TOLERATED_FAILURE_PERCENTAGE", least=0, most=100)
    if request.rerun_of or request.repositories:
        return 100
    return max(tolerated, math.ceil(100 / max(1, repositories)))


def _unfinished(run: str, documents: RunDocuments, records: RunRecords) -> tuple[list[str], str]:
    names = documents.repositories(run)
    if names is None:
        raise InvalidRescanRequest(
            f"rerun_of: no list of repositories is kept for a run named {run!r}; it never existed, "
            "ended before it had listed any, or is older than RunRetentionDays"
        )
    done = {record.repository for record in records.of(run) if record.is_done}
    unfinished = [name for name in names if name not in done]
    return unfinished, f"{len(unfinished)} of {len(names)} repositories did not finish in {run}"
