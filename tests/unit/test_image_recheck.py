from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from notify_scan.events.findings import ChangedImage
from notify_scan.image_recheck import Results, ask
from own_events.scan_result_found import MOST_TAGS, ScanResultFound
from registry.errors import (
    AccessDenied,
    EcrError,
    EcrThrottled,
    EcrUnavailable,
    ImageArchived,
    ImageNotFound,
    ImageNotScannable,
    RepositoryNotFound,
)
from registry.images import LastScan
from tests.support.builders import any_digest, days_ago
from tests.support.clock import NOW, Clock
from tests.support.fakes import AskedRegistry

ACTIVE = LastScan("ACTIVE", days_ago(3), severities={"CRITICAL": 1, "UNTRIAGED": 2})
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clock.now", clock.now)
    return clock


def images(how_many: int) -> list[ChangedImage]:
    return [
        ChangedImage("team/api", any_digest(), ("v1",), messages=(f"message {n}",))
        for n in range(how_many)
    ]


def results(asked: list[ChangedImage], registry: AskedRegistry) -> Results:
    return ask(asked, registry, until=NOW + MINUTE)  # type: ignore[arg-type]


def refusing(refusal: Exception, digest: str) -> Callable[[str], LastScan | None]:
    """Answer for all images but one."""

    def answer(asked: str) -> LastScan | None:
        if asked == digest:
            raise refusal
        return ACTIVE

    return answer


def test_returns_what_ecr_knows_of_an_image_now(clock: Clock) -> None:
    image = replace(*images(1), sent_at=NOW - MINUTE)
    clock.move(timedelta(seconds=7))
    registry = AskedRegistry(lambda _: ACTIVE)
    assert results([image], registry) == Results(
        found=(
            ScanResultFound(
                repository="team/api",
                image_digest=image.image_digest,
                image_tags=("v1",),
                scan_status="ACTIVE",
                severities={"CRITICAL": 1, "UNTRIAGED": 2},
                scanned_at=NOW + timedelta(seconds=7),
                scan_type="ENHANCED",
                tagged_at=NOW - MINUTE,
            ),
        )
    )
    assert registry.repositories == {"team/api"}


def test_writes_as_many_tags_as_an_event_has_room_for() -> None:
    tags = tuple(f"v{number}" for number in range(MOST_TAGS + 1))
    asked = [ChangedImage("team/api", any_digest(), tags)]
    (found,) = results(asked, AskedRegistry(lambda _: ACTIVE)).found
    assert found.image_tags == tags[:MOST_TAGS]


def test_passes_on_that_inspector_no_longer_monitors_an_image() -> None:
    expired = LastScan("SCAN_ELIGIBILITY_EXPIRED", days_ago(3))
    (found,) = results(images(1), AskedRegistry(lambda _: expired)).found
    assert (found.scan_status, found.severities) == ("SCAN_ELIGIBILITY_EXPIRED", {})


@pytest.mark.parametrize(
    "answer",
    [
        None,
        LastScan("COMPLETE", days_ago(1)),
        LastScan("PENDING"),
        LastScan("IN_PROGRESS"),
        LastScan("FINDINGS_UNAVAILABLE"),
        LastScan("UNSUPPORTED_IMAGE"),
    ],
)
def test_drops_an_image_that_inspector_has_not_scanned(answer: LastScan | None) -> None:
    """An image that it scans for the first time has an event of its own when that has ended."""
    assert results(images(1), AskedRegistry(lambda _: answer)) == Results(dropped=1)


@pytest.mark.parametrize(
    "gone",
    [
        ImageNotFound("gone"),
        RepositoryNotFound("gone"),
        ImageArchived("archived"),
        ImageNotScannable("an index"),
    ],
)
def test_drops_an_image_that_has_no_result_any_more_and_asks_for_the_others(
    gone: Exception,
) -> None:
    asked = images(3)
    answer = results(asked, AskedRegistry(refusing(gone, asked[1].image_digest)))
    assert [found.image_digest for found in answer.found] == [
        asked[0].image_digest,
        asked[2].image_digest,
    ]
    assert (answer.dropped, answer.unanswered, answer.problem) == (1, (), None)


def test_counts_all_images_that_have_no_result() -> None:
    gone = ImageNotFound("gone")
    answers: list[LastScan | Exception | None] = [gone, None, gone, None]

    def answer(_: str) -> LastScan | None:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    assert results(images(4), AskedRegistry(answer)) == Results(dropped=4)


def test_asks_no_more_once_ecr_throttles() -> None:
    asked = images(4)
    registry = AskedRegistry(refusing(EcrThrottled("Rate exceeded"), asked[1].image_digest))
    answer = results(asked, registry)
    assert len(registry.asked) == 2
    assert len(answer.found) == 1
    assert answer.unanswered == tuple(asked[1:])
    assert answer.problem == "EcrThrottled: Rate exceeded"


@pytest.mark.parametrize(
    "error",
    [
        EcrUnavailable("no answer"),
        AccessDenied("not allowed"),
        EcrError.named("KmsException", "no key", call="DescribeImageScanFindings"),
    ],
)
def test_an_image_that_ecr_does_not_answer_for_keeps_no_other_from_being_asked(
    error: Exception,
) -> None:
    asked = images(3)
    answer = results(asked, AskedRegistry(refusing(error, asked[0].image_digest)))
    assert len(answer.found) == 2
    assert answer.unanswered == (asked[0],)
    assert answer.problem == f"{type(error).__name__}: {error}"


def test_names_the_first_problem() -> None:
    errors = [EcrUnavailable("no answer"), EcrThrottled("Rate exceeded")]

    def answer(_: str) -> LastScan | None:
        raise errors.pop(0)

    asked = images(3)
    named = results(asked, AskedRegistry(answer))
    assert named == Results(unanswered=tuple(asked), problem="EcrUnavailable: no answer")


def test_leaves_the_rest_and_what_had_no_answer_when_the_time_is_over(clock: Clock) -> None:
    asked = images(4)

    def answer(_: str) -> LastScan | None:
        clock.move(MINUTE / 2)
        raise EcrUnavailable("no answer")

    answered = results(asked, AskedRegistry(answer))
    assert answered == Results(unanswered=tuple(asked), problem="EcrUnavailable: no answer")


def test_leaves_the_rest_when_the_time_is_over(clock: Clock) -> None:
    asked = images(4)

    def answer(_: str) -> LastScan | None:
        clock.move(MINUTE / 2)
        return ACTIVE

    registry = AskedRegistry(answer)
    answered = results(asked, registry)
    assert len(registry.asked) == 2
    assert answered.unanswered == tuple(asked[2:])
    assert answered.problem is None
