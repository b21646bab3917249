import json
import tracemalloc

from own_events.rescan_finished import Problem
from runtime.long_list import LongList


def test_keeps_all_items_and_the_first_as_they_were() -> None:
    problems = LongList[Problem](most=2)
    for number in range(5):
        problems.append(Problem(f"team/{number}", "any"))
    assert len(problems) == 5
    assert problems.start == [Problem("team/0", "any"), Problem("team/1", "any")]
    written = [{"repository": f"team/{number}", "problem": "any"} for number in range(5)]
    assert [json.loads(text) for text in problems.texts()] == written
    assert [json.loads(text) for text in problems.texts()] == written


def test_may_be_empty() -> None:
    nothing = LongList[str](most=2)
    assert (len(nothing), bool(nothing), nothing.start) == (0, False, [])
    assert list(nothing.texts()) == []


def test_takes_more_after_it_is_read() -> None:
    names = LongList[str](most=2)
    names.append("team/api")
    assert list(names.texts()) == ['"team/api"']
    names.append("team/web")
    assert list(names.texts()) == ['"team/api"', '"team/web"']


def test_a_hundred_thousand_problems_take_little_memory() -> None:
    tracemalloc.start()
    try:
        problems = LongList[str](most=10)
        for number in range(100_000):
            problems.append(f"team/{number:06}: not started, or stopped before it finished")
        assert sum(1 for _ in problems.texts()) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
