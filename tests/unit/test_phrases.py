from datetime import date

import pytest

from reporting.message import Level, plain
from reporting.phrases import (
    by_severity,
    day,
    first_of,
    numbered,
    short_day,
    short_digest,
    worst_level,
)

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("counts", "most", "words"),
    [
        ({}, None, ""),
        ({"HIGH": 0, "CRITICAL": 0}, None, ""),
        ({"HIGH": 5, "CRITICAL": 2, "LOW": 0}, None, "2 critical, 5 high"),
        ({"NOVEL": 1, "OTHER": 2, "UNDEFINED": 3}, None, "3 undefined, 3 other"),
        (
            {"HIGH": 5, "CRITICAL": 2, "MEDIUM": 1, "LOW": 1_000},
            2,
            "2 critical, 5 high, 1,001 lower",
        ),
        ({"HIGH": 5, "CRITICAL": 2}, 2, "2 critical, 5 high"),
    ],
)
def test_counts_by_severity_the_worst_first(
    counts: dict[str, int], most: int | None, words: str
) -> None:
    assert by_severity(counts, most) == words


@pytest.mark.parametrize(
    ("counts", "forms"),
    [
        ({"CRITICAL": 1, "HIGH": 0}, ["1 new critical vulnerability"]),
        ({"HIGH": 1_204}, ["1,204 new high vulnerabilities"]),
        ({"NOVEL": 1, "OTHER": 1}, ["2 new other vulnerabilities"]),
        (
            {"CRITICAL": 1, "HIGH": 2, "LOW": 5},
            [
                "8 new vulnerabilities (1 critical, 2 high, 5 lower)",
                "8 new vulnerabilities (1 critical, 7 lower)",
                "8 new vulnerabilities",
            ],
        ),
    ],
)
def test_counts_with_a_noun_the_longest_form_first(
    counts: dict[str, int], forms: list[str]
) -> None:
    assert numbered(counts, "vulnerability", "new") == forms


@pytest.mark.parametrize(
    ("text", "long", "short"),
    [
        ("2026-11-03", "3 November", "3 Nov"),
        ("2025-03-31", "31 March 2025", "31 Mar 2025"),
        ("soon", "an unknown day", "an unknown day"),
    ],
)
def test_says_a_day_with_its_year_if_it_is_another_one(text: str, long: str, short: str) -> None:
    assert (day(text, TODAY), short_day(text, TODAY)) == (long, short)


def test_shortens_a_digest_and_says_so() -> None:
    assert plain((short_digest("sha256:3f1c0a5be9d27846"),)) == "sha256:3f1c0a5be9d2…"
    assert plain((short_digest("sha256:3f1c0a5be9d2"),)) == "sha256:3f1c0a5be9d2"


def test_counts_what_a_list_leaves_out() -> None:
    lines = (("a",), ("b",), ("c",))
    assert first_of(lines, 3, 3) == lines
    assert first_of(lines, 2, 1_003) == (("a",), ("b",), ("and 1,001 more",))


def test_the_level_is_that_of_the_worst_severity() -> None:
    assert worst_level({"LOW": 1, "HIGH": 1, "CRITICAL": 0}) is Level.HIGH
    assert worst_level({"NOVEL": 1}) is Level.INFO
    assert worst_level({"HIGH": 0}) is Level.OK
