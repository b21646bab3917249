"""moto's DynamoDB, which tests and localemu share, made fit for many callers at once.

A transaction of moto copies the whole table first, and puts the copy back when it fails: that takes
as long as there are items, fails when somebody writes meanwhile, and undoes what they have written.
"""

import copy
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest import mock

from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table


def one_at_a_time(call_action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make the handler of all calls take one after the other."""
    lock = threading.Lock()

    def call(handler: Any) -> Any:
        with lock:
            return call_action(handler)

    return call


def lightly(transact: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Make a transaction copy no more than it may change."""

    def transact_lightly(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        with mock.patch.object(models, "copy", _CopyingItems(transact_items)):
            transact(backend, transact_items)

    return transact_lightly


class _CopyingItems:
    """Stands for the module copy: copies of a table the items that a transaction names."""

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
