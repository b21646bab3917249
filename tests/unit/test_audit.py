"""`make audit` is green only if every package was judged."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from operations.audit import FILES, audit
from tests.support.template import ROOT

ONE, OTHER = Path("one.txt"), Path("other.txt")
FINE = {"name": "fine", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
SKIPPED = {"name": "odd", "skip_reason": "Dependency not found on PyPI"}
UNANSWERED = ", for which the database did not answer"


def answers(**by_file: list[dict[str, Any]] | str) -> Mapping[Path, str]:
    return {
        Path(f"{name}.txt"): told if isinstance(told, str) else json.dumps({"dependencies": told})
        for name, told in by_file.items()
    }


@pytest.mark.parametrize(
    ("answers", "exit_code", "words"),
    [
        (
            answers(one=[FINE], other=[FINE]),
            0,
            "Audited: 2 packages, none with known vulnerabilities",
        ),
        (answers(one=[FINE, BAD], other=[FINE]), 1, "Audited: 3 packages, 1 with known"),
        (
            answers(one=[SKIPPED, FINE], other=[FINE]),
            2,
            f"Not audited: 1 packages or files{UNANSWERED}; 2 judged",
        ),
        (
            answers(one=[SKIPPED], other=[SKIPPED]),
            2,
            f"Not audited: 2 packages or files{UNANSWERED}; 0 judged",
        ),
        (
            answers(one=[SKIPPED, BAD], other=[]),
            1,
            f"Not audited: 1 packages or files{UNANSWERED}; 1 judged, 1 with",
        ),
        (
            answers(one="Traceback: ProxyError"),
            2,
            f"Not audited: 1 packages or files{UNANSWERED}; 0 judged",
        ),
        (
            answers(one="", other=[FINE]),
            2,
            f"Not audited: 1 packages or files{UNANSWERED}; 0 judged",
        ),
        (answers(one=[], other=[]), 2, "Not audited: 0 packages or files"),
    ],
)
def test_claims_no_more_than_the_database_said(
    answers: Mapping[Path, str], exit_code: int, words: str
) -> None:
    result = audit([ONE, OTHER], answers.__getitem__)
    assert result.exit_code == exit_code
    assert result.words.startswith(words)


def test_names_what_is_vulnerable_and_what_is_unknown() -> None:
    result = audit([ONE], answers(one=[BAD, SKIPPED]).__getitem__)
    assert result.vulnerable == ["one.txt: bad 2.0: PYSEC-1, PYSEC-2"]
    assert result.unknown == ["one.txt: odd"]


def test_audits_what_is_deployed_first_and_then_all_that_is_installed() -> None:
    locks = {path.relative_to(ROOT) for path in (ROOT / "requirements").glob("*.txt")}
    assert FILES[0] == Path("functions/requirements.txt")
    assert {*FILES[1:]} == locks
