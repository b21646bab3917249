"""What several changes of an image amount to."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.changes import LISTS, Cause, Change, ChangedFinding, FindingsChange
from ledger.digest_entries import DigestChange
from ledger.image_records import ImageState
from registry.findings import severity_rank
from reporting.net_change import NetChange, folded, net_change
from tests.support.digests import BAD, FAILED, WELL, WORSE, any_change

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
A = ChangedFinding("CVE-2026-1", "openssl", "CRITICAL")
B = ChangedFinding("CVE-2026-2", "libxml2", "HIGH")
C = ChangedFinding("CVE-2026-3", "zlib", "HIGH")

type Open = dict[str, str]  # what is open, with its severity


def rated(finding: ChangedFinding, severity: str, was: str) -> ChangedFinding:
    return replace(finding, severity=severity, was=was)


def names(change: FindingsChange | None) -> dict[str, list[str]]:
    assert change
    lists = {name: [each.name for each in getattr(change, name)] for name in LISTS}
    return {name: found for name, found in lists.items() if found}


def step(before: Open, now: Open) -> FindingsChange:
    """Say what has changed from one scan to the next one."""
    lists: dict[str, list[ChangedFinding]] = {name: [] for name in LISTS}
    for name, severity in now.items():
        finding = ChangedFinding(name, f"package of {name}", severity)
        if name not in before:
            lists["new"].append(finding)
        elif (was := before[name]) != severity:
            is_worse = severity_rank(severity) < severity_rank(was)
            lists["worse" if is_worse else "better"].append(replace(finding, was=was))
    for name in before.keys() - now.keys():
        lists["gone"].append(ChangedFinding(name, f"package of {name}", before[name]))
    return FindingsChange(**{name: tuple(found) for name, found in lists.items()})


def content(change: FindingsChange) -> dict[str, set[tuple[str, str, str]]]:
    return {
        name: {(each.name, each.severity, each.was) for each in getattr(change, name)}
        for name in LISTS
    }


scans = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(SEVERITIES)), min_size=2, max_size=6
)


@given(scans)
def test_changes_in_a_row_amount_to_the_difference_of_the_first_and_the_last_scan(
    scans: list[Open],
) -> None:
    steps = [step(*pair) for pair in pairwise(scans)]
    whole = folded((each, False) for each in steps)
    assert content(whole) == content(step(scans[0], scans[-1]))


@given(scans, st.data())
def test_what_was_reported_immediately_is_not_named_as_new_again(
    scans: list[Open], data: st.DataObject
) -> None:
    """Unless it has gone since, and has come back."""
    steps = [step(*pair) for pair in pairwise(scans)]
    told = data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    known = dict(scans[0])
    for now, change, is_told in zip(scans[1:], steps, told, strict=True):
        if is_told:
            for each in (*change.new, *change.worse, *change.better):
                known[each.name] = now[each.name]
            for each in change.gone:
                known.pop(each.name, None)
    whole = folded(zip(steps, told, strict=True))
    assert content(whole) == content(step(known, scans[-1]))


def chain(*changes: FindingsChange, told: Sequence[int] = ()) -> FindingsChange:
    return folded((change, number in told) for number, change in enumerate(changes))


@pytest.mark.parametrize(
    ("changes", "amounts_to"),
    [
        ((FindingsChange(back=(A,)), FindingsChange(gone=(A,))), {}),
        ((FindingsChange(ended=(A,)), FindingsChange(accepted=(A,))), {}),
        ((FindingsChange(accepted=(A,)), FindingsChange(ended=(A,))), {}),
        ((FindingsChange(gone=(A,)), FindingsChange(back=(A,))), {}),
        ((FindingsChange(accepted=(A,)), FindingsChange(gone=(B,))), {"accepted": 1, "gone": 1}),
        (
            (FindingsChange(new=(A,)), FindingsChange(gone=(A,)), FindingsChange(back=(A,))),
            {"back": 1},
        ),
        ((FindingsChange(spread=(A,)), FindingsChange(new=(B,))), {"spread": 1, "new": 1}),
    ],
)
def test_keeps_how_a_finding_has_come_or_gone(
    changes: tuple[FindingsChange, ...], amounts_to: dict[str, int]
) -> None:
    assert {name: len(found) for name, found in names(chain(*changes)).items()} == amounts_to


def test_a_rating_is_compared_with_the_one_that_was_last_reported() -> None:
    up, down = rated(A, "CRITICAL", "HIGH"), rated(A, "LOW", "CRITICAL")
    better = FindingsChange(better=(rated(A, "LOW", "HIGH"),))
    assert chain(FindingsChange(worse=(up,)), FindingsChange(better=(down,))) == better
    again = FindingsChange(worse=(rated(A, "HIGH", "LOW"),))
    assert chain(better, again).is_empty
    higher = FindingsChange(worse=(rated(A, "HIGH", "MEDIUM"),))
    assert chain(higher, FindingsChange(worse=(up,))) == FindingsChange(
        worse=(rated(A, "CRITICAL", "MEDIUM"),)
    )
    gone = FindingsChange(gone=(replace(A, severity="LOW"),))
    assert chain(better, gone) == FindingsChange(gone=(replace(A, severity="HIGH"),))


def test_severities_that_aws_does_not_document_are_rated_alike() -> None:
    worse = FindingsChange(worse=(rated(A, "HIGH", "UNTRIAGED"),))
    better = FindingsChange(better=(rated(A, "ODD", "HIGH"),))
    assert chain(worse, better).is_empty


def test_carries_a_finding_over_to_its_new_name_and_its_new_package() -> None:
    new = replace(A, name="GHSA-1")
    packaged = replace(A, package="libssl3", was="openssl")
    change = chain(
        FindingsChange(new=(new,)),
        FindingsChange(renamed=(replace(A, was="GHSA-1"),)),
        FindingsChange(renamed=(packaged,)),
    )
    assert change == FindingsChange(new=(replace(A, package="libssl3"),))
    assert chain(change, FindingsChange(gone=(replace(packaged, was=""),))).is_empty


def test_a_renamed_finding_that_was_there_before_is_no_news() -> None:
    assert chain(FindingsChange(renamed=(replace(A, was="GHSA-1"),))).is_empty


def test_lists_the_worst_first() -> None:
    assert names(chain(FindingsChange(new=(C,)), FindingsChange(new=(B, A)))) == {
        "new": [A.name, B.name, C.name]
    }


def test_adds_up_what_does_not_fit_an_entry_and_was_not_reported() -> None:
    cut = FindingsChange(new=(A,), omitted={"new": 7})
    assert chain(cut, cut, replace(cut, omitted={"gone": 2})).omitted == {"new": 14, "gone": 2}
    assert chain(cut, told=[0]).omitted is None


def amounts(*changes: DigestChange) -> NetChange:
    net = net_change(changes)
    assert net
    return net


def by_name(
    before: ImageState, image_state: ImageState, minutes: int, /, **given: Any
) -> DigestChange:
    lists = {name: given.pop(name) for name in LISTS if name in given}
    return any_change(
        1, before, image_state, minutes=minutes, by_name=FindingsChange(**lists), **given
    )


FEWER = ImageState({"CRITICAL": 1, "HIGH": 1}, ("CRITICAL", "HIGH"))
ONE_HIGH = ImageState({"CRITICAL": 0, "HIGH": 1}, ("HIGH",))
THRESHOLD_0 = ImageState({"HIGH": 1}, ("HIGH",), thresholds={"HIGH": 0})
THRESHOLD_10 = ImageState({"HIGH": 1}, (), thresholds={"HIGH": 10})


def test_a_change_alone_is_what_its_event_has_reported() -> None:
    """Also where the numbers alone would say otherwise."""
    renamed = (replace(A, name="CVE-2026-4", was="GHSA-1"),)
    lists: dict[str, Any] = {"new": (A,), "gone": (B, C), "renamed": renamed}
    change = by_name(BAD, FEWER, 0, change=Change.WORSE, **lists)
    net = amounts(change)
    assert (net.change, net.by_name, net.before) == (Change.WORSE, change.by_name, BAD)
    assert not net.is_by_number


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ([by_name(WELL, BAD, 0, new=(A,)), by_name(BAD, WELL, 1, gone=(A,))], Change.UNCHANGED),
        ([by_name(WELL, BAD, 0, new=(A,)), by_name(BAD, WORSE, 1, new=(B,))], Change.NEW),
        ([by_name(BAD, WORSE, 0, new=(A,)), by_name(WORSE, BAD, 1, gone=(C,))], Change.WORSE),
        ([by_name(BAD, WORSE, 0, new=(A,)), by_name(WORSE, BAD, 1, gone=(A,))], Change.UNCHANGED),
        (
            [by_name(BAD, WORSE, 0, new=(A,)), by_name(WORSE, FEWER, 1, gone=(A, B))],
            Change.BETTER,
        ),
        ([by_name(BAD, BAD, 0), by_name(BAD, WELL, 1, accepted=(A,))], Change.CLEARED),
        (
            [by_name(BAD, BAD, 0), by_name(BAD, BAD, 1, better=(rated(C, "HIGH", "CRITICAL"),))],
            Change.BETTER,
        ),
        ([by_name(BAD, FAILED, 0), any_change(1, FAILED, BAD, minutes=1)], Change.UNCHANGED),
        ([by_name(FAILED, WELL, 0), by_name(WELL, WELL, 1)], Change.CLEARED),
        ([any_change(1, WELL, BAD), any_change(1, BAD, FAILED, minutes=1)], Change.FAILED),
        (
            [by_name(THRESHOLD_10, THRESHOLD_0, 0), by_name(THRESHOLD_0, THRESHOLD_0, 1)],
            Change.UNCHANGED,
        ),
        (
            [by_name(THRESHOLD_0, THRESHOLD_10, 0), by_name(THRESHOLD_10, THRESHOLD_10, 1)],
            Change.UNCHANGED,
        ),
        ([by_name(BAD, BAD, 0, spread=(A,)), by_name(BAD, BAD, 1)], Change.UNCHANGED),
        # Where some scan was compared by number, the numbers decide, unless something is new.
        ([any_change(1, BAD, WORSE), any_change(1, WORSE, BAD, minutes=1)], Change.UNCHANGED),
        ([any_change(1, BAD, WORSE), by_name(WORSE, BAD, 1, gone=(A,))], Change.UNCHANGED),
        ([any_change(1, WORSE, BAD), by_name(BAD, BAD, 1, new=(A,))], Change.WORSE),
    ],
)
def test_compares_the_state_before_all_changes_with_the_latest(
    changes: list[DigestChange], kind: Change
) -> None:
    assert amounts(*changes).change is kind


def test_says_nothing_of_an_image_whose_changes_were_all_reported_immediately() -> None:
    assert net_change([by_name(WELL, BAD, 0, new=(A,), is_told=True)]) is None


def test_compares_with_what_was_reported_immediately() -> None:
    news = by_name(WELL, BAD, 0, new=(A,), is_told=True)
    net = amounts(news, by_name(BAD, WELL, 1, gone=(A,)))
    assert (net.change, names(net.by_name), net.before) == (Change.CLEARED, {"gone": [A.name]}, BAD)
    net = amounts(
        by_name(WELL, ONE_HIGH, 0, new=(B,)), by_name(ONE_HIGH, BAD, 1, new=(A,), is_told=True)
    )
    assert (net.change, names(net.by_name)) == (Change.WORSE, {"new": [B.name]})


def test_what_a_change_reported_immediately_takes_back_is_not_named() -> None:
    net = amounts(
        by_name(WELL, ONE_HIGH, 0, new=(B,)),
        by_name(ONE_HIGH, BAD, 1, new=(A,), gone=(B,), is_told=True),
    )
    assert (net.change, names(net.by_name)) == (Change.UNCHANGED, {})


def test_names_nothing_as_new_that_is_below_a_threshold_by_now() -> None:
    """Three high findings were above a limit of two; two of them are within it."""
    three = ImageState({"HIGH": 3}, ("HIGH",), thresholds={"HIGH": 2})
    two = ImageState({"HIGH": 2}, (), thresholds={"HIGH": 2})
    net = amounts(
        by_name(two, three, 0, new=(B, replace(B, name="any", severity="UNTRIAGED"))),
        by_name(three, two, 1, gone=(C,)),
    )
    assert (net.change, names(net.by_name)) == (Change.UNCHANGED, {"gone": [C.name]})


def test_names_what_aws_does_not_document_where_its_threshold_is_exceeded() -> None:
    other = ImageState({"OTHER": 1}, ("OTHER",))
    odd = replace(B, severity="UNTRIAGED")
    net = amounts(by_name(WELL, other, 0, new=(odd,)), by_name(other, other, 1))
    assert names(net.by_name) == {"new": [B.name]}


def test_keeps_the_causes_and_marks_of_all_that_was_not_reported() -> None:
    reminder = any_change(1, BAD, BAD, is_reminder=True, is_first_sight=True)
    net = amounts(
        replace(reminder, cause=Cause.FIRST_OF_TYPE),
        any_change(1, BAD, BAD, minutes=1, cause=Cause.THRESHOLD),
        any_change(1, BAD, BAD, minutes=2, cause=Cause.NOT_MONITORED, is_told=True),
    )
    assert net.causes == {Cause.FIRST_OF_TYPE, Cause.THRESHOLD}
    assert (net.is_reminder, net.is_first_sight, net.is_by_number) == (True, True, True)
    assert net.by_name is None
    assert amounts(any_change(1, BAD, BAD)).is_reminder is False


def test_keeps_the_open_findings_of_the_latest_reminder_that_was_not_reported() -> None:
    net = amounts(
        any_change(1, BAD, BAD, still_open=(A,)),
        any_change(1, BAD, BAD, minutes=1, still_open=(A, B)),
        any_change(1, BAD, BAD, minutes=2),
        any_change(1, BAD, BAD, minutes=3, still_open=(C,), is_told=True),
    )
    assert net.still_open == (A, B)
    assert amounts(any_change(1, BAD, BAD)).still_open == ()


def test_says_when_an_image_can_be_scanned_again() -> None:
    assert amounts(any_change(1, FAILED, BAD)).is_end_of_failure
    assert not amounts(any_change(1, FAILED, FAILED)).is_end_of_failure
    assert not amounts(any_change(1, BAD, WELL)).is_end_of_failure
