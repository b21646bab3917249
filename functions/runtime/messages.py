"""Messages between states: frozen dataclasses in Python, JSON in the execution history."""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from runtime import durations

type Json = dict[str, Json] | list[Json] | str | int | float | bool | None


_FORMERLY = "formerly"

# Computed every time, they would take a third of the time of reading a message.
_hints = functools.cache(typing.get_type_hints)


def encode(value: object) -> Json:
    """Turn a message into JSON values: times and durations in ISO 8601, absent fields as null."""
    match value:
        case Enum():
            return encode(value.value)
        case None | str() | int() | float():
            return value
        case datetime():
            return value.isoformat(timespec="seconds")
        case timedelta():
            return durations.iso(value)
        case Mapping():
            return {str(encode(key)): encode(item) for key, item in value.items()}
        case list() | tuple():
            return [encode(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {
            field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    raise TypeError(f"{type(value).__name__} has no JSON form")


def wire(content: Json) -> bytes:
    """Write JSON as UTF-8: with escapes instead, an emoji would take 12 bytes and not 4."""
    return json.dumps(content, ensure_ascii=False).encode()


def decode[M](message: type[M], value: Json) -> M:
    """Read a message from JSON values; fields that it does not know are left aside.

    Raises TypeError or KeyError when the state machine sends what the function does not expect:
    a fault of the definition, found by its tests.
    """
    decoded: M = _decode(message, value)
    return decoded


def formerly(name: str) -> Mapping[str, str]:
    """Make the metadata of a field that has been renamed: it is read under the former name too.

    Where both are there, the former one counts: code that writes the new one removes it, unless it
    must stay.
    """
    return {_FORMERLY: name}


def _decode(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return value
    if origin is types.UnionType:
        (present,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if value is None else _decode(present, value)
    if origin is tuple:
        return tuple(_decode(arguments[0], item) for item in value)
    if origin is dict:
        key_kind, item_kind = arguments
        return {_decode(key_kind, key): _decode(item_kind, item) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, value)
    if issubclass(kind, datetime):
        return datetime.fromisoformat(value)
    if issubclass(kind, timedelta):
        return durations.parse(value)
    if issubclass(kind, Enum):
        return kind(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _decode_fields(kind: Any, values: dict[str, Any]) -> Any:
    hints = _hints(kind)
    if renamed := {name: former for name, former in _renamed(kind).items() if former in values}:
        values = values | {name: values[former] for name, former in renamed.items()}
    required = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := required - values.keys():
        raise KeyError(f"{kind.__name__} needs {', '.join(sorted(missing))}")
    return kind(
        **{name: _decode(hint, values[name]) for name, hint in hints.items() if name in values}
    )


@functools.cache
def _renamed(kind: Any) -> dict[str, str]:
    """Name the fields of a message that have a former name, with that name."""
    fields = dataclasses.fields(kind)
    return {each.name: each.metadata[_FORMERLY] for each in fields if _FORMERLY in each.metadata}
