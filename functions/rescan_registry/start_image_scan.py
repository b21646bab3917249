"""Start the scan of one image."""

from dataclasses import dataclass
from datetime import datetime

from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import (
    ImageArchived,
    ImageNotFound,
    ImageNotScannable,
    ImageScannedRecently,
    RepositoryNotFound,
    ScanQuotaExhausted,
)
from rescan_registry.image_cache import ImageCache, image_cache
from rescan_registry.outcomes import (
    ARCHIVED,
    IMAGE_GONE,
    REPOSITORY_GONE,
    SCAN_QUOTA,
    Decision,
    Outcome,
)
from rescan_registry.settings import StartImageScanSettings
from runtime import clock
from runtime.entrypoint import entrypoint

STARTED = Decision(Outcome.STARTED, "accepted")

# Expected refusals. Every other error is a fault and is raised.
_REFUSALS: dict[type[Exception], Decision] = {
    ImageScannedRecently: Decision(Outcome.RECENT, "scanned within 24 hours"),
    ScanQuotaExhausted: SCAN_QUOTA,
    ImageNotScannable: Decision(Outcome.UNSCANNABLE, "refused by ECR"),
    ImageArchived: ARCHIVED,
    ImageNotFound: IMAGE_GONE,
    RepositoryNotFound: REPOSITORY_GONE,
}


@dataclass(frozen=True)
class ImageInRun:
    """One due image in a run."""

    run: str
    repository: str
    image_digest: str


def start_image_scan(
    image: ImageInRun, *, registry: EcrRegistry, cache: ImageCache, now: datetime
) -> Decision:
    """Start one scan and return its outcome.

    Record the start in the ledger, so that a later run can detect a missing result.
    """
    try:
        registry.start_scan(image.repository, image.image_digest)
    except tuple(_REFUSALS) as refusal:
        return _REFUSALS[type(refusal)]
    cache.note_started(image.image_digest, run=image.run, at=now)
    return STARTED


@entrypoint(ImageInRun)
def handler(image: ImageInRun) -> Decision:
    """Run as StartImageScan, once per due image."""
    now = clock.now()
    return start_image_scan(
        image,
        registry=ecr_registry(),
        cache=image_cache(StartImageScanSettings.load(), image.repository, now),
        now=now,
    )
