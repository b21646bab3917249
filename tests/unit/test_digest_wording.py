"""Digests in words, and in every channel whatever stands in a name."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.image_records import ImageState
from reporting.channels.delivery import Channel, Delivery
from reporting.digest_wording import message_of_digest
from reporting.message import Level, Message, plain
from reporting.reports import Change
from reporting.text import sendable
from runtime.messages import encode, wire
from send_digest.digest import DigestRequest, images_to_list, report_of, shortened
from tests.support.clock import NOW
from tests.support.digests import BAD, FAILED, WELL, WORSE, any_entry
from tests.support.events import HOSTILE, LONG, hostile_texts
from tests.support.reports import EVERY_CHANNEL, complaints_about, structure_of

REQUEST = DigestRequest(
    "arn:aws:states:eu-central-1:123456789012:execution:ecr-rescan-SendDigest:digest-1"
)
CHANNELS = replace(EVERY_CHANNEL, digest_channels=frozenset(Channel) - {Channel.PAGERDUTY})
FEWER = ImageState({"CRITICAL": 1, "HIGH": 0}, ("CRITICAL",))


def reported(*entries: Any) -> Any:
    document = "digests/digest-1.json"
    images = images_to_list(entries, frozenset(Change))
    return shortened(report_of(images, REQUEST, bucket="run-bucket", document=document, now=NOW))


def worded(*entries: Any) -> Message:
    return message_of_digest(reported(*entries))


def sent(*entries: Any) -> tuple[Delivery, ...]:
    report = reported(*entries)
    return CHANNELS.digest(message_of_digest(report), report, now=NOW)


@pytest.mark.parametrize(
    ("before", "image_state", "line"),
    [
        (WELL, BAD, "team/api-1:v1 new: 1 critical, 2 high"),
        (BAD, WORSE, "team/api-1:v1 worse: 3 critical (+2), 2 high"),
        (BAD, FEWER, "team/api-1:v1 better: 1 critical, \N{MINUS SIGN}2 high"),
        (BAD, WELL, "team/api-1:v1 cleared: \N{MINUS SIGN}1 critical, \N{MINUS SIGN}2 high"),
        (WELL, FAILED, "team/api-1:v1 failed"),
        (BAD, BAD, "team/api-1:v1 unchanged: 1 critical, 2 high"),
        (WELL, WELL, "team/api-1:v1 nothing above a threshold"),
    ],
)
def test_says_what_has_changed_in_an_image(before: Any, image_state: Any, line: str) -> None:
    message = worded(any_entry(1, before, image_state))
    assert [plain(each) for each in message.sections[0].lines] == [line]


@pytest.mark.parametrize(
    ("image_state", "level"),
    [
        (BAD, Level.CRITICAL),
        (ImageState({"LOW": 1}, ("LOW",)), Level.LOW),
        (ImageState({"OTHER": 1}, ("OTHER",)), Level.INFO),
        (FAILED, Level.INFO),
        (WELL, Level.OK),
    ],
)
def test_is_as_bad_as_the_worst_image(image_state: Any, level: Level) -> None:
    message = worded(any_entry(1, BAD, WELL), any_entry(2, replace(BAD, counts={}), image_state))
    assert message.level is level


def test_counts_images_by_change() -> None:
    message = worded(any_entry(1), any_entry(2), any_entry(3, BAD, WORSE), any_entry(4, BAD, WELL))
    assert plain(message.title) == "ECR digest: 4 images changed (2 new, 1 worse, 1 cleared)"
    assert [plain(line) for _, line in message.counts] == ["2 new", "1 worse", "1 cleared"]
    assert plain(worded(any_entry(1)).title) == "ECR digest: 1 image changed (1 new)"


def test_says_how_many_more_there_are_and_where() -> None:
    message = worded(*(any_entry(number) for number in range(1_200)))
    assert len(message.sections[0].lines) == 30
    assert [plain(line) for line in message.remarks] == [
        "1,170 more images are listed only in the full digest."
    ]
    (one_more,) = worded(*(any_entry(number) for number in range(31))).remarks
    assert plain(one_more) == "1 more image is listed only in the full digest."
    facts = {name: plain(line) for name, line in message.facts}
    assert facts["Document"] == "s3://run-bucket/digests/digest-1.json"


names = st.lists(hostile_texts, min_size=3, max_size=3, unique_by=sendable)


def sent_of_images(names: list[str]) -> tuple[Delivery, ...]:
    """Send a digest of images with these names, in their order.

    Slack links a name that is plain; none of these is, so that all are shown alike.
    """
    return sent(
        *(
            any_entry(
                number,
                image_state=ImageState({"CRITICAL": 9 - number}, ("CRITICAL",)),
                image=f"{name} é",
                repository=name,
            )
            for number, name in enumerate(names)
        )
    )


@settings(max_examples=8)
@given(names)
@example(list(HOSTILE[:6]))
@example(list(HOSTILE[6:12]))
@example(list(HOSTILE[12:18]))
def test_a_digest_is_read_alike_with_harmless_names(names: list[str]) -> None:
    numbers = count(0x100)
    harmless = ["é" * (len(name) - 1) + chr(next(numbers)) for name in names]
    told, expected = (sent_of_images(each) for each in (list(map(sendable, names)), harmless))
    assert [said for each in told for said in complaints_about(each)] == []
    assert [structure_of(each) for each in told] == [structure_of(each) for each in expected]


@pytest.mark.parametrize("word", [LONG[1], "\N{PILE OF POO}" * 300, '"\\' * 150])
def test_long_names_leave_room_for_every_channel(word: str) -> None:
    name = sendable(word)[:300]
    deliveries = sent(
        *(
            any_entry(number, image=name, repository=name, link=f"https://aws.example/{'x' * 900}")
            for number in range(100)
        )
    )
    assert len(deliveries) == 6
    assert [said for each in deliveries for said in complaints_about(each)] == []
    assert len(wire(encode(deliveries))) < 200 * 1024
