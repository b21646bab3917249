"""Read the fields of an event one by one; one of the wrong type makes the event unreadable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reporting.text import sendable, trimmed, visible
from runtime.clock import is_future

LONGEST = 300  # characters of a name; a tag has 300 at most in ECR's API, a repository 256
LONGEST_REGION = 50
MOST = 1_000_000_000_000


class UnreadableScanEvent(Exception):
    """An event is not valid for its kind: the message names the field and its value."""


@dataclass(frozen=True)
class Fields:
    """A JSON object in an event. A field that is null counts as absent.

    now: the time at which the event is read.
    """

    where: str
    values: Mapping[str, Any]
    now: datetime

    @classmethod
    def of(cls, where: str, value: object, now: datetime) -> "Fields":
        """Take a JSON object."""
        if not isinstance(value, dict):
            raise UnreadableScanEvent(f"{where} must be an object, not {shown(value)}")
        return cls(where, value, now)

    def text(self, name: str, *, most: int = LONGEST) -> str:
        """Read a text that must be there."""
        value = self.optional_text(name, most=most)
        if not value:
            raise UnreadableScanEvent(f"{self.where}.{name} must be a text, and is missing")
        return value

    def optional_text(self, name: str, *, most: int = LONGEST) -> str | None:
        """Read a text that may be absent."""
        value = self.values.get(name)
        return None if value is None else _text(f"{self.where}.{name}", value, most)

    def long_text(self, name: str, *, most: int) -> str | None:
        """Read a text of any length that may be absent, and truncate it to `most` characters."""
        value = self.optional_text(name, most=MOST)
        return None if value is None else trimmed(value, most)

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts; none when it is absent."""
        return tuple(_text(where, item, LONGEST) for where, item in self._items(name))

    def parts(self, name: str) -> tuple["Fields", ...]:
        """Read a list of objects; none when it is absent."""
        return tuple(Fields.of(where, item, self.now) for where, item in self._items(name))

    def part(self, name: str) -> "Fields":
        """Read an object; an empty one when it is absent."""
        value = self.values.get(name)
        return Fields.of(f"{self.where}.{name}", {} if value is None else value, self.now)

    def number(self, name: str) -> int:
        """Read a whole number; 0 when it is absent."""
        value = self.values.get(name)
        return 0 if value is None else _number(f"{self.where}.{trimmed(visible(name), 60)}", value)

    def numbers(self) -> dict[str, int]:
        """Read all fields, each a whole number."""
        return {_text(self.where, name, MOST): self.number(name) for name in self.values}

    def time(self, name: str) -> datetime:
        """Read a time in ISO 8601 that has come; in UTC where it names no zone."""
        value = self.text(name)
        try:
            time = datetime.fromisoformat(value)
            time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise UnreadableScanEvent(
                f"{self.where}.{name} must be a time in ISO 8601, not {shown(value)}"
            ) from error
        # Recorded, it would be newer than every scan to come.
        if is_future(time, self.now):
            raise UnreadableScanEvent(
                f"{self.where}.{name} must not be in the future, as {shown(value)} is"
            )
        return time

    def _items(self, name: str) -> Iterator[tuple[str, object]]:
        value = self.values.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise UnreadableScanEvent(f"{self.where}.{name} must be a list, not {shown(value)}")
        for number, item in enumerate(value):
            yield f"{self.where}.{name}[{number}]", item


def _text(where: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise UnreadableScanEvent(f"{where} must be a text, not {shown(value)}")
    if len(value) > most:
        raise UnreadableScanEvent(f"{where} has {len(value):,} characters, more than {most}")
    return sendable(value)


def _number(where: str, value: object) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not 0 <= value <= MOST:  # type: ignore[operator]
        raise UnreadableScanEvent(f"{where} must be a whole number from 0, not {shown(value)}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def shown(value: object) -> str:
    """Return the start of a value, for an error."""
    return trimmed(ascii(value), 60)
