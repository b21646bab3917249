"""Events of Amazon Inspector on findings in images. Each one only says that ECR is to be asked.

An event has one finding and one of many dates, and may arrive late, twice, or not at all. What an
image has is in ECR's answer.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent
from registry.images import could_exist, is_tag
from runtime import clock

_IMAGE = "AWS_ECR_CONTAINER_IMAGE"


@dataclass(frozen=True)
class QueuedEvent:
    """A message of the queue InspectorFindings, as Lambda passes it on.

    body: the event. attributes: of the message, as SQS has them.
    """

    messageId: str  # noqa: N815 # a name of AWS
    body: str
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def sent_at(self) -> int:
        """Return when EventBridge sent the message, in milliseconds since 1970."""
        return int(self.attributes.get("SentTimestamp", 0))

    @property
    def receives(self) -> int:
        """Return how often the message has been received."""
        return int(self.attributes.get("ApproximateReceiveCount", 1))


@dataclass(frozen=True)
class ChangedImage:
    """An image in which findings have changed.

    image_tags: by the newest event, which was sent at sent_at.
    messages: the ids of all messages about the image.
    receives: how often the one of them has been received that was received most often.
    """

    repository: str
    image_digest: str
    image_tags: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    receives: int = 0
    sent_at: datetime | None = None

    def plus(self, other: "ChangedImage") -> "ChangedImage":
        """Return the image with what a newer event says of it."""
        return replace(
            other,
            messages=(*self.messages, *other.messages),
            receives=max(self.receives, other.receives),
        )


@dataclass(frozen=True)
class ChangedImages:
    """The images that some events are about.

    images: those whose messages have been received most often come first.
    elsewhere: the number of events of other accounts or Regions.
    unreadable: the reasons, by the id of the message.
    """

    images: tuple[ChangedImage, ...] = ()
    elsewhere: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)


def changed_images(events: Iterable[QueuedEvent], *, account: str, region: str) -> ChangedImages:
    """Return which images of a registry some events are about, each image once."""
    images: dict[tuple[str, str], ChangedImage] = {}
    unreadable: dict[str, str] = {}
    elsewhere = 0
    for event in sorted(events, key=lambda event: event.sent_at):
        try:
            owner, image = _image(event)
        except UnreadableScanEvent as error:
            unreadable[event.messageId] = str(error)
            continue
        if owner != (account, region):
            elsewhere += 1
            continue
        key = image.repository, image.image_digest
        images[key] = images[key].plus(image) if key in images else image
    longest_waiting_first = sorted(images.values(), key=lambda image: -image.receives)
    return ChangedImages(tuple(longest_waiting_first), elsewhere, unreadable)


def _image(event: QueuedEvent) -> tuple[tuple[str, str], ChangedImage]:
    """Return account and Region of the registry, and the image that an event names.

    An administrator of Inspector receives its members' events too, so that the account of the event
    may be another one.
    """
    told = Fields.of("the event", _json(event.body), clock.now())
    resources = told.part("detail").parts("resources")
    named = [each for each in resources if each.optional_text("type") == _IMAGE]
    if not named:
        raise UnreadableScanEvent("the event.detail.resources must name an image")
    image = named[0].part("details").part("awsEcrContainerImage")
    repository, image_digest = image.text("repositoryName"), image.text("imageHash")
    if not could_exist(repository, image_digest):
        raise UnreadableScanEvent(
            f"{image.where} must have names that ECR accepts, "
            f"not {repository!a} and {image_digest!a}"
        )
    owner = image.text("registry"), told.text("region", most=LONGEST_REGION)
    return owner, ChangedImage(
        repository=repository,
        image_digest=image_digest,
        image_tags=tuple(filter(is_tag, image.texts("imageTags"))),
        messages=(event.messageId,),
        receives=event.receives,
        sent_at=datetime.fromtimestamp(event.sent_at // 1_000, UTC) if event.sent_at else None,
    )


def _json(body: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableScanEvent("the event must be JSON") from error
