"""What was delivered about each image, by channel: when a channel was first notified of a finding.

Partition key ``repository#<name>``, sort key ``notified#<image digest>``, beside the record of the
image. Every attribute but the time of its expiry is one delivery: ``<channel>_first``, which is
never written over, and ``<channel>_<slot>``, where the slot is the revision of the image's baseline
modulo SLOTS. A slot keeps the first delivery of the highest revision, so that a message that is
sent twice or late changes nothing. The state machine NotifyScan writes the item itself
(RecordDelivery), and SendDigest that of each image that a digest lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ledger.attributes import Item, Key
from ledger.known_findings import KnownFinding
from ledger.table import Table, ledger_table
from runtime.messages import decode

SLOTS = 8  # the last revisions of which each channel's first delivery is known
_FIRST = "first"


@dataclass(frozen=True)
class Delivery:
    """One message about an image that a channel has accepted.

    revision: of the baseline of the image that the message is about.
    """

    message_id: str
    delivered_at: datetime
    revision: int


@dataclass(frozen=True)
class FirstNotified:
    """The first delivery that counts as the notification of a finding.

    is_exact: whether none before it can have counted.
    """

    delivery: Delivery
    is_exact: bool


@dataclass(frozen=True)
class ChannelDeliveries:
    """What a channel was notified of. recent: the first of each revision, oldest first."""

    first: Delivery
    recent: tuple[Delivery, ...] = ()

    def since(self, revision: int, seen_on: date) -> FirstNotified | None:
        """Return the first delivery about a revision or a later one, on that day or after it.

        revision: 0 where it is not known; then the day alone decides.
        """
        known = (self.first, *self.recent)
        matching = [
            each
            for each in known
            if each.revision >= revision and each.delivered_at.date() >= seen_on
        ]
        if not matching:
            return None
        earliest = min(matching, key=lambda each: each.delivered_at)
        newest = max(each.revision for each in known)
        is_complete = revision > newest - SLOTS or earliest == self.first
        return FirstNotified(earliest, is_exact=is_complete and revision > 0)


@dataclass(frozen=True)
class NotifiedImage:
    """What was delivered about an image, by channel."""

    image_digest: str
    channels: Mapping[str, ChannelDeliveries]


class NotifiedImages:
    """What was delivered about each image, in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer. `repository` is the name
    of a repository of this registry, or account:region:name of one elsewhere. expires_at: seconds
    since 1970, when DynamoDB may delete the item.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def note(
        self,
        repository: str,
        image_digest: str,
        channel: str,
        delivery: Delivery,
        *,
        expires_at: int,
    ) -> None:
        """Note a delivery, unless one of the same revision or a later one is known. Idempotent."""
        first, slot = first_of(channel), slot_of(channel, delivery.revision)
        self._table.update(
            notified_key(repository, image_digest),
            f"SET #{first} = if_not_exists(#{first}, :delivery), #{slot} = :delivery, "
            "expires_at = :expires_at",
            {
                ":delivery": delivery,
                ":revision": delivery.revision,
                ":expires_at": expires_at,
            },
            when=f"attribute_not_exists(#{slot}) OR #{slot}.revision < :revision",
        )


def notified_images(table: str) -> NotifiedImages:
    """Make the adapter of a table."""
    return NotifiedImages(ledger_table(table))


def first_notified(
    finding: KnownFinding, image: NotifiedImage | None, origin: NotifiedImage | None = None
) -> dict[str, FirstNotified]:
    """Return by channel when it was first notified of a finding of an image.

    image: what was delivered about the image. origin: the same of the image that the finding came
    with, if that is another one (finding.origin). What was delivered about the image itself counts
    for a finding that it has had from the start.
    """
    own_revision = 0 if finding.origin else finding.revision
    found: dict[str, FirstNotified] = {}
    for about, revision in ((origin, finding.revision), (image, own_revision)):
        for channel, deliveries in about.channels.items() if about else ():
            notified = deliveries.since(revision, finding.first_seen)
            known = found.get(channel)
            if notified and (known is None or _at(notified) < _at(known)):
                found[channel] = notified
    return found


def notified_key(repository: str, image_digest: str) -> Key:
    """Return the key of the item of what was delivered about an image."""
    return f"repository#{repository}", f"notified#{image_digest}"


def first_of(channel: str) -> str:
    """Return the name of the attribute in which the first delivery to a channel is kept."""
    return f"{channel}_{_FIRST}"


def slot_of(channel: str, revision: int) -> str:
    """Return the name of the attribute in which a delivery of a revision is kept."""
    return f"{channel}_{revision % SLOTS}"


def notified_image(item: Item) -> NotifiedImage:
    """Read an item."""
    channels: dict[str, dict[str, Delivery]] = {}
    for name, value in item.items():
        if isinstance(value, dict):
            channel, _, slot = name.rpartition("_")
            channels.setdefault(channel, {})[slot] = decode(Delivery, value)
    return NotifiedImage(
        item["sk"].removeprefix("notified#"),
        {
            channel: ChannelDeliveries(slots.pop(_FIRST), tuple(sorted(slots.values(), key=_order)))
            for channel, slots in sorted(channels.items())
        },
    )


def _order(delivery: Delivery) -> tuple[datetime, int]:
    return delivery.delivered_at, delivery.revision


def _at(notified: FirstNotified) -> datetime:
    return notified.delivery.delivered_at
