import pytest

from runtime.nouns import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (1_204, "image", "1,204 images"),
        (1, "repository", "1 repository"),
        (2, "new vulnerability", "2 new vulnerabilities"),
        (2, "day", "2 days"),
    ],
)
def test_a_number_has_its_noun(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
