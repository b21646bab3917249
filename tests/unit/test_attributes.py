from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from ledger.attributes import attribute, attributes, key_attributes, plain

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)
EXAMPLE = {"a": [1, True, "x", None, {"b": -2}], "c": {}, "d": [], "e": False}


def whole(value: Any) -> Any:
    """Read what boto3 has read with whole numbers instead of decimals."""
    match value:
        case Decimal():
            return int(value)
        case dict():
            return {name: whole(item) for name, item in value.items()}
        case list():
            return [whole(item) for item in value]
    return value


def without_nothing(value: Any) -> Any:
    """Leave members out that are None: absent fields of a message are not stored."""
    if isinstance(value, dict):
        return {name: without_nothing(item) for name, item in value.items() if item is not None}
    return value


def check(value: Any) -> None:
    written = TypeSerializer().serialize(without_nothing(value))
    assert attribute(value) == written
    assert plain({"value": written}) == {"value": whole(TypeDeserializer().deserialize(written))}


def test_writes_and_reads_every_type() -> None:
    check(EXAMPLE)
    assert attributes({"a": 1, "b": None}) == {"a": {"N": "1"}}
    assert key_attributes(("run#1", "x")) == {"pk": {"S": "run#1"}, "sk": {"S": "x"}}


@given(values)
def test_writes_and_reads_as_boto3_does(value: Any) -> None:
    check(value)


def test_keeps_the_absent_fields_of_messages_in_lists() -> None:
    """As earlier versions have written them, which read them back."""
    assert attribute([{"before": None}]) == {"L": [{"M": {"before": {"NULL": True}}}]}


def test_writes_and_reads_bytes_as_they_are() -> None:
    """As DynamoDB's client takes and returns them, without the Binary of boto3's resources."""
    assert attributes({"found": b"\x00\xff"}) == {"found": {"B": b"\x00\xff"}}
    assert plain({"found": {"B": b"\x00\xff"}}) == {"found": b"\x00\xff"}


def test_writes_no_bytes_in_a_message() -> None:
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        attribute({"found": b""})


def test_writes_no_fractions() -> None:
    with pytest.raises(TypeError, match=r"1\.5 is no attribute of the ledger"):
        attribute(1.5)


def test_writes_a_set_of_texts_and_reads_its_members() -> None:
    assert attribute(frozenset({"b", "a"})) == {"SS": ["a", "b"]}
    assert plain({"tags": {"SS": ["a", "b"]}}) == {"tags": ["a", "b"]}
