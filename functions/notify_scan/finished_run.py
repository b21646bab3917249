"""The report on a run that has written its summary."""

from ledger.run_records import LONGEST_PROBLEM
from ledger.run_summaries import SummaryDocument
from notify_scan.own_stack import OwnStack
from own_events.rescan_finished import Problem
from reporting import console_links
from reporting.reports import RunReport
from reporting.text import first, sendable, trimmed

MOST_OF_PROBLEMS = 4_000  # characters of all: a state, and an event, have 256 KiB


def report_of(summary: SummaryDocument, stack: OwnStack) -> RunReport:
    """Return the report on a run of the stack."""
    execution_arn = stack.execution(summary.run)
    problems = [Problem(each.repository, _text(each.problem)) for each in summary.problems]
    return RunReport(
        account=stack.account,
        region=stack.region,
        run=summary.run,
        execution_arn=execution_arn,
        status=summary.status,
        link=console_links.execution_page(stack.region, execution_arn),
        dry_run=summary.dry_run,
        started_at=summary.started_at,
        ended_at=summary.ended_at,
        repositories=summary.repositories,
        repositories_gone=summary.repositories_gone,
        repositories_not_done=summary.repositories_not_done,
        images=summary.images.outcomes(),
        reasons=summary.images.reasons(),
        problems=first(problems, _length, MOST_OF_PROBLEMS),
        rerun=summary.rerun,
        scan_type=summary.scan_type,
        change=summary.change,
        remark=_text(summary.remark) if summary.remark else None,
        repositories_deferred=summary.repositories_deferred,
        deferred=summary.deferred,
    )


def _text(text: str) -> str:
    return trimmed(sendable(text), LONGEST_PROBLEM)


def _length(problem: Problem) -> int:
    return len(problem.repository + problem.problem)
