"""List the repositories of a run."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.bucket import run_bucket
from ledger.run_records import run_records
from ledger.run_state import run_state
from registry.ecr import ecr_registry
from rescan_registry.registry_listing import Waiting
from rescan_registry.repository_choice import (
    ENHANCED_SCANNING,
    RunPlan,
    Sources,
    choice_of,
    tolerated_failure_percentage,
)
from rescan_registry.request import read_request
from rescan_registry.settings import ListRepositoriesSettings
from runtime import clock
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class RunStart:
    """The execution name of a run, and its input before it is checked."""

    run: str
    input: object


def list_repositories(
    start: RunStart, *, settings: ListRepositoriesSettings, sources: Sources, now: datetime
) -> RunPlan:
    """Check the execution input, choose the repositories of the run, and store the list.

    Raises InvalidRescanRequest for an input that cannot be met.
    """
    request = read_request(start.input)
    policy = settings.policy(request, now)
    choice = choice_of(request, default_filter=settings.repository_filter)
    scan_type = sources.registry.scan_type()
    names, notice = list[str](), ENHANCED_SCANNING
    if scan_type != "ENHANCED":
        names, choice = sources.chosen(request, choice)
        notice = choice.sentence(len(names))
    tolerated = settings.tolerated_failure_percentage
    expire_at = now + timedelta(days=settings.run_retention_days)
    return RunPlan(
        run=start.run,
        scan_type=scan_type,
        repositories=len(names),
        list_key=sources.bucket.write_repositories(start.run, names) if names else None,
        choice=choice,
        tolerated_failure_percentage=tolerated_failure_percentage(request, len(names), tolerated),
        policy=policy,
        records_expire_at=str(int(expire_at.timestamp())),
        notice=notice,
    )


@entrypoint(RunStart)
def handler(start: RunStart) -> RunPlan:
    """Run as ListRepositories, first state of RescanRegistry."""
    settings = ListRepositoriesSettings.load()
    sources = Sources(
        registry=ecr_registry(),
        bucket=run_bucket(settings.run_bucket),
        records=run_records(settings.ledger_table),
        state=run_state(settings.ledger_table),
        waiting=Waiting(),
    )
    return list_repositories(start, settings=settings, sources=sources, now=clock.now())
