"""Summarize a run: in the run bucket, as metrics, and as the event Rescan Finished."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Metrics

from ledger.bucket import RunBucket, run_bucket
from ledger.run_records import RunRecords, run_records
from ledger.run_state import RunState, run_state
from own_events.event_bus import EventBus, event_bus
from rescan_registry.run_change import FoundByRun, compare
from rescan_registry.run_metrics import count
from rescan_registry.run_summary import RunFacts, RunOutput, summary_of
from rescan_registry.settings import SummarizeRescanSettings
from runtime import clock
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class EndedRun:
    """A run whose Map over repositories has ended, or that had no repository."""

    execution_arn: str
    started_at: datetime
    found: FoundByRun


@dataclass(frozen=True)
class Kept:
    """Where a run is kept: its list and summary, its records, and what outlives it."""

    bucket: RunBucket
    records: RunRecords
    state: RunState


def summarize_rescan(
    ended: EndedRun, *, kept: Kept, bus: EventBus, metrics: Metrics, now: datetime
) -> RunOutput:
    """Store the summary of a run, send its event, and emit its metrics."""
    found = ended.found
    facts = RunFacts(
        run=found.run,
        dry_run=found.dry_run,
        started_at=ended.started_at,
        ended_at=now,
        scan_type=found.scan_type,
        news=compare(found, kept.state),
        is_whole=found.is_whole,
        moves_the_beginning=found.moves_the_beginning,
    )
    summary = summary_of(facts, _names(found, kept.bucket), kept.records.for_run(found.run))
    document = summary.document()
    summary_key = kept.bucket.write_summary(found.run, document, summary.lists())
    if summary.begin_with:
        kept.state.begin_with(summary.begin_with)
    bus.put([document.event(summary_key)], resources=[ended.execution_arn])
    count(summary, metrics)  # last, because a retry would count the run twice
    return RunOutput.of(summary, summary_key)


def _names(found: FoundByRun, bucket: RunBucket) -> Iterator[str]:
    """Read the list of a run when the first name is needed; a run without names has none."""
    if found.repositories:
        yield from bucket.repositories(found.run) or ()


@entrypoint(EndedRun)
def handler(ended: EndedRun) -> RunOutput:
    """Run as SummarizeRescan, last state of a run that was not stopped."""
    settings = SummarizeRescanSettings.load()
    kept = Kept(
        bucket=run_bucket(settings.run_bucket),
        records=run_records(settings.ledger_table),
        state=run_state(settings.ledger_table),
    )
    return summarize_rescan(ended, kept=kept, bus=event_bus(), metrics=Metrics(), now=clock.now())
