"""Text from outside, made fit to be shown."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate

# Control, format, surrogate; line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_STAND_IN = "\N{REPLACEMENT CHARACTER}"
# Halves of a character, which cannot be encoded, and what SQS takes in no message.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def sendable(text: str) -> str:
    """Put a sign for each character that would keep the text around it from being sent."""
    return _UNSENDABLE.sub(_STAND_IN, text)


def visible(text: str) -> str:
    """Put a visible sign for each character that cannot be seen, or turns the text around it.

    Afterwards the text is one line, reads from left to right as it is written, and can be encoded.
    """
    if text.isprintable():
        return text
    return "".join(
        _STAND_IN if unicodedata.category(character) in _HIDDEN else character for character in text
    )


def trimmed(text: str, most: int) -> str:
    """Cut a text to a number of characters, at the end of a word if one is near, and say so."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    at_word = cut.rfind(" ")
    return f"{cut[:at_word] if at_word > most * 2 // 3 else cut}…"


def without_functions(text: str) -> str:
    """Break up double braces, between which Teams looks for functions such as {{DATE(…)}}."""
    return re.sub(r"\{(?=\{)", "{ ", text)


def first[T](items: Sequence[T], length: Callable[[T], int], most: int) -> tuple[T, ...]:
    """Take as many items from the start as are not longer, all together, than most."""
    lengths = accumulate(map(length, items))
    return tuple(item for item, so_far in zip(items, lengths, strict=True) if so_far <= most)


def within(items: list[str], most: int, separator: str = "\n") -> str:
    """Join as many items as fit a number of characters, and say how many do not."""
    taken, length = 0, len("… and 999,999 more")
    for item in items:
        length += len(separator) + len(item)
        if length > most:
            break
        taken += 1
    left = len(items) - taken
    return separator.join([*items[:taken], *([f"… and {left:,} more"] if left else [])])
