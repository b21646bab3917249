"""Events about runs of RescanRegistry, read into reports."""

import json

from notify_scan.events.fields import LONGEST_REGION, MOST, Fields, UnreadableScanEvent
from own_events.rescan_finished import Problem, RescanFinished, rerun_input
from reporting import console_links
from reporting.reports import Interpretation, Reason, RunReport
from reporting.text import first

MOST_OF_PROBLEMS = 4_000  # characters of all: a state, and an event, have 256 KiB
LONGEST_CAUSE = 1_000  # characters
# Any other error can end a run before it has listed repositories, so that none can be rerun; a run
# that was stopped or timed out has usually listed some.
_IN_THE_MAP = "States.ExceedToleratedFailureThreshold"
_AT_ANY_TIME = ("TIMED_OUT", "ABORTED")


def rescan_finished(event: Fields) -> Interpretation:
    """Read a Rescan Finished event, which SummarizeRescan sends."""
    finished = RescanFinished.read(event.part("detail"))
    resources = event.texts("resources")
    execution_arn = resources[0] if resources else ""
    region = event.text("region", most=LONGEST_REGION)
    return Interpretation(
        run=RunReport(
            account=event.text("account"),
            region=region,
            run=finished.run,
            execution_arn=execution_arn,
            status=finished.status,
            link=console_links.execution_page(region, execution_arn),
            dry_run=finished.dry_run,
            started_at=finished.started_at,
            ended_at=finished.ended_at,
            repositories=finished.repositories,
            repositories_gone=finished.repositories_gone,
            repositories_not_done=finished.repositories_not_done,
            images=finished.images,
            reasons=finished.reasons,
            problems=first(finished.problems, _length, MOST_OF_PROBLEMS),
            rerun=finished.rerun,
            scan_type=finished.scan_type,
            change=finished.change,
            remark=finished.remark,
            repositories_deferred=finished.repositories_deferred,
            deferred=finished.deferred,
        )
    )


def execution_ended(event: Fields) -> Interpretation:
    """Read a Step Functions Execution Status Change event of a run that ended early."""
    detail = event.part("detail")
    error = detail.long_text("error", most=300)
    if error == "RescanIncomplete":
        return Interpretation(silence=Reason.RUN_REPORTED_ALREADY)
    region, run = event.text("region", most=LONGEST_REGION), detail.text("name")
    execution_arn, status = detail.text("executionArn"), detail.text("status")
    dry_run, has_list = _was_dry(detail), error == _IN_THE_MAP or status in _AT_ANY_TIME
    return Interpretation(
        run=RunReport(
            account=event.text("account"),
            region=region,
            run=run,
            execution_arn=execution_arn,
            status=status,
            link=console_links.execution_page(region, execution_arn),
            dry_run=dry_run,
            ended_at=event.time("time"),
            rerun=rerun_input(run, dry_run=dry_run) if has_list else None,
            error=error,
            cause=detail.long_text("cause", most=LONGEST_CAUSE),
        )
    )


def _length(problem: Problem) -> int:
    return len(problem.repository + problem.problem)


def _was_dry(detail: Fields) -> bool:
    """Return whether the execution's input asked for a dry run; False if it cannot be read."""
    try:
        asked = json.loads(detail.optional_text("input", most=MOST) or "{}")
    except (UnreadableScanEvent, ValueError, RecursionError):
        return False
    return isinstance(asked, dict) and asked.get("dry_run") is True
