"""Keys and attributes of the ledger table, in DynamoDB's types.

Written without boto3, whose import takes most of the start of a function that calls no API.
"""

from collections.abc import Mapping
from typing import Any

from runtime.messages import Json, encode

type Key = tuple[str, str]  # partition key and sort key
type Item = dict[str, Any]  # attributes as plain values


def key_attributes(key: Key) -> dict[str, Any]:
    """Write a key in DynamoDB's types."""
    return attributes(dict(zip(("pk", "sk"), key, strict=True)))


def attributes(values: Mapping[str, object]) -> dict[str, Any]:
    """Write values in DynamoDB's types, without those that are absent."""
    return {name: attribute(value) for name, value in values.items() if value is not None}


def attribute(value: object) -> dict[str, Any]:
    """Write a value in DynamoDB's types; absent fields of a message are left out.

    Bytes are an attribute of their own, never part of a message. So is a frozenset of texts, to
    which an update can add; it must not be empty.
    """
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, frozenset):
        return {"SS": sorted(value)}
    return _typed(_present(encode(value)))


def plain(item: Mapping[str, Any]) -> Item:
    """Read the attributes of an item from DynamoDB's types."""
    return {name: _plain(value) for name, value in item.items()}


def _present(value: Json) -> Json:
    """Leave out absent fields, but not in lists, whose messages keep them as NULL."""
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if item is not None}
    return value


def _typed(value: Json) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case dict():
            return {"M": {name: _typed(item) for name, item in value.items()}}
        case list():
            return {"L": [_typed(item) for item in value]}
    raise TypeError(f"{value!r} is no attribute of the ledger")


def _plain(typed: Mapping[str, Any]) -> Any:
    """Read a value; all numbers of the ledger are whole ones."""
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return int(value)
        case "M":
            return plain(value)
        case "L":
            return [_plain(item) for item in value]
        case "NULL":
            return None
    return value
