"""List the repositories of a run."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.bucket import RunBucket, run_bucket
from ledger.run_records import RunRecords, run_records
from registry.ecr import EcrRegistry, ecr_registry
from rescan_registry.policy import policy_in_force
from rescan_registry.repository_choice import (
    RunPlan,
    chosen_repositories,
    tolerated_failure_percentage,
)
from rescan_registry.request import read_request
from runtime import clock, settings
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class RunStart:
    """The execution name of a run, and its input before it is checked."""

    run: str
    input: object


def list_repositories(
    start: RunStart,
    *,
    registry: EcrRegistry,
    bucket: RunBucket,
    records: RunRecords,
    now: datetime,
) -> RunPlan:
    """Check the execution input, choose the repositories of the run, and store the list.

    Raises InvalidRescanRequest for an input that cannot be met.
    """
    request = read_request(start.input)
    policy = policy_in_force(request)
    scan_type = registry.scan_type()
    names: list[str] = []
    if scan_type == "ENHANCED":
        notice = (
            "The registry uses enhanced scanning. Amazon Inspector rescans its images, and ECR "
            "accepts no manual scans. No scan was started."
        )
    else:
        names, notice = chosen_repositories(request, registry, bucket, records)
    kept_for = timedelta(days=settings.whole_number("RUN_RETENTION_DAYS", least=15, most=3_650))
    return RunPlan(
        run=start.run,
        scan_type=scan_type,
        repositories=len(names),
        list_key=bucket.write_repositories(start.run, names) if names else None,
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
        bucket=run_bucket(settings.text("RUN_BUCKET")),
        records=run_records(settings.text("LEDGER_TABLE")),
        now=clock.now(),
    )
