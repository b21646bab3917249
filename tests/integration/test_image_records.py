"""The image records in the table that the template declares."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import boto3
import pytest

from ledger.errors import LedgerUnavailable
from ledger.image_baselines import baselines
from ledger.image_records import Attempt, ImageRecord, ImageRecords, RecordedScan, image_records
from ledger.table import Table
from tests.support.builders import any_digest
from tests.support.clock import NOW
from tests.support.template import resources

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
DIGEST = any_digest()
SCAN = RecordedScan(NOW, "COMPLETE", "BASIC", severities={"HIGH": 2, "LOW": 11})
OLDER = RecordedScan(NOW - timedelta(seconds=1), "FAILED", "BASIC")
MINUTE = timedelta(minutes=1)
REFUSED = Attempt(NOW, "UNSCANNABLE", "refused by ECR")


@pytest.fixture
def records(ledger_table: str) -> ImageRecords:
    return image_records("ledger-table")


def record_of(image_digest: str) -> ImageRecord:
    """Read a record with all that it has, as NotifyScan does."""
    return baselines("ledger-table").recall("team/api", image_digest, ()).image.record


def items() -> list[dict[str, Any]]:
    return boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]


def test_reads_back_what_was_noted(records: ImageRecords) -> None:
    records.note_started("team/api", DIGEST, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    records.note_scan("team/api", DIGEST, SCAN, expires_at=EXPIRES_AT)
    record = ImageRecord(DIGEST, last_scan=SCAN, started_at=NOW, started_by="run-1")
    assert list(records.records_of("team/api", [DIGEST])) == [record]
    assert record_of(DIGEST) == record


def test_reads_with_the_scans_of_a_page_whose_findings_are_missing(records: ImageRecords) -> None:
    records.note_scan("team/api", DIGEST, SCAN, expires_at=EXPIRES_AT)
    baselines("ledger-table").note_names_missing("team/api", DIGEST, SCAN.scanned_at)
    record = ImageRecord(DIGEST, last_scan=SCAN, names_missing=SCAN.scanned_at)
    assert list(records.records_of("team/api", [DIGEST])) == [record]


def test_knows_nothing_of_an_image_that_was_never_noted(records: ImageRecords) -> None:
    assert record_of(DIGEST) == ImageRecord(DIGEST)
    assert list(records.records_of("team/api", [DIGEST])) == []


def test_writes_keys_and_an_expiry_as_the_template_declares_them(records: ImageRecords) -> None:
    records.note_scan("team/api", DIGEST, SCAN, expires_at=EXPIRES_AT)
    (item,) = items()
    assert (item["pk"], item["sk"]) == ({"S": "repository#team/api"}, {"S": f"image#{DIGEST}"})
    expiry = resources("AWS::DynamoDB::Table")["LedgerTable"]["TimeToLiveSpecification"]
    assert item[expiry["AttributeName"]] == {"N": str(EXPIRES_AT)}


@pytest.mark.parametrize("known", [SCAN, RecordedScan(NOW, "FAILED", "ENHANCED")])
@pytest.mark.parametrize("late", [OLDER, RecordedScan(NOW, "COMPLETE", "BASIC")])
def test_never_writes_an_older_scan_over_a_newer_one(
    records: ImageRecords, known: RecordedScan, late: RecordedScan
) -> None:
    records.note_scan("team/api", DIGEST, known, expires_at=EXPIRES_AT)
    records.note_scan("team/api", DIGEST, late, expires_at=EXPIRES_AT + 1)
    assert record_of(DIGEST).last_scan == known
    assert items()[0]["expires_at"] == {"N": str(EXPIRES_AT)}


def test_writes_a_newer_scan_over_an_older_one(records: ImageRecords) -> None:
    records.note_scan("team/api", DIGEST, OLDER, expires_at=EXPIRES_AT)
    records.note_scan("team/api", DIGEST, SCAN, expires_at=EXPIRES_AT + 1)
    assert record_of(DIGEST).last_scan == SCAN
    assert items()[0]["expires_at"] == {"N": str(EXPIRES_AT + 1)}


def test_never_writes_an_older_start_over_a_newer_one(records: ImageRecords) -> None:
    for run, at in (("run-1", NOW - MINUTE), ("run-2", NOW), ("late", NOW - MINUTE), ("same", NOW)):
        records.note_started("team/api", DIGEST, run=run, at=at, expires_at=EXPIRES_AT)
    record = record_of(DIGEST)
    assert (record.started_at, record.started_by) == (NOW, "run-2")


def test_compares_times_whatever_zone_they_are_written_in(records: ImageRecords) -> None:
    """The condition compares texts, and boto3 reads times in the zone of the machine."""
    east = timezone(timedelta(hours=9))
    older = RecordedScan((NOW - MINUTE).astimezone(east), "COMPLETE", "BASIC")
    for scan in (SCAN, older):
        records.note_scan("team/api", DIGEST, scan, expires_at=EXPIRES_AT)
    records.note_started("team/api", DIGEST, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    late = (NOW - MINUTE).astimezone(east)
    records.note_started("team/api", DIGEST, run="late", at=late, expires_at=EXPIRES_AT)
    record = record_of(DIGEST)
    assert (record.last_scan, record.started_by) == (SCAN, "run-1")


def test_keeps_the_scan_where_a_start_is_noted_and_the_start_where_a_scan_is(
    records: ImageRecords,
) -> None:
    records.note_scan("team/api", DIGEST, OLDER, expires_at=EXPIRES_AT)
    records.note_started("team/api", DIGEST, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    assert record_of(DIGEST).last_scan == OLDER
    records.note_scan("team/api", DIGEST, SCAN, expires_at=EXPIRES_AT)
    assert record_of(DIGEST).started_by == "run-1"


def test_reads_the_images_asked_for_and_nothing_else_of_a_repository(
    records: ImageRecords,
) -> None:
    for repository in ("team/api", "team/api-2", "team"):
        records.note_scan(repository, DIGEST, SCAN, expires_at=EXPIRES_AT)
    boto3.client("dynamodb").put_item(
        TableName="ledger-table",
        Item={"pk": {"S": "repository#team/api"}, "sk": {"S": "tag#latest"}},
    )
    records.note_scan("team/api", any_digest(), SCAN, expires_at=EXPIRES_AT)
    asked = [DIGEST, any_digest()]
    assert list(records.records_of("team/api", asked)) == [ImageRecord(DIGEST, last_scan=SCAN)]


# Attempts that ECR has not accepted


def test_reads_back_an_attempt_that_ecr_has_refused(records: ImageRecords) -> None:
    records.note_scan("team/api", DIGEST, OLDER, expires_at=EXPIRES_AT)
    records.note_attempt("team/api", DIGEST, REFUSED, expires_at=EXPIRES_AT + 1)
    record = ImageRecord(DIGEST, last_scan=OLDER, last_attempt=REFUSED)
    assert list(records.records_of("team/api", [DIGEST])) == [record]
    assert record_of(DIGEST) == record
    assert items()[0]["expires_at"] == {"N": str(EXPIRES_AT + 1)}


def test_never_writes_an_older_attempt_over_a_newer_one(records: ImageRecords) -> None:
    east = timezone(timedelta(hours=9))
    older = Attempt((NOW - MINUTE).astimezone(east), "FAILED", "OddException")
    for attempt in (REFUSED, older, Attempt(NOW, "FAILED", "same time")):
        records.note_attempt("team/api", DIGEST, attempt, expires_at=EXPIRES_AT)
    assert record_of(DIGEST).last_attempt == REFUSED
    newer = Attempt((NOW + MINUTE).astimezone(east), "FAILED", "OddException")
    records.note_attempt("team/api", DIGEST, newer, expires_at=EXPIRES_AT)
    assert record_of(DIGEST).last_attempt == newer


def test_forgets_an_attempt_when_a_scan_is_started_later(records: ImageRecords) -> None:
    records.note_attempt("team/api", DIGEST, REFUSED, expires_at=EXPIRES_AT)
    at = NOW + MINUTE
    records.note_started("team/api", DIGEST, run="run-1", at=at, expires_at=EXPIRES_AT)
    assert record_of(DIGEST) == ImageRecord(DIGEST, started_at=at, started_by="run-1")


@pytest.mark.parametrize("before", [timedelta(0), MINUTE])
def test_writes_no_attempt_over_a_later_start(records: ImageRecords, before: timedelta) -> None:
    """Such as that of another run at the same time."""
    records.note_started("team/api", DIGEST, run="run-1", at=NOW + before, expires_at=EXPIRES_AT)
    records.note_attempt("team/api", DIGEST, REFUSED, expires_at=EXPIRES_AT)
    assert record_of(DIGEST).last_attempt is None


def test_keeps_an_attempt_where_a_scan_is_noted(records: ImageRecords) -> None:
    records.note_attempt("team/api", DIGEST, REFUSED, expires_at=EXPIRES_AT)
    records.note_scan("team/api", DIGEST, OLDER, expires_at=EXPIRES_AT)
    assert record_of(DIGEST).last_attempt == REFUSED


def test_knows_which_images_a_run_has_started(records: ImageRecords) -> None:
    ours, theirs, scanned, unknown = (any_digest() for _ in range(4))
    for digest, run in ((ours, "run-1"), (theirs, "run-2")):
        records.note_started("team/api", digest, run=run, at=NOW, expires_at=EXPIRES_AT)
    records.note_started("team/web", unknown, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    records.note_scan("team/api", scanned, SCAN, expires_at=EXPIRES_AT)
    asked = [ours, theirs, scanned, unknown]
    assert records.started_by("run-1", "team/api", asked) == {ours}
    assert records.started_by("run-3", "team/api", asked) == frozenset()


def test_reads_the_images_of_a_batch_with_one_call(ledger_table: str) -> None:
    client = boto3.client("dynamodb")
    records, digests = ImageRecords(Table(client, ledger_table)), [any_digest() for _ in range(50)]
    for digest in digests:
        records.note_started("team/api", digest, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    calls = counted(client)
    assert records.started_by("run-1", "team/api", digests) == set(digests)
    assert calls == {"BatchGetItem": 1}


# Calls


def counted(client: Any) -> Counter[str]:
    """Count the calls that read the table."""
    calls: Counter[str] = Counter()
    client.meta.events.register(
        "provide-client-params.dynamodb.*", lambda model, **_: calls.update([model.name])
    )
    return calls


def test_reads_a_repository_with_one_call(ledger_table: str) -> None:
    client = boto3.client("dynamodb")
    records, digests = ImageRecords(Table(client, ledger_table)), [any_digest() for _ in range(30)]
    for digest in digests:
        records.note_scan("team/api", digest, SCAN, expires_at=EXPIRES_AT)
    calls = counted(client)
    found = {
        record.image_digest: record.last_scan for record in records.records_of("team/api", digests)
    }
    assert found == dict.fromkeys(digests, SCAN)
    assert calls == {"Query": 1}


def test_reads_by_key_what_lies_beyond_a_megabyte(ledger_table: str) -> None:
    """Such as the last of many images, the others of which may have been deleted long ago."""
    client = boto3.client("dynamodb")
    records = ImageRecords(Table(client, ledger_table))
    digests = sorted(any_digest() for _ in range(115))
    for number, digest in enumerate(digests):  # DynamoDB answers 1 MB at a time, here four images
        run = "x" * 300_000 if number < 4 else "any"
        records.note_started("team/api", digest, run=run, at=NOW, expires_at=EXPIRES_AT)
    calls = counted(client)
    assert [record.image_digest for record in records.records_of("team/api", digests)] == digests
    assert calls == {"Query": 1, "BatchGetItem": 2}
    assert [
        record.image_digest for record in records.records_of("team/api", digests[-1:])
    ] == digests[-1:]
    assert calls == {"Query": 2, "BatchGetItem": 3}
    assert [
        record.image_digest for record in records.records_of("team/api", digests[:1])
    ] == digests[:1]
    assert calls == {"Query": 3, "BatchGetItem": 3}


CALLS: dict[str, Callable[[ImageRecords], object]] = {
    "records_of": lambda records: list(records.records_of("team/api", [DIGEST])),
    "note_started": lambda records: records.note_started(
        "team/api", DIGEST, run="run-1", at=NOW, expires_at=EXPIRES_AT
    ),
    "note_attempt": lambda records: records.note_attempt(
        "team/api", DIGEST, REFUSED, expires_at=EXPIRES_AT
    ),
    "started_by": lambda records: records.started_by("run-1", "team/api", [DIGEST]),
    "note_scan": lambda records: records.note_scan("team/api", DIGEST, SCAN, expires_at=EXPIRES_AT),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_says_that_it_is_unavailable_when_the_table_is_gone(
    records: ImageRecords, call: Callable[[ImageRecords], object]
) -> None:
    boto3.client("dynamodb").delete_table(TableName="ledger-table")
    with pytest.raises(LedgerUnavailable, match="ResourceNotFoundException"):
        call(records)
