"""What became of the messages of a digest, noted at the images that it reports."""

import itertools
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from ledger.deliveries import Deliveries, DeliveryKey
from ledger.digest_entries import CONNECTIONS
from ledger.notified_images import Delivery, NotifiedImages
from send_digest.contents import ReportedImage


class DigestNotDelivered(Exception):
    """A message of the digest is not delivered yet, and not in the dead-letter queue. Retried."""


@dataclass(frozen=True)
class DeliveredMessage:
    """A message of a digest that a channel has accepted."""

    message_id: str
    delivered_at: datetime


def delivered_messages(
    digest: str, claimed: Collection[DeliveryKey], deliveries: Deliveries
) -> dict[str, DeliveredMessage]:
    """Return what was delivered, by channel, without what is kept in the dead-letter queue.

    Raises DigestNotDelivered as long as the claim of a message has no mark.
    """
    claims = deliveries.claims(claimed)
    unsettled = [each for each in claimed if each not in claims or not claims[each].is_settled]
    if unsettled:
        channels = ", ".join(sorted(each.channel for each in unsettled))
        raise DigestNotDelivered(f"{digest} is not yet delivered to {channels}")
    return {
        each.channel: DeliveredMessage(each.message_id, datetime.fromisoformat(claim.delivered_at))
        for each, claim in claims.items()
        if claim.delivered_at
    }


def note_deliveries(
    images: Collection[ReportedImage],
    delivered: Mapping[str, DeliveredMessage],
    notified: NotifiedImages,
) -> None:
    """Note at each image what was delivered about it; many at a time. Idempotent.

    Nothing is noted at an image of version 0.3.0, whose digest does not say what it reports.
    """

    def note(noted: tuple[ReportedImage, tuple[str, DeliveredMessage]]) -> None:
        image, (channel, message) = noted
        notified.note(
            image.repository,
            image.image_digest,
            channel,
            Delivery(message.message_id, message.delivered_at, image.revision),
            expires_at=image.expires_at,
        )

    known = [image for image in images if image.revision]
    with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
        list(pool.map(note, itertools.product(known, delivered.items())))
