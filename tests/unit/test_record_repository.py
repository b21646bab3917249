import io
from datetime import timedelta
from typing import Any

import pytest

from ledger.run_records import Example, Freshness, OldImage, RecordStatus, RunRecord
from rescan_registry import record_repository as module
from rescan_registry.outcomes import REPOSITORY_GONE, STARTED, Decision, Outcome, Tally
from rescan_registry.progress import Batch, BatchOutcome, Progress, StartedBatches
from rescan_registry.record_repository import (
    ImageScansFailed,
    RepositoryOutcome,
    WorkedRepository,
    record_repository,
)
from tests.support.builders import any_digest
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


def one_batch(*decisions: Decision, **given: Any) -> dict[str, Any]:
    """Make the last batch of a repository and its outcome."""
    digests = tuple(any_digest() for _ in decisions)
    outcome = BatchOutcome(Tally().plus(*decisions), **given)
    return {"batches": (Batch(1, 1, digests),), "started": StartedBatches((outcome,))}


def test_folds_the_last_batch_into_the_record() -> None:
    records = FakeRecords()
    progress = Progress(
        **one_batch(STARTED, STARTED),
        results_missing=2,
        results_found=1,
        freshness=Freshness(
            scannable=3, oldest=tuple(OldImage("team/api", f"sha256:{n}", NOW) for n in range(3))
        ),
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
            freshness=Freshness(scannable=3, oldest=(OldImage("team/api", "sha256:0", NOW),)),
        )
    ]
    assert records.expiries == [1776049200]


def test_records_a_deleted_repository_as_gone() -> None:
    records = FakeRecords()
    progress = Progress(tally=Tally().plus(FRESH), finished=True, repository_gone=True)
    outcome = record_repository(worked(progress), records=records, now=NOW)
    assert outcome.status is RecordStatus.GONE
    assert records.kept[0].freshness is None
    assert records.kept[0].is_done


def test_records_a_repository_as_gone_that_was_deleted_while_its_scans_were_started() -> None:
    records = FakeRecords()
    progress = Progress(**one_batch(STARTED, REPOSITORY_GONE), finished=True)
    outcome = record_repository(worked(progress), records=records, now=NOW)
    assert outcome.status is RecordStatus.GONE


@pytest.mark.parametrize(
    ("cut_short", "gone", "status", "is_done"),
    [
        (True, False, RecordStatus.DEFERRED, False),
        (True, True, RecordStatus.GONE, True),
        (False, False, RecordStatus.FINISHED, True),
    ],
)
def test_records_a_repository_as_deferred_whose_images_were_not_all_looked_at(
    cut_short: bool, gone: bool, status: RecordStatus, is_done: bool
) -> None:
    """Not a failure: the run's time was over. A rerun selects it."""
    records = FakeRecords()
    tally = Tally().plus(FRESH, Decision(Outcome.DEFERRED, "run time"))
    progress = Progress(tally=tally, finished=True, cut_short=cut_short, repository_gone=gone)
    outcome = record_repository(worked(progress), records=records, now=NOW)
    assert (outcome.status, records.kept[0].status) == (status, status)
    assert records.kept[0].is_done is is_done


@pytest.mark.parametrize("repository_gone", [False, True])
@pytest.mark.parametrize("cut_short", [False, True])
def test_fails_after_it_recorded_that_images_failed(repository_gone: bool, cut_short: bool) -> None:
    records = FakeRecords()
    one, other = Example(any_digest(), "denied"), Example(any_digest(), "no answer")
    progress = Progress(
        **one_batch(
            STARTED,
            Decision(Outcome.FAILED, "EcrUnavailable"),
            examples={"EcrUnavailable": other},
        ),
        examples={"AccessDenied": one},
        tally=Tally()
        .plus(FRESH)
        .plus_many(Decision(Outcome.FAILED, "AccessDenied"), 2)
        .plus_many(Decision(Outcome.FAILED, "EcrUnavailable"), 1),
        finished=True,
        repository_gone=repository_gone,
        cut_short=cut_short,
    )
    cause = "4 of 6 images could not be scanned: 2 AccessDenied, 2 EcrUnavailable"
    with pytest.raises(ImageScansFailed, match=cause):
        record_repository(worked(progress), records=records, now=NOW)
    (record,) = records.kept
    assert record.status is RecordStatus.FAILED
    assert (record.error, record.cause) == ("ImageScansFailed", cause)
    assert record.images["STARTED"] == {"accepted": 1}
    assert record.examples == {"AccessDenied": one, "EcrUnavailable": other}
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
            "batches": [{"number": 1, "first": 7, "image_digests": [any_digest()]}],
            "started": {
                "outcomes": [{"tally": {"counts": {"STARTED": {"accepted": 1}}}}],
                "left_count": 0,
            },
            "finished": True,
        },
    }
    assert module.handler(event, any_lambda_context()) == {
        "repository": "team/api",
        "status": "FINISHED",
        "images": {"STARTED": 1},
    }
