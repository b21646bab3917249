"""The entries of digests in the table that the template declares."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest

from ledger.changes import LISTS, Cause, Change, ChangedFinding, FindingsChange
from ledger.digest_entries import (
    DigestChange,
    DigestEntries,
    DigestEntry,
    digest_entries,
    sort_key,
)
from ledger.errors import DigestAlreadyBegun, LedgerUnavailable
from ledger.image_records import ImageState
from ledger.table import Table
from tests.support.clock import NOW
from tests.support.digests import (
    BAD,
    EXPIRES_AT,
    WELL,
    WORSE,
    any_change,
    any_digest_image,
    any_entry,
    put_change,
    put_entry,
)
from tests.support.template import resources

MODE = "DAILY"
FIRST = any_digest_image(1, BAD, event_id="first")
SECOND = any_digest_image(1, WORSE, event_id="second")
THIRD = any_digest_image(1, WELL, event_id="third")


@pytest.fixture
def entries(ledger_table: str) -> DigestEntries:
    return digest_entries("ledger-table")


def kept(entries: DigestEntries, mode: str = MODE) -> list[DigestEntry]:
    return list(entries.entries_of(mode))


def test_reads_back_what_was_put(entries: DigestEntries) -> None:
    put_entry(MODE, FIRST)
    assert kept(entries) == [DigestEntry(FIRST, WELL, "first")]
    assert kept(entries, "AFTER_RUN") == []


def test_writes_keys_and_an_expiry_as_the_template_declares_them(entries: DigestEntries) -> None:
    put_entry(MODE, FIRST)
    (item,) = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    assert (item["pk"], item["sk"]) == (
        {"S": "digest#DAILY"},
        {"S": f"image#{FIRST.repository}@{FIRST.image_digest}"},
    )
    expiry = resources("AWS::DynamoDB::Table")["LedgerTable"]["TimeToLiveSpecification"]
    assert item[expiry["AttributeName"]] == {"N": str(EXPIRES_AT)}


def test_keeps_how_an_image_stood_before_its_first_change(entries: DigestEntries) -> None:
    put_entry(MODE, FIRST, before=WELL)
    put_entry(MODE, SECOND, before=BAD)
    assert kept(entries) == [DigestEntry(SECOND, WELL, "first")]


def test_removes_what_was_sent_and_nothing_else(entries: DigestEntries) -> None:
    for number in (1, 2, 3):
        put_entry(MODE, any_digest_image(number))
    put_entry("AFTER_RUN", any_digest_image(1))
    entries.forget(MODE, [], [any_entry(1), any_entry(3)])
    assert kept(entries) == [any_entry(2)]
    assert kept(entries, "AFTER_RUN") == [any_entry(1)]


def test_adopts_what_another_digest_has_left(entries: DigestEntries) -> None:
    put_entry(MODE, any_digest_image(1), before=WORSE)
    for number in (1, 2):
        put_entry("AFTER_RUN", any_digest_image(number))
    for _ in range(2):
        entries.adopt(MODE, left_in="AFTER_RUN")
        assert kept(entries, "AFTER_RUN") == []
        assert {entry.image.repository: entry.before for entry in kept(entries)} == {
            "team/api-1": WORSE,
            "team/api-2": WELL,
        }


def test_leaves_what_changed_meanwhile_to_the_next_digest_with_what_was_told(
    entries: DigestEntries,
) -> None:
    put_entry(MODE, FIRST, before=WELL)
    told = kept(entries)
    put_entry(MODE, SECOND, before=BAD)
    for _ in range(2):
        entries.forget(MODE, [], told)
        assert kept(entries) == [DigestEntry(SECOND, BAD, "first")]


def test_forgetting_too_late_takes_nothing_from_a_later_digest(entries: DigestEntries) -> None:
    """Though the image stands again as it stood before the digest that is forgotten too late."""
    put_entry(MODE, FIRST, before=WELL)
    late = kept(entries)
    entries.forget(MODE, [], late)
    put_entry(MODE, THIRD, before=BAD)
    entries.forget(MODE, [], kept(entries))
    again = replace(FIRST, event_id="fourth")
    put_entry(MODE, again, before=WELL)
    entries.forget(MODE, [], late)
    assert kept(entries) == [DigestEntry(again, WELL, "fourth")]


def test_a_correction_is_not_made_twice(entries: DigestEntries) -> None:
    put_entry(MODE, FIRST, before=WELL)
    first_digest = kept(entries)
    put_entry(MODE, SECOND, before=BAD)
    entries.forget(MODE, [], first_digest)
    second_digest = kept(entries)
    put_entry(MODE, THIRD, before=WORSE)
    entries.forget(MODE, [], second_digest)
    entries.forget(MODE, [], first_digest)
    assert kept(entries) == [DigestEntry(THIRD, WORSE, "second")]


def test_reads_and_forgets_more_entries_than_fit_a_page(ledger_table: str) -> None:
    client = boto3.client("dynamodb")
    calls: Counter[str] = Counter()
    client.meta.events.register(
        "provide-client-params.dynamodb.Query", lambda params, **_: calls.update(["Query"])
    )
    entries = DigestEntries(Table(client, ledger_table))
    for number in range(5):  # 1.5 MB; DynamoDB answers 1 MB at a time
        put_entry(MODE, any_digest_image(number, image="x" * 300_000))
    told = kept(entries)
    assert (len(told), calls["Query"]) == (5, 2)
    entries.forget(MODE, [], told)
    assert kept(entries) == []


def test_one_digest_of_a_mode_is_under_way(entries: DigestEntries) -> None:
    assert entries.under_way(MODE) is None
    entries.begin(MODE, "digest-1", instead_of=None)
    with pytest.raises(DigestAlreadyBegun):
        entries.begin(MODE, "digest-2", instead_of=None)
    assert (entries.under_way(MODE), entries.under_way("AFTER_RUN")) == ("digest-1", None)
    entries.finish(MODE, "digest-1")
    assert entries.under_way(MODE) is None


def test_a_digest_takes_the_place_of_the_one_that_was_seen(entries: DigestEntries) -> None:
    entries.begin(MODE, "digest-1", instead_of=None)
    entries.begin(MODE, "digest-2", instead_of="digest-1")
    with pytest.raises(DigestAlreadyBegun):
        entries.begin(MODE, "digest-3", instead_of="digest-1")
    entries.finish(MODE, "digest-1")
    assert entries.under_way(MODE) == "digest-2"


def test_keeps_a_standing_whole(entries: DigestEntries) -> None:
    image_state = ImageState({"CRITICAL": 0, "OTHER": 7}, ("OTHER",), failed=True)
    put_entry(MODE, any_digest_image(1, image_state), before=image_state)
    (entry,) = kept(entries)
    assert (entry.before, entry.image.image_state) == (image_state, image_state)


A = ChangedFinding(
    name="CVE-2026-31337",
    package="openssl",
    severity="CRITICAL",
    version="3.0.11-1",
    fixed_in="3.0.12",
    score=9.8,
    uri="https://nvd.nist.gov/vuln/detail/CVE-2026-31337",
    has_exploit=True,
    first_seen="2026-03-03",
    is_seen_later=True,
    was="MEDIUM",
    gone_on="2026-03-11",
)
B = ChangedFinding("CVE-2026-20411", "libxml2", "HIGH")


def changes(entries: DigestEntries, mode: str = MODE) -> list[DigestChange]:
    return list(entries.changes_of(mode))


@pytest.mark.parametrize(
    "by_name",
    [
        None,
        FindingsChange(),
        FindingsChange(new=(A, B), gone=(B,), omitted={"new": 7}),
        FindingsChange(**dict.fromkeys(LISTS, (A,))),
    ],
    ids=["by number", "empty", "cut", "every list"],
)
def test_reads_back_a_change(entries: DigestEntries, by_name: FindingsChange | None) -> None:
    image_state = replace(
        WORSE, thresholds={"CRITICAL": 0}, scan_type="ENHANCED", is_monitored=False
    )
    change = any_change(
        1,
        BAD,
        image_state,
        change=Change.WORSE,
        cause=Cause.END_OF_FAILURE,
        by_name=by_name,
        notify=False,
        is_told=True,
        is_first_sight=True,
        still_open=(A, B),
    )
    put_change(entries, change)
    assert changes(entries) == [change]
    assert (kept(entries), changes(entries, "AFTER_RUN")) == ([], [])


def test_a_change_expires_and_has_the_key_of_its_image_time_and_event(
    entries: DigestEntries,
) -> None:
    put_change(entries, any_change(1, minutes=5, event_id="any"))
    (item,) = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    assert item["pk"] == {"S": "digest#DAILY"}
    digest = f"sha256:{1:064x}"
    assert item["sk"] == {"S": f"change#team/api-1@{digest}#2026-03-14T03:05:00+00:00#any"}
    assert item["expires_at"] == {"N": str(EXPIRES_AT)}


def test_only_a_reminder_has_the_findings_that_are_open(entries: DigestEntries) -> None:
    """As every change had none before reminders named them."""
    given = [any_change(1), any_change(2, still_open=(A,) * 20)]
    for change in given:
        put_change(entries, change)
    assert changes(entries) == given
    items = boto3.client("dynamodb").scan(TableName="ledger-table")["Items"]
    (still_open,) = [item["still_open"]["B"] for item in items if "still_open" in item]
    assert len(still_open) < 400


def test_a_change_that_is_put_again_is_one_change(entries: DigestEntries) -> None:
    for _ in range(2):
        put_change(entries, any_change(1))
    assert len(changes(entries)) == 1


def test_keeps_the_200_worst_of_each_list(entries: DigestEntries) -> None:
    many = tuple(replace(B, name=f"CVE-2026-{number:05}") for number in range(260))
    put_change(entries, any_change(1, by_name=FindingsChange(new=many, gone=many[:3])))
    (change,) = changes(entries)
    assert change.by_name == FindingsChange(new=many[:200], gone=many[:3], omitted={"new": 60})


def test_the_largest_change_is_a_tenth_of_a_transaction(entries: DigestEntries) -> None:
    many = tuple(
        replace(A, name=f"CVE-2026-{number * 37 % 99_991:05}", package=f"package-{number % 71}")
        for number in range(1_000)
    )
    put = entries.put(any_change(1, by_name=FindingsChange(**dict.fromkeys(LISTS, many))))
    assert len(put.request["Item"]["by_name"]["B"]) < 40_000


def test_reads_the_changes_of_an_image_one_after_the_other(entries: DigestEntries) -> None:
    """Also those that are noted in the same second, which are in the order of their scans."""
    later = any_change(1, minutes=2, event_id="event-0")
    given = [
        any_change(2),
        any_change(1, minutes=3),
        replace(
            later, image=replace(later.image, scanned_at=NOW + timedelta(minutes=1, seconds=1))
        ),
        any_change(1, minutes=2, event_id="event-1", scanned_at=NOW),
    ]
    for change in given:
        put_change(entries, change)
    assert changes(entries) == [given[3], given[2], given[1], given[0]]


def test_forgets_the_changes_that_were_sent_and_no_others(entries: DigestEntries) -> None:
    put_entry(MODE, FIRST)
    sent = [any_change(1), any_change(1, minutes=1), any_change(2)]
    for change in sent:
        put_change(entries, change)
    put_change(entries, since := any_change(1, minutes=2))
    for _ in range(2):
        entries.forget(MODE, map(sort_key, sent))
        assert changes(entries) == [since]
    assert kept(entries) == [DigestEntry(FIRST, WELL, "first")]


CALLS: dict[str, Callable[[DigestEntries], object]] = {
    "adopt": lambda entries: entries.adopt(MODE, left_in="AFTER_RUN"),
    "changes_of": changes,
    "entries_of": kept,
    "forget": lambda entries: entries.forget(MODE, [sort_key(any_change())]),
    "forget entries": lambda entries: entries.forget(MODE, [], [any_entry()]),
    "under_way": lambda entries: entries.under_way(MODE),
    "begin": lambda entries: entries.begin(MODE, "digest-1", instead_of=None),
    "finish": lambda entries: entries.finish(MODE, "digest-1"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_says_that_it_is_unavailable_when_the_table_is_gone(
    entries: DigestEntries, call: Callable[[DigestEntries], object]
) -> None:
    boto3.client("dynamodb").delete_table(TableName="ledger-table")
    with pytest.raises(LedgerUnavailable, match="ResourceNotFoundException"):
        call(entries)
