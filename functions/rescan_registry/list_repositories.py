"""List the repositories of a run."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.run_documents import RunDocuments, run_documents
from ledger.run_records import RunRecords, run_records
from registry.ecr import EcrRegistry, ecr_registry
from rescan_registry.policy import policy_in_force
from rescan_registry.repository_choice import (
    RunPlan,
    repositories_to_take,
    tolerated_failure_percentage,
)
from rescan_registry.request import read_request
from runtime import clock, settings
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class RunStart:
    """A run as it starts: its execution name and its input, as yet unchecked."""

    run: str
    input: object


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
        names, notice = repositories_to_take(request, registry, documents, records)
    kept_for = timedelta(days=settings.whole_number("RUN_RETENTION_DAYS", least=15, most=3_650))
    return RunPlan(
        run=start.run,
        scan_type=scan_type,
        repositories=len(names),
        list_key=documents.write_repositories(start.run, names) if names else None,
        tolerated_failure_percentage=tolerated_failure_percentage(request, len(names)),
        policy=policy,
        records_expire_at=str(int((now + kept_for).timestamp())),
        notice=notice,
    )


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
