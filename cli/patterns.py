"""Regular expressions of operators, checked before anything is matched with them."""

import re

from reporting.text import visible


class NotAPattern(ValueError):
    """A text is not a regular expression. The message begins with the text."""


def checked(pattern: str) -> str:
    """Return a pattern that is a regular expression; raise NotAPattern for another text."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise NotAPattern(f"{visible(pattern)} is not a regular expression: {error}") from error
    return pattern
