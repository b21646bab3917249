"""How many messages a channel gets when much happens at once, with the template's defaults.

The scenarios of docs/decisions/0022-calm.md, in small; `make test-scale` has them in full size.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry.findings import Finding
from reporting.channels.delivery import Channel
from tests.support.floods import Image, Installation, installation

DIGESTED = (Channel.SNS, Channel.CHATBOT, Channel.SLACK, Channel.TEAMS)
MACHINES = (Channel.WEBHOOK, Channel.EVENTBRIDGE)  # not in DigestChannels: every scan is reported
MONDAY = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
A_DAY = timedelta(days=1)


@pytest.fixture
def stack() -> Iterator[Installation]:
    with installation(MONDAY) as installed:
        yield installed


def sizes(small: int, large: int) -> Any:
    """Run a test with a few images, and as `make test-scale` with those of an account."""
    full = pytest.param(large, marks=pytest.mark.scale, id=f"{large:,} images")
    return pytest.mark.parametrize("number", [small, full])


def critical(number: int) -> Finding:
    return Finding(f"CVE-2026-{31_000 + number}", "CRITICAL", "openssl", "3.0.11-1")


def high(number: int) -> Finding:
    return Finding(f"CVE-2025-{number}", "HIGH", "libxml2", "2.9.14")


def first_run(stack: Installation, number: int) -> list[Image]:
    """Let a run scan images for the first time: all have high findings, every tenth a critical."""
    images = [Image(each) for each in range(number)]
    for image in images:
        stack.found[image] = [high(each) for each in range(image.number % 5 + 1)]
        if image.number % 10 == 0:
            stack.found[image].append(critical(image.number % 7))
        stack.start(image)
        stack.scan(image)
    return images


def next_morning(stack: Installation) -> None:
    """Let a day end with its digest, and the next one begin."""
    stack.now = stack.now.replace(hour=7, minute=0, second=0) + (
        A_DAY if stack.now.hour >= 7 else timedelta()
    )
    stack.send_digest()
    stack.now = stack.now.replace(hour=8)


def after_a_first_run(stack: Installation, number: int) -> tuple[list[Image], datetime]:
    images = first_run(stack, number)
    next_morning(stack)
    return images, stack.now


def assert_received(
    stack: Installation, since: datetime | None, *, digested: int, machines: int, pagerduty: int
) -> None:
    got = stack.messages(since)
    assert {channel: got[channel] for channel in DIGESTED} == dict.fromkeys(DIGESTED, digested)
    assert {channel: got[channel] for channel in MACHINES} == dict.fromkeys(MACHINES, machines)
    assert got[Channel.PAGERDUTY] == pagerduty


def names_in_digest(stack: Installation) -> list[str]:
    return [each["name"] for each in stack.digest_report()["vulnerabilities"]]


def incidents(stack: Installation) -> dict[str, str]:
    """List the keys of the incidents that were opened, each with the title of its message."""
    contents: list[Any] = [
        each.delivery.content
        for each in stack.sent.values()
        if each.delivery.channel is Channel.PAGERDUTY
    ]
    return {
        each["dedup_key"]: each["payload"]["summary"]
        for each in contents
        if each["event_action"] == "trigger"
    }


@sizes(30, 3_000)
def test_a_first_run_is_its_own_message_and_a_digest(stack: Installation, number: int) -> None:
    first_run(stack, number)
    assert_received(stack, None, digested=0, machines=number, pagerduty=0)
    stack.finish_run()
    next_morning(stack)
    assert_received(stack, None, digested=2, machines=number + 1, pagerduty=1)
    assert stack.digest_report()["baseline"]["count"] == number
    assert incidents(stack) == {}  # what PagerDuty has received resolves that of an earlier run


@sizes(40, 2_900)
def test_a_vulnerability_in_all_images_is_one_message_and_a_digest(
    stack: Installation, number: int
) -> None:
    images, since = after_a_first_run(stack, number)
    for image in images:
        stack.found[image].append(critical(500))
        stack.scan(image)
    assert_received(stack, since, digested=1, machines=number, pagerduty=1)
    next_morning(stack)
    assert_received(stack, since, digested=2, machines=number, pagerduty=1)
    assert stack.sent_immediately() == [critical(500).name]
    (in_digest,) = stack.digest_report()["vulnerabilities"]
    assert (in_digest["name"], in_digest["images"]) == (critical(500).name, number - 1)


@sizes(20, 3_000)
def test_reminders_of_all_images_are_one_digest(stack: Installation, number: int) -> None:
    images, _ = after_a_first_run(stack, number)
    stack.now += timedelta(days=30)
    since = stack.now
    for image in images:
        stack.scan(image)
    assert_received(stack, since, digested=0, machines=number, pagerduty=0)
    next_morning(stack)
    assert_received(stack, since, digested=1, machines=number, pagerduty=0)
    assert stack.digest_report()["reminders"]["count"] == number


@sizes(30, 600)
def test_acceptances_that_end_on_one_day_are_a_warning_a_notice_and_a_digest(
    stack: Installation, number: int
) -> None:
    accepted = number // 3
    risk = {"reason": "any", "expires": "2026-12-31", "accepted_by": "jane"}
    stack.accept(
        json.dumps(
            {
                "accepted_risks": [
                    {"vulnerability": critical(each).name, **risk} for each in range(accepted)
                ]
            }
        )
    )
    images = [Image(each) for each in range(number)]
    for image in images:
        stack.found[image] = [critical(image.number % accepted)]
        stack.start(image)
        stack.scan(image)
    next_morning(stack)
    assert stack.messages().total() == 0
    for day in (23, 24, 25, 31):
        stack.now = datetime(2026, 12, day, 9, tzinfo=UTC)
        for image in images[:3]:
            stack.scan(image)
        next_morning(stack)
    assert_received(stack, None, digested=1, machines=1, pagerduty=0)
    assert stack.now == datetime(2027, 1, 1, 8, tzinfo=UTC)
    for image in images:
        stack.scan(image)
    next_morning(stack)
    assert_received(stack, None, digested=3, machines=number + 2, pagerduty=0)


@sizes(40, 1_000)
def test_an_update_of_the_feed_is_a_message_for_each_critical_and_a_digest(
    stack: Installation, number: int
) -> None:
    images, since = after_a_first_run(stack, number)
    for image in images:
        which = image.number % 40
        stack.found[image].append(critical(500 + which) if which < 12 else high(500 + which))
        stack.scan(image, times=2 if number < 1_000 else 1)
    assert_received(stack, since, digested=12, machines=number, pagerduty=11)
    next_morning(stack)
    assert_received(stack, since, digested=13, machines=number, pagerduty=11)
    sent, news = stack.sent_immediately(), names_in_digest(stack)
    assert sorted(sent) == [critical(500 + which).name for which in range(12)]
    assert len(news) == (40 if number > 40 else 28)  # all but those of which all images were sent
    assert len({*sent, *news}) == 40


def test_an_ordinary_week_is_a_message_for_each_critical_and_a_digest_each_day(
    stack: Installation,
) -> None:
    images, since = after_a_first_run(stack, 30)
    for day in range(5):
        for image in images[day * 6 : day * 6 + 5]:
            stack.found[image].append(high(500 + image.number))
            stack.scan(image)
        worst = images[day * 6 + 5]
        stack.found[worst].append(critical(500 + day))
        stack.scan(worst)
        next_morning(stack)
    next_morning(stack)  # of a day on which nothing has happened
    assert_received(stack, since, digested=5 + 5, machines=30, pagerduty=5)


def pushed(stack: Installation, numbers: range, *, times: int = 1) -> None:
    """Let images be pushed, scanned on push, each with a critical vulnerability of its own."""
    for image in map(Image, numbers):
        stack.found[image] = [critical(image.number)]
        stack.scan(image, times=times)


def test_of_many_vulnerabilities_in_an_hour_only_the_first_are_sent_immediately(
    stack: Installation,
) -> None:
    pushed(stack, range(25), times=2)
    assert_received(stack, None, digested=20, machines=25, pagerduty=11)
    stack.now += timedelta(hours=1)
    pushed(stack, range(25, 29))
    assert_received(stack, None, digested=24, machines=29, pagerduty=15)
    next_morning(stack)
    assert_received(stack, None, digested=25, machines=29, pagerduty=15)
    sent = [critical(each).name for each in (*range(20), *range(25, 29))]
    assert stack.sent_immediately() == sent
    assert names_in_digest(stack) == [critical(each).name for each in range(20, 25)]


def test_the_eleventh_incident_of_an_hour_stands_for_all_others(stack: Installation) -> None:
    pushed(stack, range(12))
    stack.now += timedelta(hours=1)
    pushed(stack, range(12, 24))
    opened = incidents(stack)
    of_images = [key for key in opened if key.startswith("ecr/")]
    assert len(of_images) == 20
    title = (
        "ECR: more than 10 images have new critical vulnerabilities within an hour. "
        "The next digest lists them. Close this incident manually."
    )
    assert {key: opened[key] for key in opened if key not in of_images} == {
        "ecr-rescan/more/123456789012/eu-west-1/2026-11-30T02": title,
        "ecr-rescan/more/123456789012/eu-west-1/2026-11-30T03": title,
    }
    # An image whose news has opened no incident of its own closes none either.
    for number in (10, 11, 22):
        stack.found[Image(number)].clear()
        stack.scan(Image(number))
    assert stack.messages()[Channel.PAGERDUTY] == 22
    stack.found[Image(9)].clear()
    stack.scan(Image(9))
    assert stack.messages()[Channel.PAGERDUTY] == 23
