"""The findings of an image by name: what is stored is what is read, and for how long."""

import json
import zlib
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import known_findings as module
from ledger.changes import Cause, Change, ChangedFinding, FindingsChange
from ledger.image_records import ImageState
from ledger.known_findings import (
    MOST_CHANGES,
    REMEMBERED_FOR,
    GoneFinding,
    KnownFinding,
    KnownFindings,
    NotedChange,
    UnreadableFindings,
    counts_apart,
    decoded,
    encoded,
    findings_key,
    known_findings,
    mentions,
    next_findings,
)
from registry.findings import SEVERITIES

TODAY = date(2026, 3, 14)
KEY = ("CVE-1", "openssl")
KNOWN = KnownFinding("HIGH", TODAY - timedelta(days=9))

texts = st.text(max_size=20)
keys = st.tuples(texts, texts)
severities = st.sampled_from(SEVERITIES) | texts
days = st.dates(date(2020, 1, 1), date(2090, 1, 1))
changed = st.builds(ChangedFinding, texts, texts, severities, first_seen=texts, was=texts)
notes = st.builds(
    NotedChange,
    texts,
    st.sampled_from(Change),
    st.builds(ImageState, st.dictionaries(texts, st.integers(0, 99)), failed=st.booleans()),
    st.builds(FindingsChange, new=st.lists(changed, max_size=3).map(tuple)),
    st.none() | st.sampled_from(Cause),
)
origins = st.sampled_from(["", f"sha256:{1:064x}", f"sha256:{2:064x}"])
known_finding = st.builds(
    KnownFinding, severities, days, st.booleans(), st.integers(0, 9_999), origins
)
known = st.builds(
    KnownFindings,
    revision=st.just(0),
    scan_type=st.just(""),
    since=days,
    findings=st.dictionaries(keys, known_finding),
    gone=st.dictionaries(keys, st.builds(GoneFinding, severities, days, days)),
    changes=st.lists(notes, max_size=MOST_CHANGES).map(tuple),
)


@given(known)
def test_reads_what_it_writes(known: KnownFindings) -> None:
    assert decoded(encoded(known)) == known


@pytest.mark.parametrize("severity", [*SEVERITIES, "UNTRIAGED", ""])
def test_keeps_every_severity(severity: str) -> None:
    known = KnownFindings(0, "", TODAY, {KEY: replace(KNOWN, severity=severity)})
    assert decoded(encoded(known)) == known


def test_keeps_what_brought_a_finding() -> None:
    brought = replace(KNOWN, revision=7, origin=f"sha256:{9:064x}")
    known = KnownFindings(0, "", TODAY, {KEY: brought, ("CVE-2", "zlib"): KNOWN})
    assert decoded(encoded(known)) == known


def test_hands_findings_on_with_the_image_that_they_came_with() -> None:
    known = KnownFindings(3, "BASIC", TODAY, {KEY: KNOWN, ("CVE-2", "zlib"): KNOWN})
    second = known.handed_on("first", "second")
    assert {each.origin for each in second.findings.values()} == {"first"}
    third = second.handed_on("second", "third")
    assert {each.origin for each in third.findings.values()} == {"first"}
    assert third.handed_on("third", "first") == known


def after(
    now: dict[tuple[str, str], KnownFinding], before: KnownFindings | None, event: str = "event-1"
) -> KnownFindings:
    noted = NotedChange(event, Change.NEW, ImageState(scan_type="BASIC"), FindingsChange())
    return next_findings(now, before, own=before, noted=noted, today=TODAY, expires_at=7)


def test_what_is_first_read_is_known_since_then() -> None:
    stored = after({KEY: KNOWN}, None)
    assert (stored.since, stored.scan_type, stored.expires_at) == (TODAY, "BASIC", 7)
    assert (stored.findings, stored.gone) == ({KEY: KNOWN}, {})
    assert after({}, replace(stored, since=date(2026, 1, 1))).since == date(2026, 1, 1)


@pytest.mark.parametrize(("ago", "is_kept"), [(REMEMBERED_FOR.days, True), (31, False)])
def test_what_has_gone_is_remembered_for_thirty_days(ago: int, is_kept: bool) -> None:
    gone = GoneFinding("HIGH", KNOWN.first_seen, TODAY - timedelta(days=ago))
    before = KnownFindings(1, "BASIC", TODAY, {}, {KEY: gone})
    assert after({}, before).gone == ({KEY: gone} if is_kept else {})
    assert after({KEY: KNOWN}, before).gone == {}


def test_what_goes_is_gone_from_today() -> None:
    before = KnownFindings(1, "BASIC", TODAY, {KEY: KNOWN})
    assert after({}, before).gone == {KEY: GoneFinding("HIGH", KNOWN.first_seen, TODAY)}


def test_keeps_the_last_few_changes_by_event() -> None:
    stored = None
    for number in range(MOST_CHANGES + 2):
        stored = after({}, stored, f"event-{number}")
    assert stored
    assert len(stored.changes) == MOST_CHANGES
    assert stored.changes[0].event_id == f"event-{MOST_CHANGES + 1}"
    assert stored.change_of("event-2") == stored.changes[-1]
    assert stored.change_of("event-1") is None


def test_leaves_what_is_left_and_remembers_what_went() -> None:
    other, gone = ("CVE-2", "zlib"), {("CVE-3", "xz"): GoneFinding("LOW", TODAY, TODAY)}
    known = KnownFindings(3, "BASIC", TODAY, {KEY: KNOWN, other: KNOWN}, gone)
    left = known.reduced_to({other: KNOWN}, TODAY)
    went = GoneFinding("HIGH", KNOWN.first_seen, TODAY)
    assert left == replace(known, findings={other: KNOWN}, gone={**gone, KEY: went})


def test_a_scan_without_a_type_is_kept_without_one() -> None:
    noted = NotedChange("event-1", Change.NEW, ImageState(), FindingsChange())
    stored = next_findings({}, None, own=None, noted=noted, today=TODAY, expires_at=7)
    assert (stored.revision, stored.scan_type) == (0, "")


# The item

STORED = KnownFindings(7, "BASIC", TODAY, {KEY: KNOWN}, expires_at=9)


def item(**given: Any) -> dict[str, Any]:
    pk, sk = findings_key("team/api", "sha256:1")
    content = {"revision": 7, "scan_type": "BASIC", "found": encoded(STORED), "expires_at": 9}
    return {"pk": pk, "sk": sk, **content, **given}


def packed(*content: object) -> bytes:
    return zlib.compress(json.dumps(content).encode())


def test_reads_an_item() -> None:
    assert known_findings(item()) == STORED
    assert findings_key("team/api", "sha256:1") == ("repository#team/api", "findings#sha256:1")


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (packed(2, TODAY.toordinal(), {}, {}, [], [""]), "version 2, not 1"),
        (packed(1, TODAY.toordinal()), "not enough values"),
        (packed(1, TODAY.toordinal(), {"openssl": [["CVE-1"]]}, {}, [], [""]), "IndexError"),
        (encoded(STORED)[:-3], "cut off"),
        (b"any", "incorrect header"),
    ],
)
def test_names_an_item_that_cannot_be_read(found: bytes, problem: str) -> None:
    named = f"^repository#team/api findings#sha256:1: .*{problem}"
    with pytest.raises(UnreadableFindings, match=named):
        known_findings(item(found=found))


def test_unpacks_no_more_than_an_item_has(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(zlib.decompress(encoded(STORED)))
    monkeypatch.setattr(module, "MOST_UNPACKED", size + 1)
    assert decoded(encoded(STORED)).findings == STORED.findings
    monkeypatch.setattr(module, "MOST_UNPACKED", size - 1)
    with pytest.raises(ValueError, match=rf"^more than {size - 1} bytes$"):
        decoded(encoded(STORED))


def test_wastes_no_bytes_on_spaces() -> None:
    assert b" " not in zlib.decompress(encoded(STORED))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cve-1", True), ("ve-1", True), ("xve-1", False), ("cve-1x", False), ('cve-"', False)],
)
def test_finds_a_vulnerability_without_reading_the_item(name: str, *, expected: bool) -> None:
    assert mentions(encoded(STORED), name) is expected


def test_finds_a_vulnerability_whose_name_is_escaped() -> None:
    odd = replace(STORED, findings={('CVE-"1"', "openssl"): KNOWN})
    assert mentions(encoded(odd), 'cve-"1"')


def test_counts_what_is_there_as_reading_it_does() -> None:
    counts, accepted = counts_apart(encoded(STORED))
    found = STORED.findings.values()
    assert counts == Counter(each.severity for each in found)
    assert accepted == Counter(each.severity for each in found if each.is_accepted)
    with pytest.raises(ValueError, match="not version 1"):
        counts_apart(packed(2, TODAY.toordinal(), {}, {}, [], [""]))
