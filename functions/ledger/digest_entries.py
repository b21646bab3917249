"""What the next digest contains: one item per image, in the ledger table.

Partition key ``digest#<mode>``, sort key ``image#<repository>@<image digest>``. An image that
changes several times before a digest has one entry, with its state before the first change. The
item ``digest-under-way``, ``mode#<mode>`` names the digest that is composed and not yet forgotten.
"""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3

from ledger.errors import DigestAlreadyBegun
from ledger.image_records import CLIENT_CONFIG, ImageState, attributes, named_errors, plain_item
from runtime import settings
from runtime.messages import decode, formerly

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

CONNECTIONS = 16  # the calls that one function has under way at most
DAILY = "DAILY"
AFTER_RUN = "AFTER_RUN"  # the other digest that version 0.3.0 had


@dataclass(frozen=True)
class DigestImage:
    """One image in the next digest.

    repository, image_digest: as the ledger names them. image: as people name it.
    image_state: how it stands. event_id: what brought that.
    is_reminder: nothing has changed, but it stands for long.
    """

    repository: str
    image_digest: str = field(metadata=formerly("digest"))
    image: str
    link: str
    account: str
    region: str
    scanned_at: datetime
    image_state: ImageState = field(metadata=formerly("standing"))
    event_id: str
    is_reminder: bool = False


@dataclass(frozen=True)
class DigestEntry:
    """An image, and how it stood when those who read the digest were last told of it.

    first_event: what brought the first change since then, and so the entry.
    """

    image: DigestImage
    before: ImageState = field(metadata=formerly("before_it"))
    first_event: str


class DigestEntries:
    """The entries of all digests in the ledger table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(
        self, mode: str, image: DigestImage, before: ImageState, *, expires_at: int
    ) -> "TransactWriteItemTypeDef":
        """Say how to put an image into a digest; one that is in it keeps its `before`."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(mode, image),
                "UpdateExpression": (
                    "SET image = :image, #before = if_not_exists(#before, :before), "
                    "first_event = if_not_exists(first_event, :event_id), "
                    "expires_at = :expires_at"
                ),
                "ExpressionAttributeNames": {"#before": "before"},
                "ExpressionAttributeValues": attributes(
                    {
                        ":image": image,
                        ":before": before,
                        ":event_id": image.event_id,
                        ":expires_at": expires_at,
                    }
                ),
            }
        }

    def drop(self, mode: str, image: DigestImage) -> "TransactWriteItemTypeDef":
        """Say how to take an image out of a digest, whether it is in it or not."""
        return {"Delete": {"TableName": self._table, "Key": _key(mode, image)}}

    def correct(self, mode: str, image: DigestImage) -> None:
        """Note how an image stands by now, if it is in a digest: it told of nothing new itself.

        Nothing of a newer scan is overwritten, and a reminder stays one.
        """
        with named_errors(), suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.update_item(
                TableName=self._table,
                Key=_key(mode, image),
                UpdateExpression=(
                    "SET image.image = :name, image.scanned_at = :scanned_at, "
                    "image.image_state = :image_state, image.event_id = :event_id "
                    "REMOVE image.standing"
                ),
                ConditionExpression="attribute_exists(pk) AND image.scanned_at <= :scanned_at",
                ExpressionAttributeValues=attributes(
                    {
                        ":name": image.image,
                        ":scanned_at": image.scanned_at,
                        ":image_state": image.image_state,
                        ":event_id": image.event_id,
                    }
                ),
            )

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
                    yield decode(DigestEntry, plain_item(item))

    def adopt(self, mode: str, *, left_in: str) -> None:
        """Move what a digest that is sent no longer has left into one that is.

        An image that is in both keeps the entry of the one that is sent. Can be done twice.
        """
        query = self._client.get_paginator("query")
        pages = query.paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :mode",
            ExpressionAttributeValues={":mode": {"S": f"digest#{left_in}"}},
            ConsistentRead=True,
        )
        refused = self._client.exceptions.ConditionalCheckFailedException
        with named_errors():
            for page in pages:
                for item in page["Items"]:
                    with suppress(refused):
                        self._client.put_item(
                            TableName=self._table,
                            Item={**item, "pk": {"S": f"digest#{mode}"}},
                            ConditionExpression="attribute_not_exists(pk)",
                        )
                    self._client.delete_item(
                        TableName=self._table, Key={"pk": item["pk"], "sk": item["sk"]}
                    )

    def forget(self, mode: str, told: Sequence[DigestEntry]) -> None:
        """Take out what has been told; what has changed since is told with the next digest.

        However often, and however late: an entry that began after this one is left alone.
        """
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            list(pool.map(functools.partial(self._forget, mode), told))

    def under_way(self, mode: str) -> str | None:
        """Name the digest that is composed, and perhaps told, but not yet forgotten."""
        with named_errors():
            answer = self._client.get_item(
                TableName=self._table, Key=_under_way_key(mode), ConsistentRead=True
            )
        return answer["Item"]["digest"]["S"] if "Item" in answer else None

    def begin(self, mode: str, digest: str, *, instead_of: str | None) -> None:
        """Note that a digest is composed, before anybody is told.

        instead_of: what under_way has named. Raises DigestAlreadyBegun when it is another by now.
        """
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if instead_of:
            condition = {
                "ConditionExpression": "digest = :instead_of",
                "ExpressionAttributeValues": attributes({":instead_of": instead_of}),
            }
        item = {**_under_way_key(mode), "digest": {"S": digest}}
        with named_errors():
            try:
                self._client.put_item(TableName=self._table, Item=item, **condition)
            except self._client.exceptions.ConditionalCheckFailedException as error:
                raise DigestAlreadyBegun(f"{mode}: another execution was faster") from error

    def finish(self, mode: str, digest: str) -> None:
        """Note that a digest is told and forgotten, unless another has begun by now."""
        with named_errors(), suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.delete_item(
                TableName=self._table,
                Key=_under_way_key(mode),
                ConditionExpression="digest = :digest",
                ExpressionAttributeValues=attributes({":digest": digest}),
            )

    def _forget(self, mode: str, told: DigestEntry) -> None:
        refused = self._client.exceptions.ConditionalCheckFailedException
        with named_errors():
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key=_key(mode, told.image),
                    ConditionExpression="attribute_not_exists(pk) OR image.event_id = :event_id",
                    ExpressionAttributeValues=attributes({":event_id": told.image.event_id}),
                )
            except refused:
                with suppress(refused):  # when it has been forgotten, and has changed again
                    self._client.update_item(
                        TableName=self._table,
                        Key=_key(mode, told.image),
                        UpdateExpression=(
                            "SET #before = :before, first_event = :event_id REMOVE before_it"
                        ),
                        ConditionExpression="first_event = :first_event",
                        ExpressionAttributeNames={"#before": "before"},
                        ExpressionAttributeValues=attributes(
                            {
                                ":before": told.image.image_state,
                                ":event_id": told.image.event_id,
                                ":first_event": told.first_event,
                            }
                        ),
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
        "sk": {"S": f"image#{image.repository}@{image.image_digest}"},
    }


def _under_way_key(mode: str) -> dict[str, Any]:
    return {"pk": {"S": "digest-under-way"}, "sk": {"S": f"mode#{mode}"}}
