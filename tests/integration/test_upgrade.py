"""What version 0.3.0 has kept is read, and changed, by this one: an upgrade sends nothing.

tests/support/kept_by_0_3_0.json has the table and the bucket as the code of that version left them,
after three scans, a digest that was composed but not forgotten, and two more scans. Its times are
those of the clock of the tests.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from accepted_risks.document import accepted_risks_document
from ledger.digest_entries import digest_entries
from ledger.errors import BaselineMoved
from ledger.image_records import ImageRecords, ImageState, image_records
from ledger.run_records import RecordStatus, run_records
from notify_scan.known_image import Ledger
from notify_scan.notification import Notification
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ChannelsInUse
from tests.support.clock import NOW
from tests.support.reports import (
    any_composer,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)
from tests.support.template import ROOT

KEPT = ROOT / "tests" / "support" / "kept_by_0_3_0.json"
HOUR = timedelta(hours=1)
API, WEB, ETL, JOB, OLD = (f"sha256:{number:064x}" for number in (1, 2, 3, 4, 5))
COUNTS = dict.fromkeys(
    ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "OTHER"), 0
)
ALARM = ImageState(COUNTS | {"CRITICAL": 5, "HIGH": 1}, ("CRITICAL", "HIGH"))
FIRST_ALARM = ImageState(COUNTS | {"CRITICAL": 2, "HIGH": 1}, ("CRITICAL", "HIGH"))
CHANNELS = ChannelsInUse({Channel.SLACK: None, Channel.TEAMS: None}, frozenset({Channel.SLACK}))


@pytest.fixture
def ledger(ledger_table: str, run_bucket: str) -> Ledger:
    kept = json.loads(KEPT.read_text())
    for item in kept["table"]:
        boto3.client("dynamodb").put_item(TableName=ledger_table, Item=item)
    for key, text in kept["bucket"].items():
        boto3.client("s3").put_object(Bucket=run_bucket, Key=key, Body=text.encode())
    return Ledger(image_records(ledger_table), digest_entries(ledger_table))


def names_in_the_table() -> set[str]:
    """Collect the names of all attributes, of nested ones too."""
    names: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            names.update(value)
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(boto3.client("dynamodb").scan(TableName="ledger-table")["Items"])
    return names


def scan(
    ledger: Ledger, event: str, repository: str, image_digest: str, found: int | str, at: datetime
) -> Notification:
    """Let a scan end that has found so many critical findings, or has failed."""
    given: dict[str, Any] = (
        {"status": found, "severities": {}}
        if isinstance(found, str)
        else {"severities": {"CRITICAL": found, "HIGH": 1 if found > 1 else 0}}
    )
    report = any_scan_report(
        repository=repository, image_digest=image_digest, scanned_at=at, **given
    )
    composer = any_composer(
        policy=any_notification_policy(include_findings=False),
        channels=CHANNELS,
        ledger=ledger,
        now=at,
    )
    return composer.compose(interpreted_of(report, event))


def test_reads_a_record_with_its_baseline_and_notes(ledger: Ledger) -> None:
    record = ledger.records.get("team/api", API)
    assert (record.image_digest, record.image_tags, record.started_by) == (API, ("v1",), "run-1")
    assert record.baseline
    assert record.baseline.image_state == ALARM
    assert (record.baseline.notified_at, record.baseline.revision) == (NOW + 2 * HOUR, 2)
    newest, first = record.baseline.notes
    assert (newest.event_id, newest.before, newest.before_notified_at) == (
        "event-4",
        FIRST_ALARM,
        NOW,
    )
    assert (first.event_id, first.before) == ("event-1", None)
    assert record.last_attempt is None
    (failed,) = ledger.records.records_of("team/old", [OLD])
    assert failed.last_scan
    assert failed.last_scan.severities == {"HIGH": 1}


@pytest.mark.parametrize(
    ("repository", "image_digest", "found", "reason"),
    [
        ("team/api", API, 5, "unchanged"),
        ("team/api", API, 6, "worse than before"),
        ("team/api", API, 0, "no longer above a threshold"),
        ("team/web", WEB, 0, "unchanged"),
        ("team/etl", ETL, "FAILED", "unchanged"),
        ("team/etl", ETL, 0, "no longer above a threshold"),
        ("team/job", JOB, 1, "unchanged"),
    ],
)
def test_the_next_scan_is_compared_with_the_baseline_that_was_kept(
    ledger: Ledger, repository: str, image_digest: str, found: int | str, reason: str
) -> None:
    notification = scan(ledger, "event-6", repository, image_digest, found, NOW + 3 * HOUR)
    assert notification.reason == reason
    is_sent_at_once = any(each.channel is Channel.TEAMS for each in notification.deliveries)
    assert is_sent_at_once == (reason != "unchanged")


def test_a_new_image_is_compared_with_the_one_that_had_its_tag(ledger: Ledger) -> None:
    other = f"sha256:{6:064x}"
    assert scan(ledger, "event-6", "team/api", other, 5, NOW + 3 * HOUR).reason == "unchanged"


@pytest.mark.parametrize(
    ("event", "found", "reason"),
    [("event-4", 5, "worse than before"), ("event-1", 2, "above a threshold")],
)
def test_an_event_that_is_processed_again_results_in_the_same_message(
    ledger: Ledger, event: str, found: int, reason: str
) -> None:
    before = ledger.records.get("team/api", API).baseline
    assert scan(ledger, event, "team/api", API, found, NOW + 2 * HOUR).reason == reason
    assert ledger.records.get("team/api", API).baseline == before


def test_a_baseline_replaces_the_one_that_was_kept_and_no_other(ledger: Ledger) -> None:
    record = ledger.records.get("team/api", API)
    assert record.baseline
    newer = replace(record.baseline, revision=3)

    def note(records: ImageRecords) -> None:
        records.note_baseline(
            "team/api", API, newer, seen=record.baseline, scanned_at=NOW + 3 * HOUR
        )

    note(ledger.records)
    with pytest.raises(BaselineMoved):
        note(ledger.records)
    assert ledger.records.get("team/api", API).baseline == newer


def test_records_of_a_run_are_read(ledger: Ledger) -> None:
    api, etl, gone, job = run_records("ledger-table").for_run("run-1")
    assert (api.status, api.results_missing, api.results_found) == (RecordStatus.FINISHED, 2, 1)
    assert api.images == {"STARTED": {"accepted": 2}, "FRESH": {"scanned within RescanAfter": 7}}
    assert etl.problem() == "ImageScansFailed: 1 of 1 images could not be scanned: 1 EcrThrottled"
    assert gone.status is RecordStatus.GONE
    assert (job.status, job.problem()) == (RecordStatus.FAILED, "AccessDenied: denied")


def test_notices_that_were_sent_are_not_sent_again(ledger: Ledger) -> None:
    document = accepted_risks_document("run-bucket", "ledger-table")
    (expired,) = document.in_force(NOW).risks.expired(NOW.date())
    notices = document.expiry_notices(event="event-10", today=NOW.date())
    assert notices
    assert (notices.expired, notices.expiring) == ((), ())
    assert expired.id in notices.reported
    boto3.client("s3").put_object(Bucket="run-bucket", Key="accepted-risks.yaml", Body=b"no")
    in_force = document.in_force(NOW + HOUR)
    assert in_force.refusal
    assert {risk.vulnerability for risk in in_force.risks.entries} == {"CVE-1", "CVE-2"}


def test_writes_the_new_names_alone(ledger: Ledger) -> None:
    """What is changed has no former name left, but for the state before the first change."""
    former = {"standing", "told_at", "before_told_at", "before_it"}
    assert former <= names_in_the_table()
    table: Any = boto3.resource("dynamodb").Table("ledger-table")
    for item in table.scan()["Items"]:
        if (item["pk"], item["sk"]) != ("repository#team/api", f"image#{API}"):
            table.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})
    at = NOW + 3 * HOUR
    for event, found in enumerate((9, 0, 3, 9, 0, 3), start=6):
        scan(ledger, f"event-{event}", "team/api", API, found, at + event * HOUR)
    assert names_in_the_table().isdisjoint(former)
