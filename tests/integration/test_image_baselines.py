"""What NotifyScan knows of images, in the table that the template declares."""

import io
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import boto3
import pytest

from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.digest_entries import DigestEntries, digest_entries
from ledger.errors import BaselineMoved, LedgerUnavailable
from ledger.image_baselines import Baselines, Recall, StoredImage, TagPointer, baselines
from ledger.image_records import (
    Baseline,
    ImageRecord,
    ImageState,
    Note,
    RecordedScan,
    image_records,
)
from ledger.known_findings import (
    GoneFinding,
    KnownFinding,
    KnownFindings,
    NotedChange,
    TooManyFindings,
    encoded,
)
from ledger.platforms import Child, platforms
from ledger.table import Table, attributes, key_attributes
from tests.support.builders import any_digest
from tests.support.clock import NOW
from tests.support.digests import any_change

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
HOUR = timedelta(hours=1)
TODAY = date(2026, 3, 14)
DIGEST, OTHER, THIRD = any_digest(), any_digest(), any_digest()
ALARM = ImageState(
    {"CRITICAL": 1, "OTHER": 0},
    ("CRITICAL",),
    thresholds={"CRITICAL": 0},
    scan_type="BASIC",
)
FIRST = Baseline(
    ALARM,
    notified_at=NOW,
    revision=1,
    notes=(Note("event-1", NOW, None, NOW, is_immediate=True, triggered="key-1"),),
    incident="key-1",
    was_tagged=True,
)
SECOND = Baseline(
    replace(ALARM, failed=True, is_monitored=False, is_unsupported=True),
    notified_at=NOW,
    revision=2,
    notes=(Note("event-2", NOW + HOUR, ALARM, NOW, resolved=("key-1",)), *FIRST.notes),
    incident="",
)
FINDINGS = KnownFindings(
    revision=1,
    scan_type="BASIC",
    since=TODAY,
    findings={("CVE-1", "openssl"): KnownFinding("CRITICAL", TODAY)},
    gone={("CVE-2", "zlib"): GoneFinding("HIGH", TODAY - timedelta(days=3), TODAY)},
    changes=(
        NotedChange(
            "event-1",
            Change.NEW,
            ALARM,
            FindingsChange(new=(ChangedFinding("CVE-1", "openssl", "CRITICAL"),)),
        ),
    ),
    expires_at=EXPIRES_AT,
)


@pytest.fixture
def known(ledger_table: str) -> Baselines:
    return baselines(ledger_table)


@pytest.fixture
def entries(ledger_table: str) -> DigestEntries:
    return digest_entries(ledger_table)


def recalled(known: Baselines, image_digest: str = DIGEST) -> StoredImage:
    return known.recall("team/api", image_digest, ()).image


def record_of(known: Baselines, image_digest: str = DIGEST) -> ImageRecord:
    return recalled(known, image_digest).record


def note(
    known: Baselines,
    baseline: Baseline,
    seen: Baseline | None,
    scanned_at: datetime = NOW,
    **given: Any,
) -> None:
    known.note("team/api", DIGEST, baseline, seen=seen, scanned_at=scanned_at, **given)


def scan(image_digest: str = DIGEST, at: datetime = NOW) -> None:
    scan = RecordedScan(at, "COMPLETE", "BASIC")
    records = image_records("ledger-table")
    records.note_scan("team/api", image_digest, scan, expires_at=EXPIRES_AT)


def item_of(sort_key: str) -> dict[str, Any] | None:
    answer = boto3.client("dynamodb").get_item(
        TableName="ledger-table", Key=key_attributes(("repository#team/api", sort_key))
    )
    return answer.get("Item")


# Baselines


def test_knows_nothing_of_an_image_that_was_never_scanned(known: Baselines) -> None:
    assert known.recall("team/api", DIGEST, ["v1"]) == Recall(StoredImage(ImageRecord(DIGEST)), {})
    assert recalled(known).tags == ()


def test_reads_back_one_baseline_after_the_other(known: Baselines) -> None:
    note(known, FIRST, None)
    assert record_of(known).baseline == FIRST
    note(known, SECOND, FIRST)
    assert record_of(known).baseline == SECOND


@pytest.mark.parametrize("seen", [None, SECOND])
def test_refuses_whoever_has_seen_another(known: Baselines, seen: Baseline | None) -> None:
    note(known, FIRST, None)
    with pytest.raises(BaselineMoved, match=f"team/api@{DIGEST}: .*ConditionalCheckFailed"):
        note(known, SECOND, seen)
    assert record_of(known).baseline == FIRST


def test_refuses_who_has_seen_one_where_none_is(known: Baselines) -> None:
    """Its record has expired, or the table was lost."""
    with pytest.raises(BaselineMoved):
        note(known, SECOND, FIRST)
    assert record_of(known) == ImageRecord(DIGEST)


def test_refuses_an_older_scan(known: Baselines) -> None:
    scan()
    with pytest.raises(BaselineMoved):
        note(known, FIRST, None, scanned_at=NOW - HOUR)
    note(known, FIRST, None)
    assert record_of(known).baseline == FIRST


# Baselines, together with all else that a scan has changed


def stored(known: Baselines, revision: int = 1, findings: KnownFindings = FINDINGS) -> Any:
    return known.to_store("team/api", DIGEST, findings, revision=revision)


def test_reads_back_findings_with_their_baseline(known: Baselines) -> None:
    note(known, FIRST, None, also=[stored(known)])
    assert recalled(known) == StoredImage(ImageRecord(DIGEST, baseline=FIRST), FINDINGS)
    item = item_of(f"findings#{DIGEST}")
    assert item
    assert (item["expires_at"], item["revision"]) == ({"N": str(EXPIRES_AT)}, {"N": "1"})


def test_writes_everything_or_nothing(known: Baselines, entries: DigestEntries) -> None:
    """A baseline, findings, an entry of a digest, and an incident that is handed on."""
    known.note("team/api", OTHER, FIRST, seen=None, scanned_at=NOW)
    others = record_of(known, OTHER)
    change = any_change()

    def writes(revision: int) -> list[Any]:
        return [
            known.to_hand_on("team/api", others),
            entries.put(change),
            stored(known, revision),
        ]

    with pytest.raises(BaselineMoved):
        note(known, SECOND, FIRST, also=writes(2))
    assert recalled(known) == StoredImage(ImageRecord(DIGEST))
    assert list(entries.changes_of("DAILY")) == []
    assert record_of(known, OTHER) == others
    note(known, FIRST, None, also=writes(1))
    assert recalled(known) == StoredImage(ImageRecord(DIGEST, baseline=FIRST), FINDINGS)
    assert list(entries.changes_of("DAILY")) == [change]
    handed_on = record_of(known, OTHER).baseline
    assert handed_on == replace(FIRST, incident="")


def test_writes_nothing_where_the_findings_are_of_a_later_baseline(known: Baselines) -> None:
    note(known, FIRST, None, also=[stored(known, 2)])
    for revision in (1, 2):
        with pytest.raises(BaselineMoved):
            note(known, SECOND, FIRST, also=[stored(known, revision)])
    assert record_of(known).baseline == FIRST
    note(known, SECOND, FIRST, also=[stored(known, 3)])
    assert recalled(known).findings == replace(FINDINGS, revision=3)


def test_writes_nothing_where_the_incident_of_the_other_image_is_handed_on_already(
    known: Baselines,
) -> None:
    known.note("team/api", OTHER, FIRST, seen=None, scanned_at=NOW)
    before = record_of(known, OTHER)
    known.note("team/api", OTHER, SECOND, seen=FIRST, scanned_at=NOW)
    with pytest.raises(BaselineMoved):
        note(known, FIRST, None, also=[known.to_hand_on("team/api", before)])
    assert record_of(known).baseline is None
    assert record_of(known, OTHER).baseline == SECOND


def test_writes_nothing_where_the_other_image_is_forgotten(known: Baselines) -> None:
    for record in (ImageRecord(OTHER, baseline=FIRST), ImageRecord(OTHER)):
        with pytest.raises(BaselineMoved):
            note(known, FIRST, None, also=[known.to_hand_on("team/api", record)])
    assert item_of(f"image#{OTHER}") is None
    assert record_of(known).baseline is None


def test_refuses_more_findings_than_an_item_holds(known: Baselines) -> None:
    findings = {
        (sha256(str(number).encode()).hexdigest(), "any"): KnownFinding("HIGH", TODAY)
        for number in range(12_000)
    }
    with pytest.raises(TooManyFindings, match=rf"^team/api@{DIGEST}: \d{{3}},\d{{3}} bytes$"):
        stored(known, 1, replace(FINDINGS, findings=findings))


def test_forgets_findings_with_their_baseline_or_not_at_all(known: Baselines) -> None:
    note(known, FIRST, None, also=[stored(known)])
    forget = known.to_forget("team/api", DIGEST)
    with pytest.raises(BaselineMoved):
        note(known, SECOND, None, also=[forget])
    assert recalled(known).findings == FINDINGS
    note(known, SECOND, FIRST, also=[forget])
    assert recalled(known) == StoredImage(ImageRecord(DIGEST, baseline=SECOND))


# Findings


def test_findings_are_kept_for_longer_but_never_made(known: Baselines) -> None:
    known.keep_findings("team/api", DIGEST, expires_at=EXPIRES_AT + 7)
    assert item_of(f"findings#{DIGEST}") is None
    note(known, FIRST, None, also=[stored(known)])
    known.keep_findings("team/api", DIGEST, expires_at=EXPIRES_AT + 7)
    assert recalled(known).findings == replace(FINDINGS, expires_at=EXPIRES_AT + 7)


def damaged(**given: Any) -> dict[str, Any]:
    item = {
        "revision": 1,
        "scan_type": "BASIC",
        "found": encoded(FINDINGS),
        "expires_at": EXPIRES_AT,
        **given,
    }
    return {name: value for name, value in item.items() if value is not None}


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (damaged(found=None), "KeyError"),
        (damaged(revision=None), "KeyError"),
        (damaged(found="text"), "TypeError"),
        (damaged(found=b"not compressed"), "incorrect header check"),
        (damaged(found=encoded(FINDINGS)[:-30]), "cut off"),
        (damaged(found=zlib.compress(b"[1,1,{}")), "JSONDecodeError"),
        (damaged(found=zlib.compress(b"[2,1,{},{},[],[]]")), "version 2, not 1"),
        (damaged(found=zlib.compress(b"[1,1,{}]")), "not enough values"),
        (damaged(found=zlib.compress(b'[1,1,{"p":[["CVE-1",9,1,0]]},{},[],[]]')), "IndexError"),
        (damaged(found=zlib.compress(b"[1,1,[],{},[],[]]")), "AttributeError"),
        (damaged(found=zlib.compress(b"0" * 9_000_000)), "more than 8,388,608 bytes"),
    ],
)
def test_findings_that_cannot_be_read_are_not_known(
    known: Baselines, item: dict[str, Any], problem: str, log: io.StringIO
) -> None:
    note(known, FIRST, None)
    key = key_attributes(("repository#team/api", f"findings#{DIGEST}"))
    boto3.client("dynamodb").put_item(TableName="ledger-table", Item={**key, **attributes(item)})
    assert recalled(known) == StoredImage(ImageRecord(DIGEST, baseline=FIRST), None)
    logged = log.getvalue()
    assert "findings unreadable, compared by number" in logged
    assert f"repository#team/api findings#{DIGEST}" in logged
    assert problem in logged


def test_notes_that_names_are_missing_and_that_they_are_known(known: Baselines) -> None:
    scan()
    known.note_names_missing("team/api", DIGEST, NOW)
    assert record_of(known).names_missing == NOW
    known.note_names_missing("team/api", DIGEST, None)
    known.note_names_missing("team/api", DIGEST, None)
    assert record_of(known).names_missing is None


@pytest.mark.parametrize("at", [NOW, None])
def test_notes_nothing_about_an_image_that_is_forgotten(
    known: Baselines, at: datetime | None
) -> None:
    known.note_names_missing("team/api", DIGEST, at)
    assert item_of(f"image#{DIGEST}") is None


# Tags


def move_tags(known: Baselines, digest: str, *tags: str, at: datetime = NOW) -> None:
    known.move_tags("team/api", digest, tags, scanned_at=at, expires_at=EXPIRES_AT)


def test_reads_with_an_image_who_has_its_tags(known: Baselines) -> None:
    move_tags(known, OTHER, "v1", "latest")
    move_tags(known, DIGEST, "latest", "mine", at=NOW + HOUR)
    expected = {"v1": TagPointer(OTHER, NOW), "latest": TagPointer(DIGEST, NOW + HOUR)}
    assert known.recall("team/api", DIGEST, ["v1", "latest", "v2"]).pointers == expected
    assert known.pointers("team/api", ["v1", "latest", "v2"]) == expected
    assert known.pointers("team/api", []) == {}
    assert known.recall("team/web", DIGEST, ["latest"]).pointers == {}


def test_a_tag_stays_with_whom_a_newer_scan_has_seen_it(known: Baselines) -> None:
    move_tags(known, OTHER, "latest", at=NOW + HOUR)
    move_tags(known, THIRD, "latest")
    assert known.pointers("team/api", ["latest"]) == {"latest": TagPointer(OTHER, NOW + HOUR)}


def test_a_tag_is_kept_for_as_long_as_a_scan_has_seen_it(known: Baselines) -> None:
    """The same scan twice, and an older one, leave it as it is."""
    for hours, days in ((1, 2), (1, 3), (0, 4)):
        at, until = NOW + hours * HOUR, EXPIRES_AT + days
        known.move_tags("team/api", OTHER, ["latest"], scanned_at=at, expires_at=until)
    item = item_of("tag#latest")
    assert item
    assert item["expires_at"] == {"N": str(EXPIRES_AT + 2)}
    later = NOW + 2 * HOUR
    known.move_tags("team/api", OTHER, ["latest"], scanned_at=later, expires_at=EXPIRES_AT + 5)
    item = item_of("tag#latest")
    assert item
    assert item["expires_at"] == {"N": str(EXPIRES_AT + 5)}


def test_reads_some_images_without_those_that_are_forgotten(known: Baselines) -> None:
    scan(OTHER)
    scan(THIRD, NOW + HOUR)
    known.note("team/api", OTHER, FIRST, seen=None, scanned_at=NOW)
    found = known.images("team/api", [OTHER, DIGEST, THIRD])
    assert [image.record.image_digest for image in found] == [OTHER, THIRD]
    assert [image.record.baseline for image in found] == [FIRST, None]
    assert known.images("team/api", []) == []
    assert known.images("team/web", [OTHER]) == []


def test_an_image_of_an_index_has_the_tags_of_its_platform(known: Baselines) -> None:
    scan()
    platforms("ledger-table").record(
        "team/api",
        {DIGEST: "linux/arm64"},
        tag="v1",
        pushed_at=NOW,
        expires_at=EXPIRES_AT,
    )
    image = recalled(known)
    assert image.child == Child(DIGEST, "linux/arm64", ("v1",), EXPIRES_AT)
    assert image.tags == ("v1#linux/arm64",)
    (same,) = known.images("team/api", [DIGEST])
    assert same == image
    tagged = replace(image, record=replace(image.record, image_tags=("own",)))
    assert tagged.tags == ("own",)


# Calls


def test_reads_everything_with_one_consistent_call(ledger_table: str) -> None:
    client = boto3.client("dynamodb")
    known = Baselines(Table(client, ledger_table))
    calls: Counter[str] = Counter()
    are_consistent: list[bool] = []

    def count(params: dict[str, Any], model: Any, **_: object) -> None:
        calls.update([model.name])
        are_consistent.extend(each["ConsistentRead"] for each in params["RequestItems"].values())

    client.meta.events.register("provide-client-params.dynamodb.*", count)
    known.recall("team/api", DIGEST, [f"v{number}" for number in range(10)])
    assert (calls, are_consistent) == ({"BatchGetItem": 1}, [True])
    known.images("team/api", [any_digest() for _ in range(10)])
    known.pointers("team/api", ["v1"])
    assert (calls, are_consistent) == ({"BatchGetItem": 3}, [True] * 3)
    known.images("team/api", [])
    known.pointers("team/api", [])
    assert calls == {"BatchGetItem": 3}


CALLS: dict[str, Callable[[Baselines], object]] = {
    "recall": lambda known: known.recall("team/api", DIGEST, ["v1"]),
    "images": lambda known: known.images("team/api", [DIGEST]),
    "pointers": lambda known: known.pointers("team/api", ["v1"]),
    "note": lambda known: note(known, FIRST, None),
    "note_names_missing": lambda known: known.note_names_missing("team/api", DIGEST, NOW),
    "keep_findings": lambda known: known.keep_findings("team/api", DIGEST, expires_at=1),
    "move_tags": lambda known: move_tags(known, DIGEST, "v1"),
}


@pytest.mark.parametrize("call", CALLS)
def test_without_its_table_every_call_says_so(known: Baselines, call: str) -> None:
    boto3.client("dynamodb").delete_table(TableName="ledger-table")
    with pytest.raises(LedgerUnavailable):
        CALLS[call](known)
