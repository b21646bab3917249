"""Last scans of images, from ECR."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from registry.ecr import CONNECTIONS, EcrRegistry
from registry.errors import EcrThrottled, EcrUnavailable, ImageNotFound, RepositoryNotFound
from registry.images import LastScan


@dataclass(frozen=True)
class ScanAnswers:
    """The last scans of some images.

    scans: by digest; none for an image that was never scanned.
    gone: images that no longer exist.
    unanswered: images to ask for again, because ECR throttled or the time was used up.
    """

    scans: dict[str, LastScan | None]
    gone: frozenset[str] = frozenset()
    unanswered: tuple[str, ...] = ()


class ScanHistory(Protocol):
    """A source of last scans."""

    def last_scans(self, repository: str, digests: Sequence[str]) -> ScanAnswers:
        """Return the last scan of each image.

        Raises EcrThrottled or EcrUnavailable only if there is no answer at all, so that a caller
        that asks again for the unanswered images always makes progress.
        """


class EcrScanHistory:
    """Last scans from ECR, one call per image, several calls in parallel."""

    # Twice the time that a thousand calls of 300 ms take, and a third of the time of the function.
    ASK_FOR = timedelta(seconds=30)

    def __init__(self, registry: EcrRegistry, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._now = now

    def last_scans(self, repository: str, digests: Sequence[str]) -> ScanAnswers:
        """Ask for each image until ECR throttles or time runs out."""
        scans: dict[str, LastScan | None] = {}
        gone: set[str] = set()
        refusals: list[Exception] = []
        stop = threading.Event()
        stop_at = self._now() + self.ASK_FOR

        def ask(digest: str) -> None:
            if stop.is_set() or self._now() > stop_at:
                return
            try:
                scans[digest] = self._registry.last_scan(repository, digest)
            except (ImageNotFound, RepositoryNotFound):
                gone.add(digest)
            except (EcrThrottled, EcrUnavailable) as refusal:
                refusals.append(refusal)
                stop.set()
            except Exception:
                stop.set()  # the other calls would be refused too
                raise

        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            # Consumed, so that any other error reaches the caller.
            list(pool.map(ask, digests))
        if refusals and not scans and not gone:
            raise refusals[0]
        return ScanAnswers(
            scans=scans,
            gone=frozenset(gone),
            unanswered=tuple(
                digest for digest in digests if digest not in scans and digest not in gone
            ),
        )
