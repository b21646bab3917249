from datetime import UTC, datetime
from typing import Any

import pytest

from reporting.reports import RunReport
from tests.support.causes import of_lambda
from tests.support.events import interpreted, sample


def read(event: Any) -> RunReport:
    run = interpreted(event).run
    assert run
    return run


def ended(**detail: Any) -> RunReport:
    event = sample("execution_failed")
    event["detail"] |= detail
    return read(event)


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


def test_a_function_has_its_message_as_the_cause() -> None:
    assert ended(cause=of_lambda("RescanAfter must be")).cause == "RescanAfter must be"
    assert len(ended(cause=of_lambda("x" * 30_000)).cause or "") == 1_000


def test_cuts_a_long_cause() -> None:
    assert len(ended(cause="x" * 30_000).cause or "") == 1_000
