"""Events of Step Functions about runs of RescanRegistry, read into reports."""

import json

from notify_scan.events.fields import LONGEST_REGION, MOST, Fields, UnreadableScanEvent
from own_events.rescan_finished import rerun_input
from reporting import console_links
from reporting.reports import Interpretation, Reason, RunReport
from reporting.text import trimmed
from runtime.causes import message_in

LONGEST_CAUSE = 1_000  # characters
# Any other error can end a run before it has listed repositories, so that none can be rerun; a run
# that was stopped or timed out has usually listed some.
_IN_THE_MAP = "States.ExceedToleratedFailureThreshold"
_AT_ANY_TIME = ("TIMED_OUT", "ABORTED")


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
            cause=_message(detail),
        )
    )


def _message(detail: Fields) -> str | None:
    """Return what the cause says, without the stack trace of a function."""
    cause = detail.optional_text("cause", most=MOST)
    return None if cause is None else trimmed(message_in(cause), LONGEST_CAUSE)


def _was_dry(detail: Fields) -> bool:
    """Return whether the execution's input asked for a dry run; False if it cannot be read."""
    try:
        asked = json.loads(detail.optional_text("input", most=MOST) or "{}")
    except (UnreadableScanEvent, ValueError, RecursionError):
        return False
    return isinstance(asked, dict) and asked.get("dry_run") is True
