import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.text import first, sendable, trimmed, visible, within, without_functions

SIGN = "\N{REPLACEMENT CHARACTER}"


@given(st.text(st.characters(codec=None)))
def test_what_is_visible_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert len(shown) == len(text)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("team/api", "team/api"),
        ("naïve 日本", "naïve 日本"),
        ("a\nb\tc\x00", f"a{SIGN}b{SIGN}c{SIGN}"),
        ("\u202eabc\u2066", f"{SIGN}abc{SIGN}"),
        ("a\u200bb", f"a{SIGN}b"),
        ("\ud800", SIGN),
        ("\u2028", SIGN),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_shows_a_sign_for_what_is_hidden(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_can_send_all_but_halves_and_what_is_no_character() -> None:
    assert sendable("a\ud800\udfff\ufffe\uffff\n\u202e") == f"a{SIGN * 4}\n\u202e"


@given(st.text(), st.integers(1, 40))
def test_a_trimmed_text_fits_and_says_so(text: str, most: int) -> None:
    cut = trimmed(text, most)
    assert len(cut) <= most
    assert cut == text if len(text) <= most else cut.endswith("…")


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("one two three", "one two…"),
        ("onetwothree", "onetwothr…"),
        ("one twothreefour", "one twoth…"),
    ],
)
def test_cuts_at_the_end_of_a_word_if_one_is_near(text: str, cut: str) -> None:
    assert trimmed(text, 10) == cut


@pytest.mark.parametrize("braces", ["{{DATE(x)}}", "{{{DATE(x)}}}", "{{{{x", "{ {x"])
def test_leaves_no_double_brace(braces: str) -> None:
    broken = without_functions(braces)
    assert "{{" not in broken
    assert broken.replace(" ", "") == braces.replace(" ", "")


def test_joins_as_many_items_as_fit_and_counts_the_rest() -> None:
    assert within(["a", "b"], 100) == "a\nb"
    assert within(["a" * 10] * 9, 60, ", ") == ", ".join(["a" * 10] * 3) + ", … and 6 more"
    assert within(["a" * 100], 60) == "… and 1 more"
    assert within([], 60) == ""
    assert within(["a", "b"], 100, more=1_200) == "a\nb\n… and 1,200 more"
    assert within(["a" * 10] * 9, 60, ", ", 3) == ", ".join(["a" * 10] * 3) + ", … and 9 more"


@given(st.lists(st.text(max_size=30), max_size=30), st.integers(20, 200))
def test_what_is_joined_fits(items: list[str], most: int) -> None:
    assert len(within(items, most)) <= most


def test_takes_the_first_items_that_fit_together() -> None:
    assert first(["aa", "bb", "c", "d"], len, 4) == ("aa", "bb")
    assert first(["aa", "bb"], len, 3) == ("aa",)
    assert first([], len, 3) == ()
