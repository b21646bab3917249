"""What people know of an image, and who had a tag, in the table that the template declares."""

from dataclasses import replace
from datetime import datetime, timedelta

import boto3
import pytest

from ledger.digest_entries import DigestEntries, DigestImage, digest_entries
from ledger.errors import BaselineMoved, LedgerUnavailable
from ledger.image_records import (
    Baseline,
    ImageRecords,
    ImageState,
    Note,
    RecordedScan,
    image_records,
)
from tests.support.builders import any_digest
from tests.support.clock import NOW

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
HOUR = timedelta(hours=1)
DIGEST, OTHER, THIRD = any_digest(), any_digest(), any_digest()
FIRST = Baseline(
    ImageState({"CRITICAL": 1, "OTHER": 0}, ("CRITICAL",)),
    notified_at=NOW,
    revision=1,
    notes=(Note("event-1", NOW, None, NOW),),
)
SECOND = Baseline(
    ImageState({"CRITICAL": 1}, ("CRITICAL",), failed=True),
    notified_at=NOW,
    revision=2,
    notes=(Note("event-2", NOW + HOUR, FIRST.image_state, NOW), *FIRST.notes),
)
IMAGE = DigestImage(
    repository="team/api",
    image_digest=DIGEST,
    image="team/api:v1",
    link="https://console.example",
    account="123456789012",
    region="eu-central-1",
    scanned_at=NOW,
    image_state=FIRST.image_state,
    event_id="event-1",
)


@pytest.fixture
def records(ledger_table: str) -> ImageRecords:
    return image_records("ledger-table")


@pytest.fixture
def entries(ledger_table: str) -> DigestEntries:
    return digest_entries("ledger-table")


def note(
    records: ImageRecords,
    baseline: Baseline,
    seen: Baseline | None,
    scanned_at: datetime = NOW,
) -> None:
    records.note_baseline("team/api", DIGEST, baseline, seen=seen, scanned_at=scanned_at)


def test_reads_back_one_baseline_after_the_other(records: ImageRecords) -> None:
    assert records.get("team/api", DIGEST).baseline is None
    note(records, FIRST, None)
    assert records.get("team/api", DIGEST).baseline == FIRST
    note(records, SECOND, FIRST)
    assert records.get("team/api", DIGEST).baseline == SECOND


@pytest.mark.parametrize("seen", [None, SECOND])
def test_refuses_whoever_has_seen_another(records: ImageRecords, seen: Baseline | None) -> None:
    note(records, FIRST, None)
    with pytest.raises(BaselineMoved, match=f"team/api@{DIGEST}"):
        note(records, SECOND, seen)
    assert records.get("team/api", DIGEST).baseline == FIRST


def test_refuses_an_older_scan(records: ImageRecords) -> None:
    scan = RecordedScan(NOW, "COMPLETE", "BASIC")
    records.note_scan("team/api", DIGEST, scan, expires_at=EXPIRES_AT)
    with pytest.raises(BaselineMoved):
        note(records, FIRST, None, scanned_at=NOW - HOUR)
    note(records, FIRST, None)


def test_notes_a_baseline_and_its_digest_or_neither(
    records: ImageRecords, entries: DigestEntries
) -> None:
    put = entries.put("DAILY", IMAGE, ImageState(), expires_at=EXPIRES_AT)
    records.note_baseline("team/api", DIGEST, FIRST, seen=None, scanned_at=NOW, also=[put])
    assert [entry.image for entry in entries.entries_of("DAILY")] == [IMAGE]
    drop = entries.drop("DAILY", IMAGE)
    with pytest.raises(BaselineMoved):
        records.note_baseline("team/api", DIGEST, SECOND, seen=None, scanned_at=NOW, also=[drop])
    assert [entry.image for entry in entries.entries_of("DAILY")] == [IMAGE]
    records.note_baseline("team/api", DIGEST, SECOND, seen=FIRST, scanned_at=NOW, also=[drop])
    assert list(entries.entries_of("DAILY")) == []


def move_tags(records: ImageRecords, digest: str, *tags: str, at: datetime = NOW) -> None:
    scan = RecordedScan(at, "COMPLETE", "BASIC")
    records.note_scan("team/api", digest, scan, expires_at=EXPIRES_AT)
    records.move_tags("team/api", digest, tags, scanned_at=at, expires_at=EXPIRES_AT)


def test_finds_the_image_that_had_a_tag(records: ImageRecords) -> None:
    move_tags(records, OTHER, "v1", "latest")
    found = records.predecessor("team/api", DIGEST, ["v2", "latest"])
    assert found is not None
    assert found.image_digest == OTHER
    assert records.predecessor("team/api", OTHER, ["latest"]) is None
    assert records.predecessor("team/web", DIGEST, ["latest"]) is None
    assert records.predecessor("team/api", DIGEST, ["v2"]) is None
    assert records.predecessor("team/api", DIGEST, []) is None


def test_of_several_takes_the_newest(records: ImageRecords) -> None:
    move_tags(records, OTHER, "latest", at=NOW + HOUR)
    move_tags(records, THIRD, "v1")
    found = records.predecessor("team/api", DIGEST, ["v1", "latest"])
    assert found is not None
    assert found.image_digest == OTHER


def test_a_tag_stays_with_whom_a_newer_scan_has_seen_it(records: ImageRecords) -> None:
    move_tags(records, OTHER, "latest", at=NOW + HOUR)
    move_tags(records, THIRD, "latest")
    found = records.predecessor("team/api", DIGEST, ["latest"])
    assert found is not None
    assert found.image_digest == OTHER


def test_a_tag_is_kept_for_as_long_as_a_scan_has_seen_it(records: ImageRecords) -> None:
    """The same scan twice, and an older one, leave it as it is."""
    for hours, days in ((1, 2), (1, 3), (0, 4)):
        at, until = NOW + hours * HOUR, EXPIRES_AT + days
        records.move_tags("team/api", OTHER, ["latest"], scanned_at=at, expires_at=until)
    (item,) = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    assert item["expires_at"] == {"N": str(EXPIRES_AT + 2)}
    later = NOW + 2 * HOUR
    records.move_tags("team/api", OTHER, ["latest"], scanned_at=later, expires_at=EXPIRES_AT + 5)
    (item,) = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    assert item["expires_at"] == {"N": str(EXPIRES_AT + 5)}


def test_a_tag_whose_image_is_forgotten_says_nothing(records: ImageRecords) -> None:
    records.move_tags("team/api", OTHER, ["latest"], scanned_at=NOW, expires_at=EXPIRES_AT)
    assert records.predecessor("team/api", DIGEST, ["latest"]) is None


def test_a_correction_puts_nothing_into_a_digest(
    records: ImageRecords, entries: DigestEntries
) -> None:
    entries.correct("DAILY", IMAGE)
    assert list(entries.entries_of("DAILY")) == []
    put = entries.put("DAILY", IMAGE, ImageState(), expires_at=EXPIRES_AT)
    records.note_baseline("team/api", DIGEST, FIRST, seen=None, scanned_at=NOW, also=[put])
    better = replace(IMAGE, image_state=ImageState())
    entries.correct("DAILY", better)
    assert [entry.image for entry in entries.entries_of("DAILY")] == [better]


def test_without_its_table_every_call_says_so(records: ImageRecords) -> None:
    boto3.client("dynamodb").delete_table(TableName="ledger-table")
    for call in (
        lambda: note(records, FIRST, None),
        lambda: records.predecessor("team/api", DIGEST, ["v1"]),
        lambda: move_tags(records, DIGEST, "v1"),
    ):
        with pytest.raises(LedgerUnavailable):
            call()
