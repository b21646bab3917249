"""What version 0.3.0 has left of digests is read, sent and removed by this one.

tests/support/kept_by_0_3_0.json has three images in both digests of that version, and a daily
digest that was composed but not forgotten: team/api has changed since then.
"""

import json
from datetime import timedelta

import boto3
import pytest

from ledger.bucket import run_bucket as bucket_adapter
from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.digest_entries import DigestChange, DigestEntries, DigestEntry, digest_entries, sort_key
from ledger.image_records import ImageState
from reporting.decision import NotifyOn
from runtime.messages import decode
from send_digest.contents import Contents, DigestPolicy, contents_of
from send_digest.digest import UnfinishedDigest
from tests.support.clock import NOW
from tests.support.digests import put_change
from tests.support.reports import DEFAULT_NOTIFY_ON
from tests.support.template import ROOT

KEPT = ROOT / "tests" / "support" / "kept_by_0_3_0.json"
HOUR = timedelta(hours=1)
API, ETL, JOB = (f"sha256:{number:064x}" for number in (1, 3, 4))
A = ChangedFinding("CVE-2026-31337", "openssl", "CRITICAL")


@pytest.fixture
def entries(ledger_table: str, run_bucket: str) -> DigestEntries:
    kept = json.loads(KEPT.read_text())
    for item in kept["table"]:
        boto3.client("dynamodb").put_item(TableName=ledger_table, Item=item)
    for key, text in kept["bucket"].items():
        boto3.client("s3").put_object(Bucket=run_bucket, Key=key, Body=text.encode())
    return digest_entries(ledger_table)


def entries_of(entries: DigestEntries, mode: str = "DAILY") -> dict[str, DigestEntry]:
    return {entry.image.image_digest: entry for entry in entries.entries_of(mode)}


def contents(entries: DigestEntries) -> Contents:
    policy = DigestPolicy(frozenset(map(NotifyOn, DEFAULT_NOTIFY_ON)), timedelta(days=30))
    old = tuple(entries.entries_of("DAILY"))
    return contents_of(old, entries.changes_of("DAILY"), policy)


def unfinished() -> UnfinishedDigest:
    return decode(UnfinishedDigest, bucket_adapter("run-bucket").unfinished_digest("digest-1"))


def test_entries_are_reported_by_number(entries: DigestEntries) -> None:
    found = contents(entries)
    images = {each.image_digest: each for each in found.images}
    assert {digest: each.change for digest, each in images.items()} == {
        API: Change.NEW,
        ETL: Change.FAILED,
        JOB: Change.NEW,
    }
    assert images[API].severities == {"CRITICAL": 5, "HIGH": 1}
    assert found.vulnerabilities == ()


def test_an_entry_and_the_changes_since_then_are_one_image(entries: DigestEntries) -> None:
    """Its names are known since the update, and its state before that from the entry."""
    entry = entries_of(entries)[API]
    well = ImageState()
    change = DigestChange(
        image=entry.image,
        before=entry.image.image_state,
        noted_at=NOW + 3 * HOUR,
        change=Change.WORSE,
        by_name=FindingsChange(new=(A,)),
    )
    put_change(entries, change)
    found = contents(entries)
    (image,) = (each for each in found.images if each.image_digest == API)
    assert (entry.before, image.change) == (well, Change.NEW)
    assert [each.name for each in found.vulnerabilities] == [A.name]
    assert (found.keys, len(found.entries)) == ([sort_key(change)], 3)


def test_a_digest_that_was_under_way_is_finished(entries: DigestEntries) -> None:
    assert entries.under_way("DAILY") == "digest-1"
    sent = unfinished()
    assert [entry.image.image_digest for entry in sent.entries] == [API, ETL]
    assert (sent.messages, sent.changes) == (1, ())
    reported = next(each for each in sent.entries if each.image.image_digest == API)
    for _ in range(2):
        entries.forget("DAILY", sent.changes, sent.entries)
        left = entries_of(entries)
        assert left.keys() == {API, JOB}
        # It has changed since the digest, and is compared with what that has reported.
        assert left[API].before == reported.image.image_state
    entries.finish("DAILY", "digest-1")
    assert entries.under_way("DAILY") is None


def test_pending_changes_of_a_digest_after_a_run_are_sent_once_a_day(
    entries: DigestEntries,
) -> None:
    before, daily = entries_of(entries, "AFTER_RUN"), entries_of(entries)
    assert before == daily
    assert before.keys() == {API, ETL, JOB}
    entries.forget("DAILY", (), [daily[API]])
    assert entries_of(entries).keys() == {ETL, JOB}
    entries.adopt("DAILY", left_in="AFTER_RUN")
    assert entries_of(entries, "AFTER_RUN") == {}
    assert entries_of(entries) == daily
