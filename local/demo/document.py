"""The demo's results as JSON. local/README.md documents the keys."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from local.demo.messages import Notifications
from local.demo.run import RescanRun, in_order


def document_of(
    runs: Sequence[RescanRun],
    *,
    registry: str,
    parameters: Mapping[str, str],
    seconds: Mapping[str, float],
    notifications: Notifications,
    unexpected: str | None,
) -> dict[str, Any]:
    """Return all results of a demo."""
    return {
        "registry": registry,
        "parameters": dict(parameters),
        "as_scripted": unexpected is None,
        "unexpected": unexpected,
        "seconds": {step: round(taken, 1) for step, taken in seconds.items()},
        "scans": {
            "started": notifications.scans_started,
            "events_sent": notifications.events_sent,
        },
        "notifications": notifications.document(),
        "runs": [_run(run) for run in runs],
    }


def _run(run: RescanRun) -> dict[str, Any]:
    outcomes, calls = run.outcomes(), run.calls.by_repository()
    return {
        "execution_name": run.name,
        "execution_arn": run.arn,
        "input": run.input,
        "status": run.status,
        "output": run.output,
        "error": run.error,
        "cause": run.cause,
        "started_at": run.started_at.astimezone(UTC).isoformat(),
        "ended_at": run.ended_at.astimezone(UTC).isoformat(),
        "repositories": {name: _repository(run, name, calls[name]) for name in run.repositories},
        "images": {
            repository: {
                digest: {"outcome": image.outcome, "reason": image.reason}
                for digest, image in sorted(images.items())
            }
            for repository, images in sorted(run.images.items())
        },
        "outcomes": {outcome: outcomes[outcome] for outcome in in_order(outcomes)},
        "ecr_calls": dict(run.calls.by_operation()),
        "throttled_calls": dict(run.calls.throttled),
        "history_events": {
            "run": run.histories.parent,
            "largest": run.histories.largest,
            "largest_of": run.histories.largest_of,
        },
        "largest_payload_bytes": run.histories.largest_payload,
    }


def _repository(run: RescanRun, name: str, calls: int) -> dict[str, Any]:
    record = run.records.get(name)
    return {
        "status": record.status if record else None,
        "error": record.error if record else None,
        "cause": record.cause if record else None,
        "ecr_calls": calls,
    }
