"""Dates that cannot be true, in the table that the template declares: all give way to others."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest

from ledger.errors import BaselineMoved
from ledger.image_baselines import Baselines, baselines
from ledger.image_records import (
    Attempt,
    Baseline,
    ImageRecord,
    ImageRecords,
    ImageState,
    RecordedScan,
    image_records,
)
from runtime.clock import CLOCK_SKEW
from tests.support.builders import any_digest
from tests.support.clock import NOW

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
SECOND = timedelta(seconds=1)
DIGEST, OTHER = any_digest(), any_digest()
SCAN = RecordedScan(NOW, "COMPLETE", "BASIC", severities={"HIGH": 2})
REFUSED = Attempt(NOW, "UNSCANNABLE", "refused by ECR")
FIRST = Baseline(ImageState({"HIGH": 2}, ("HIGH",)), notified_at=NOW, revision=1, notes=())
# The one that a clock can show, and the first that none can.
AHEAD = [(CLOCK_SKEW, False), (CLOCK_SKEW + SECOND, True)]


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)


@pytest.fixture
def records(ledger_table: str) -> ImageRecords:
    return image_records("ledger-table")


@pytest.fixture
def known(ledger_table: str) -> Baselines:
    return baselines("ledger-table")


def record(records: ImageRecords, digest: str) -> ImageRecord:
    (found,) = records.records_of("team/api", [digest])
    return found


@pytest.mark.parametrize(("ahead", "is_future"), AHEAD)
def test_are_written_over(records: ImageRecords, ahead: timedelta, is_future: bool) -> None:
    scanned, tried, started = (any_digest() for _ in range(3))
    for at in (NOW + ahead, NOW):
        scan, attempt = replace(SCAN, scanned_at=at), replace(REFUSED, attempted_at=at)
        records.note_scan("team/api", scanned, scan, expires_at=EXPIRES_AT)
        records.note_attempt("team/api", tried, attempt, expires_at=EXPIRES_AT)
        records.note_started("team/api", started, run=str(at), at=at, expires_at=EXPIRES_AT)
    at = NOW if is_future else NOW + ahead
    assert record(records, scanned).last_scan == replace(SCAN, scanned_at=at)
    assert record(records, tried).last_attempt == replace(REFUSED, attempted_at=at)
    assert record(records, started).started_at == at


@pytest.mark.parametrize(("ahead", "is_future"), AHEAD)
def test_of_a_start_keep_no_attempt_out(
    records: ImageRecords, ahead: timedelta, is_future: bool
) -> None:
    at = NOW + ahead
    records.note_started("team/api", DIGEST, run="run-1", at=at, expires_at=EXPIRES_AT)
    records.note_attempt("team/api", DIGEST, REFUSED, expires_at=EXPIRES_AT)
    assert record(records, DIGEST).last_attempt == (REFUSED if is_future else None)


@pytest.mark.parametrize(("ahead", "is_future"), AHEAD)
def test_of_a_scan_stop_no_baseline(
    records: ImageRecords, known: Baselines, ahead: timedelta, is_future: bool
) -> None:
    scan = replace(SCAN, scanned_at=NOW + ahead)
    records.note_scan("team/api", DIGEST, scan, expires_at=EXPIRES_AT)
    with nullcontext() if is_future else pytest.raises(BaselineMoved):
        known.note("team/api", DIGEST, FIRST, seen=None, scanned_at=NOW)
    recalled = known.recall("team/api", DIGEST, []).image.record
    assert recalled.baseline == (FIRST if is_future else None)
    assert recalled.last_scan == (None if is_future else scan)


@pytest.mark.parametrize(("ahead", "is_future"), AHEAD)
def test_of_a_tag_do_not_hold_it(known: Baselines, ahead: timedelta, is_future: bool) -> None:
    def move(digest: str, ahead: timedelta) -> None:
        at = NOW + ahead
        known.move_tags("team/api", digest, ["v1"], scanned_at=at, expires_at=EXPIRES_AT)

    move(OTHER, ahead)
    assert (known.recall("team/api", DIGEST, ["v1"]).pointers == {}) == is_future
    move(DIGEST, timedelta())
    keys = {"pk": {"S": "repository#team/api"}, "sk": {"S": "tag#v1"}}
    item = boto3.client("dynamodb").get_item(TableName="ledger-table", Key=keys)["Item"]
    assert item["image_digest"] == {"S": DIGEST if is_future else OTHER}
