from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.run_records import LONGEST_PROBLEM, RecordStatus
from ledger.run_summaries import ImageCounts, SummaryDocument
from notify_scan.finished_run import report_of
from own_events.rescan_finished import MOST_REASONS, Problem, RunChange
from reporting.reports import RunReport
from rescan_registry.run_change import News
from rescan_registry.run_summary import RunStatus, summary_of
from runtime.messages import decode, encode
from tests.support.builders import any_facts, any_record
from tests.support.clock import NOW
from tests.support.reports import EXECUTION, STACK

SUMMARY = SummaryDocument(
    run="run-1",
    status="INCOMPLETE",
    dry_run=False,
    started_at=NOW,
    ended_at=NOW + timedelta(minutes=21),
    repositories=48,
    repositories_gone=1,
    repositories_not_done=1,
    images=ImageCounts({"STARTED": {"accepted": 112}, "FRESH": {"a": 900, "b": 30}}),
    results_missing=2,
    results_found=2,
    rerun={"rerun_of": "run-1"},
    problems=(Problem("shop/legacy", "AccessDenied: DescribeImages of shop/legacy: no"),),
)


def test_reports_what_the_summary_says_of_a_run_of_the_stack() -> None:
    run = report_of(SUMMARY, STACK)
    assert run == RunReport(
        account="123456789012",
        region="eu-central-1",
        run="run-1",
        execution_arn=EXECUTION,
        status="INCOMPLETE",
        link="https://console.aws.amazon.com/states/home?region=eu-central-1"
        f"#/v2/executions/details/{EXECUTION}",
        started_at=SUMMARY.started_at,
        ended_at=SUMMARY.ended_at,
        repositories=48,
        repositories_gone=1,
        repositories_not_done=1,
        images={"STARTED": 112, "FRESH": 930},
        reasons=SUMMARY.images.counts,
        problems=SUMMARY.problems,
        rerun={"rerun_of": "run-1"},
    )
    assert not run.ended_early
    assert run.subject == "ecr-rescan/123456789012/eu-central-1/ecr-rescan-RescanRegistry"


@pytest.mark.parametrize("dry_run", [True, False])
def test_reports_what_the_other_workflow_writes(dry_run: bool) -> None:
    failed = any_record("team/web", status=RecordStatus.FAILED, error="AccessDenied", cause="no")
    late = any_record("team/xml", status=RecordStatus.DEFERRED)
    written = summary_of(
        any_facts(dry_run=dry_run, news=News(RunChange.BASIC_SCANNING, "Basic scanning again.")),
        ["team/api", "team/web", "team/xml"],
        [any_record("team/api"), failed, late],
    )
    run = report_of(written.document(), STACK)
    assert (run.run, run.status, run.rerun) == (written.run, RunStatus.INCOMPLETE, written.rerun)
    assert run.problems == tuple(written.problems.start)
    assert (run.scan_type, run.change) == ("BASIC", "BASIC_SCANNING")
    assert run.remark == "Basic scanning again."
    assert (run.repositories_deferred, run.deferred) == (1, ("team/xml",))
    assert (run.dry_run, "dry_run" in (run.rerun or {})) == (dry_run, dry_run)
    assert decode(RunReport, encode(run)) == run


def test_cuts_long_texts_and_names_fewer_problems_when_they_are_long() -> None:
    long = replace(SUMMARY, remark="x" * 9_999, problems=(Problem("team/api", "x" * 9_999),) * 10)
    run = report_of(long, STACK)
    assert len(run.remark or "") == LONGEST_PROBLEM
    assert len(run.problems) == 7
    assert len(run.problems[0].problem) == LONGEST_PROBLEM


def test_names_the_most_frequent_reasons_and_adds_up_the_others() -> None:
    reasons = {f"Code{number:02}": number for number in range(1, MOST_REASONS + 3)}
    run = report_of(replace(SUMMARY, images=ImageCounts({"FAILED": reasons})), STACK)
    assert len(run.reasons["FAILED"]) == MOST_REASONS
    assert run.reasons["FAILED"]["others"] == 1 + 2 + 3
    assert run.images == {"FAILED": sum(reasons.values())}
