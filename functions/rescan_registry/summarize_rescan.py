"""Summarize a run: in the run bucket, as metrics, and as the event Rescan Finished."""

from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Metrics

from ledger.run_documents import RunDocuments, run_documents
from ledger.run_records import RunRecords, run_records
from rescan_registry.event_bus import EventBus, event_bus
from rescan_registry.run_metrics import count
from rescan_registry.run_report import RunSummary, report_of
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
    documents: RunDocuments,
    records: RunRecords,
    bus: EventBus,
    metrics: Metrics,
    now: datetime,
) -> RunSummary:
    """Store the summary of a run, send its event, and emit its metrics."""
    report = report_of(
        ended.run,
        documents.repositories(ended.run) or [],
        records.of(ended.run),
        dry_run=ended.dry_run,
        started_at=ended.started_at,
        now=now,
    )
    summary_key = documents.write_summary(ended.run, encode(report))
    bus.put("Rescan Finished", report.detail(summary_key), resources=[ended.execution_arn])
    count(report, metrics)  # last, because a retry would count the run twice
    return RunSummary.of(report, summary_key)


@entrypoint(EndedRun)
def handler(ended: EndedRun) -> RunSummary:
    """Run as SummarizeRescan, once the Map over repositories has ended."""
    return summarize_rescan(
        ended,
        documents=run_documents(),
        records=run_records(),
        bus=event_bus(),
        metrics=Metrics(),
        now=clock.now(),
    )
