"""A correction of moto's DynamoDB, which tests and localemu share: safe for concurrent callers.

A transaction of moto copies the whole table first, and restores the copy if it fails. That is slow
for large tables, fails if another thread writes meanwhile, and undoes what that thread has written.

Replaces: what replacements() lists. Uses: DynamoType, Table, and the module `copy` in models.
Upstream: no issue is known; https://github.com/getmoto/moto/pull/2879 brought transactions.
Remove when a transaction of moto copies only the items that it names, under a lock.
"""

import copy
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest import mock

from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler


def replacements() -> tuple[tuple[type, str, Callable[..., Any]], ...]:
    """Return the methods of moto to replace: class, name, and replacement."""
    return (
        (DynamoHandler, "call_action", one_at_a_time(DynamoHandler.call_action)),
        (
            DynamoDBBackend,
            "transact_write_items",
            lightly(DynamoDBBackend.transact_write_items),
        ),
    )


def one_at_a_time(call_action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a handler of calls that runs one after the other."""
    lock = threading.Lock()

    def call(handler: Any) -> Any:
        with lock:
            return call_action(handler)

    return call


def lightly(transact: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return a transaction that copies only the items that it names."""

    def transact_lightly(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        with mock.patch.object(models, "copy", _CopyingItems(transact_items)):
            transact(backend, transact_items)

    return transact_lightly


class _CopyingItems:
    """Stands in for the module `copy`: copies only the items of a table that are named."""

    def __init__(self, transact_items: list[dict[str, Any]]) -> None:
        parts = [part for item in transact_items for part in item.values()]
        self._keys = [part.get("Key") or part["Item"] for part in parts]

    def deepcopy(self, value: Any) -> Any:
        if not isinstance(value, Table):
            return copy.deepcopy(value)
        copied = copy.copy(value)
        copied.items = defaultdict(dict, value.items)
        for key in self._keys:
            pk, sk = DynamoType(key["pk"]), DynamoType(key["sk"])
            partition = copied.items[pk] = copied.items[pk].copy()
            if sk in partition:
                partition[sk] = copy.deepcopy(partition[sk])
        return copied
