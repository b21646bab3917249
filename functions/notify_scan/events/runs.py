"""Events about runs of RescanRegistry, read into reports."""

import json

from notify_scan.events.fields import LONGEST_REGION, MOST, Fields, UnreadableScanEvent
from reporting import console_links
from reporting.reports import Interpretation, Problem, Reason, RunReport
from reporting.text import first

MOST_PROBLEMS = 10
LONGEST_PROBLEM = 500  # characters
MOST_OF_PROBLEMS = 4_000  # characters of all: a state, and an event, have 256 KiB
LONGEST_CAUSE = 1_000  # characters
# Whatever else breaks a run off may do so before it has listed repositories, so that none could be
# rerun; one that was stopped, or took too long, has listed some as a rule.
_IN_THE_MAP = "States.ExceedToleratedFailureThreshold"
_AT_ANY_TIME = ("TIMED_OUT", "ABORTED")


def rescan_finished(event: Fields) -> Interpretation:
    """Read a Rescan Finished event, which SummarizeRescan sends."""
    detail = event.part("detail")
    dry_run = detail.flag("dry_run")
    resources = event.texts("resources")
    execution_arn = resources[0] if resources else ""
    region = event.text("region", most=LONGEST_REGION)
    return Interpretation(
        run=RunReport(
            account=event.text("account"),
            region=region,
            run=detail.text("run"),
            execution_arn=execution_arn,
            status=detail.text("status"),
            link=console_links.execution_page(region, execution_arn),
            dry_run=dry_run,
            started_at=detail.time("started_at"),
            ended_at=detail.time("ended_at"),
            repositories=detail.number("repositories"),
            repositories_gone=detail.number("repositories_gone"),
            repositories_not_done=detail.number("repositories_not_done"),
            images=detail.part("images").few_numbers(),
            reasons={
                outcome: reasons.few_numbers()
                for outcome, reasons in detail.few_parts("reasons").items()
            },
            problems=_problems(detail),
            rerun=_rerun(detail.part("rerun").optional_text("rerun_of"), dry_run=dry_run),
        )
    )


def execution_ended(event: Fields) -> Interpretation:
    """Read a Step Functions Execution Status Change event of a run that broke off."""
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
            rerun=_rerun(run, dry_run=dry_run) if has_list else None,
            error=error,
            cause=detail.long_text("cause", most=LONGEST_CAUSE),
        )
    )


def _problems(detail: Fields) -> tuple[Problem, ...]:
    problems = [
        Problem(told.text("repository"), told.long_text("problem", most=LONGEST_PROBLEM) or "")
        for told in detail.parts("problems")[:MOST_PROBLEMS]
    ]
    return first(problems, lambda each: len(each.repository + each.problem), MOST_OF_PROBLEMS)


def _rerun(run: str | None, *, dry_run: bool) -> dict[str, object] | None:
    if not run:
        return None
    return {"rerun_of": run, "dry_run": True} if dry_run else {"rerun_of": run}


def _was_dry(detail: Fields) -> bool:
    """Look into the execution's input. It may be left out; whatever it is, people are told."""
    try:
        asked = json.loads(detail.optional_text("input", most=MOST) or "{}")
    except (UnreadableScanEvent, ValueError, RecursionError):
        return False
    return isinstance(asked, dict) and asked.get("dry_run") is True
