"""Lists of any length in little memory."""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator

from runtime.messages import encode

_FASTEST = 1  # the names of one registry are much alike
_GZIP = 31  # zlib's number for that format with the largest window


class LongList[T]:
    """A list whose items are kept as compressed JSON.

    start: the first items, at most `most` of them, as they were added.
    """

    def __init__(self, *, most: int) -> None:
        self.start: list[T] = []
        self._most = most
        self._items = 0
        self._packer = zlib.compressobj(_FASTEST, wbits=_GZIP)
        self._packed = bytearray()

    def __len__(self) -> int:
        """Count the items."""
        return self._items

    def append(self, item: T) -> None:
        """Add an item."""
        if self._items < self._most:
            self.start.append(item)
        self._items += 1
        self._packed += self._packer.compress(json.dumps(encode(item)).encode() + b"\n")

    def texts(self) -> Iterator[str]:
        """Read all items, each as JSON."""
        packed = self._packed + self._packer.copy().flush()
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as lines:
            for line in lines:
                yield line.decode().rstrip("\n")


def json_list(items: Iterable[str]) -> Iterator[str]:
    """Write a JSON list with each item on a line of its own, by which it is read again."""
    yield "["
    separator = "\n "
    for item in items:
        yield f"{separator}{item}"
        separator = ",\n "
    yield "\n]"
