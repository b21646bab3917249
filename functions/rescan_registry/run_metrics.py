"""Metrics of a run, in CloudWatch's embedded metric format."""

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from rescan_registry.outcomes import Outcome
from rescan_registry.run_summary import RunSummary


def count(summary: RunSummary, metrics: Metrics) -> None:
    """Emit one metric per outcome. Repositories and images are never dimensions."""
    outcomes = summary.images.outcomes()
    for outcome in Outcome:
        metrics.add_metric(f"images_{outcome.lower()}", MetricUnit.Count, outcomes.get(outcome, 0))
    metrics.add_metric("repositories", MetricUnit.Count, summary.repositories)
    metrics.add_metric("repositories_not_done", MetricUnit.Count, summary.repositories_not_done)
    metrics.add_metric("repositories_deferred", MetricUnit.Count, summary.repositories_deferred)
    metrics.add_metric("results_missing", MetricUnit.Count, summary.results_missing)
    metrics.add_metric("results_found", MetricUnit.Count, summary.results_found)
    if summary.change is not None:  # of a run over the whole registry: others would end the alarm
        metrics.add_metric("images_overdue", MetricUnit.Count, summary.images_overdue)
    metrics.flush_metrics()
