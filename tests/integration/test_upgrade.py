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
from ledger.announcements import announcements
from ledger.digest_entries import digest_entries
from ledger.errors import BaselineMoved
from ledger.image_baselines import StoredImage, baselines
from ledger.image_records import ImageState, RecordedScan, image_records
from ledger.run_records import RecordStatus, run_records
from ledger.table import attributes, key_attributes
from notify_scan.new_baseline import Ledger
from notify_scan.notification import Notification
from registry.images import LastScan
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ChannelsInUse, ImmediateFrom
from reporting.channels.pagerduty import dedup_key
from reporting.reports import ScanReport
from tests.support.clock import NOW
from tests.support.reports import (
    FakeScans,
    any_composer,
    any_finding,
    any_notification_policy,
    any_scan_report,
    findings_of,
    interpreted_of,
)
from tests.support.template import ROOT

KEPT = ROOT / "tests" / "support" / "kept_by_0_3_0.json"
HOUR = timedelta(hours=1)
API, WEB, ETL, JOB, OLD, NEW = (f"sha256:{number:064x}" for number in (1, 2, 3, 4, 5, 6))
COUNTS = dict.fromkeys(
    ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "OTHER"), 0
)
ALARM = ImageState(COUNTS | {"CRITICAL": 5, "HIGH": 1}, ("CRITICAL", "HIGH"))
FIRST_ALARM = ImageState(COUNTS | {"CRITICAL": 2, "HIGH": 1}, ("CRITICAL", "HIGH"))
CHANNELS = ChannelsInUse(
    {Channel.SLACK: None, Channel.TEAMS: None, Channel.PAGERDUTY: None},
    frozenset({Channel.SLACK}),
    ImmediateFrom.CRITICAL,
)


@pytest.fixture
def ledger(ledger_table: str, run_bucket: str) -> Ledger:
    kept = json.loads(KEPT.read_text())
    for item in kept["table"]:
        boto3.client("dynamodb").put_item(TableName=ledger_table, Item=item)
    for key, text in kept["bucket"].items():
        boto3.client("s3").put_object(Bucket=run_bucket, Key=key, Body=text.encode())
    return Ledger(
        image_records(ledger_table),
        baselines(ledger_table),
        digest_entries(ledger_table),
        announcements(ledger_table),
    )


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
    ledger: Ledger,
    event: str,
    repository: str,
    image_digest: str,
    found: int | str,
    at: datetime,
    *,
    by_name: bool = True,
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
    return compose(ledger, report, event, by_name=by_name)


def compose(
    ledger: Ledger,
    report: ScanReport,
    event: str,
    *,
    by_name: bool = True,
    scans: FakeScans | None = None,
) -> Notification:
    """Record a scan, as the state RecordScan does, and compose the notification about it."""
    interpreted = interpreted_of(report, event)
    assert interpreted.record
    image_records("ledger-table").note_scan(
        interpreted.record.repository,
        interpreted.record.image_digest,
        RecordedScan(report.scanned_at, report.status, report.scan_type, report.severities),
        expires_at=int(interpreted.record.expires_at),
    )
    composer = any_composer(
        policy=any_notification_policy(include_findings=by_name),
        channels=CHANNELS,
        registry=(scans or FakeScans(findings_of(report.severities))).as_registry,
        ledger=ledger,
        now=report.scanned_at,
    )
    return composer.compose(interpreted)


def stored(ledger: Ledger, repository: str, image_digest: str) -> StoredImage:
    return ledger.baselines.recall(repository, image_digest, ()).image


def is_sent(notification: Notification) -> bool:
    """Return whether people hear of it in a channel without a digest."""
    return Channel.TEAMS in {each.channel for each in notification.deliveries}


def incidents(notification: Notification) -> list[tuple[str, str]]:
    contents: list[Any] = [
        each.content for each in notification.deliveries if each.channel is Channel.PAGERDUTY
    ]
    return [(each["event_action"], each["dedup_key"]) for each in contents]


def subject(repository: str, image_digest: str) -> str:
    return any_scan_report(repository=repository, image_digest=image_digest).subject


def test_reads_a_record_with_its_baseline_and_notes(ledger: Ledger) -> None:
    image = stored(ledger, "team/api", API)
    record = image.record
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
    assert (record.baseline.incident, record.names_missing, image.findings) == (None, None, None)
    (failed,) = image_records("ledger-table").records_of("team/old", [OLD])
    assert failed.last_scan
    assert failed.last_scan.severities == {"HIGH": 1}


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(
    ("repository", "image_digest", "found", "reason"),
    [
        ("team/api", API, 5, "unchanged"),
        ("team/api", API, 6, "worse than before"),
        ("team/api", API, 4, "NotifyOn excludes BETTER"),
        ("team/api", API, 0, "no longer above a threshold"),
        ("team/web", WEB, 0, "unchanged"),
        ("team/etl", ETL, "FAILED", "unchanged"),
        ("team/etl", ETL, 0, "no longer above a threshold"),
        ("team/job", JOB, 1, "unchanged"),
        ("team/api", NEW, 5, "unchanged"),  # has the tag of the other image
        ("team/api", NEW, 6, "worse than before"),
    ],
)
def test_the_next_scan_is_compared_with_the_baseline_that_was_kept(
    ledger: Ledger, repository: str, image_digest: str, found: int | str, reason: str, by_name: bool
) -> None:
    at = NOW + 3 * HOUR
    notification = scan(ledger, "event-6", repository, image_digest, found, at, by_name=by_name)
    assert notification.reason == reason
    assert is_sent(notification) == (reason not in ("unchanged", "NotifyOn excludes BETTER"))


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(
    ("event", "found", "reason"),
    [("event-4", 5, "worse than before"), ("event-1", 2, "above a threshold")],
)
def test_an_event_that_is_processed_again_results_in_the_same_message(
    ledger: Ledger, event: str, found: int, reason: str, by_name: bool
) -> None:
    before = stored(ledger, "team/api", API).record.baseline
    at = NOW + 2 * HOUR
    assert scan(ledger, event, "team/api", API, found, at, by_name=by_name).reason == reason
    assert stored(ledger, "team/api", API).record.baseline == before


def test_a_baseline_replaces_the_one_that_was_kept_and_no_other(ledger: Ledger) -> None:
    seen = stored(ledger, "team/api", API).record.baseline
    assert seen
    newer = replace(seen, revision=3, incident="")

    def note() -> None:
        ledger.baselines.note("team/api", API, newer, seen=seen, scanned_at=NOW + 3 * HOUR)

    note()
    with pytest.raises(BaselineMoved):
        note()
    assert stored(ledger, "team/api", API).record.baseline == newer


# The first run and the first day after the update


STATES: list[dict[str, Any]] = [
    {"counts": {}, "exceeded": [], "failed": True},
    *(
        {
            "counts": COUNTS | {"CRITICAL": critical, "HIGH": high},
            "exceeded": [name for name, count in (("CRITICAL", critical), ("HIGH", high)) if count],
            "failed": failed,
        }
        for critical, high in ((0, 0), (1, 0), (0, 2), (2, 2))
        for failed in (False, True)
    ),
]
SCANS: list[dict[str, Any]] = [
    {"status": "FAILED", "severities": {}},
    *(
        {"severities": {"CRITICAL": critical, "HIGH": high}}
        for critical, high in ((0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (2, 2), (3, 1))
    ),
]


def is_sent_by_0_3_0(before: dict[str, Any], scan: dict[str, Any]) -> bool:
    """Compare as version 0.3.0 did, by the findings above thresholds, with its defaults."""
    if "status" in scan:
        return not before["failed"]
    excess = {name: count for name, count in scan["severities"].items() if count}
    if not excess:
        return before["failed"] or bool(before["exceeded"])
    earlier = {name: before["counts"][name] for name in before["exceeded"]}
    return any(count > earlier.get(name, 0) for name, count in excess.items())


def keep_as_0_3_0(image_digest: str, image_state: dict[str, Any]) -> None:
    """Write the record of an image as version 0.3.0 did."""
    at = NOW.isoformat()
    note = {"event_id": "event-0", "noted_at": at, "before": None, "before_told_at": at}
    baseline = {"standing": image_state, "told_at": at, "revision": 1, "notes": [note]}
    key = key_attributes(("repository#team/api", f"image#{image_digest}"))
    item = {**key, **attributes({"baseline": baseline, "expires_at": 1_789_016_400})}
    boto3.client("dynamodb").put_item(TableName="ledger-table", Item=item)


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("by_name", [False, True])
def test_the_first_scan_is_reported_just_where_version_0_3_0_would_have_done_it(
    ledger: Ledger, before: dict[str, Any], by_name: bool
) -> None:
    for number, found in enumerate(SCANS, start=100):
        digest, at = f"sha256:{number:064x}", NOW + 3 * HOUR
        keep_as_0_3_0(digest, before)
        report = any_scan_report(**{"image_digest": digest, "tags": (), "scanned_at": at, **found})
        told = compose(ledger, report, f"event-{number}", by_name=by_name)
        is_due = is_sent_by_0_3_0(before, found)
        assert (told.notify, is_sent(told)) == (is_due, is_due), found
        # PagerDuty gets no more either, and what is open there ends under the key that it has.
        actions = incidents(told)
        assert is_due or all(action == "resolve" for action, _ in actions)
        if before["exceeded"] or before["failed"]:
            assert {key for _, key in actions} <= {report.subject}
        in_digest = [
            each.notify
            for each in ledger.entries.changes_of("DAILY")
            if each.image.image_digest == digest
        ]
        assert any(in_digest) == is_due
        # The run of the day scans again what was pushed before.
        later = replace(report, scanned_at=at + HOUR)
        again = compose(ledger, later, f"event-{number}-again", by_name=by_name)
        assert (again.notify, again.deliveries) == (False, ())


def test_the_names_of_findings_are_stored_silently(ledger: Ledger) -> None:
    images = (("team/api", API, 5), ("team/web", WEB, 0), ("team/job", JOB, 1))
    for number, (repository, digest, found) in enumerate(images, start=6):
        told = scan(ledger, f"event-{number}", repository, digest, found, NOW + 3 * HOUR)
        assert told.deliveries == ()
        image = stored(ledger, repository, digest)
        assert image.record.baseline
        assert image.record.baseline.image_state.thresholds is not None
        assert len(image.findings.findings if image.findings else ()) == found + (found > 1)
    assert list(ledger.entries.changes_of("DAILY")) == []


def test_what_is_found_first_after_the_update_may_be_older(ledger: Ledger) -> None:
    scan(ledger, "event-6", "team/api", API, 5, NOW + 3 * HOUR)
    findings = stored(ledger, "team/api", API).findings
    assert findings
    assert {each.first_seen for each in findings.findings.values()} == {findings.since}


def test_a_new_name_is_reported_from_the_second_scan_on(ledger: Ledger) -> None:
    report = any_scan_report(
        repository="team/job", image_digest=JOB, severities={"CRITICAL": 1}, scanned_at=NOW
    )
    reasons = []
    for number, name in enumerate(("CVE-1", "CVE-2", "CVE-2"), start=6):
        scans = FakeScans([any_finding(name, "CRITICAL", package="openssl")])
        told = compose(
            ledger,
            replace(report, scanned_at=NOW + number * HOUR),
            f"event-{number}",
            scans=scans,
        )
        reasons.append(told.reason)
    assert reasons == ["unchanged", "worse than before", "unchanged"]


def test_an_image_whose_failure_was_reported_is_in_no_digest_because_ecr_cannot_scan_it(
    ledger: Ledger,
) -> None:
    report = any_scan_report(
        repository="team/etl",
        image_digest=ETL,
        status="FAILED",
        severities={},
        scanned_at=NOW + 3 * HOUR,
    )
    scans = FakeScans(last_scan=LastScan("FAILED", None, "UnsupportedImageError: any"))
    told = compose(ledger, report, "event-6", scans=scans)
    assert (told.reason, is_sent(told)) == ("ECR cannot scan the image", False)
    assert list(ledger.entries.changes_of("DAILY")) == []


# Incidents that version 0.3.0 has opened, under the subject of the image


@pytest.mark.parametrize("by_name", [False, True])
def test_an_incident_that_was_opened_under_its_old_key_is_resolved(
    ledger: Ledger, by_name: bool
) -> None:
    key, at = dedup_key(subject("team/api", API)), NOW + 3 * HOUR
    worse = scan(ledger, "event-6", "team/api", API, 6, at, by_name=by_name)
    assert incidents(worse) == [("trigger", key)]
    cleared = scan(ledger, "event-7", "team/api", API, 0, at + HOUR, by_name=by_name)
    assert incidents(cleared) == [("resolve", key)]
    baseline = stored(ledger, "team/api", API).record.baseline
    assert baseline
    assert baseline.incident == ""
    new = scan(ledger, "event-8", "team/api", API, 1, at + 2 * HOUR, by_name=by_name)
    assert incidents(new) == [("trigger", f"{key}#5")]


@pytest.mark.parametrize(
    ("repository", "digest", "has_one"),
    [("team/api", API, True), ("team/etl", ETL, True), ("team/web", WEB, False)],
)
def test_an_incident_is_resolved_by_the_first_clean_scan_where_there_is_one(
    ledger: Ledger, repository: str, digest: str, has_one: bool
) -> None:
    told = scan(ledger, "event-6", repository, digest, 0, NOW + 3 * HOUR)
    assert incidents(told) == ([("resolve", subject(repository, digest))] if has_one else [])


def test_an_incident_is_handed_on_under_its_old_key(ledger: Ledger) -> None:
    key = subject("team/api", API)
    taken = scan(ledger, "event-6", "team/api", NEW, 5, NOW + 3 * HOUR)
    assert incidents(taken) == [("trigger", key)]
    other = stored(ledger, "team/api", API).record.baseline
    assert other
    assert other.incident == ""
    cleared = scan(ledger, "event-7", "team/api", NEW, 0, NOW + 4 * HOUR)
    assert incidents(cleared) == [("resolve", key)]


def test_an_incident_of_a_severity_that_opens_none_any_more_stays_until_all_is_well(
    ledger: Ledger,
) -> None:
    digest = f"sha256:{100:064x}"
    keep_as_0_3_0(digest, {"counts": COUNTS | {"HIGH": 2}, "exceeded": ["HIGH"], "failed": False})

    def after(high: int, hours: int) -> Notification:
        counts, at = {"HIGH": high}, NOW + hours * HOUR
        report = any_scan_report(image_digest=digest, tags=(), severities=counts, scanned_at=at)
        return compose(ledger, report, f"event-{hours}")

    assert [incidents(after(high, hours)) for hours, high in enumerate((2, 3, 1, 0), 3)] == [
        [],
        [],
        [],
        [("resolve", subject("team/api", digest))],
    ]


# Runs and notices


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
