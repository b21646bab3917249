"""Match patterns in a process of its own, which can be killed: see runtime/patterns.py.

Python runs this file without site-packages, so that it starts within milliseconds.
"""

import json
import re
import sys
from typing import TextIO


def answer(request: TextIO, answers: TextIO) -> None:
    """Read patterns and texts; write which texts match, for one pattern after the other."""
    patterns, texts, whole = json.load(request)
    for pattern in patterns:
        matches = re.compile(pattern).fullmatch if whole else re.compile(pattern).match
        found = [place for place, text in enumerate(texts) if matches(text)]
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":  # pragma: no cover  # in the process of its own
    answer(sys.stdin, sys.stdout)
