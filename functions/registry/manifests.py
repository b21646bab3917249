"""Manifests of multi-platform images: which image is for which platform."""

import json
import re
from collections.abc import Mapping
from typing import Any

from registry.images import is_digest

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MOST_CHILDREN = 100  # of an index that are looked at
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ATTESTATION = "unknown"
# Every arm64 is a v8, and some tools name it: https://github.com/containerd/platforms
_IMPLIED = {("arm64", "v8"), ("amd64", "v1")}


class UnreadableIndex(Exception):
    """What ECR returned is no index of images."""


def platforms_of(manifest: str) -> dict[str, str]:
    """Return the platform of each image that an index lists, by digest.

    Such as linux/arm64, linux/arm/v7 or windows/amd64 10.0.20348. Attestations and what names no
    platform are left out. Raises UnreadableIndex.

    https://github.com/opencontainers/image-spec/blob/main/image-index.md
    """
    try:
        listed = json.loads(manifest)["manifests"]
        found = {each["digest"]: _platform(each["platform"]) for each in listed if _is_image(each)}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableIndex(f"{manifest[:60]!a}: {error!r}") from error
    named = {digest: platform for digest, platform in found.items() if platform}
    return dict(list(named.items())[:MOST_CHILDREN])


def _is_image(listed: Any) -> bool:
    return (
        isinstance(listed, dict)
        and isinstance(listed.get("platform"), dict)
        and isinstance(listed.get("digest"), str)
        and is_digest(listed["digest"])
        and listed.get("mediaType") not in INDEXES
    )


def _platform(told: Mapping[str, object]) -> str | None:
    """Return the name of a platform, or None if it is that of an attestation, or of nothing."""
    system, architecture, variant = map(told.get, ("os", "architecture", "variant"))
    if (architecture, variant) in _IMPLIED:
        variant = None
    words = [system, architecture] + ([variant] if variant else [])
    if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in words):
        return None
    if _ATTESTATION in (system, architecture):
        return None
    platform = "/".join(map(str, words))
    # Images for several builds of Windows differ only in this, and its last number in each update.
    version = told.get("os.version")
    if isinstance(version, str) and _WORD.fullmatch(version):
        return f"{platform} {'.'.join(version.split('.')[:3])}"
    return platform
