"""List the repositories of a run."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.run_documents import RunDocuments, run_documents
from ledger.run_records import RunRecords, run_records
from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import RepositoryNotFound
from rescan_registry.policy import RescanPolicy, policy_in_force
from rescan_registry.request import InvalidRescanRequest, RescanRequest, read_request
from runtime import clock, settings
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class RunStart:
    """A run as it starts: its execution name and its input, as yet unchecked."""

    run: str
    input: object


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    scan_type: BASIC or ENHANCED, as ECR calls them.
    repositories: how many it takes.
    list_key: where in the run bucket their names are.
    records_expire_at: seconds since 1970, as text, for that is how DynamoDB takes numbers.
    notice: one sentence for whoever reads the history.
    """

    run: str
    scan_type: str
    repositories: int
    list_key: str | None
    policy: RescanPolicy
    records_expire_at: str
    notice: str


def list_repositories(
    start: RunStart,
    *,
    registry: EcrRegistry,
    documents: RunDocuments,
    records: RunRecords,
    now: datetime,
) -> RunPlan:
    """Check what a run is asked for, choose its repositories and write their list.

    Raises InvalidRescanRequest for an input that cannot be met.
    """
    request = read_request(start.input)
    policy = policy_in_force(request)
    scan_type = registry.scan_type()
    names: list[str] = []
    if scan_type == "ENHANCED":
        notice = (
            "The registry uses enhanced scanning: Amazon Inspector rescans its images, and ECR "
            "takes no scans started by hand. Nothing was started."
        )
    else:
        names, notice = _choose(request, registry, documents, records)
    kept_for = timedelta(days=settings.whole_number("RUN_RETENTION_DAYS", least=15, most=3_650))
    return RunPlan(
        run=start.run,
        scan_type=scan_type,
        repositories=len(names),
        list_key=documents.write_repositories(start.run, names) if names else None,
        policy=policy,
        records_expire_at=str(int((now + kept_for).timestamp())),
        notice=notice,
    )


def _choose(
    request: RescanRequest, registry: EcrRegistry, documents: RunDocuments, records: RunRecords
) -> tuple[list[str], str]:
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


@entrypoint(RunStart)
def handler(start: RunStart) -> RunPlan:
    """Run as ListRepositories, first state of RescanRegistry."""
    return list_repositories(
        start,
        registry=ecr_registry(),
        documents=run_documents(),
        records=run_records(),
        now=clock.now(),
    )
