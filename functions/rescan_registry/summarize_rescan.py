"""Summarize a run: in the run bucket, as metrics, and as the event Rescan Finished."""

from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Metrics

from ledger.bucket import RunBucket, run_bucket
from ledger.run_records import RunRecords, run_records
from own_events.event_bus import EventBus, event_bus
from rescan_registry.run_metrics import count
from rescan_registry.run_summary import RunOutput, summary_of
from rescan_registry.settings import SummarizeRescanSettings
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.messages import encode


@dataclass(frozen=True)
class EndedRun:
    """A run whose Map over repositories has ended."""

    run: str
    execution_arn: str
    started_at: datetime
    dry_run: bool


def summarize_rescan(
    ended: EndedRun,
    *,
    bucket: RunBucket,
    records: RunRecords,
    bus: EventBus,
    metrics: Metrics,
    now: datetime,
) -> RunOutput:
    """Store the summary of a run, send its event, and emit its metrics."""
    summary = summary_of(
        ended.run,
        bucket.repositories(ended.run) or [],
        records.for_run(ended.run),
        dry_run=ended.dry_run,
        started_at=ended.started_at,
        now=now,
    )
    summary_key = bucket.write_summary(ended.run, encode(summary))
    bus.put([summary.event(summary_key)], resources=[ended.execution_arn])
    count(summary, metrics)  # last, because a retry would count the run twice
    return RunOutput.of(summary, summary_key)


@entrypoint(EndedRun)
def handler(ended: EndedRun) -> RunOutput:
    """Run as SummarizeRescan, once the Map over repositories has ended."""
    settings = SummarizeRescanSettings.load()
    return summarize_rescan(
        ended,
        bucket=run_bucket(settings.run_bucket),
        records=run_records(settings.ledger_table),
        bus=event_bus(),
        metrics=Metrics(),
        now=clock.now(),
    )
