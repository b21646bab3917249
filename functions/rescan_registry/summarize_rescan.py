"""Summarize a run: for the operator, the dashboard and the people who are told."""

from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ledger.run_documents import RunDocuments, run_documents
from ledger.run_records import RunRecords, run_records
from rescan_registry.event_bus import EventBus, event_bus
from rescan_registry.outcomes import Outcome
from rescan_registry.run_report import NAMED, RunReport, RunStatus, report_of
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.messages import Json, encode


@dataclass(frozen=True)
class EndedRun:
    """A run whose Map over repositories has ended."""

    run: str
    execution_arn: str
    started_at: datetime
    dry_run: bool


@dataclass(frozen=True)
class RunSummary:
    """What the execution ends with, small enough for any history.

    conclusion: what an operator must know and do; the cause that the console shows of a red run.
    summary_key: where in the run bucket the whole report is.
    """

    run: str
    status: RunStatus
    dry_run: bool
    repositories: int
    repositories_not_done: int
    images: dict[Outcome, int]
    rerun: dict[str, str] | None
    summary_key: str
    conclusion: str


def summarize_rescan(
    ended: EndedRun,
    *,
    documents: RunDocuments,
    records: RunRecords,
    bus: EventBus,
    metrics: Metrics,
    now: datetime,
) -> RunSummary:
    """Compare the run's list with its records, and tell everyone who is to know."""
    report = report_of(
        ended.run,
        documents.repositories(ended.run) or [],
        records.of(ended.run),
        dry_run=ended.dry_run,
        started_at=ended.started_at,
        now=now,
    )
    summary = RunSummary(
        run=report.run,
        status=report.status,
        dry_run=report.dry_run,
        repositories=report.repositories,
        repositories_not_done=len(report.problems),
        images=report.images.outcomes(),
        rerun=report.rerun,
        summary_key=documents.write_summary(ended.run, encode(report)),
        conclusion=report.sentence(),
    )
    bus.put("Rescan Finished", _detail(report, summary), resources=[ended.execution_arn])
    _count(report, metrics)  # last, for a retry would count the run twice
    return summary


def _count(report: RunReport, metrics: Metrics) -> None:
    """Emit one number an outcome; names of repositories and digests are never dimensions."""
    outcomes = report.images.outcomes()
    for outcome in Outcome:
        metrics.add_metric(f"images_{outcome.lower()}", MetricUnit.Count, outcomes.get(outcome, 0))
    metrics.add_metric("repositories", MetricUnit.Count, report.repositories)
    metrics.add_metric("repositories_not_done", MetricUnit.Count, len(report.problems))
    metrics.flush_metrics()


def _detail(report: RunReport, summary: RunSummary) -> Json:
    """Shape the event: the summary, the reasons, and the first repositories that did not finish."""
    return {
        "run": summary.run,
        "status": summary.status,
        "dry_run": summary.dry_run,
        "started_at": encode(report.started_at),
        "ended_at": encode(report.ended_at),
        "repositories": summary.repositories,
        "repositories_gone": report.repositories_gone,
        "repositories_not_done": summary.repositories_not_done,
        "problems": encode(report.problems[:NAMED]),
        "images": encode(summary.images),
        "reasons": encode(report.images.counts),
        "rerun": encode(summary.rerun),
        "summary_key": summary.summary_key,
    }


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
