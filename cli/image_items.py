"""What the ledger knows of one image: its items, also where one of them cannot be read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cli.report.inventory import UNREADABLE, incomplete
from ledger.attributes import Item, Key
from ledger.image_baselines import StoredImage
from ledger.image_records import ImageRecord, image_key, image_record
from ledger.known_findings import UnreadableFindings, findings_key, known_findings
from ledger.notified_images import NotifiedImage, notified_image, notified_key
from ledger.platforms import child, child_key
from ledger.table import Table


@dataclass(frozen=True)
class ItemsOfImage:
    """The items of an image. An item that cannot be read counts as absent.

    origins: what was delivered about the images that had its tag before, by digest.
    missing: which item could not be read, in sentences.
    """

    stored: StoredImage
    notified: NotifiedImage | None
    origins: Mapping[str, NotifiedImage]
    missing: tuple[str, ...]


def items_of(ledger: Table, repository: str, digest: str, now: datetime) -> ItemsOfImage:
    """Read the items of an image, and those that its findings name."""

    def record_of(item: Item) -> ImageRecord:
        return image_record(item).without_future(now)

    items = _Items(ledger)
    image, findings = image_key(repository, digest), findings_key(repository, digest)
    index, notified = child_key(repository, digest), notified_key(repository, digest)
    items.read([image, findings, index, notified])
    stored = StoredImage(
        items.item(image, record_of) or ImageRecord(digest),
        items.item(findings, known_findings),
        items.item(index, child),
    )
    known = stored.findings.findings.values() if stored.findings else ()
    digests = sorted({each.origin for each in known if each.origin})
    origins = [notified_key(repository, each) for each in digests]
    items.read(origins)
    read = (items.item(key, notified_image) for key in origins)
    return ItemsOfImage(
        stored,
        items.item(notified, notified_image),
        {each.image_digest: each for each in read if each},
        tuple(map(incomplete, items.unreadable)),
    )


class _Items:
    """Items of the ledger by key. unreadable: the images of those that could not be read."""

    def __init__(self, ledger: Table) -> None:
        self.unreadable = dict[str, None]()
        self._ledger = ledger
        self._found = dict[Key, Item]()

    def read(self, keys: list[Key]) -> None:
        """Read items; those that do not exist are left out."""
        for item in self._ledger.get_many(keys, consistent=True):
            self._found[item["pk"], item["sk"]] = item

    def item[T](self, key: Key, reader: Callable[[Item], T]) -> T | None:
        """Return an item that was read; None if there is none, or it is damaged."""
        if key not in self._found:
            return None
        try:
            return reader(self._found[key])
        except (*UNREADABLE, UnreadableFindings):
            image = "@".join((key[0].partition("#")[2], key[1].partition("#")[2]))
            self.unreadable[image] = None
            return None
