"""Find the images of one repository that are due for a scan, a slice at a time."""

from datetime import datetime

from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import RepositoryNotFound
from registry.scan_history import EcrScanHistory, ScanHistory
from rescan_registry.progress import Progress
from rescan_registry.repository_slice import RepositoryInRun, decide_next, hand_out
from runtime import clock
from runtime.entrypoint import entrypoint


def find_stale_images(
    work: RepositoryInRun, *, registry: EcrRegistry, history: ScanHistory, now: datetime
) -> Progress:
    """Take one step: count the last wave of scans, decide more images, hand out the next wave."""
    progress = work.progress.folded()
    if not progress.waiting:
        try:
            progress = decide_next(work, progress, registry=registry, history=history, now=now)
        except RepositoryNotFound:
            return progress.of_deleted_repository()
    return hand_out(work, progress, now)


@entrypoint(RepositoryInRun)
def handler(work: RepositoryInRun) -> Progress:
    """Run as FindStaleImages, first state of every child execution."""
    registry = ecr_registry()
    return find_stale_images(
        work,
        registry=registry,
        history=EcrScanHistory(registry, clock.now),
        now=clock.now(),
    )
