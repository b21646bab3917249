import io
from datetime import timedelta

import pytest

from ledger.run_records import RecordStatus, RunRecord
from rescan_registry import record_repository as module
from rescan_registry.outcomes import Decision, Outcome, Tally
from rescan_registry.progress import Progress
from rescan_registry.record_repository import (
    ImageScansFailed,
    RepositoryOutcome,
    WorkedRepository,
    record_repository,
)
from rescan_registry.start_image_scan import STARTED
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeRecords

FRESH = Decision(Outcome.FRESH, "scanned within RescanAfter")
STARTED_AT = NOW - timedelta(minutes=1)


def worked(progress: Progress) -> WorkedRepository:
    return WorkedRepository(
        run="run-1",
        repository="team/api",
        started_at=STARTED_AT,
        records_expire_at="1776049200",
        progress=progress,
    )


def test_folds_the_last_wave_into_the_record() -> None:
    records = FakeRecords()
    progress = Progress(
        outcomes=(STARTED, STARTED),
        results_missing=2,
        results_found=1,
        tally=Tally().plus(FRESH),
        finished=True,
    )
    outcome = record_repository(worked(progress), records=records, now=NOW)
    assert outcome == RepositoryOutcome(
        "team/api", RecordStatus.FINISHED, {Outcome.FRESH: 1, Outcome.STARTED: 2}
    )
    assert records.kept == [
        RunRecord(
            run="run-1",
            repository="team/api",
            status=RecordStatus.FINISHED,
            started_at=STARTED_AT,
            ended_at=NOW,
            images={"FRESH": {"scanned within RescanAfter": 1}, "STARTED": {"accepted": 2}},
            results_missing=2,
            results_found=1,
        )
    ]
    assert records.expiries == [1776049200]


def test_records_a_deleted_repository_as_gone() -> None:
    records = FakeRecords()
    progress = Progress(tally=Tally().plus(FRESH), finished=True, repository_gone=True)
    outcome = record_repository(worked(progress), records=records, now=NOW)
    assert outcome.status is RecordStatus.GONE
    assert records.kept[0].is_done


@pytest.mark.parametrize("repository_gone", [False, True])
def test_fails_after_it_recorded_that_images_failed(repository_gone: bool) -> None:
    records = FakeRecords()
    progress = Progress(
        outcomes=(STARTED, Decision(Outcome.FAILED, "EcrThrottled")),
        tally=Tally()
        .plus(FRESH)
        .plus_many(Decision(Outcome.FAILED, "AccessDenied"), 2)
        .plus_many(Decision(Outcome.FAILED, "EcrThrottled"), 1),
        finished=True,
        repository_gone=repository_gone,
    )
    cause = "4 of 6 images could not be scanned: 2 AccessDenied, 2 EcrThrottled"
    with pytest.raises(ImageScansFailed, match=cause):
        record_repository(worked(progress), records=records, now=NOW)
    (record,) = records.kept
    assert record.status is RecordStatus.FAILED
    assert (record.error, record.cause) == ("ImageScansFailed", cause)
    assert record.images["STARTED"] == {"accepted": 1}
    assert not record.is_done


def test_answers_the_state_machine_with_counts(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr(module, "run_records", lambda table: FakeRecords())
    event = {
        "run": "run-1",
        "repository": "team/api",
        "started_at": "2026-03-14T03:00:00.000Z",
        "records_expire_at": "1776049200",
        "progress": {
            "outcomes": [{"outcome": "STARTED", "reason": "accepted"}],
            "finished": True,
        },
    }
    assert module.handler(event, any_lambda_context()) == {
        "repository": "team/api",
        "status": "FINISHED",
        "images": {"STARTED": 1},
    }
