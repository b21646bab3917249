"""What a validator says of a payload, with the checks that the formats share."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

type Fields = Mapping[str, Any]


class Complaints:
    """Collects one sentence a violation: where, and what is accepted there."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, path: str, accepted: str) -> None:
        """Complain."""
        self.said.append(f"{path}: {accepted}")

    def fields(
        self,
        path: str,
        value: object,
        *,
        required: Sequence[str] = (),
        optional: Sequence[str] = (),
    ) -> Fields:
        """Want an object with these fields and no other; give what of it can be read on."""
        if not isinstance(value, Mapping):
            self.say(path, "an object is accepted")
            return {}
        accepted = sorted({*required, *optional})
        for key in value:
            if key not in accepted:
                self.say(_join(path, str(key)), f"unknown; accepted are {', '.join(accepted)}")
        for key in required:
            if key not in value:
                self.say(_join(path, key), "required")
        return value

    def text(self, path: str, value: object, *, most: int, least: int = 1) -> bool:
        """Want a string with a number of characters."""
        if not isinstance(value, str):
            self.say(path, "a string is accepted")
            return False
        if not least <= len(value) <= most:
            self.say(path, f"{least} to {most} characters are accepted, not {len(value)}")
            return False
        return True

    def items(self, path: str, value: object, *, most: int, least: int = 1) -> list[Any]:
        """Want a list with a number of items; give what of it can be read on."""
        if not isinstance(value, list):
            self.say(path, "a list is accepted")
            return []
        if not least <= len(value) <= most:
            self.say(path, f"{least} to {most} items are accepted, not {len(value)}")
        return value

    def one_of(self, path: str, value: object, accepted: Sequence[object]) -> bool:
        """Want one of these values."""
        if value in accepted and not isinstance(value, bool):
            return True
        self.say(path, f"{' or '.join(map(repr, accepted))} is accepted, not {value!r}")
        return False

    def boolean(self, path: str, value: object) -> None:
        """Want true or false."""
        if not isinstance(value, bool):
            self.say(path, "true or false is accepted")

    def url(self, path: str, value: object, *, most: int) -> None:
        """Want an address that a browser opens, and nothing that it runs."""
        if self.text(path, value, most=most) and not is_web_address(str(value)):
            self.say(path, "an http or https address without spaces is accepted")

    def size(self, path: str, value: object, *, below: int) -> None:
        """Want the value to take less than a number of bytes of UTF-8 JSON."""
        try:
            taken = size_of(value)
        except (TypeError, ValueError) as problem:
            self.say(path, f"only what JSON can say is accepted: {problem}")
            return
        if taken >= below:
            self.say(path, f"less than {below} bytes of JSON are accepted, not {taken}")


def size_of(value: object) -> int:
    """Count the bytes that the value takes as UTF-8 JSON."""
    return len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())


def is_web_address(text: str) -> bool:
    """Return whether this is an http or https address with a host."""
    if re.search(r"[\s<>\"]", text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def host_of(address: str) -> str:
    """Name where a link leads, without the path: what is there may be literal text."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "nowhere"
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def objects(path: str, value: object) -> Iterator[tuple[str, Fields]]:
    """Walk through every object of a payload, each with its path."""
    if isinstance(value, Mapping):
        yield path, value
        for key, inner in value.items():
            yield from objects(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from objects(f"{path}[{number}]", inner)
