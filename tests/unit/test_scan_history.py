import threading
from datetime import timedelta
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.ecr import CONNECTIONS
from registry.errors import AccessDenied, EcrThrottled, EcrUnavailable, ImageNotFound
from registry.images import LastScan
from registry.scan_history import EcrScanHistory, ScanAnswers
from tests.support.builders import any_digest, days_ago, scanned
from tests.support.clock import Clock
from tests.support.fakes import AskedRegistry

SCAN = scanned(days_ago(8))


def digests(how_many: int) -> list[str]:
    return [any_digest() for _ in range(how_many)]


class Answering:
    """Answers some calls, and refuses all after them."""

    def __init__(self, answers: int, refusal: Exception) -> None:
        self._answers = answers
        self._refusal = refusal
        self._lock = threading.Lock()

    def __call__(self, digest: str) -> LastScan | None:
        with self._lock:
            self._answers -= 1
            if self._answers < 0:
                raise self._refusal
        return SCAN


def test_tells_the_last_scan_of_each_image() -> None:
    scanned_one, never_scanned, gone = digests(3)

    def answer(digest: str) -> LastScan | None:
        if digest == gone:
            raise ImageNotFound("any")
        return {scanned_one: SCAN, never_scanned: None}[digest]

    history = EcrScanHistory(AskedRegistry(answer), Clock().now)
    assert history.last_scans("team/api", [scanned_one, never_scanned, gone]) == ScanAnswers(
        scans={scanned_one: SCAN, never_scanned: None}, gone=frozenset({gone}), unanswered=()
    )


def test_asks_for_nothing_when_there_is_no_image() -> None:
    registry = AskedRegistry(lambda _: SCAN)
    assert EcrScanHistory(registry, Clock().now).last_scans("team/api", []) == ScanAnswers({})
    assert registry.asked == []


def test_makes_one_call_an_image_of_a_full_page() -> None:
    asked_for = digests(1_000)
    registry = AskedRegistry(lambda _: SCAN)
    answers = EcrScanHistory(registry, Clock().now).last_scans("team/api", asked_for)
    assert sorted(registry.asked) == asked_for
    assert answers.scans == dict.fromkeys(asked_for, SCAN)


def test_has_as_many_calls_under_way_as_there_are_connections_and_no_more() -> None:
    # Passed only when as many calls as there are connections wait for each other.
    barrier = Barrier(CONNECTIONS, timeout=60)
    lock = threading.Lock()
    under_way, most = 0, 0

    def answer(_: str) -> LastScan | None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        barrier.wait()
        with lock:
            under_way -= 1
        return SCAN

    asked_for = digests(CONNECTIONS * 8)
    answers = EcrScanHistory(AskedRegistry(answer), Clock().now).last_scans("team/api", asked_for)
    assert len(answers.scans) == CONNECTIONS * 8
    assert most == CONNECTIONS


@pytest.mark.parametrize("refusal", [EcrThrottled("Rate exceeded"), EcrUnavailable("no answer")])
def test_stops_at_the_first_refusal_and_returns_the_rest(refusal: Exception) -> None:
    asked_for = digests(500)
    registry = AskedRegistry(Answering(100, refusal))
    answers = EcrScanHistory(registry, Clock().now).last_scans("team/api", asked_for)
    assert len(answers.scans) == 100
    assert list(answers.unanswered) == [each for each in asked_for if each not in answers.scans]
    assert len(registry.asked) <= 100 + CONNECTIONS


@pytest.mark.parametrize("refusal", [EcrThrottled("Rate exceeded"), EcrUnavailable("no answer")])
def test_raises_the_refusal_when_nothing_was_answered(refusal: Exception) -> None:
    registry = AskedRegistry(Answering(0, refusal))
    with pytest.raises(type(refusal), match=str(refusal)):
        EcrScanHistory(registry, Clock().now).last_scans("team/api", digests(500))
    assert len(registry.asked) <= CONNECTIONS


def test_counts_a_deleted_image_as_an_answer() -> None:
    gone, throttled = digests(2)
    asked = threading.Event()

    def answer(digest: str) -> LastScan | None:
        if digest == gone:
            asked.set()
            raise ImageNotFound("any")
        assert asked.wait(60), "the other image was never asked for"
        raise EcrThrottled("any")

    answers = EcrScanHistory(AskedRegistry(answer), Clock().now).last_scans(
        "team/api", [gone, throttled]
    )
    assert answers == ScanAnswers({}, gone=frozenset({gone}), unanswered=(throttled,))


def test_stops_asking_when_its_time_is_up() -> None:
    clock = Clock()

    def answer(_: str) -> LastScan | None:
        clock.move(timedelta(seconds=1))
        return SCAN

    asked_for = digests(500)
    registry = AskedRegistry(answer)
    answers = EcrScanHistory(registry, clock.now).last_scans("team/api", asked_for)
    # The call that ends at the very second is not the last: time is up after it.
    at_least = EcrScanHistory.ASK_FOR.total_seconds() + 1
    assert at_least <= len(registry.asked) < at_least + CONNECTIONS
    assert len(answers.scans) == len(registry.asked)
    assert list(answers.unanswered) == [each for each in asked_for if each not in answers.scans]


def test_raises_any_other_error_and_asks_no_further() -> None:
    registry = AskedRegistry(Answering(100, AccessDenied("not allowed")))
    with pytest.raises(AccessDenied, match="not allowed"):
        EcrScanHistory(registry, Clock().now).last_scans("team/api", digests(500))
    assert len(registry.asked) <= 100 + CONNECTIONS


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from(
            [SCAN, None, ImageNotFound("any"), EcrThrottled("any"), EcrUnavailable("any")]
        ),
        min_size=1,
        max_size=20,
    )
)
def test_answers_for_every_image_in_one_way_and_for_one_at_least(
    results: list[LastScan | Exception | None],
) -> None:
    by_digest = {any_digest(): result for result in results}

    def answer(digest: str) -> LastScan | None:
        result = by_digest[digest]
        if isinstance(result, Exception):
            raise result
        return result

    history = EcrScanHistory(AskedRegistry(answer), Clock().now)
    try:
        answers = history.last_scans("team/api", list(by_digest))
    except (EcrThrottled, EcrUnavailable):
        return
    told = [*answers.scans, *answers.gone, *answers.unanswered]
    assert sorted(told) == sorted(by_digest)
    assert len(answers.unanswered) < len(by_digest)
    assert all(by_digest[digest] == scan for digest, scan in answers.scans.items())
