"""Ask ECR again for images in which Amazon Inspector has changed findings, once per image."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notify_scan.events.findings import QueuedEvent, changed_images
from notify_scan.image_recheck import ask
from notify_scan.settings import RecheckImagesSettings
from own_events.event_bus import EventBus, event_bus
from registry.ecr import EcrRegistry, ecr_registry
from runtime import clock
from runtime.entrypoint import entrypoint

# Of the 120 s of the function. The last call takes 13 s at most, and a thousand events 100 calls.
ASK_FOR = timedelta(seconds=60)


@dataclass(frozen=True)
class QueuedEvents:
    """The input of RecheckImages: messages of the queue InspectorFindings."""

    Records: tuple[QueuedEvent, ...]


@dataclass(frozen=True)
class RecheckedImages:
    """The output of RecheckImages, for the log, and which messages Lambda is to retry."""

    batchItemFailures: tuple[dict[str, str], ...]  # noqa: N815 # a name of AWS
    messages: int
    images: int
    results_found: int
    images_dropped: int
    messages_elsewhere: int
    messages_to_retry: int
    problem: str | None


def recheck_images(
    queued: QueuedEvents,
    registry: EcrRegistry,
    bus: EventBus,
    *,
    of: tuple[str, str],
    now: datetime,
) -> RecheckedImages:
    """Put one event per image, and return the messages of images that ECR has not answered for.

    of: account and Region of the registry. Raises EventRefused, and all messages are retried.
    """
    account, region = of
    changed = changed_images(queued.Records, account=account, region=region)
    results = ask(changed.images, registry, until=now + ASK_FOR)
    bus.put(results.found)
    to_retry = [*changed.unreadable]
    for image in results.unanswered:
        to_retry += image.messages
    return RecheckedImages(
        batchItemFailures=tuple({"itemIdentifier": each} for each in to_retry),
        messages=len(queued.Records),
        images=len(changed.images),
        results_found=len(results.found),
        images_dropped=results.dropped,
        messages_elsewhere=changed.elsewhere,
        messages_to_retry=len(to_retry),
        problem=results.problem or next(iter(changed.unreadable.values()), None),
    )


@entrypoint(QueuedEvents)
def handler(queued: QueuedEvents) -> RecheckedImages:
    """Run as RecheckImages, on messages that Lambda has collected from the queue."""
    settings = RecheckImagesSettings.load()
    return recheck_images(
        queued,
        ecr_registry(),
        event_bus(),
        of=(settings.account_id, settings.aws_region),
        now=clock.now(),
    )
