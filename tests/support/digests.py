"""Entries of digests, what puts them into the table, and the table and the bucket in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from itertools import batched
from typing import Any, cast

import boto3

from ledger.changes import Change
from ledger.digest_entries import DigestChange, DigestEntries, DigestEntry, DigestImage, sort_key
from ledger.errors import DigestAlreadyBegun
from ledger.image_records import ImageState
from ledger.table import attributes, key_attributes
from tests.support.clock import NOW

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
WELL = ImageState({"CRITICAL": 0, "HIGH": 0})
BAD = ImageState({"CRITICAL": 1, "HIGH": 2}, ("CRITICAL", "HIGH"))
WORSE = ImageState({"CRITICAL": 3, "HIGH": 2}, ("CRITICAL", "HIGH"))
FAILED = ImageState(failed=True)


def any_digest_image(number: int = 1, image_state: ImageState = BAD, **given: Any) -> DigestImage:
    """Make an image in a digest."""
    image = DigestImage(
        repository=f"team/api-{number}",
        image_digest=f"sha256:{number:064x}",
        image=f"team/api-{number}:v1",
        link=f"https://console.aws.amazon.com/ecr/any/{number}",
        account="123456789012",
        region="eu-central-1",
        scanned_at=NOW,
        image_state=image_state,
        event_id=f"event-{number}",
    )
    return replace(image, **given)


def any_entry(
    number: int = 1, before: ImageState = WELL, image_state: ImageState = BAD, **given: Any
) -> DigestEntry:
    """Make an entry that one event has brought."""
    image = any_digest_image(number, image_state, **given)
    return DigestEntry(image, before, image.event_id)


def any_change(
    number: int = 1,
    before: ImageState = WELL,
    image_state: ImageState = BAD,
    *,
    minutes: int = 0,
    **given: Any,
) -> DigestChange:
    """Make a change of an image, some minutes after NOW; `given` is of the change, or its image."""
    of_change = {each.name for each in fields(DigestChange)} - {"image"}
    of_image = {name: value for name, value in given.items() if name not in of_change}
    at = NOW + timedelta(minutes=minutes)
    image = any_digest_image(
        number,
        image_state,
        **({"event_id": f"event-{number}-{minutes}", "scanned_at": at} | of_image),
    )
    change = DigestChange(image, before, at, Change.NEW, revision=1, expires_at=EXPIRES_AT)
    return replace(change, **{name: given[name] for name in given if name in of_change})


def put_change(entries: DigestEntries, change: DigestChange) -> None:
    """Put a change into the next digest; not in a transaction, for which moto copies the table."""
    boto3.client("dynamodb").put_item(**entries.put(change).request)


def put_entry(mode: str, image: DigestImage, before: ImageState = WELL) -> None:
    """Put an image into a digest as version 0.3.0 has done it, with the names of today."""
    values = {":image": image, ":before": before, ":event_id": image.event_id}
    boto3.client("dynamodb").update_item(
        TableName=_the_table(),
        Key=key_attributes((f"digest#{mode}", f"image#{image.repository}@{image.image_digest}")),
        UpdateExpression="SET image = :image, #before = if_not_exists(#before, :before), "
        "first_event = if_not_exists(first_event, :event_id), expires_at = :expires_at",
        ExpressionAttributeNames={"#before": "before"},
        ExpressionAttributeValues=attributes({**values, ":expires_at": EXPIRES_AT}),
    )


def _the_table() -> str:
    (name,) = boto3.client("dynamodb").list_tables()["TableNames"]
    return name


def fill(entries: DigestEntries, changes: Iterable[DigestChange]) -> None:
    """Put many changes into the table, in batches."""
    client = boto3.client("dynamodb")
    for some in batched(changes, 25, strict=False):
        items = [entries.put(each).request["Item"] for each in some]
        requests: Any = {"LedgerTable": [{"PutRequest": {"Item": item}} for item in items]}
        client.batch_write_item(RequestItems=requests)


class FakeDigestEntries:
    """The entries of one digest: changes, and entries of version 0.3.0."""

    def __init__(
        self, *entries: DigestChange | DigestEntry, left_behind: Sequence[DigestEntry] = ()
    ) -> None:
        self.changes = [each for each in entries if isinstance(each, DigestChange)]
        self.kept = [each for each in entries if isinstance(each, DigestEntry)]
        self.left_behind = list(left_behind)
        self.begun: dict[str, str] = {}

    def changes_of(self, mode: str) -> list[DigestChange]:
        """Read the changes, those of an image one after the other."""
        return sorted(self.changes, key=sort_key)

    def entries_of(self, mode: str) -> list[DigestEntry]:
        """Read the entries of version 0.3.0."""
        return list(self.kept)

    def adopt(self, mode: str, *, left_in: str) -> None:
        """Take over what another digest has left."""
        self.kept += self.left_behind
        self.left_behind = []

    def forget(self, mode: str, sent: Sequence[str], told: Sequence[DigestEntry] = ()) -> None:
        """Take some out."""
        self.changes = [change for change in self.changes if sort_key(change) not in sent]
        self.kept = [entry for entry in self.kept if entry not in told]

    def under_way(self, mode: str) -> str | None:
        """Return the name of the digest that has begun."""
        return self.begun.get(mode)

    def begin(self, mode: str, digest: str, *, instead_of: str | None) -> None:
        """Begin a digest, unless another has begun."""
        if self.begun.get(mode) != instead_of:
            raise DigestAlreadyBegun(mode)
        self.begun[mode] = digest

    def finish(self, mode: str, digest: str) -> None:
        """End a digest."""
        if self.begun.get(mode) == digest:
            del self.begun[mode]

    @property
    def as_entries(self) -> DigestEntries:
        """Stand in for the table."""
        return cast("DigestEntries", self)
