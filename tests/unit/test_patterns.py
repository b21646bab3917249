import io
import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import pattern_worker, patterns
from runtime.patterns import PatternTooSlow, matching_patterns, matching_texts

HANGS = r"([a-z0-9]+[-/]?)+-prod$"
WORKER = "platform/payments/settlement-reconciliation-worker"
names = st.lists(st.text("ab-/", max_size=8), max_size=6)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Count the processes that are started, and answer in this one."""
    requests: list[Any] = []

    def run(_: object, *, input: bytes, **options: object) -> object:  # noqa: A002
        requests.append(json.loads(input))
        answers = io.StringIO()
        pattern_worker.answer(io.StringIO(input.decode()), answers)
        return subprocess.CompletedProcess([], 0, answers.getvalue().encode(), b"")

    monkeypatch.setattr(subprocess, "run", run)
    return requests


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "prod/",
        "team-.*",
        "(prod|shared)/.*",
        "(?!sandbox/).*",
        "a|b|c|d",
        "(?i)cache-",
        "(ab)*",
    ],
)
def test_matches_quick_patterns_itself(pattern: str, apart: list[Any]) -> None:
    matching_texts(pattern, ["prod/api"])
    matching_patterns([pattern], "prod/api")
    assert apart == []


@pytest.mark.parametrize(
    "pattern",
    [
        HANGS,
        r"(\w+[-.]?)+-SNAPSHOT",
        "(a+)+",
        "(a|b)*c",
        "(a|a)?b",
        ".*a.*b",
        "a?" * 30,
        "(a{9}){9}",
    ],
)
def test_matches_other_patterns_in_a_process_of_their_own(pattern: str, apart: list[Any]) -> None:
    matching_texts(pattern, ["prod/api", "a"])
    matching_patterns([pattern, "quick"], "a")
    assert apart == [[[pattern], ["prod/api", "a"], False], [[pattern], ["a"], True]]


@given(st.sampled_from(["a", "(a|b)+/", "(a|b)+-?(a|b)*", ".*a.*b", "b.*"]), names)
def test_matches_as_python_does(pattern: str, texts: list[str]) -> None:
    options: dict[str, Any] = {"patterns": [pattern], "texts": texts}
    for whole, match in ((False, re.match), (True, re.fullmatch)):
        answers = io.StringIO()
        request = json.dumps([*options.values(), whole])
        pattern_worker.answer(io.StringIO(request), answers)
        expected = [place for place, text in enumerate(texts) if match(pattern, text)]
        assert json.loads(answers.getvalue()) == expected


def test_matches_in_a_real_process() -> None:
    texts = [
        "shop/web-prod",
        "shop/web-prod/more",
        "\udce4-prod",
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}-prod",
    ]
    assert matching_texts(r"(\w+[-/]?)+-prod$", texts) == {texts[0], texts[3]}
    assert matching_texts("(a+)+", []) == frozenset()


@pytest.mark.parametrize("pattern", ["a.*", "a+b?c*.*"])  # matched here, and in a process
def test_matches_whole_texts_where_that_is_asked_for(pattern: str) -> None:
    texts = ["a", "ab\n", "b"]
    assert matching_texts(pattern, texts) == {"a", "ab\n"}
    assert matching_texts(pattern, texts, whole=True) == {"a"}
    pair = ["(sh|op)+/.*", "s.*", "(a+)+", ".*api"]
    assert matching_patterns(pair, "shop/web") == {"(sh|op)+/.*", "s.*"}


STOPPED: dict[str, Callable[[], object]] = {
    "texts": lambda: matching_texts(HANGS, [WORKER]),
    "patterns": lambda: matching_patterns(["p.*", "(p|q)+.*", HANGS, "(a+)+"], WORKER),
}


@pytest.mark.parametrize(
    ("call", "matching"), [("texts", set()), ("patterns", {"p.*", "(p|q)+.*"})]
)
def test_stops_a_pattern_that_hangs(
    call: str, matching: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "MOST_SECONDS", 1.0)
    with pytest.raises(PatternTooSlow, match="takes too long to match") as raised:
        STOPPED[call]()
    assert raised.value.pattern == HANGS
    assert raised.value.matching == matching


@pytest.mark.parametrize("output", [b"[0]\n[", b"[0]\n[]\n[]\n"])
def test_names_the_pattern_at_which_the_process_has_died(
    output: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> object:
        raise subprocess.CalledProcessError(-9, command, output)

    monkeypatch.setattr(subprocess, "run", run)
    slow = ["(a+)+b", HANGS, "(c+)+d"]
    with pytest.raises(PatternTooSlow) as raised:
        matching_patterns(slow, "a")
    ended = 1 if output.endswith(b"[") else 2
    assert raised.value.pattern == slow[ended]
    assert raised.value.matching == {"(a+)+b"}


def test_all_texts_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def run(_: object, *, timeout: float, **options: object) -> object:
        limits.append(timeout)
        raise subprocess.TimeoutExpired("any", timeout)

    monkeypatch.setattr(subprocess, "run", run)
    for count in (1, 100_000):
        with pytest.raises(PatternTooSlow):
            matching_texts(HANGS, map(str, range(count)))
    assert limits == [pytest.approx(2.0, abs=0.01), 7.0]
