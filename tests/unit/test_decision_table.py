"""How a scan compares with what was known: one test per row of the decision table.

A, B are critical in openssl; C, D are high in zlib and xz. Thresholds are 0 where nothing is said.
"""

import io
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ledger.changes import LISTS, Cause, Change
from ledger.errors import LedgerUnavailable
from ledger.image_records import ImageState
from notify_scan.notification import Notification
from reporting.channels.delivery import Channel, Delivery
from reporting.reports import Reason, ScanType
from tests.support.images import Images, Scan, at, named, scan

A, B = "CVE-A/openssl/C", "CVE-B/openssl/C"
C, D, E = "CVE-C/zlib/H", "CVE-D/xz/H", "CVE-E/curl/H"
FIVE_HIGH = tuple(f"CVE-{number}/lib{number}/H" for number in range(5))
HIGH_2, HIGH_10 = {"HIGH": 2}, {"HIGH": 10}
CRITICAL_ONLY: dict[str, int | None] = {"HIGH": None, "MEDIUM": None, "LOW": None}
FAILED = scan(status="FAILED", reason="no such layer")
CLEAN = scan()
ENHANCED = ScanType.ENHANCED
THRESHOLD, ACCEPTED, END_OF_FAILURE = Cause.THRESHOLD, Cause.ACCEPTED, Cause.END_OF_FAILURE


@dataclass(frozen=True)
class Row:
    """One row: the scans before, the scan, and what it is told as.

    lists: the vulnerabilities that are named, by list. by_number: no name is known.
    """

    number: int
    before: tuple[Scan, ...]
    now: Scan
    change: Change
    cause: Cause | None = None
    lists: dict[str, str] = field(default_factory=dict)
    notify: bool = True
    difference: dict[str, int] | None = None
    by_number: bool = False


def row(number: int, *scans: Scan, change: str, **given: Any) -> Any:
    *before, now = scans
    made = Row(number, tuple(before), now, Change(change), **given)
    return pytest.param(made, id=f"row_{number:02}")


SILENT: dict[str, Any] = {"change": "UNCHANGED", "notify": False}
ROWS = [
    row(1, scan(A, C), change="NEW", lists={"new": "CVE-A CVE-C"}),
    row(2, CLEAN, **SILENT),
    row(3, scan(A, C), scan(A, C), **SILENT),
    row(4, scan(A), scan(B), change="WORSE", lists={"new": "CVE-B", "gone": "CVE-A"}),
    row(
        5,
        scan(A, *FIVE_HIGH),
        scan(A, D),
        change="WORSE",
        lists={"new": "CVE-D", "gone": "CVE-0 CVE-1 CVE-2 CVE-3 CVE-4"},
        difference={"HIGH": -4},
    ),
    row(6, scan(A, C), scan(A), change="BETTER", notify=False, lists={"gone": "CVE-C"}),
    row(7, scan(A, C), CLEAN, change="CLEARED", lists={"gone": "CVE-A CVE-C"}),
    row(8, CLEAN, scan(A), change="NEW", lists={"new": "CVE-A"}),
    row(9, scan(A), scan(A, B), change="WORSE", lists={"new": "CVE-B"}),
    row(10, scan("CVE-A/openssl/M"), scan(A), change="WORSE", lists={"worse": "CVE-A"}),
    row(
        11,
        scan(A, C),
        scan(A, "CVE-C/zlib/M"),
        change="BETTER",
        notify=False,
        lists={"better": "CVE-C"},
    ),
    row(
        12,
        scan(A, C, limits=CRITICAL_ONLY),
        scan("CVE-A/openssl/H", C, limits=CRITICAL_ONLY),
        change="CLEARED",
        lists={"better": "CVE-A"},
    ),
    row(13, scan(A), scan(A, "CVE-A/libssl3/C"), lists={"spread": "CVE-A"}, **SILENT),
    row(
        14,
        scan("CVE-A/libssl3/C"),
        scan("CVE-A/libssl3t64/C"),
        lists={"spread": "CVE-A"},
        **SILENT,
    ),
    row(15, scan("GHSA-1/log4j/C"), scan("CVE-9/log4j/C"), lists={"renamed": "CVE-9"}, **SILENT),
    row(
        16,
        scan("CVE-9/glibc/H"),
        scan("ALAS-3/glibc/H", related={"ALAS-3": ("CVE-9",)}),
        lists={"renamed": "ALAS-3"},
        **SILENT,
    ),
    row(17, scan(A, version="3.0.1"), scan(A, version="3.0.2"), **SILENT),
    row(
        18, scan(A, B), at(scan(A)), at(scan(A, B), days=3), change="WORSE", lists={"back": "CVE-B"}
    ),
    row(
        19,
        scan(A, C),
        scan(A, C, accepted=("CVE-A",)),
        change="BETTER",
        notify=False,
        lists={"accepted": "CVE-A"},
    ),
    row(
        20,
        scan(A),
        scan(A, accepted=("CVE-A",)),
        change="CLEARED",
        cause=ACCEPTED,
        lists={"accepted": "CVE-A"},
    ),
    row(21, scan(A, accepted=("CVE-A",)), scan(A), change="NEW", lists={"ended": "CVE-A"}),
    row(22, scan(A, C, accepted=("CVE-A",)), scan(A, C), change="WORSE", lists={"ended": "CVE-A"}),
    row(
        23,
        scan(C, D, limits=HIGH_2),
        scan(C, D, E, limits=HIGH_2),
        change="NEW",
        lists={"new": "CVE-E"},
        difference={"HIGH": 1},
    ),
    row(
        24,
        scan(C, D, E, limits=HIGH_2),
        scan(C, D, limits=HIGH_2),
        change="CLEARED",
        lists={"gone": "CVE-E"},
        difference={"HIGH": -1},
    ),
    row(25, scan(C, D, limits=HIGH_2), scan(C, E, limits=HIGH_2), **SILENT),
    row(26, scan(A, C, D, limits=HIGH_10), scan(A, C, D), cause=THRESHOLD, **SILENT),
    row(27, scan(C, D), scan(C, D, limits=HIGH_10), cause=THRESHOLD, **SILENT),
    row(28, scan(A, C, limits=HIGH_10), scan(A, C, D), change="WORSE", lists={"new": "CVE-D"}),
    row(29, scan(A), FAILED, change="FAILED"),
    row(30, FAILED, FAILED, **SILENT),
    row(31, FAILED, CLEAN, change="CLEARED", cause=END_OF_FAILURE),
    row(
        32,
        scan(A),
        FAILED,
        scan(A, B),
        change="WORSE",
        cause=END_OF_FAILURE,
        lists={"new": "CVE-B"},
    ),
    row(33, scan(counts={"CRITICAL": 1}), scan(A), by_number=True, **SILENT),
    row(
        34,
        scan(counts={"CRITICAL": 1}),
        scan(A, B),
        change="WORSE",
        by_number=True,
        difference={"CRITICAL": 1},
    ),
    row(35, scan(A), scan(counts={"CRITICAL": 1}), by_number=True, **SILENT),
    row(
        36,
        scan(A),
        scan(counts={"CRITICAL": 2}),
        change="WORSE",
        by_number=True,
        difference={"CRITICAL": 1},
    ),
    row(
        37,
        scan("CVE-L/attr/L"),
        scan("CVE-L/attr/L", scan_type=ENHANCED),
        cause=Cause.FIRST_OF_TYPE,
        **SILENT,
    ),
    row(
        38,
        scan(A),
        scan(B, image=2),
        change="WORSE",
        lists={"new": "CVE-B", "gone": "CVE-A"},
    ),
    row(
        39,
        scan(A, C),
        scan(image=2),
        scan(A, C),
        change="NEW",
        lists={"back": "CVE-A CVE-C"},
    ),
    row(40, scan(A), scan(A, tags=("v1", "latest")), **SILENT),
    row(
        41,
        scan(A),
        scan(counts={"CRITICAL": 1}),
        scan(A, B),
        change="WORSE",
        lists={"new": "CVE-B"},
    ),
    row(
        44,
        scan(counts={"CRITICAL": 10_001}, is_whole=False),
        scan(counts={"CRITICAL": 10_002}, is_whole=False),
        change="WORSE",
        by_number=True,
        difference={"CRITICAL": 1},
    ),
    row(
        46,
        scan(A, scan_type=ENHANCED),
        scan(status="SCAN_ELIGIBILITY_EXPIRED", scan_type=ENHANCED),
        cause=Cause.NOT_MONITORED,
        by_number=True,
        **SILENT,
    ),
    row(
        47,
        scan(A, scan_type=ENHANCED),
        scan(A, scan_type=ENHANCED, suppressed=("CVE-A",)),
        change="CLEARED",
        cause=ACCEPTED,
        lists={"accepted": "CVE-A"},
    ),
    row(
        49,
        at(FAILED, reason="UnsupportedImageError: …"),
        cause=Cause.UNSUPPORTED,
        by_number=True,
        **SILENT,
    ),
]


@pytest.mark.parametrize("row", ROWS)
def test_decides_as_the_table_has_it(row: Row) -> None:
    images = Images()
    for before in row.before:
        images.scan(before)
    notification = images.scan(row.now)
    change = images.change_of(images.last_event)
    assert notification.notify is row.notify
    if change is None:
        assert (row.change, row.cause, row.lists, row.notify) == (Change.UNCHANGED, None, {}, False)
        return
    assert (change.change, change.cause) == (row.change, row.cause)
    assert named(change) == {name: set(names.split()) for name, names in row.lists.items()}
    if row.by_number:
        assert change.by_name is None
    if row.difference is not None:
        (report,) = (
            each.content["report"]  # type: ignore[index, call-overload]
            for each in notification.deliveries
            if each.channel is Channel.WEBHOOK
        )
        assert report["difference"] == row.difference


def test_row_42_answers_a_repeated_event_from_what_was_stored() -> None:
    images = Images()
    events, first = [], []
    for scanned in (scan(A), scan(A, C), scan(B, C), scan(), scan(A)):
        first.append(images.scan(scanned))
        events.append(images.last_event)
    asked = images.asked
    for event, notification in zip(events, first, strict=True):
        again = images.send(event)
        assert (again.notify, again.reason) == (notification.notify, notification.reason)
        assert named_in(again) == named_in(notification)
        assert [each.message_id for each in again.deliveries if not is_incident(each)] == [
            each.message_id for each in notification.deliveries if not is_incident(each)
        ]
    assert images.asked == asked
    assert len(images.ledger.digest) == len(events)


def test_row_43_reports_no_event_that_is_older_than_five_changes() -> None:
    images = Images()
    images.scan(scan(A))
    oldest = images.last_event
    for found in (A, C, A, C, A):
        images.scan(scan(found, B))
    late = images.send(oldest)
    assert (late.notify, late.reason, late.deliveries) == (False, Reason.OUTDATED, ())


def test_row_45_takes_the_findings_of_a_newer_scan_than_that_of_the_event() -> None:
    images = Images()
    images.scan(scan(A))
    older = images.scan(scan(A, B, counted={"CRITICAL": 1}))
    assert named_in(older)["new"] == ["CVE-B"]
    newer = images.scan(scan(A, B))
    assert (newer.notify, newer.reason) == (False, Reason.UNCHANGED)


def test_row_50_compares_each_platform_with_the_same_platform_before() -> None:
    images = Images()
    for image, platform in ((1, "linux/amd64"), (2, "linux/arm64")):
        images.child(image, platform, "v1")
        assert images.scan(scan(A, image=image, tags=())).notify
    for image, platform in ((3, "linux/amd64"), (4, "linux/arm64")):
        images.child(image, platform, "v1")
        unchanged = images.scan(scan(A, image=image, tags=()))
        assert (unchanged.notify, unchanged.reason) == (False, Reason.UNCHANGED)
    images.child(5, "linux/arm64", "v1")
    assert named_in(images.scan(scan(A, D, image=5, tags=())))["new"] == ["CVE-D"]


def named_in(notification: Notification) -> dict[str, list[str]]:
    """Return the vulnerabilities in each list of the report that the webhook gets."""
    for each in notification.deliveries:
        if each.channel is Channel.WEBHOOK:
            content: Any = each.content
            return {
                name: [finding["name"] for finding in content["report"]["by_name"][name]]
                for name in LISTS
            }
    return {}


def is_incident(delivery: Delivery) -> bool:
    return delivery.channel is Channel.PAGERDUTY


def test_names_everything_after_a_scan_by_number_that_followed_an_empty_one() -> None:
    images = Images()
    images.scan(CLEAN)
    images.scan(scan(counts={"CRITICAL": 1}))
    assert named_in(images.scan(scan(A, C)))["new"] == ["CVE-A", "CVE-C"]


def test_names_again_what_had_gone_by_number() -> None:
    images = Images()
    images.scan(scan(A, C))
    images.scan(scan(counts={"HIGH": 1}))
    again = images.scan(scan(A, C))
    assert (again.notify, named_in(again)["back"], named_in(again)["new"]) == (True, ["CVE-A"], [])


def test_keeps_what_may_be_left_by_number() -> None:
    images = Images()
    images.scan(scan(A, C, scan_type=ENHANCED))
    images.scan(scan(counts={"CRITICAL": 1, "TOTAL": 2}, scan_type=ENHANCED))
    assert not images.scan(scan(A, C, scan_type=ENHANCED)).notify


def test_names_what_a_moved_tag_has_brought_that_could_not_be_read_at_first() -> None:
    images = Images()
    images.scan(scan(A))
    unread = images.scan(scan(image=2, counts={"CRITICAL": 1}))
    assert not unread.notify
    read = images.scan(scan(B, image=2))
    assert (read.notify, named_in(read)["new"], named_in(read)["gone"]) == (
        True,
        ["CVE-B"],
        ["CVE-A"],
    )


def test_a_tag_that_has_moved_since_a_finding_event_stays_where_it_is() -> None:
    images = Images()
    enhanced = {"scan_type": ENHANCED}
    images.scan(scan(A, **enhanced))
    assert images.scan(scan(image=2, **enhanced)).reason == Reason.CLEARED
    late = images.scan(scan(A, status="ACTIVE", tagged_days_ago=2, days=0.1, **enhanced))
    assert (late.notify, late.reason, late.deliveries) == (False, Reason.UNCHANGED, ())
    assert not images.scan(scan(image=2, **enhanced)).notify


def test_the_claim_of_a_scan_that_is_not_reported_is_that_of_the_next_one_of_the_image() -> None:
    images = Images()
    images.scan(CLEAN)
    images.ledger.refused = {"note"}
    with pytest.raises(LedgerUnavailable):
        images.scan(scan(A))
    images.ledger.refused = set()
    channels = {each.channel for each in images.scan(scan(A)).deliveries}
    assert channels == {Channel.SLACK, Channel.WEBHOOK, Channel.PAGERDUTY}


def test_a_repeated_event_says_again_what_it_was_compared_with_and_what_is_accepted() -> None:
    images = Images()
    images.scan(scan(A))
    first = images.scan(scan(B, C, image=2, accepted=("CVE-C",)))
    again = images.send(images.last_event)
    for name in ("compared_with", "accepted", "open_now", "difference"):
        assert report_of(again)[name] == report_of(first)[name]
    assert report_of(again)["compared_with"] == f"sha256:{1:064x}"


def report_of(notification: Notification) -> Any:
    (content,) = (
        each.content for each in notification.deliveries if each.channel is Channel.WEBHOOK
    )
    return content["report"]  # type: ignore[index, call-overload]


def test_a_lowered_threshold_alone_opens_nothing_new() -> None:
    images = Images()
    images.scan(scan(C, limits=HIGH_10))
    assert not images.scan(scan(C)).notify
    change = images.change_of(images.last_event)
    assert change
    assert (change.change, change.cause, named(change)) == (Change.UNCHANGED, THRESHOLD, {})


def test_reports_the_end_of_a_failure_where_the_same_findings_remain() -> None:
    images = Images()
    for each in (scan(A), FAILED):
        images.scan(each)
    assert images.scan(scan(A)).notify
    change = images.change_of(images.last_event)
    assert change
    assert (change.change, change.cause, named(change)) == (Change.CLEARED, END_OF_FAILURE, {})


def test_reports_the_end_of_a_failure_where_nothing_was_open_before() -> None:
    images = Images()
    for each in (scan(C, limits=HIGH_2), FAILED):
        images.scan(each)
    assert images.scan(scan(C, limits=HIGH_2)).notify
    change = images.change_of(images.last_event)
    assert change
    assert (change.change, change.cause, named(change)) == (Change.CLEARED, END_OF_FAILURE, {})


def test_an_image_of_version_0_3_0_is_compared_with_all_that_an_enhanced_scan_counts() -> None:
    """That version did not know which of the findings Amazon Inspector suppresses."""
    images, image_digest = Images(), f"sha256:{1:064x}"
    enhanced = scan(A, B, scan_type=ENHANCED, suppressed=("CVE-B",))
    images.scan(enhanced)
    record = images.ledger.kept["team/api", image_digest]
    assert record.baseline
    kept = ImageState({"CRITICAL": 2}, ("CRITICAL",))
    images.ledger.kept["team/api", image_digest] = replace(
        record, baseline=replace(record.baseline, image_state=kept, incident=None)
    )
    del images.ledger.findings["team/api", image_digest]
    assert not images.scan(enhanced).notify
    assert images.change_of(images.last_event) is None
    stored = images.ledger.kept["team/api", image_digest].baseline
    assert stored
    assert stored.image_state.counts["CRITICAL"] == 1
    worse = images.scan(scan(A, B, E, scan_type=ENHANCED, suppressed=("CVE-B",)))
    assert named_in(worse)["new"] == ["CVE-E"]


def test_compares_by_number_with_more_findings_than_an_item_holds(log: io.StringIO) -> None:
    images, image_digest = Images(), f"sha256:{1:064x}"
    images.scan(scan(A))
    assert images.ledger.findings["team/api", image_digest].findings
    images.ledger.is_full = True
    assert images.scan(scan(A, C)).notify
    assert "findings not stored by name" in log.getvalue()
    assert ("team/api", image_digest) not in images.ledger.findings
    stored = images.ledger.kept["team/api", image_digest].baseline
    assert stored
    assert (stored.image_state.counts["CRITICAL"], stored.image_state.counts["HIGH"]) == (1, 1)
    assert not images.scan(scan(A, C)).notify
    assert images.scan(scan(A, C, D)).notify


def test_a_threshold_that_is_lowered_is_no_news_where_nothing_was_open() -> None:
    images = Images()
    images.scan(scan(C, D, limits=HIGH_10))
    assert images.scan(scan(C, D)).reason == Reason.THRESHOLD_MOVED
    change = images.change_of(images.last_event)
    assert change
    assert (change.change, change.cause) == (Change.UNCHANGED, THRESHOLD)


def test_keeps_the_names_of_another_type_of_scanning_out_of_a_scan_by_number() -> None:
    images = Images()
    images.scan(scan(A, C))
    assert images.scan(scan(counts={"CRITICAL": 1}, scan_type=ENHANCED)).reason == (
        Reason.FIRST_OF_TYPE
    )
    (known,) = images.ledger.findings.values()
    assert {name for name, _ in known.findings} == {"CVE-A", "CVE-C"}


def test_an_enhanced_scan_after_the_update_is_compared_as_version_0_3_0_did() -> None:
    images, counts = Images(), {"CRITICAL": 1, "UNTRIAGED": 7}
    images.scan(scan(counts=counts, scan_type=ENHANCED))
    ((key, record),) = images.ledger.kept.items()
    assert record.baseline
    old = replace(record.baseline.image_state, thresholds=None, scan_type=None)
    baseline = replace(record.baseline, image_state=old)
    images.ledger.kept[key] = replace(record, baseline=baseline)
    found = (A, *(f"CVE-{number}/attr/L" for number in range(7)))
    silent = images.scan(scan(*found, counted=counts, accepted=("CVE-A",), scan_type=ENHANCED))
    assert (silent.notify, silent.reason) == (False, Reason.UNCHANGED)
