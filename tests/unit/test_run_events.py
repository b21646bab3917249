from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.run_records import RecordStatus
from own_events.rescan_finished import LONGEST_PROBLEM, MOST_PROBLEMS, Problem, RunChange
from reporting.reports import RunReport
from rescan_registry.run_change import News
from rescan_registry.run_summary import summary_of
from runtime.messages import decode, encode
from tests.support.builders import any_facts, any_record
from tests.support.events import interpreted, sample


def read(event: Any) -> RunReport:
    run = interpreted(event).run
    assert run
    return run


def finished(**detail: Any) -> RunReport:
    event = sample("rescan_finished")
    event["detail"] |= detail
    return read(event)


def ended(**detail: Any) -> RunReport:
    event = sample("execution_failed")
    event["detail"] |= detail
    return read(event)


def test_reads_a_run_that_has_reported_on_itself() -> None:
    run = finished()
    arn = "arn:aws:states:eu-central-1:123456789012:execution:ecr-rescan-RescanRegistry"
    assert run == RunReport(
        account="123456789012",
        region="eu-central-1",
        run="scheduled-2026-03-14",
        execution_arn=f"{arn}:scheduled-2026-03-14",
        status="INCOMPLETE",
        link="https://console.aws.amazon.com/states/home?region=eu-central-1"
        f"#/v2/executions/details/{arn}:scheduled-2026-03-14",
        started_at=datetime(2026, 3, 14, 3, 0, tzinfo=UTC),
        ended_at=datetime(2026, 3, 14, 3, 21, 8, tzinfo=UTC),
        repositories=48,
        repositories_gone=1,
        repositories_not_done=2,
        images=sample("rescan_finished")["detail"]["images"],
        reasons=sample("rescan_finished")["detail"]["reasons"],
        problems=(
            Problem("shop/legacy", "AccessDenied: DescribeImages of shop/legacy: the role may not"),
            Problem("shop/archive", "not started, or stopped before it finished"),
        ),
        rerun={"rerun_of": "scheduled-2026-03-14"},
    )
    assert not run.ended_early
    assert run.subject == "ecr-rescan/123456789012/eu-central-1/ecr-rescan-RescanRegistry"


@pytest.mark.parametrize("dry_run", [True, False])
def test_reads_what_the_other_workflow_writes(dry_run: bool) -> None:
    failed = any_record("team/web", status=RecordStatus.FAILED, error="AccessDenied", cause="no")
    late = any_record("team/xml", status=RecordStatus.DEFERRED)
    written = summary_of(
        any_facts(dry_run=dry_run, news=News(RunChange.BASIC_SCANNING, "Basic scanning again.")),
        ["team/api", "team/web", "team/xml"],
        [any_record("team/api"), failed, late],
    )
    event = sample("rescan_finished") | {
        "detail": written.event("runs/run-1/summary.json").detail()
    }
    run = read(event)
    assert (run.run, run.status, run.rerun) == (written.run, written.status, written.rerun)
    assert run.problems == tuple(written.problems.start)
    assert (run.scan_type, run.change) == ("BASIC", "BASIC_SCANNING")
    assert run.remark == "Basic scanning again."
    assert (run.repositories_deferred, run.deferred) == (1, ("team/xml",))
    assert (run.dry_run, "dry_run" in (run.rerun or {})) == (dry_run, dry_run)
    assert decode(RunReport, encode(run)) == run


def test_reads_an_event_of_a_version_that_compares_nothing() -> None:
    run = finished()
    assert (run.scan_type, run.change, run.remark) == (None, None, None)
    assert (run.repositories_deferred, run.deferred) == (0, ())


def test_cuts_a_long_remark_and_a_long_list_of_deferred_repositories() -> None:
    run = finished(remark="x" * 9_999, deferred=[f"team/{n}" for n in range(12)])
    assert len(run.remark or "") == LONGEST_PROBLEM
    assert run.deferred == tuple(f"team/{n}" for n in range(MOST_PROBLEMS))


def test_a_run_that_finished_has_nothing_to_rerun() -> None:
    assert finished(rerun=None).rerun is None
    assert finished(rerun={"rerun_of": ""}).rerun is None


def test_names_the_first_ten_problems() -> None:
    run = finished(problems=[{"repository": f"team/{number}"} for number in range(12)])
    assert run.problems == tuple(Problem(f"team/{number}", "") for number in range(10))


def test_names_fewer_problems_when_they_are_long() -> None:
    run = finished(problems=[{"repository": "team/api", "problem": "x" * 9_999}] * 10)
    assert len(run.problems) == 7
    assert len(run.problems[0].problem) == 500


def test_a_report_without_an_execution_leads_to_all_of_them() -> None:
    event = sample("rescan_finished") | {"resources": None}
    run = read(event)
    assert run.execution_arn == ""
    assert run.link.endswith("#/v2/executions/details/")


def test_reads_a_run_that_ended_early() -> None:
    run = ended()
    assert run.ended_early
    assert (run.run, run.status) == ("scheduled-2026-03-15", "FAILED")
    assert run.error == "States.ExceedToleratedFailureThreshold"
    assert run.cause == "The specified tolerated failure threshold was exceeded"
    assert run.ended_at == datetime(2026, 3, 14, 3, 7, 30, tzinfo=UTC)
    assert run.rerun == {"rerun_of": "scheduled-2026-03-15"}


@pytest.mark.parametrize(
    "error",
    [
        "InvalidRescanRequest",
        "SettingsError",
        "AccessDenied",
        "EcrThrottled",
        "States.Timeout",
        "Lambda.Unknown",
        None,
    ],
)
def test_a_run_that_may_have_had_no_list_cannot_be_rerun(error: str | None) -> None:
    assert ended(error=error).rerun is None


@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED"])
def test_reads_a_run_that_was_ended(status: str) -> None:
    run = ended(status=status, error=None, cause=None)
    assert (run.status, run.error, run.cause) == (status, None, None)
    assert run.rerun == {"rerun_of": "scheduled-2026-03-15"}


@pytest.mark.parametrize(
    ("asked", "dry_run"),
    [
        ('{"dry_run": true, "rescan_after": "2d"}', True),
        ('{"dry_run": false}', False),
        ("{}", False),
        ('{"dry_run": "x"}', False),
        ("[true]", False),
        ("cut off: {", False),
        ("[" * 100_000, False),
        (" " * 300_000, False),
        ({"no": "text"}, False),
        (None, False),
    ],
)
def test_the_rerun_of_a_dry_run_that_ended_early_is_dry(asked: object, dry_run: bool) -> None:
    run = ended(input=asked)
    assert run.dry_run == dry_run
    dry = {"dry_run": True} if dry_run else {}
    assert run.rerun == {"rerun_of": "scheduled-2026-03-15", **dry}


def test_cuts_a_long_cause() -> None:
    assert len(ended(cause="x" * 30_000).cause or "") == 1_000
