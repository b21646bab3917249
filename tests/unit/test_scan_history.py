from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import (
    AccessDenied,
    EcrThrottled,
    EcrUnavailable,
    ImageNotFound,
    RepositoryNotFound,
)
from registry.images import LastScan
from rescan_registry.paced_calls import Turn
from rescan_registry.scan_history import ASK_FOR_SECONDS, EcrScanHistory, ScanAnswers
from tests.support.builders import any_digest, days_ago, scanned
from tests.support.clock import NOW, Clock
from tests.support.fakes import AskedRegistry, FakePace
from tests.support.template import resources

SCAN = scanned(days_ago(8))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clock.now", clock.now)
    return clock


REFUSALS = [EcrThrottled("Rate exceeded"), EcrUnavailable("no answer")]


def digests(how_many: int) -> list[str]:
    return [any_digest() for _ in range(how_many)]


def answers_of(
    registry: AskedRegistry, image_digests: list[str], pace: FakePace | None = None, polls: int = 0
) -> ScanAnswers:
    history = EcrScanHistory(registry, (pace or FakePace()).as_pace, NOW)  # type: ignore[arg-type]
    return history.last_scans("team/api", image_digests, polls=polls)


def refusing(refusal: Exception, after: int) -> Callable[[str], LastScan | None]:
    """Answer some calls, and refuse all after them."""
    calls = iter(range(1_000_000))

    def answer(_: str) -> LastScan | None:
        if next(calls) >= after:
            raise refusal
        return SCAN

    return answer


def test_returns_the_last_scan_of_each_image() -> None:
    scanned_one, never_scanned, gone = digests(3)

    def answer(digest: str) -> LastScan | None:
        if digest == gone:
            raise ImageNotFound("any")
        return {scanned_one: SCAN, never_scanned: None}[digest]

    assert answers_of(AskedRegistry(answer), [scanned_one, never_scanned, gone]) == ScanAnswers(
        scans={scanned_one: SCAN, never_scanned: None}, gone=frozenset({gone})
    )


@pytest.mark.parametrize("polls", [0, 3])
def test_makes_one_call_per_image_in_its_turn(polls: int) -> None:
    asked_for = digests(1_000)
    registry, pace = AskedRegistry(lambda _: SCAN), FakePace(Turn(count=1_000, first=77))
    answers = answers_of(registry, asked_for, pace, polls)
    assert registry.asked == asked_for
    assert answers == ScanAnswers(dict.fromkeys(asked_for, SCAN))
    assert (pace.draws, pace.made) == ([(1_000, polls)], [(77, ASK_FOR_SECONDS)])


def test_leaves_those_for_later_whose_turn_it_is_not() -> None:
    asked_for = digests(5)
    registry = AskedRegistry(lambda _: SCAN)
    answers = answers_of(registry, asked_for, FakePace(Turn(count=2, first=1)))
    assert registry.asked == asked_for[:2]
    assert answers == ScanAnswers(
        dict.fromkeys(asked_for[:2], SCAN), unanswered=tuple(asked_for[2:])
    )


def test_asks_for_nothing_when_the_queue_is_long() -> None:
    asked_for = digests(5)
    registry = AskedRegistry(lambda _: SCAN)
    answers = answers_of(registry, asked_for, FakePace(Turn(count=0, wait_seconds=17)))
    assert registry.asked == []
    assert answers == ScanAnswers({}, unanswered=tuple(asked_for), wait_seconds=17)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_returns_the_rest_in_its_order_when_ecr_refuses(refusal: Exception) -> None:
    asked_for = digests(500)
    pace = FakePace(Turn(count=400, first=1))
    answers = answers_of(AskedRegistry(refusing(refusal, after=100)), asked_for, pace)
    assert list(answers.scans) == asked_for[:100]
    assert list(answers.unanswered) == asked_for[100:]
    assert answers.wait_seconds == 0


@pytest.mark.parametrize("refusal", REFUSALS)
def test_raises_the_refusal_when_nothing_was_answered(refusal: Exception) -> None:
    registry = AskedRegistry(refusing(refusal, after=0))
    with pytest.raises(type(refusal), match=str(refusal)):
        answers_of(registry, digests(500))


def test_returns_all_when_the_time_was_over_before_a_turn_came() -> None:
    asked_for = digests(5)
    answers = answers_of(AskedRegistry(lambda _: SCAN), asked_for, FakePace(most_answers=0))
    assert answers == ScanAnswers({}, unanswered=tuple(asked_for))


def test_asks_only_until_the_time_of_the_step_is_over(clock: Clock) -> None:
    """A step of MaxImagesPerRepository lists all pages first."""
    pace = FakePace()
    clock.move(timedelta(seconds=ASK_FOR_SECONDS - 5))
    answers_of(AskedRegistry(lambda _: SCAN), digests(2), pace)
    assert pace.made == [(1, 5)]


@pytest.mark.parametrize("late", [0, 30])
def test_draws_no_number_when_the_time_of_the_step_is_over(clock: Clock, late: int) -> None:
    asked_for, pace = digests(2), FakePace()
    clock.move(timedelta(seconds=ASK_FOR_SECONDS + late))
    answers = answers_of(AskedRegistry(lambda _: SCAN), asked_for, pace)
    assert answers == ScanAnswers({}, unanswered=tuple(asked_for))
    assert (pace.draws, pace.made) == ([], [])


@pytest.mark.parametrize("deleted", [ImageNotFound("any"), RepositoryNotFound("any")])
def test_counts_a_deleted_image_as_an_answer(deleted: Exception) -> None:
    gone, throttled = digests(2)

    def answer(digest: str) -> LastScan | None:
        raise deleted if digest == gone else EcrThrottled("any")

    answers = answers_of(AskedRegistry(answer), [gone, throttled])
    assert answers == ScanAnswers({}, gone=frozenset({gone}), unanswered=(throttled,))


def test_raises_any_other_error() -> None:
    registry = AskedRegistry(refusing(AccessDenied("not allowed"), after=100))
    with pytest.raises(AccessDenied, match="not allowed"):
        answers_of(registry, digests(500))


def test_asks_no_longer_than_the_function_has_time() -> None:
    """The ledger may take 22 s before and after: three attempts of 7 s, and backoff."""
    function = resources("AWS::Serverless::Function")["FindStaleImagesFunction"]
    assert function["Timeout"] - ASK_FOR_SECONDS >= 2 * 22


@given(
    st.lists(st.sampled_from([SCAN, None, ImageNotFound("any"), *REFUSALS]), min_size=1),
    st.integers(0, 20),
)
def test_answers_for_every_image_in_one_way(
    results: list[LastScan | Exception | None], count: int
) -> None:
    by_digest = {any_digest(): result for result in results}

    def answer(digest: str) -> LastScan | None:
        result = by_digest[digest]
        if isinstance(result, Exception):
            raise result
        return result

    turn = Turn(min(count, len(results)), first=1, wait_seconds=0 if count else 5)
    try:
        answers = answers_of(AskedRegistry(answer), list(by_digest), FakePace(turn))
    except (EcrThrottled, EcrUnavailable):
        assert isinstance(results[0], (EcrThrottled, EcrUnavailable))
        return
    told = [*answers.scans, *answers.gone, *answers.unanswered]
    assert sorted(told) == sorted(by_digest)
    assert len(answers.unanswered) < len(by_digest) or answers.wait_seconds == 5
    assert all(by_digest[digest] == scan for digest, scan in answers.scans.items())
    in_order = iter(by_digest)
    assert all(digest in in_order for digest in answers.unanswered)
