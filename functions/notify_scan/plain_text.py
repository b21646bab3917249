"""Text from outside, made fit to be shown."""

import unicodedata

_HIDDEN = {
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
}  # control, format, surrogate, line and paragraph separators
_STAND_IN = "\N{REPLACEMENT CHARACTER}"


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
