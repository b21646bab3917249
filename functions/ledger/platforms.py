"""Multi-platform images: which release and platform an image without tags belongs to.

Partition key ``repository#<name>``, sort key ``child#<image digest>`` for each image that an index
lists, and ``release#<tag>`` for the images of the index that has a tag.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.table import Key, Table, ledger_table, unless_later
from runtime import clock
from runtime.messages import decode


@dataclass(frozen=True)
class Child:
    """An image that an index lists.

    platform: such as linux/arm64, linux/arm/v7 or windows/amd64 10.0.20348.
    tags: of the indexes that list the image, in alphabetical order.
    expires_at: seconds since 1970, when DynamoDB may delete the item.
    """

    image_digest: str
    platform: str
    tags: tuple[str, ...] = ()
    expires_at: int = 0


class Platforms:
    """The children of indexes in the ledger table.

    Every method raises LedgerUnavailable when the table does not answer. `repository` is the name
    of a repository of this registry. expires_at: seconds since 1970, when DynamoDB may delete it.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(
        self,
        repository: str,
        children: Mapping[str, str],
        *,
        tag: str | None,
        pushed_at: datetime,
        expires_at: int,
    ) -> None:
        """Record the platforms of the images of an index by digest, and that they have its tag.

        The images that had the tag before lose it, unless a newer push has moved it. The release is
        written last, so that a retry repeats what is missing.
        """
        listed, latest = children.keys(), clock.latest()
        pushed_at = pushed_at.astimezone(UTC)  # compared as text
        release = self._release(repository, tag) if tag else None
        is_moved = release is not None and pushed_at < release.pushed_at <= latest
        for image_digest, platform in children.items():
            has_tag = tag is not None and not is_moved
            self._table.update(
                child_key(repository, image_digest),
                "SET platform = :platform, expires_at = :expires_at"
                + (" ADD tags :tags" if has_tag else ""),
                {":platform": platform, ":expires_at": expires_at}
                | ({":tags": frozenset({tag})} if has_tag else {}),
            )
        if tag is None or is_moved:
            return
        self._untag(repository, tag, release.children - listed if release else ())
        is_written = self._table.put(
            _release_key(repository, tag),
            {"children": sorted(listed), "pushed_at": pushed_at, "expires_at": expires_at},
            when=unless_later("pushed_at", ":pushed_at", "<="),
            values={":pushed_at": pushed_at, ":latest": latest},
        )
        if not is_written and (newer := self._release(repository, tag)):
            self._untag(repository, tag, listed - newer.children)

    def _release(self, repository: str, tag: str) -> "_Release | None":
        item = self._table.get(_release_key(repository, tag))
        if item is None:
            return None
        return _Release(datetime.fromisoformat(item["pushed_at"]), frozenset(item["children"]))

    def _untag(self, repository: str, tag: str, children: Iterable[str]) -> None:
        for image_digest in children:
            self._table.update(
                child_key(repository, image_digest),
                "DELETE tags :tags",
                {":tags": frozenset({tag})},
                when="attribute_exists(pk)",
            )


@dataclass(frozen=True)
class _Release:
    """The index that has a tag: when it was pushed with the tag, and what it lists."""

    pushed_at: datetime
    children: frozenset[str]


def platforms(table: str) -> Platforms:
    """Make the adapter of a table."""
    return Platforms(ledger_table(table))


def child_key(repository: str, image_digest: str) -> Key:
    """Return the key of the item of a child."""
    return f"repository#{repository}", f"child#{image_digest}"


def child(item: Mapping[str, Any]) -> Child:
    """Read the item of a child."""
    tags = sorted(item.get("tags", ()))
    return decode(Child, {**item, "image_digest": item["sk"].removeprefix("child#"), "tags": tags})


def platform_tag(tag: str, platform: str) -> str:
    """Return the name under which the ledger has a tag of one platform; no tag contains a #."""
    return f"{tag}#{platform}"


def platform_tags(of: Child | None) -> tuple[str, ...]:
    """Return the names under which the ledger has the tags of a child; none of any other image."""
    return tuple(platform_tag(tag, of.platform) for tag in of.tags) if of else ()


def _release_key(repository: str, tag: str) -> Key:
    return f"repository#{repository}", f"release#{tag}"
