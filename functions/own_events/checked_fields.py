"""How an event is read: field by field, because anyone who may put events can put anything."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol


class CheckedFields(Protocol):
    """A JSON object, each field of which is checked when it is read."""

    def text(self, name: str) -> str:
        """Read a text that must be there."""

    def optional_text(self, name: str) -> str | None:
        """Read a text that may be absent."""

    def long_text(self, name: str, *, most: int) -> str | None:
        """Read a text that may be absent, and shorten it to a number of characters."""

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts; empty when it is absent."""

    def number(self, name: str) -> int:
        """Read a whole number; 0 when it is absent."""

    def numbers(self) -> dict[str, int]:
        """Read all fields, each a whole number."""

    def few_numbers(self) -> dict[str, int]:
        """Read all fields, each a whole number, of an object with few short names."""

    def flag(self, name: str) -> bool:
        """Read true or false; false when it is absent."""

    def time(self, name: str) -> datetime:
        """Read a time in ISO 8601."""

    def part(self, name: str) -> "CheckedFields":
        """Read an object; an empty one when it is absent."""

    def parts(self, name: str) -> Sequence["CheckedFields"]:
        """Read a list of objects; empty when it is absent."""

    def few_parts(self, name: str) -> Mapping[str, "CheckedFields"]:
        """Read an object of objects with few short names."""
