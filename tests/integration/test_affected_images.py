"""Which images have a vulnerability, in the table that the template declares."""

import json
import zlib
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import boto3
import pytest

from ledger.affected_images import AffectedFinding, AffectedImage, affected_images
from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.errors import LedgerUnavailable
from ledger.image_baselines import baselines
from ledger.image_records import Baseline, ImageState, RecordedScan, image_key, image_records
from ledger.known_findings import (
    GoneFinding,
    KnownFinding,
    KnownFindings,
    NotedChange,
    findings_key,
    to_store,
)
from ledger.platforms import platforms
from ledger.table import Table, attributes, key_attributes
from ledger.table import ledger_table as adapter
from tests.support.builders import any_digest
from tests.support.clock import NOW

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
TODAY, BEFORE = date(2026, 3, 14), date(2026, 3, 3)
CVE = "CVE-2026-31337"
STATE = ImageState({"CRITICAL": 1}, ("CRITICAL",))
KNOWN = KnownFindings(
    revision=0,
    scan_type="BASIC",
    since=BEFORE,
    findings={
        (CVE, "openssl"): KnownFinding("CRITICAL", TODAY),
        (CVE, "libssl3"): KnownFinding("HIGH", BEFORE, is_accepted=True),
        ("CVE-2026-1", "zlib"): KnownFinding("HIGH", BEFORE),
    },
    changes=(
        NotedChange("event-2", Change.UNCHANGED, STATE, FindingsChange()),
        NotedChange(
            "event-1",
            Change.WORSE,
            STATE,
            FindingsChange(new=(ChangedFinding(CVE, "openssl", "CRITICAL", version="3.0.11"),)),
        ),
    ),
    expires_at=EXPIRES_AT,
)
WITHOUT = replace(
    KNOWN, findings={("CVE-2026-1", "zlib"): KnownFinding("HIGH", BEFORE)}, changes=()
)


@pytest.fixture
def table(ledger_table: str) -> Table:
    return adapter("ledger-table")


def store(table: Table, repository: str, digest: str, known: KnownFindings = KNOWN) -> None:
    assert table.write_together(to_store(table, repository, digest, known, revision=1)) is None


def openssl(**given: Any) -> AffectedFinding:
    finding = AffectedFinding(
        CVE, "openssl", "CRITICAL", "3.0.11", TODAY, is_seen_later=False, is_accepted=False
    )
    return replace(finding, **given)


LIBSSL = AffectedFinding(CVE, "libssl3", "HIGH", "", BEFORE, is_seen_later=True, is_accepted=True)


def test_finds_packages_versions_and_what_was_reported(table: Table) -> None:
    digest, other = any_digest(), any_digest()
    store(table, "team/api", digest)
    store(table, "team/web", other, WITHOUT)
    scan = RecordedScan(NOW, "COMPLETE", "BASIC")
    image_records("ledger-table").note_scan("team/api", digest, scan, expires_at=EXPIRES_AT)
    baseline = Baseline(STATE, notified_at=NOW, revision=1, notes=(), incident="key")
    baselines("ledger-table").note("team/api", digest, baseline, seen=None, scanned_at=NOW)
    tags = {":tags": ("v1", "latest")}
    table.update(image_key("team/api", digest), "SET image_tags = :tags", tags)
    found = affected_images(table, CVE.lower())
    assert found.images == (
        AffectedImage(
            repository="team/api",
            image_digest=digest,
            findings=(LIBSSL, openssl()),
            tags=("v1", "latest"),
            scanned_at=NOW,
            scan_type="BASIC",
            notified_at=NOW,
            has_incident=True,
        ),
    )
    assert (found.searched, found.unreadable) == (2, ())


def test_names_an_image_of_an_index_and_one_whose_record_has_expired(table: Table) -> None:
    digest = any_digest()
    store(table, "team/multi", digest)
    known = platforms("ledger-table")
    children = {digest: "linux/arm64"}
    known.record("team/multi", children, tag="v1", pushed_at=NOW, expires_at=EXPIRES_AT)
    (image,) = affected_images(table, CVE).images
    assert (image.tags, image.platform, image.scanned_at) == (("v1",), "linux/arm64", None)
    assert not image.has_incident


def test_finds_nothing_in_what_has_gone_or_only_looks_alike(table: Table) -> None:
    gone = replace(WITHOUT, gone={(CVE, "openssl"): GoneFinding("CRITICAL", BEFORE, TODAY)})
    longer = {(f"{CVE}0", "openssl"): KnownFinding("CRITICAL", TODAY)}
    store(table, "team/api", any_digest(), gone)
    store(table, "team/web", any_digest(), replace(WITHOUT, findings=longer))
    found = affected_images(table, CVE)
    assert (found.images, found.searched) == ((), 2)


@pytest.mark.parametrize("found", [b"no zlib", None, b""])
def test_names_an_image_whose_findings_cannot_be_read(table: Table, found: bytes | None) -> None:
    digest, readable = any_digest(), any_digest()
    store(table, "team/api", readable)
    item = {"revision": 1, "scan_type": "BASIC", "found": found, "expires_at": EXPIRES_AT}
    table.put(findings_key("team/web", digest), item)
    affected = affected_images(table, CVE)
    assert [image.image_digest for image in affected.images] == [readable]
    assert affected.unreadable == (f"team/web@{digest}",)


def test_names_an_image_whose_findings_are_of_a_later_version(table: Table) -> None:
    found = zlib.compress(json.dumps([2, {"openssl": CVE}]).encode())
    item = {"revision": 1, "scan_type": "BASIC", "found": found, "expires_at": EXPIRES_AT}
    digest = any_digest()
    table.put(findings_key("team/web", digest), item)
    assert affected_images(table, CVE).unreadable == (f"team/web@{digest}",)


@pytest.mark.slow  # 4 s in moto, which copies all items for each segment
def test_searches_a_thousand_images(table: Table) -> None:
    """Of 500 findings each; one in ten has the vulnerability."""
    many = {(f"CVE-2025-{n}", f"package-{n % 60}"): KnownFinding("LOW", BEFORE) for n in range(500)}
    of_one = [replace(KNOWN, findings=each) for each in (many, many | KNOWN.findings)]
    without, having = (
        to_store(table, "team/any", any_digest(), known, revision=1).request["Item"]
        for known in of_one
    )
    items = [
        (having if n % 10 == 0 else without)
        | key_attributes(findings_key(f"team/app-{n % 40}", any_digest()))
        for n in range(1_000)
    ]
    other = {**key_attributes(("run#1", "repository#any")), **attributes({"expires_at": 1})}
    client = boto3.client("dynamodb")
    for begin in range(0, 1_000, 20):
        requests: Any = [{"PutRequest": {"Item": each}} for each in items[begin : begin + 20]]
        client.batch_write_item(RequestItems={"ledger-table": requests})
    client.put_item(TableName="ledger-table", Item=other)
    found = affected_images(table, CVE)
    assert (len(found.images), found.searched, found.unreadable) == (100, 1_000, ())
    assert list(found.images) == sorted(
        found.images, key=lambda image: (image.repository, image.image_digest)
    )
    # moto counts a unit per item; DynamoDB half a unit per 4 KB of each page.
    assert found.read_units > 0


def test_says_that_the_table_does_not_answer(ledger_table: str) -> None:
    with pytest.raises(LedgerUnavailable):
        affected_images(adapter("no-such-table"), CVE)
