"""Make text from outside safe to send and to show."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate

# Control, format, surrogate; line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_STAND_IN = "\N{REPLACEMENT CHARACTER}"
# Surrogates, which cannot be encoded, and what SQS accepts in no message.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def sendable(text: str) -> str:
    """Replace each character that would keep a message from being encoded or queued."""
    return _UNSENDABLE.sub(_STAND_IN, text)


def visible(text: str) -> str:
    """Replace each character that is invisible or changes the direction of the text.

    The result is one line, reads in the order of its characters, and can be encoded.
    """
    if text.isprintable():
        return text
    return "".join(
        _STAND_IN if unicodedata.category(character) in _HIDDEN else character for character in text
    )


def trimmed(text: str, most: int) -> str:
    """Truncate a text to `most` characters, with an ellipsis, after a word if one ends nearby."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    at_word = cut.rfind(" ")
    return f"{cut[:at_word] if at_word > most * 2 // 3 else cut}…"


def without_functions(text: str) -> str:
    """Split double braces, between which Teams evaluates functions such as {{DATE(…)}}."""
    return re.sub(r"\{(?=\{)", "{ ", text)


def first[T](items: Sequence[T], length: Callable[[T], int], most: int) -> tuple[T, ...]:
    """Return as many items from the start as have a total length of at most `most`."""
    lengths = accumulate(map(length, items))
    return tuple(item for item, so_far in zip(items, lengths, strict=True) if so_far <= most)


def within(items: list[str], most: int, separator: str = "\n", more: int = 0) -> str:
    """Join as many items as fit into a number of characters, and state how many do not.

    more: how many further ones there are.
    """
    taken, length = 0, len("… and 999,999 more")
    for item in items:
        length += len(separator) + len(item)
        if length > most:
            break
        taken += 1
    left = len(items) - taken + more
    return separator.join([*items[:taken], *([f"… and {left:,} more"] if left else [])])
