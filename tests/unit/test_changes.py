"""The comparison of scans by number, and what holds for every comparison by name.

How scans compare by name is in the decision table, row by row.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.changes import Cause, Change
from ledger.image_records import ImageState
from ledger.known_findings import GoneFinding, KnownFinding
from registry.findings import SEVERITIES, FindingKey
from reporting.changes import Comparison, Seen, compare, counted_unaccepted, difference
from reporting.thresholds import OTHER, Thresholds, counted
from tests.support.clock import NOW

THRESHOLDS = Thresholds({"CRITICAL": 0, "HIGH": 2, "LOW": None})
TODAY = NOW.date()


def state(
    counts: Mapping[str, int] | None = None,
    thresholds: Thresholds = THRESHOLDS,
    *,
    failed: bool = False,
    is_old: bool = False,
) -> ImageState:
    all_counts = dict.fromkeys((*SEVERITIES, OTHER), 0) | dict(counts or {})
    return ImageState(
        all_counts,
        tuple(thresholds.exceeded(all_counts)),
        failed,
        None if is_old else thresholds.in_force,
        None if is_old else "BASIC",
    )


def by_number(before: ImageState | None, now: ImageState) -> Comparison:
    return compare(Seen(before) if before else None, Seen(now))


FAILED = state(failed=True)
CLEAN, CRITICAL = state(), state({"CRITICAL": 1})
HIGH_10 = Thresholds({"CRITICAL": 0, "HIGH": 10})
END = Cause.END_OF_FAILURE


@pytest.mark.parametrize(
    ("before", "now", "expected", "moved", "cause"),
    [
        (None, CRITICAL, Change.NEW, {"CRITICAL": 1}, None),
        (CLEAN, CRITICAL, Change.NEW, {"CRITICAL": 1}, None),
        (None, CLEAN, Change.UNCHANGED, {}, None),
        (CLEAN, CLEAN, Change.UNCHANGED, {}, None),
        (CRITICAL, CRITICAL, Change.UNCHANGED, {}, None),
        (CRITICAL, CLEAN, Change.CLEARED, {"CRITICAL": -1}, None),
        (CRITICAL, state({"CRITICAL": 2}), Change.WORSE, {"CRITICAL": 1}, None),
        (CRITICAL, state({"CRITICAL": 3}), Change.WORSE, {"CRITICAL": 2}, None),
        (state({"CRITICAL": 3}), CRITICAL, Change.BETTER, {"CRITICAL": -2}, None),
        # Whatever has become more must be looked at.
        (
            state({"CRITICAL": 3}),
            state({"CRITICAL": 1, "HIGH": 4}),
            Change.WORSE,
            {"CRITICAL": -2, "HIGH": 4},
            None,
        ),
        # At the threshold is accepted, so it is not watched.
        (CRITICAL, state({"CRITICAL": 1, "HIGH": 2}), Change.UNCHANGED, {}, None),
        (CRITICAL, state({"CRITICAL": 1, "LOW": 900}), Change.UNCHANGED, {}, None),
        (state({"HIGH": 3}), state({"HIGH": 2}), Change.CLEARED, {"HIGH": -1}, None),
        (None, FAILED, Change.FAILED, {}, None),
        (CLEAN, FAILED, Change.FAILED, {}, None),
        (FAILED, FAILED, Change.UNCHANGED, {}, None),
        (FAILED, CLEAN, Change.CLEARED, {}, END),
        (FAILED, CRITICAL, Change.NEW, {"CRITICAL": 1}, END),
        (replace(CRITICAL, failed=True), state({"CRITICAL": 2}), "WORSE", {"CRITICAL": 1}, END),
        (replace(CRITICAL, failed=True), CRITICAL, Change.CLEARED, {}, END),
        (replace(CRITICAL, failed=True), CLEAN, Change.CLEARED, {"CRITICAL": -1}, None),
        (
            replace(state({"CRITICAL": 3}), failed=True),
            CRITICAL,
            Change.CLEARED,
            {"CRITICAL": -2},
            END,
        ),
        # A threshold was moved, and nothing else.
        (
            state({"HIGH": 5}),
            state({"HIGH": 5}, HIGH_10),
            Change.UNCHANGED,
            {},
            Cause.THRESHOLD,
        ),
        (
            state({"HIGH": 5}, HIGH_10),
            state({"HIGH": 5}),
            Change.UNCHANGED,
            {},
            Cause.THRESHOLD,
        ),
        (
            state({"CRITICAL": 1, "HIGH": 5}, HIGH_10),
            state({"CRITICAL": 1, "HIGH": 5}),
            Change.UNCHANGED,
            {},
            Cause.THRESHOLD,
        ),
        (CRITICAL, state({"CRITICAL": 1}, HIGH_10), Change.UNCHANGED, {}, None),
        (state({"HIGH": 5}), state({"HIGH": 4}, HIGH_10), Change.CLEARED, {"HIGH": -1}, None),
        (state({"HIGH": 5}, HIGH_10), state({"HIGH": 6}), Change.NEW, {"HIGH": 1}, None),
        # Version 0.3.0 did not store thresholds, and did not report the end of every failure.
        (state({"HIGH": 5}, is_old=True), state({"HIGH": 5}, HIGH_10), Change.CLEARED, {}, None),
        (
            state({"HIGH": 5}, HIGH_10, is_old=True),
            state({"HIGH": 5}),
            Change.NEW,
            {},
            None,
        ),
        (
            replace(state({"CRITICAL": 1}, is_old=True), failed=True),
            CRITICAL,
            Change.UNCHANGED,
            {},
            None,
        ),
    ],
)
def test_compares_by_number(
    before: ImageState | None,
    now: ImageState,
    expected: Change,
    moved: dict[str, int],
    cause: Cause | None,
) -> None:
    comparison = by_number(before, now)
    assert (comparison.change, comparison.cause) == (expected, cause)
    assert comparison.difference == difference(before or ImageState(), now) == moved
    risen = (
        now.exceeded if expected is Change.NEW else [it for it, more in moved.items() if more > 0]
    )
    assert comparison.risen == tuple(risen)
    assert comparison.moved is None


def test_says_the_difference_worst_first() -> None:
    before, now = state({"CRITICAL": 2, "HIGH": 9}), state({"CRITICAL": 1, "HIGH": 12})
    assert list(difference(before, now)) == ["CRITICAL", "HIGH"]


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        (CRITICAL, replace(CRITICAL, is_unsupported=True), Cause.UNSUPPORTED),
        (None, replace(CLEAN, is_unsupported=True), Cause.UNSUPPORTED),
        (CRITICAL, replace(CRITICAL, is_monitored=False), Cause.NOT_MONITORED),
        (None, replace(CLEAN, is_monitored=False), Cause.NOT_MONITORED),
        (replace(CRITICAL, is_monitored=False), replace(CRITICAL, is_monitored=False), None),
        (CRITICAL, replace(CRITICAL, scan_type="ENHANCED"), Cause.FIRST_OF_TYPE),
        (CRITICAL, replace(CLEAN, scan_type="ENHANCED"), Cause.FIRST_OF_TYPE),
        (CLEAN, replace(CLEAN, scan_type="ENHANCED"), None),
    ],
)
def test_is_no_news_where_the_scans_cannot_be_compared(
    before: ImageState | None, now: ImageState, cause: Cause | None
) -> None:
    assert by_number(before, now) == Comparison(Change.UNCHANGED, cause)


keys = st.tuples(st.sampled_from([f"CVE-{n}" for n in range(6)]), st.sampled_from(["a", "b"]))
known = st.builds(
    KnownFinding,
    st.sampled_from([*SEVERITIES[:4], "UNTRIAGED"]),
    st.just(TODAY),
    st.booleans(),
)
findings = st.dictionaries(keys, known, max_size=8)
limits = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.integers(0, 2)) for name in (*SEVERITIES[:4], OTHER)}
)


def seen(found: Mapping[FindingKey, KnownFinding], most: dict[str, int | None]) -> Seen:
    thresholds = Thresholds(most)
    counts = counted_unaccepted(found)
    exceeded = tuple(thresholds.exceeded(counts))
    return Seen(ImageState(counts, exceeded, False, thresholds.in_force, "BASIC"), found)


def test_counts_what_is_not_accepted_and_only_that() -> None:
    assert counted_unaccepted(found(a_x=OPEN, a_y=ACCEPTED, b_x=OPEN)) == counted(["HIGH"] * 2)


@pytest.mark.parametrize("related", [{"GHSA-1": ("ALAS-1",)}, {"ALAS-1": ("GHSA-1",)}])
def test_a_finding_is_renamed_where_either_name_has_the_other_as_related(
    related: dict[str, tuple[str, ...]],
) -> None:
    before, now = ({(name, "a"): KnownFinding("HIGH", TODAY)} for name in ("GHSA-1", "ALAS-1"))
    most: dict[str, int | None] = {"HIGH": 0}
    comparison = compare(seen(before, most), seen(now, most), related)
    assert comparison.change is Change.UNCHANGED
    assert comparison.moved
    assert comparison.moved.renamed == {("ALAS-1", "a"): ("GHSA-1", "a")}
    assert compare(seen(before, most), seen(now, most)).change is Change.WORSE


OPEN, ACCEPTED = KnownFinding("HIGH", TODAY), KnownFinding("HIGH", TODAY, is_accepted=True)
WORST = KnownFinding("CRITICAL", TODAY)
HIGH_0: dict[str, int | None] = {"CRITICAL": 0, "HIGH": 0}
HIGH_2: dict[str, int | None] = {"CRITICAL": 0, "HIGH": 2}


def found(**given: KnownFinding) -> dict[FindingKey, KnownFinding]:
    """Name findings by vulnerability and package: a_zlib is CVE-a in zlib."""
    keys = (key.partition("_") for key in given)
    named = [(f"CVE-{name}", package) for name, _, package in keys]
    return dict(zip(named, given.values(), strict=True))


TWO, THREE = found(a_x=OPEN, b_x=OPEN), found(a_x=OPEN, b_x=OPEN, c_x=OPEN)


@pytest.mark.parametrize(
    ("before", "now", "expected", "cause"),
    [
        # A threshold was moved, and nothing else, or something else, too.
        (seen(TWO, HIGH_0), seen(TWO, HIGH_2), "UNCHANGED", Cause.THRESHOLD),
        (seen(TWO, HIGH_2), seen(TWO, HIGH_0), "UNCHANGED", Cause.THRESHOLD),
        (seen(THREE, HIGH_0), seen(TWO, HIGH_2), "CLEARED", None),
        (seen(TWO, HIGH_2), seen(THREE, HIGH_0), "NEW", None),
        (seen(TWO, HIGH_0), seen(TWO, HIGH_0 | {"LOW": 5}), "UNCHANGED", None),
        # What is accepted alone is the cause, and not where something has gone.
        (seen(found(a_x=OPEN), HIGH_0), seen(found(a_x=ACCEPTED), HIGH_0), "CLEARED", "ACCEPTED"),
        (seen(TWO, HIGH_0), seen(found(a_x=ACCEPTED), HIGH_0), "CLEARED", None),
        # One in another package makes those count that the threshold had allowed.
        (
            seen(TWO | found(w_x=WORST), HIGH_2),
            seen(TWO | found(w_x=WORST, w_y=OPEN), HIGH_2),
            "WORSE",
            None,
        ),
        (
            seen(TWO | found(w_x=WORST), HIGH_2),
            seen(TWO | found(w_x=WORST, w_y=OPEN), HIGH_0),
            "UNCHANGED",
            Cause.THRESHOLD,
        ),
    ],
)
def test_compares_by_name(before: Seen, now: Seen, expected: str, cause: str | None) -> None:
    comparison = compare(before, now)
    assert (comparison.change, comparison.cause) == (expected, cause)


def test_what_is_found_after_a_failure_ends_the_failure() -> None:
    clean = seen({}, HIGH_0)
    failed = replace(clean, image_state=replace(clean.image_state, failed=True))
    comparison = compare(failed, seen(TWO, HIGH_0))
    assert (comparison.change, comparison.cause) == (Change.NEW, Cause.END_OF_FAILURE)


def test_compares_by_number_unless_the_names_of_both_scans_are_known() -> None:
    named, other = seen(TWO, HIGH_0), seen(found(c_x=OPEN, d_x=OPEN), HIGH_0)
    assert compare(named, other).change is Change.WORSE
    for before, now in (
        (replace(named, findings=None), other),
        (named, replace(other, findings=None)),
    ):
        assert compare(before, now) == Comparison(Change.UNCHANGED)


def test_an_empty_scan_by_number_is_compared_by_name_with_what_had_gone_before() -> None:
    gone = {("CVE-a", "x"): GoneFinding("HIGH", TODAY, TODAY)}
    comparison = compare(replace(seen({}, HIGH_0), findings=None, gone=gone), seen(TWO, HIGH_0))
    assert comparison.moved
    assert comparison.moved.back == {("CVE-a", "x")}
    assert comparison.moved.new == {("CVE-b", "x")}


def test_the_worst_package_decides_whether_a_vulnerability_only_spreads() -> None:
    low = KnownFinding("LOW", TODAY)
    earlier = {(f"CVE-{n}", it): each for n in range(9) for it, each in (("a", WORST), ("b", low))}
    more = {(f"CVE-{n}", "c"): WORST for n in range(9)}
    most: dict[str, int | None] = {"CRITICAL": 0, "LOW": 0}
    comparison = compare(seen(earlier, most), seen(earlier | more, most))
    assert comparison.moved
    assert comparison.moved.spread == more.keys()


def test_a_severity_that_is_not_counted_any_more_has_no_findings() -> None:
    assert difference(ImageState({"HIGH": 2}, ("HIGH",)), ImageState()) == {"HIGH": -2}
    assert difference(ImageState(), ImageState({"HIGH": 2}, ("HIGH",))) == {"HIGH": 2}


@pytest.mark.no_cover
@given(findings, limits)
def test_the_same_findings_are_no_change(
    found: dict[FindingKey, KnownFinding], most: dict[str, int | None]
) -> None:
    comparison = compare(seen(found, most), seen(found, most))
    assert (comparison.change, comparison.cause, comparison.difference) == ("UNCHANGED", None, {})
    assert comparison.moved
    assert not comparison.moved.news


@pytest.mark.no_cover
@given(findings, findings, limits, st.booleans())
def test_every_open_finding_that_was_not_there_is_in_exactly_one_list(
    earlier: dict[FindingKey, KnownFinding],
    later: dict[FindingKey, KnownFinding],
    most: dict[str, int | None],
    was_there_lately: bool,
) -> None:
    before, now = seen(earlier, most), seen(later, most)
    gone = {key: GoneFinding("LOW", TODAY, TODAY - timedelta(days=3)) for key in later}
    if was_there_lately:
        before = replace(before, gone=gone)
    comparison = compare(before, now)
    moved, exceeded = comparison.moved, now.image_state.exceeded
    assert moved
    assert comparison.risen == tuple(it for it, more in comparison.difference.items() if more > 0)
    for key, finding in later.items():
        severity = finding.severity if finding.severity in SEVERITIES else OTHER
        is_open = not finding.is_accepted and severity in exceeded
        lists = [key in moved.new, key in moved.back, key in moved.spread, key in moved.renamed]
        assert sum(lists) == (1 if is_open and key not in earlier else 0)
    if moved.news or moved.ended:
        assert comparison.change in (Change.NEW, Change.WORSE)
    assert (comparison.change is Change.CLEARED) <= (not exceeded)
    assert not (moved.new and was_there_lately)


@pytest.mark.no_cover
@given(findings, findings, limits)
def test_what_is_new_one_way_is_gone_the_other_way(
    earlier: dict[FindingKey, KnownFinding],
    later: dict[FindingKey, KnownFinding],
    most: dict[str, int | None],
) -> None:
    there = compare(seen(earlier, most), seen(later, most))
    back = compare(seen(later, most), seen(earlier, most))
    assert there.difference == {name: -more for name, more in back.difference.items()}
    assert there.moved
    assert back.moved
    assert there.moved.new <= back.moved.gone
