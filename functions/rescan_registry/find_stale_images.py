"""Find the images of one repository that are due for a scan, a slice at a time."""

from datetime import datetime

from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import RepositoryNotFound
from registry.scan_history import EcrScanHistory, ScanHistory
from rescan_registry.event_bus import EventBus, event_bus
from rescan_registry.image_cache import ImageMemory, image_memory
from rescan_registry.missing_results import SCAN_RESULT_FOUND
from rescan_registry.progress import Progress
from rescan_registry.repository_step import RepositoryInRun, decide_next, hand_out
from runtime import clock
from runtime.entrypoint import entrypoint


def find_stale_images(
    work: RepositoryInRun,
    *,
    registry: EcrRegistry,
    history: ScanHistory,
    memory: ImageMemory,
    bus: EventBus,
    now: datetime,
) -> Progress:
    """Take one step: count the last wave of scans, decide more images, hand out the next wave."""
    progress = work.progress.folded()
    if not progress.waiting or not work.is_to_start(progress, now):
        try:
            progress, found = decide_next(
                work, progress, registry=registry, history=history, memory=memory, now=now
            )
        except RepositoryNotFound:
            return progress.of_deleted_repository()
        if found and not work.policy.dry_run:
            bus.put_all(SCAN_RESULT_FOUND, [result.detail() for result in found], resources=[])
    return hand_out(work, progress, now)


@entrypoint(RepositoryInRun)
def handler(work: RepositoryInRun) -> Progress:
    """Run as FindStaleImages, first state of every child execution."""
    registry, now = ecr_registry(), clock.now()
    return find_stale_images(
        work,
        registry=registry,
        history=EcrScanHistory(registry, clock.now),
        memory=image_memory(work.repository, now),
        bus=event_bus(),
        now=now,
    )
