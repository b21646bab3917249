"""Documents, comments, docstrings and messages use the words of the glossary."""

import pytest

from tests.support.vocabulary import Kind, Passage, hits, hits_in, passages


def words(text: str, kind: Kind = Kind.DOCUMENT) -> list[str]:
    """List the words of a text that are replaced."""
    return [" ".join(hit.word.split()) for hit in hits_in(Passage("any.md", 1, kind, text))]


def test_no_word_is_left_that_the_glossary_replaces() -> None:
    assert [str(hit) for hit in hits()] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It tells people what was found.", ["tells", "people"]),
        (
            "A message a scan, one record a repository.",
            ["A message a scan", "one record a repository"],
        ),
        ("It counts 2,000 images a run.", ["2,000 images a run"]),
        ("Nobody is\ntold.", ["Nobody", "told"]),
        ("This is as\ngood as done.", ["as good as"]),
        ("The run ended red, for it broke off.", ["red", "for it", "broke off"]),
        ("It is in the queue Undelivered.", ["queue Undelivered"]),
        ("Images of this region are due.", ["region"]),
        ("The report is WELL.", ["WELL"]),
    ],
)
def test_a_replaced_word_is_found(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "The field `told_at` is read, and `tell` is a key.",
        "```\ntell nobody\n```",
        "See [the ledger](docs/told.md) at https://example.com/tell.",
        "One message per scan. A digest of an image.",
        "It is in the dead-letter queue Undelivered.",
        "Images of this Region are well tested, reduced and colored.",
        "A fake stands in for ECR.",
        "recall(event) reads it once a day.",
    ],
)
def test_code_and_plain_words_are_not_found(text: str) -> None:
    assert words(text) == []


def test_a_comment_may_spell_a_region_as_code_does() -> None:
    assert words("its region", Kind.COMMENT) == []
    assert words("its region", Kind.MESSAGE) == ["region"]


def test_a_hit_says_where_it_is() -> None:
    (hit,) = hits_in(Passage("docs/any.md", 7, Kind.DOCUMENT, "First.\nWe mend it."))
    assert str(hit).startswith("docs/any.md:8: 'mend' (document) → fix")


def test_every_kind_of_text_is_read() -> None:
    read = list(passages())
    assert {passage.kind for passage in read} == set(Kind)
    paths = {passage.path for passage in read}
    assert {"README.md", "CHANGELOG.md", "template.yaml", "Makefile"} <= paths
    folders = {path.partition("/")[0] for path in paths if "/" in path}
    assert folders == {"cli", "docs", "functions", "local", "operations", "statemachine", "tests"}


def test_released_versions_stay_as_they_were() -> None:
    (changelog,) = passages("CHANGELOG.md")
    assert "## 0.4.0" in changelog.text
    assert "## 0.3.0" not in changelog.text
