import json
from dataclasses import replace

import pytest

from ledger.changes import LISTS, MOST_NAMED, ChangedFinding, FindingsChange, worst_first
from runtime.messages import decode, encode, wire


def finding(number: int, severity: str = "HIGH", **given: str) -> ChangedFinding:
    return replace(ChangedFinding(f"CVE-{number}", "openssl", severity), **given)


MANY = tuple(finding(number) for number in range(MOST_NAMED + 5))


def test_sorts_the_worst_first() -> None:
    scored = ChangedFinding("CVE-9", "zlib", "HIGH", score=9.1)
    low, high = finding(2, "LOW"), finding(3)
    untriaged = finding(1, "UNTRIAGED")
    assert worst_first([untriaged, low, high, scored]) == (scored, high, low, untriaged)


def test_is_empty_where_no_list_has_a_finding() -> None:
    assert FindingsChange().is_empty
    assert not any(FindingsChange(**{name: MANY[:1]}).is_empty for name in LISTS)


def test_keeps_the_first_of_each_list_and_counts_the_others() -> None:
    cut = FindingsChange(new=MANY, gone=MANY[:2]).cut()
    assert (len(cut.new), len(cut.gone), cut.omitted) == (MOST_NAMED, 2, {"new": 5})
    assert (cut.count("new"), cut.count("gone"), cut.count("back")) == (MOST_NAMED + 5, 2, 0)
    again = cut.cut(10)
    assert (again.omitted, again.count("new")) == ({"new": MOST_NAMED - 5}, MOST_NAMED + 5)


def test_counts_a_vulnerability_in_two_packages_once() -> None:
    change = FindingsChange(new=(finding(1), finding(1, package="libssl"), finding(2)))
    assert change.count("new") == 2
    assert change.cut(1).omitted == {"new": 1}


@pytest.mark.parametrize("most", [0, 300, 1_000, 12_000])
def test_holds_as_many_findings_as_fit_in_the_order_of_the_lists(most: int) -> None:
    change = FindingsChange(new=MANY[:20], gone=MANY[20:60])
    within = change.within(most)
    size = sum(len(wire(encode(each))) for each in (*within.new, *within.gone))
    assert size <= most
    assert [within.count(name) for name in LISTS] == [change.count(name) for name in LISTS]
    assert not within.gone or within.new == change.new
    assert change.within(1_000_000) == change


def test_is_written_and_read_again() -> None:
    change = FindingsChange(new=MANY[:2], renamed=(finding(7, was="GHSA-1"),)).cut(1)
    assert decode(FindingsChange, json.loads(json.dumps(encode(change)))) == change
