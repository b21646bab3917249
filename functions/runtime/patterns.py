"""Regular expressions of operators, matched within a bounded time.

A pattern with nested repetitions can take longer than any function runs, and a thread cannot
interrupt it: `re` keeps the interpreter to itself. Such patterns are matched in a process of their
own.
"""

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

MOST_SECONDS = 2.0  # of one call, for all patterns and texts, with the start of the process
TEXTS_A_SECOND = 20_000  # more texts get more time: a tenth of what the smallest function matches

QUICK = "a regular expression that matches within seconds, such as one without (a+)+"

_WORKER = Path(__file__).with_name("pattern_worker.py")
# Texts have 256 characters at most, and 2 to the power of 8 is 256: a pattern of weight 8 takes as
# many steps per character at most, and one of weight 12 some thousands, which is microseconds. A
# group that is repeated multiplies what is in it.
_WEIGHT_OF_REPETITION = 8
_MOST_WEIGHT = 12
_MOST_WEIGHT_REPEATED = 8


class PatternTooSlow(Exception):
    """Matching took too long and was stopped.

    pattern: the one that was being matched. matching: the patterns before it that match.
    """

    def __init__(self, pattern: str, matching: Iterable[str] = ()) -> None:
        super().__init__(f"{pattern!r} takes too long to match")
        self.pattern = pattern
        self.matching = frozenset(matching)


def matching_texts(pattern: str, texts: Iterable[str], *, whole: bool = False) -> frozenset[str]:
    """Return the texts that a pattern matches from their start, or raise PatternTooSlow.

    whole: only those that it matches to their end.
    """
    listed = list(texts)
    if _is_quick(pattern):
        match = re.fullmatch if whole else re.match
        return frozenset(text for text in listed if match(pattern, text))
    (found,) = _found_apart([pattern], listed, whole=whole)
    return frozenset(listed[place] for place in found)


def matching_patterns(patterns: Collection[str], text: str) -> frozenset[str]:
    """Return the patterns that match a whole text.

    Raises PatternTooSlow with the patterns that are known to match.
    """
    quick = {pattern for pattern in patterns if _is_quick(pattern) and re.fullmatch(pattern, text)}
    others = [pattern for pattern in patterns if not _is_quick(pattern)]
    try:
        found = _found_apart(others, [text], whole=True) if others else []
    except PatternTooSlow as error:
        raise PatternTooSlow(error.pattern, quick | error.matching) from error
    return frozenset(
        quick | {pattern for pattern, places in zip(others, found, strict=True) if places}
    )


def _is_quick(pattern: str) -> bool:
    """Return whether no text can keep `re` busy, by the signs that let it try again."""
    signs = pattern.replace("(?", "(")
    weight = _WEIGHT_OF_REPETITION * sum(map(signs.count, "*+?{")) + signs.count("|")
    repeats_a_group = re.search(r"\)[*+?{]", signs) is not None
    return weight <= (_MOST_WEIGHT_REPEATED if repeats_a_group else _MOST_WEIGHT)


def _found_apart(patterns: Sequence[str], texts: Sequence[str], *, whole: bool) -> list[list[int]]:
    """Return, for each pattern, the places of the texts that match."""
    try:
        ran = subprocess.run(  # noqa: S603 # the command is ours
            [sys.executable, "-I", "-S", _WORKER],
            input=json.dumps([patterns, texts, whole]).encode(),
            capture_output=True,
            timeout=MOST_SECONDS + len(texts) / TEXTS_A_SECOND,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        # Whole lines only, and not the last pattern's: then the process has ended nevertheless.
        answers = (error.stdout or b"").splitlines(keepends=True)[: len(patterns) - 1]
        answers = [answer for answer in answers if answer.endswith(b"\n")]
        before = zip(patterns, map(json.loads, answers), strict=False)
        raise PatternTooSlow(
            patterns[len(answers)], (pattern for pattern, places in before if places)
        ) from error
    return [json.loads(line) for line in ran.stdout.splitlines()]
