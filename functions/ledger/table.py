"""The ledger table: one client, one form of keys and attributes, and one error for all failures."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ledger.attributes import Item, Key, attributes, key_attributes, plain
from ledger.errors import LedgerUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = [
    "KEYS_A_CALL",
    "Item",
    "Key",
    "Table",
    "Write",
    "attributes",
    "key_attributes",
    "ledger_table",
    "plain",
    "unavailable",
    "unless_later",
]

KEYS_A_CALL = 100  # the most that BatchGetItem takes


@dataclass(frozen=True)
class Write:
    """One of several writes that are made together or not at all."""

    operation: str
    request: Mapping[str, Any]


class Table:
    """The ledger table.

    Expressions are DynamoDB's; a name that DynamoDB reserves is written with a # before it. Every
    method raises LedgerUnavailable when the table does not answer or refuses, for any reason.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: Key) -> Item | None:
        """Read an item; None when it does not exist."""
        with unavailable():
            answer = self._client.get_item(
                TableName=self._name, Key=key_attributes(key), ConsistentRead=True
            )
        return plain(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key], *, consistent: bool = False) -> Iterator[Item]:
        """Read items by key, a hundred per call; keys that DynamoDB leaves out are asked again.

        consistent: read what was written just before, too.
        """
        for some in batched(keys, KEYS_A_CALL, strict=False):
            wanted = [key_attributes(key) for key in some]
            asked: Any = {self._name: {"Keys": wanted, "ConsistentRead": consistent}}
            while asked:
                with unavailable():
                    answer = self._client.batch_get_item(RequestItems=asked)
                yield from map(plain, answer["Responses"].get(self._name, []))
                asked = answer.get("UnprocessedKeys")

    def query(self, partition: str, prefix: str = "") -> Iterator[Item]:
        """Read the items of a partition whose sort key has a prefix, in the order of these keys."""
        condition = "pk = :pk AND begins_with(sk, :prefix)" if prefix else "pk = :pk"
        with unavailable():
            for page in self._client.get_paginator("query").paginate(
                TableName=self._name,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=attributes({":pk": partition, ":prefix": prefix or None}),
                ConsistentRead=True,
            ):
                yield from map(plain, page["Items"])

    def first_page(
        self, partition: str, prefix: str, names: Sequence[str]
    ) -> tuple[list[Item], bool]:
        """Read some attributes of the first megabyte of items whose sort key has a prefix.

        The second value is whether there are more items. Consistent only eventually.
        """
        with unavailable():
            answer = self._client.query(
                TableName=self._name,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
                ExpressionAttributeValues=attributes({":pk": partition, ":prefix": prefix}),
                ProjectionExpression=", ".join(names),
            )
        return list(map(plain, answer["Items"])), "LastEvaluatedKey" in answer

    def put(
        self,
        key: Key,
        item: Mapping[str, object],
        *,
        when: str = "",
        values: Mapping[str, object] | None = None,
    ) -> bool:
        """Write an item over what is there, and return whether the condition held."""
        request = self.to_put(key, item, when=when, values=values).request
        return self._write(self._client.put_item, **request)

    def update(
        self, key: Key, change: str, values: Mapping[str, object], *, when: str = ""
    ) -> bool:
        """Change an item, and return whether the condition held."""
        request = self.to_update(key, change, values, when=when).request
        return self._write(self._client.update_item, **request)

    def updated(
        self, key: Key, change: str, values: Mapping[str, object], *, when: str = ""
    ) -> Item | None:
        """Change an item and return all of it afterwards; None if the condition did not hold."""
        request = self.to_update(key, change, values, when=when).request
        with unavailable():
            try:
                answer = self._client.update_item(**request, ReturnValues="ALL_NEW")
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
        return plain(answer["Attributes"])

    def delete(
        self, key: Key, *, when: str = "", values: Mapping[str, object] | None = None
    ) -> bool:
        """Delete an item if it exists, and return whether the condition held."""
        request = {**self.to_delete(key).request, **_request(when=when, values=values)}
        return self._write(self._client.delete_item, **request)

    def to_put(
        self,
        key: Key,
        item: Mapping[str, object],
        *,
        when: str = "",
        values: Mapping[str, object] | None = None,
    ) -> Write:
        """Return a write of an item, to be made together with other writes."""
        written = {**key_attributes(key), **attributes(item)}
        request = _request(when=when, values=values)
        return Write("Put", {"TableName": self._name, "Item": written, **request})

    def to_update(
        self, key: Key, change: str, values: Mapping[str, object], *, when: str = ""
    ) -> Write:
        """Return an update, to be made together with other writes."""
        request = _request(change=change, when=when, values=values)
        return Write("Update", {"TableName": self._name, "Key": key_attributes(key), **request})

    def to_delete(self, key: Key) -> Write:
        """Return a deletion, to be made together with other writes."""
        return Write("Delete", {"TableName": self._name, "Key": key_attributes(key)})

    def write_together(self, *writes: Write) -> str | None:
        """Make all writes or none; return DynamoDB's reason when it made none.

        A condition did not hold then, or another transaction was under way on one of the items.
        """
        items: Any = [{write.operation: write.request} for write in writes]
        with unavailable():
            try:
                self._client.transact_write_items(TransactItems=items)
            except self._client.exceptions.TransactionCanceledException as error:
                return str(error)
        return None

    def _write(self, call: Callable[..., object], **request: object) -> bool:
        with unavailable():
            try:
                call(**request)
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True


def unless_later(path: str, value: str, than: str = "<") -> str:
    """Return the condition that a time is absent, before the time of a value, or in the future.

    A time after `:latest`, which is clock.latest(), comes from a clock that is wrong: it would stay
    for ever. than: "<=" where the same time may be written again.
    """
    attribute = path.partition(".")[0]
    return f"(attribute_not_exists({attribute}) OR {path} {than} {value} OR {path} > :latest)"


@functools.cache
def ledger_table(name: str) -> Table:
    """Make the adapter of a table, once per container of the function."""
    # boto3 takes most of the start of a function, and InterpretEvent only encodes items.
    from ledger.client import dynamodb_client  # noqa: PLC0415

    return Table(dynamodb_client(), name)


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn every error of AWS's client into LedgerUnavailable."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise LedgerUnavailable(str(error)) from error


def _request(
    *, change: str = "", when: str = "", values: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Shape the expressions of a call, without those that it does not have."""
    parts: dict[str, Any] = {
        "UpdateExpression": change,
        "ConditionExpression": when,
        "ExpressionAttributeNames": {
            f"#{name}": name for name in re.findall(r"#(\w+)", f"{change} {when}")
        },
        "ExpressionAttributeValues": attributes(values or {}),
    }
    return {name: part for name, part in parts.items() if part}
