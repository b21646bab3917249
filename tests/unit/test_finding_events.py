import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_scan.events.findings import ChangedImage, ChangedImages, QueuedEvent, changed_images
from tests.support.events import sample, wrong

DIGEST = "sha256:" + 64 * "8"
OTHER = "sha256:" + 64 * "9"
ACCOUNT, REGION = "123456789012", "eu-central-1"


def event_on(change: Callable[[dict[str, Any]], object] | None = None, **image: Any) -> str:
    """Make the sample event, about another image; `change` may do anything else to it."""
    event = sample("inspector2_finding")
    told = event["detail"]["resources"][0]["details"]["awsEcrContainerImage"]
    told |= {"repositoryName": "team/api", "imageHash": DIGEST, "imageTags": ["v1"], **image}
    if change:
        change(event)
    return json.dumps(event)


def queued(body: str, number: int = 1, *, receives: int = 1) -> QueuedEvent:
    """Put an event into a message; the number is its id, and when it was sent."""
    attributes = {"SentTimestamp": str(number), "ApproximateReceiveCount": str(receives)}
    return QueuedEvent(str(number), body, attributes)


def changes_in(*events: QueuedEvent) -> ChangedImages:
    return changed_images(events, account=ACCOUNT, region=REGION)


def why_unreadable(body: str) -> str:
    changes = changes_in(queued(body))
    assert (changes.images, changes.elsewhere) == ((), 0)
    (why,) = changes.unreadable.values()
    return why


def test_reads_which_image_an_event_is_about() -> None:
    changes = changes_in(queued(event_on()))
    image = ChangedImage(
        "team/api",
        DIGEST,
        ("v1",),
        messages=("1",),
        receives=1,
        sent_at=datetime.fromtimestamp(0, UTC),
    )
    assert changes == ChangedImages((image,))


def test_names_each_image_once_with_all_of_its_messages() -> None:
    changes = changes_in(
        queued(event_on(), 1),
        queued(event_on(imageHash=OTHER), 2),
        queued(event_on(), 3),
        queued(event_on(repositoryName="team/web"), 4),
    )
    assert [(each.repository, each.image_digest, each.messages) for each in changes.images] == [
        ("team/api", DIGEST, ("1", "3")),
        ("team/api", OTHER, ("2",)),
        ("team/web", DIGEST, ("4",)),
    ]


def test_takes_the_tags_of_the_newest_event() -> None:
    changes = changes_in(
        queued(event_on(imageTags=["v2", "latest"]), 9),
        queued(event_on(imageTags=["v2"]), 8),
        queued(event_on(imageTags=None), 7),
    )
    (image,) = changes.images
    assert image.image_tags == ("v2", "latest")
    assert image.messages == ("7", "8", "9")


def test_takes_no_tags_that_ecr_would_not_accept() -> None:
    (image,) = changes_in(queued(event_on(imageTags=["v1", "a b", "", "-x", "v" * 129]))).images
    assert image.image_tags == ("v1",)


def test_puts_the_image_first_whose_messages_have_come_back_most_often() -> None:
    """Otherwise, while ECR throttles, the same images would always be the last."""
    changes = changes_in(
        queued(event_on(), 1),
        queued(event_on(imageHash=OTHER), 2, receives=3),
        queued(event_on(repositoryName="team/web"), 3, receives=2),
        queued(event_on(repositoryName="team/web"), 4),
    )
    assert [image.receives for image in changes.images] == [3, 2, 1]


def test_a_message_without_attributes_is_a_new_one() -> None:
    (image,) = changes_in(QueuedEvent("1", event_on())).images
    assert image.receives == 1


@pytest.mark.parametrize(
    "body",
    [
        event_on(registry="999999999999"),
        event_on(lambda event: event.update(region="us-east-1")),
    ],
)
def test_leaves_out_images_of_other_accounts_and_regions(body: str) -> None:
    """An administrator of Amazon Inspector receives the events of its members, too."""
    assert changes_in(queued(body)) == ChangedImages(elsewhere=1)


def test_the_account_is_that_of_the_image_and_not_of_the_event() -> None:
    body = event_on(lambda event: event.update(account="999999999999"))
    assert len(changes_in(queued(body)).images) == 1


def test_takes_the_first_image_of_an_event_that_names_several() -> None:
    """Amazon Inspector names one. An event can ask for no more than one call of ECR."""

    def add(event: dict[str, Any]) -> None:
        resources = event["detail"]["resources"]
        resources.insert(0, {"type": "AWS_EC2_INSTANCE", "id": "i-0123"})
        resources += [json.loads(event_on(imageHash=OTHER))["detail"]["resources"][0]] * 50

    (image,) = changes_in(queued(event_on(add))).images
    assert image.image_digest == DIGEST


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "the event must be JSON"),
        ("[" * 100_000, "the event must be JSON"),
        ("[]", "the event must be an object, not []"),
        ("{}", "the event.detail.resources must name an image"),
        (
            event_on(lambda event: event["detail"].update(resources=[])),
            "the event.detail.resources must name an image",
        ),
        (
            event_on(imageHash="latest"),
            "the event.detail.resources[0].details.awsEcrContainerImage must have names that ECR "
            "accepts, not 'team/api' and 'latest'",
        ),
        (
            event_on(repositoryName="../x y"),
            "the event.detail.resources[0].details.awsEcrContainerImage must have names that ECR "
            f"accepts, not '../x y' and '{DIGEST}'",
        ),
        (
            event_on(imageHash=None),
            "the event.detail.resources[0].details.awsEcrContainerImage.imageHash must be a text, "
            "and is missing",
        ),
    ],
)
def test_says_why_an_event_cannot_be_read(body: str, why: str) -> None:
    assert why_unreadable(body) == why


def test_reads_the_others_where_one_cannot_be_read() -> None:
    changes = changes_in(queued("no JSON", 1), queued(event_on(), 2), queued("{}", 3))
    assert [image.messages for image in changes.images] == [("2",)]
    assert changes.unreadable.keys() == {"1", "3"}


PATHS: list[tuple[str | int, ...]] = [
    (),
    ("region",),
    ("account",),
    ("time",),
    ("detail",),
    ("detail", "type"),
    ("detail", "firstObservedAt"),
    ("detail", "resources"),
    ("detail", "resources", 0),
    ("detail", "resources", 0, "type"),
    ("detail", "resources", 0, "details"),
    *(
        ("detail", "resources", 0, "details", "awsEcrContainerImage", *name)
        for name in (
            (),
            ("registry",),
            ("repositoryName",),
            ("imageHash",),
            ("imageTags",),
            ("pushedAt",),
        )
    ),
]


@given(st.lists(st.tuples(st.sampled_from(PATHS), wrong), min_size=1, max_size=2))
def test_no_event_keeps_another_from_being_read(
    changes: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    """A message is about one image of ours, about one elsewhere, or unreadable."""
    event: Any = {"": json.loads(event_on())}
    for path, value in changes:
        place, name = event, ""
        try:
            for step in path:
                place, name = place[name], step  # type: ignore[assignment]
            place[name] = value
        except (TypeError, KeyError, IndexError):
            continue  # what was to be changed is gone
    found = changes_in(queued(json.dumps(event[""]), 1), queued(event_on(imageHash=OTHER), 2))
    assert OTHER in {image.image_digest for image in found.images}
    ours = {message for image in found.images for message in image.messages}
    assert len(ours) + found.elsewhere + len(found.unreadable) == 2
