"""What became of the messages of a digest, in the records of the images that it reports."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from ledger.deliveries import Deliveries, DeliveryKey
from ledger.digest_entries import CONNECTIONS
from ledger.image_records import ImageRecords, LastDelivery
from send_digest.contents import ReportedImage


class DigestNotDelivered(Exception):
    """A message of the digest is not delivered yet, and not in the dead-letter queue. Retried."""


def last_deliveries(
    digest: str, claimed: Collection[DeliveryKey], deliveries: Deliveries
) -> dict[str, LastDelivery]:
    """Return what was delivered, by channel, without what is kept in the dead-letter queue.

    Raises DigestNotDelivered as long as the claim of a message has no mark.
    """
    claims = deliveries.claims(claimed)
    unsettled = [each for each in claimed if each not in claims or not claims[each].is_settled]
    if unsettled:
        channels = ", ".join(sorted(each.channel for each in unsettled))
        raise DigestNotDelivered(f"{digest} is not yet delivered to {channels}")
    return {
        each.channel: LastDelivery(each.message_id, claim.delivered_at)
        for each, claim in claims.items()
        if claim.delivered_at
    }


def note_deliveries(
    images: Collection[ReportedImage], delivered: Mapping[str, LastDelivery], records: ImageRecords
) -> None:
    """Note at each image what was delivered of it last; many at a time. Idempotent."""
    if not delivered:
        return

    def note(image: ReportedImage) -> None:
        records.note_deliveries(image.repository, image.image_digest, delivered)

    with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
        list(pool.map(note, images))
