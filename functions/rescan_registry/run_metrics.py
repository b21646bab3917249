"""Metrics of a run, in CloudWatch's embedded metric format."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ledger.run_records import Freshness
from rescan_registry.outcomes import Outcome
from rescan_registry.paced_calls import Pace
from rescan_registry.run_summary import RunStatus, RunSummary

_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
_OUTCOMES = [outcome for outcome in Outcome if outcome is not Outcome.DUE]  # that of dry runs


def count(summary: RunSummary, metrics: Metrics) -> None:
    """Emit what a run has done, and what a run over everything knows of the registry.

    Repositories and images are never dimensions. A dry run has done nothing, and has left nothing.
    """
    if summary.dry_run:
        return
    _count_work(summary, metrics)
    if summary.is_whole:  # numbers of a part would end an alarm, and be a step in every graph
        _count_success(summary, metrics)
        _count_freshness(summary, metrics)
    metrics.flush_metrics()


@contextmanager
def counted_calls(pace: Pace) -> Iterator[None]:
    """Emit how many calls of ECR an invocation has made, also of one that then fails."""
    try:
        yield
    finally:
        if pace.calls_made:
            metrics = Metrics()
            metrics.add_metric("ecr_calls", MetricUnit.Count, pace.calls_made)
            metrics.add_metric("ecr_calls_throttled", MetricUnit.Count, pace.calls_throttled)
            metrics.flush_metrics()


def _count_work(summary: RunSummary, metrics: Metrics) -> None:
    outcomes = summary.images.outcomes()
    for outcome in _OUTCOMES:
        metrics.add_metric(f"images_{outcome.lower()}", MetricUnit.Count, outcomes.get(outcome, 0))
    metrics.add_metric("repositories", MetricUnit.Count, summary.repositories)
    metrics.add_metric("repositories_not_done", MetricUnit.Count, summary.repositories_not_done)
    metrics.add_metric("repositories_deferred", MetricUnit.Count, summary.repositories_deferred)


def _count_success(summary: RunSummary, metrics: Metrics) -> None:
    """Emit whether the run has succeeded, without which an alarm goes off, and what it missed."""
    if summary.status is RunStatus.FINISHED:
        metrics.add_metric("runs_succeeded", MetricUnit.Count, 1)
    if summary.results_missing or not summary.repositories_unknown:
        metrics.add_metric("results_missing", MetricUnit.Count, summary.results_missing)
        metrics.add_metric("results_found", MetricUnit.Count, summary.results_found)


def _count_freshness(summary: RunSummary, metrics: Metrics) -> None:
    """Emit how old the last scans are, and what they have found.

    While repositories are unknown, a sum would be too low, and a zero would end the alarm.
    With enhanced scanning, no image is known: that none can be scanned ends the alarm.
    """
    known = summary.freshness or Freshness()
    if known.overdue or not summary.repositories_unknown:
        metrics.add_metric("images_overdue", MetricUnit.Count, known.overdue)
    if summary.freshness:
        metrics.add_metric("repositories_unknown", MetricUnit.Count, summary.repositories_unknown)
    if summary.repositories_unknown:
        return
    metrics.add_metric("images_scannable", MetricUnit.Count, known.scannable)
    if summary.freshness is None:
        return
    if known.oldest_at:  # a zero would read as a scan at the end of the run
        age = max(summary.ended_at - known.oldest_at, timedelta())
        hours = round(age / timedelta(hours=1), 1)
        metrics.add_metric("oldest_scan_age_hours", MetricUnit.NoUnit, hours)
    metrics.add_metric("images_never_scanned", MetricUnit.Count, known.never)
    for severity in _SEVERITIES:
        found = known.severities.get(severity, 0)
        metrics.add_metric(f"findings_{severity.lower()}", MetricUnit.Count, found)
    for severity in _SEVERITIES[:2]:
        images = known.images_with.get(severity, 0)
        metrics.add_metric(f"images_with_{severity.lower()}", MetricUnit.Count, images)
