"""Last scans of images, from ECR."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from registry.ecr import EcrRegistry
from registry.errors import ImageNotFound, RepositoryNotFound
from registry.images import LastScan
from rescan_registry.paced_calls import Pace
from runtime import clock

# After the start of a step, which may list 100 pages first. The ledger may take 22 s before and
# after, and the function ends after 120 s.
ASK_FOR_SECONDS = 70.0


@dataclass(frozen=True)
class ScanAnswers:
    """The last scans of some images.

    scans: by digest; none for an image that was never scanned.
    gone: images that no longer exist.
    unanswered: images to ask for again, because ECR throttled or the time was used up.
    wait_seconds: how long to wait before; 0 if there is no reason to.
    """

    scans: dict[str, LastScan | None]
    gone: frozenset[str] = frozenset()
    unanswered: tuple[str, ...] = ()
    wait_seconds: int = 0


class ScanHistory(Protocol):
    """A source of last scans."""

    def last_scans(
        self, repository: str, image_digests: Sequence[str], *, polls: int
    ) -> ScanAnswers:
        """Return the last scan of each image.

        polls: how often the caller has waited in a row. Raises EcrThrottled or EcrUnavailable only
        if ECR was asked and has not answered at all.
        """


class EcrScanHistory:
    """Last scans from ECR, one call per image, at the pace that all callers share.

    started_at: when the step has started.
    """

    def __init__(self, registry: EcrRegistry, pace: Pace, started_at: datetime) -> None:
        self._registry = registry
        self._pace = pace
        self._until = started_at + timedelta(seconds=ASK_FOR_SECONDS)

    def last_scans(
        self, repository: str, image_digests: Sequence[str], *, polls: int
    ) -> ScanAnswers:
        """Ask for as many images as it is the turn of, until the time is over."""
        seconds = (self._until - clock.now()).total_seconds()
        if seconds <= 0:
            return ScanAnswers({}, unanswered=tuple(image_digests))
        turn = self._pace.draw(len(image_digests), polls=polls)
        asked, later = image_digests[: turn.count], image_digests[turn.count :]
        scans: dict[str, LastScan | None] = {}
        gone: set[str] = set()

        def ask(image_digest: str) -> None:
            try:
                scans[image_digest] = self._registry.last_scan(repository, image_digest)
            except (ImageNotFound, RepositoryNotFound):
                gone.add(image_digest)

        made = self._pace.calls(asked, ask, first=turn.first, seconds=seconds)
        if made.refusal and not made.answers:
            raise made.refusal
        return ScanAnswers(
            scans=scans,
            gone=frozenset(gone),
            unanswered=(*(asked[position] for position in made.left), *later),
            wait_seconds=turn.wait_seconds,
        )
