import re
from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accepted_risks.risks import (
    LONGEST_TEXT,
    MOST_BYTES,
    MOST_ENTRIES,
    AcceptedRisk,
    AcceptedRisks,
    RisksOfRepository,
    UnusableAcceptedRisks,
)
from runtime import patterns
from tests.support.template import ROOT

TODAY = date(2026, 3, 14)
FIELDS = ("vulnerability", "repositories", "reason", "expires", "accepted_by")
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
XZ = "CVE-2024-3094"
HANGS = "([a-z0-9]+[-/]?)+-prod$"

texts = (
    st.text(min_size=1, max_size=50)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: text and "\ufffe" not in text and "\uffff" not in text)
)
names = st.sampled_from(["CVE-1", "CVE-2", "CVE-3", "GHSA-4"])
risks = st.builds(
    AcceptedRisk,
    vulnerability=names,
    reason=texts,
    expires=st.dates(TODAY - timedelta(days=3), TODAY + timedelta(days=3)),
    accepted_by=texts,
    repositories=st.sampled_from([None, "team/.*", "team/api", "other/.*", "(a|b)/[x-z]+"]),
)
documents = st.lists(
    risks, max_size=8, unique_by=lambda risk: (risk.vulnerability, risk.repositories)
).map(tuple)


def any_risk(**given: Any) -> AcceptedRisk:
    values = {
        "vulnerability": XZ,
        "reason": "The image does not run sshd.",
        "expires": date(2027, 3, 31),
        "accepted_by": "jane@example.com",
    }
    return AcceptedRisk(**{**values, **given})


def written(*entries: AcceptedRisk) -> str:
    """Write entries as operators do; what is none is left out."""
    rows = [
        {name: value for name, value in vars(entry).items() if name in FIELDS and value is not None}
        for entry in entries
    ]
    return yaml.dump({"accepted_risks": rows}, Dumper=DUMPER, allow_unicode=True)


def entry(**given: str | None) -> str:
    """Write an entry by hand: the field is left out that is none, the others are as they should."""
    values: dict[str, str | None] = {
        "vulnerability": XZ,
        "reason": "any",
        "expires": "2027-03-31",
        "accepted_by": "jane",
        **given,
    }
    lines = [f"{name}: {value}" for name, value in values.items() if value is not None]
    return "  - " + "\n    ".join(lines) + "\n"


def document(*entries: str) -> str:
    return "accepted_risks:\n" + "".join(entries)


def refusal_of(text: str | bytes) -> str:
    with pytest.raises(UnusableAcceptedRisks) as raised:
        AcceptedRisks.read(text)
    return str(raised.value)


def test_reads_the_sample_in_the_documents() -> None:
    text = (ROOT / "docs" / "accepted-risks.md").read_text()
    (sample,) = re.findall(r"^```yaml\n(accepted_risks:.*?)^```", text, re.M | re.S)
    first, *others = AcceptedRisks.read(sample).entries
    assert first == any_risk(repositories="team/.*")
    assert others


@given(documents)
def test_reads_what_is_written(entries: tuple[AcceptedRisk, ...]) -> None:
    read = AcceptedRisks.read(written(*entries))
    assert read == AcceptedRisks(entries)
    assert [risk.id for risk in read.entries] == [risk.id for risk in entries]
    assert read == AcceptedRisks.read(written(*entries).encode())


def test_reads_texts_on_several_lines_as_one() -> None:
    text = document(entry(reason=">\n      The image does\n\n      not run sshd.\n"))
    assert AcceptedRisks.read(text).entries[0].reason == "The image does not run sshd."


IN_COMMENTS = """\
# Reviewed every quarter.
accepted_risks:
#  - vulnerability: CVE-2024-3094
#    reason: any
"""


@pytest.mark.parametrize(
    "text",
    [
        "accepted_risks: []",
        "accepted_risks:",
        "accepted_risks: null",
        "accepted_risks: ~\n",
        IN_COMMENTS,
        "# accepted_risks:\n#  - vulnerability: CVE-2024-3094\n",
        "---\n",
        "\n \n",
        "",
    ],
)
def test_a_document_without_entries_accepts_nothing(text: str) -> None:
    assert AcceptedRisks.read(text) == AcceptedRisks()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "nothing",
            "accepted-risks.yaml, line 1: the document must be a mapping with the key "
            "accepted_risks.",
        ),
        ("- 1", "line 1: the document must be a mapping with the key accepted_risks."),
        ("{}", "line 1: the document must have accepted_risks."),
        (
            "risks: []",
            "line 1: the document has the unknown key 'risks'; accepted: the key accepted_risks.",
        ),
        ("? [a]\n: 1", "line 1: the document has the unknown key a list; accepted: the key"),
        (
            "accepted_risks: []\naccepted_risks: []",
            "line 2: the document has the key accepted_risks twice; one is accepted.",
        ),
        (
            "accepted_risks: ''",
            "line 1: accepted_risks must be a list of entries; [] accepts nothing.",
        ),
        (
            "accepted_risks: [\n",
            "accepted-risks.yaml, line ",
        ),
        (
            document(entry(), "  - CVE-1\n"),
            "line 6: entry 2 must be a mapping with the keys vulnerability, repositories, reason, "
            "expires, accepted_by.",
        ),
        (
            document(entry(), entry(vulnerability="CVE-1", repository="team/api")),
            "line 10: entry 2 (CVE-1) has the unknown key 'repository'; accepted: the keys "
            "vulnerability, repositories, reason, expires, accepted_by.",
        ),
        (
            document(entry(repositories="a", expires="2027-01-01\n    expires: 2028-01-01")),
            "line 5: entry 1 (CVE-2024-3094) has the key expires twice; one is accepted.",
        ),
        (
            document(entry(expires=None, accepted_by=None)),
            "line 2: entry 1 (CVE-2024-3094) must have expires and accepted_by.",
        ),
        (
            document(entry(vulnerability=None)),
            "line 2: entry 1 must have vulnerability.",
        ),
        (
            document(entry(vulnerability="")),
            "line 2: vulnerability of entry 1 (no name) must be a text of 1 to 500 characters, "
            "not empty.",
        ),
        (
            document(entry(vulnerability="[CVE-1]")),
            "line 2: vulnerability of entry 1 must be a text of 1 to 500 characters, not a list.",
        ),
        (
            document(entry(vulnerability="CVE-1 and CVE-2")),
            "line 2: vulnerability of entry 1 (CVE-1 and CVE-2) must be one name without spaces, "
            "such as CVE-2024-3094.",
        ),
        (
            document(entry(reason="' '")),
            "line 3: reason of entry 1 (CVE-2024-3094) must be a text of 1 to 500 characters, "
            "not ' '.",
        ),
        (
            document(entry(reason="{a: b}")),
            "reason of entry 1 (CVE-2024-3094) must be a text of 1 to 500 characters, not "
            "a mapping.",
        ),
        (
            document(entry(accepted_by="x" * 501)),
            "accepted_by of entry 1 (CVE-2024-3094) must be a text of 1 to 500 characters, not "
            "501 characters.",
        ),
        (
            document(entry(repositories="team/(")),
            "line 6: repositories of entry 1 (CVE-2024-3094) must be a regular expression such as "
            "team/.*, not 'team/(': missing ), unterminated subpattern at position 5.",
        ),
        (
            document(entry(repositories="[]")),
            "line 6: repositories of entry 1 (CVE-2024-3094) must be a text of 1 to 500 "
            "characters, not a list.",
        ),
        (
            document(entry(repositories="a{99999999999999999999}")),
            "repositories of entry 1 (CVE-2024-3094) must be a regular expression",
        ),
        (
            document(entry(expires="soon")),
            "line 4: expires of entry 1 (CVE-2024-3094) must be a day such as 2027-03-31, "
            "not 'soon'.",
        ),
        (
            document(entry(), entry(repositories="team/.*"), entry()),
            "line 11: entry 3 (CVE-2024-3094) is for the same vulnerability and the same "
            "repositories as entry 1; one is accepted.",
        ),
        (
            document(entry(reason="&a any"), entry(vulnerability="CVE-1", reason="*a")),
            "line 7: the alias *a is not accepted.",
        ),
    ],
)
def test_says_where_the_document_is_wrong_and_what_is_accepted(text: str, told: str) -> None:
    said = refusal_of(text)
    assert said.startswith("accepted-risks.yaml")
    assert told in said
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize(
    "day",
    ["", "20270331", "2027-W13-3", "2027-02-30", "31.03.2027", "2027-03-31T00:00:00Z", "[2027]"],
)
def test_takes_days_in_one_form_only(day: str) -> None:
    assert "must be a day such as 2027-03-31, not " in refusal_of(document(entry(expires=day)))


def test_takes_a_day_in_quotes() -> None:
    (risk,) = AcceptedRisks.read(document(entry(expires="'2027-03-31'"))).entries
    assert risk.expires == date(2027, 3, 31)


@pytest.mark.parametrize("field", ["reason", "accepted_by", "vulnerability", "repositories"])
def test_takes_texts_as_long_as_it_says(field: str) -> None:
    (risk,) = AcceptedRisks.read(document(entry(**{field: "x" * LONGEST_TEXT}))).entries
    assert getattr(risk, field) == "x" * LONGEST_TEXT
    assert "not 501 characters" in refusal_of(document(entry(**{field: "x" * 501})))


def test_takes_as_many_entries_as_it_says() -> None:
    rows = [f"  - {{vulnerability: C{n}, reason: r, expires: 2027-03-31, accepted_by: j}}\n"
            for n in range(MOST_ENTRIES + 1)]  # fmt: skip
    assert len(AcceptedRisks.read(document(*rows[1:])).entries) == MOST_ENTRIES
    assert "at most 2,000 entries, not 2,001." in refusal_of(document(*rows))


def test_takes_a_document_as_large_as_it_says() -> None:
    text = document(entry())
    full = text + "#" * (MOST_BYTES - len(text))
    assert AcceptedRisks.read(full).entries
    assert refusal_of(full + "#") == "accepted-risks.yaml must not be larger than 256 KiB."
    assert "256 KiB" in refusal_of(text + "#" + "é" * (MOST_BYTES // 2))


def test_says_that_the_text_must_be_in_utf_8() -> None:
    text = document(entry(reason="Für später"))
    assert AcceptedRisks.read(b"\xef\xbb\xbf" + text.encode()).entries
    for encoding in ("utf-16", "latin-1"):
        assert refusal_of(text.encode(encoding)) == "accepted-risks.yaml must be a text in UTF-8."
    assert "must be" in refusal_of("\ud800")


def test_what_it_quotes_is_short() -> None:
    hostile = entry(vulnerability="v" * 500, expires=f"'{'9' * 499}'")
    assert len(refusal_of(document(hostile))) < 300


def test_quotes_a_text_up_to_the_longest_that_is_accepted_and_counts_a_longer_one() -> None:
    for length, quoted in ((LONGEST_TEXT, "not '9999"), (LONGEST_TEXT + 1, "not 501 characters")):
        assert quoted in refusal_of(document(entry(expires=f"'{'9' * length}'")))


@pytest.mark.parametrize(
    ("repositories", "repository", "accepted"),
    [
        (None, "any/thing", True),
        ("team/.*", "team/api", True),
        ("team/.*", "my-team/api", False),
        ("team", "team/api", False),
        ("team|team/api", "team/api", True),
    ],
)
def test_is_for_repositories_whose_whole_name_matches(
    repositories: str | None, repository: str, accepted: bool
) -> None:
    risk = any_risk(repositories=repositories)
    found = AcceptedRisks((risk,)).in_force(repository, TODAY)
    assert found == RisksOfRepository({XZ: risk} if accepted else {})


def test_an_entry_whose_pattern_hangs_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.5)
    quick, slow = (
        any_risk(repositories="platform/.*"),
        any_risk(vulnerability="CVE-1", repositories=HANGS),
    )
    accepted = AcceptedRisks((slow, quick)).in_force("platform/session-token-revocation-api", TODAY)
    assert accepted.by_vulnerability == {XZ: quick}
    assert accepted.remark == (
        "Some accepted risks are not applied: accepted-risks.yaml, repositories of the entry for "
        "CVE-1 must be a regular expression that matches within seconds, such as one without "
        "(a+)+, not '([a-z0-9]+[-/]?)+-prod$'."
    )


def test_is_in_force_to_the_end_of_its_last_day() -> None:
    accepted = AcceptedRisks((any_risk(expires=TODAY),))
    assert accepted.in_force("team/api", TODAY).by_vulnerability
    assert accepted.expired(TODAY) == ()
    assert accepted.in_force("team/api", TODAY + timedelta(days=1)).by_vulnerability == {}
    assert accepted.expired(TODAY + timedelta(days=1)) == accepted.entries


def test_goes_by_the_entry_that_lasts_longest() -> None:
    longer = any_risk(repositories="team/.*", expires=date(2028, 1, 1))
    shorter = any_risk()
    for entries in ((longer, shorter), (shorter, longer)):
        assert AcceptedRisks(entries).in_force("team/api", TODAY).by_vulnerability == {XZ: longer}
        assert AcceptedRisks(entries).in_force("other", TODAY).by_vulnerability == {XZ: shorter}


def test_an_entry_is_named_by_all_of_its_content() -> None:
    assert any_risk().id == any_risk().id == "4171dff77a283420"
    others = [
        any_risk(**change)
        for change in (
            {"vulnerability": "CVE-1"},
            {"reason": "another"},
            {"expires": TODAY},
            {"accepted_by": "joe"},
            {"repositories": "team/.*"},
        )
    ]
    assert len({risk.id for risk in (any_risk(), *others)}) == 6


@given(documents, st.randoms())
def test_order_does_not_matter(entries: tuple[AcceptedRisk, ...], random: Any) -> None:
    def shuffled[T](items: tuple[T, ...] | list[T]) -> list[T]:
        return random.sample(list(items), len(items))

    in_force = AcceptedRisks(entries).in_force("team/api", TODAY).by_vulnerability
    other = AcceptedRisks(tuple(shuffled(entries))).in_force("team/api", TODAY)
    assert other.by_vulnerability == in_force


@given(documents, risks)
def test_an_entry_that_is_expired_or_for_another_repository_changes_nothing(
    entries: tuple[AcceptedRisk, ...], more: AcceptedRisk
) -> None:
    before = AcceptedRisks(entries).in_force("team/api", TODAY).by_vulnerability
    after = AcceptedRisks((*entries, more)).in_force("team/api", TODAY).by_vulnerability
    if more.is_expired(TODAY) or not re.fullmatch(more.repositories or ".*", "team/api"):
        assert after == before
    else:
        assert more.vulnerability in after
