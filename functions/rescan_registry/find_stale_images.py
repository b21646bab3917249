"""Find the images of one repository that are due for a scan, one step per invocation."""

from datetime import datetime

from own_events.event_bus import EventBus, event_bus
from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import RepositoryNotFound
from registry.scan_history import EcrScanHistory, ScanHistory
from rescan_registry.image_cache import ImageCache, image_cache
from rescan_registry.progress import Progress
from rescan_registry.repository_step import RepositoryInRun, decide_next, hand_out
from rescan_registry.settings import FindStaleImagesSettings
from runtime import clock
from runtime.entrypoint import entrypoint


def find_stale_images(
    work: RepositoryInRun,
    *,
    registry: EcrRegistry,
    history: ScanHistory,
    cache: ImageCache,
    bus: EventBus,
    now: datetime,
) -> Progress:
    """Count the outcomes of the last batch, evaluate more images, and return the next batch."""
    progress = work.progress.folded()
    if not progress.waiting or not work.is_to_start(progress, now):
        try:
            progress, found = decide_next(
                work, progress, registry=registry, history=history, cache=cache, now=now
            )
        except RepositoryNotFound:
            return progress.of_deleted_repository()
        if found and not work.policy.dry_run:
            bus.put(found)
    return hand_out(work, progress, now)


@entrypoint(RepositoryInRun)
def handler(work: RepositoryInRun) -> Progress:
    """Run as FindStaleImages, first state of every child execution."""
    registry, now = ecr_registry(), clock.now()
    return find_stale_images(
        work,
        registry=registry,
        history=EcrScanHistory(registry, clock.now),
        cache=image_cache(FindStaleImagesSettings.load(), work.repository, now),
        bus=event_bus(),
        now=now,
    )
