"""What the next digest is to tell: an item for each image, in the ledger table.

partition key ``digest#<mode>``, sort key ``image#<repository>@<digest>``. An image that changes
several times before a digest is one entry, with how it stood before the first change.
"""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3

from ledger.image_records import CLIENT_CONFIG, Standing, attributes, named_errors, plain_item
from runtime import settings
from runtime.messages import decode

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

CONNECTIONS = 16  # the calls that one function has under way at most


@dataclass(frozen=True)
class DigestImage:
    """One image in the next digest.

    repository, digest: as the ledger names them. image: as people name it.
    standing: how it stands. event_id: what brought that.
    is_reminder: nothing has changed, but it stands for long.
    """

    repository: str
    digest: str
    image: str
    link: str
    account: str
    region: str
    scanned_at: datetime
    standing: Standing
    event_id: str
    is_reminder: bool = False


@dataclass(frozen=True)
class DigestEntry:
    """An image, and how it stood when those who read the digest were last told of it."""

    image: DigestImage
    before: Standing


class DigestEntries:
    """The entries of all digests in the ledger table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(
        self, mode: str, image: DigestImage, before: Standing, *, expires_at: int
    ) -> "TransactWriteItemTypeDef":
        """Say how to put an image into a digest; one that is in it keeps its `before`."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(mode, image),
                "UpdateExpression": (
                    "SET image = :image, before_it = if_not_exists(before_it, :before), "
                    "expires_at = :expires_at"
                ),
                "ExpressionAttributeValues": attributes(
                    {":image": image, ":before": before, ":expires_at": expires_at}
                ),
            }
        }

    def drop(self, mode: str, image: DigestImage) -> "TransactWriteItemTypeDef":
        """Say how to take an image out of a digest, whether it is in it or not."""
        return {"Delete": {"TableName": self._table, "Key": _key(mode, image)}}

    def of(self, mode: str) -> Iterator[DigestEntry]:
        """Read what a digest is to tell."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :mode",
            ExpressionAttributeValues={":mode": {"S": f"digest#{mode}"}},
            ConsistentRead=True,
        )
        with named_errors():
            for page in pages:
                for item in page["Items"]:
                    values = plain_item(item)
                    yield decode(
                        DigestEntry, {"image": values["image"], "before": values["before_it"]}
                    )

    def forget(self, mode: str, told: Sequence[DigestImage]) -> None:
        """Take out what has been told; what has changed since is told with the next digest."""
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            list(pool.map(functools.partial(self._forget, mode), told))

    def _forget(self, mode: str, told: DigestImage) -> None:
        refused = self._client.exceptions.ConditionalCheckFailedException
        with named_errors():
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key=_key(mode, told),
                    ConditionExpression="attribute_not_exists(pk) OR image.event_id = :event_id",
                    ExpressionAttributeValues=attributes({":event_id": told.event_id}),
                )
            except refused:
                with suppress(refused):  # when another execution has forgotten it meanwhile
                    self._client.update_item(
                        TableName=self._table,
                        Key=_key(mode, told),
                        UpdateExpression="SET before_it = :before",
                        ConditionExpression="attribute_exists(pk)",
                        ExpressionAttributeValues=attributes({":before": told.standing}),
                    )


@functools.cache
def digest_entries() -> DigestEntries:
    """Make the adapter of the stack's table."""
    return DigestEntries(
        boto3.client("dynamodb", config=CLIENT_CONFIG), settings.text("LEDGER_TABLE")
    )


def _key(mode: str, image: DigestImage) -> dict[str, Any]:
    return {
        "pk": {"S": f"digest#{mode}"},
        "sk": {"S": f"image#{image.repository}@{image.digest}"},
    }
