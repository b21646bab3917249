"""Find the images of one repository that are due for a scan, one step per invocation."""

from dataclasses import replace
from datetime import datetime

from ledger.bucket import run_bucket
from own_events.event_bus import event_bus
from registry.ecr import ecr_registry
from registry.errors import EcrThrottled, EcrUnavailable, PageTokenRefused, RepositoryNotFound
from rescan_registry.image_cache import image_cache
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.paced_calls import pace
from rescan_registry.pacing import Operation
from rescan_registry.progress import Progress
from rescan_registry.repository_step import RepositoryInRun, RepositoryStep, Surroundings
from rescan_registry.run_metrics import counted_calls
from rescan_registry.scan_history import EcrScanHistory
from rescan_registry.settings import FindStaleImagesSettings
from rescan_registry.waiting_images import WaitingImages
from runtime import clock
from runtime.entrypoint import entrypoint

RETRIES = 15  # of the state, when ECR throttles


def find_stale_images(work: RepositoryInRun, around: Surroundings, *, now: datetime) -> Progress:
    """Count the outcomes of the last batches, evaluate more images, and return new batches."""
    waiting = WaitingImages(around.bucket, work.run, work.repository)
    work = replace(work, progress=waiting.taken_into(work.progress))
    outcomes = ImageOutcomes(work.run, work.repository, now)
    step = RepositoryStep(work, outcomes, now)
    step.count_batches(around.cache)
    if stop := step.why_over():
        step.end(stop)
    else:
        _move_on(step, work, around)
    outcomes.write(around.bucket, f"step-{step.progress.step:04}")
    return waiting.left_out_of(step.progress)


def _move_on(step: RepositoryStep, work: RepositoryInRun, around: Surroundings) -> None:
    try:
        if not step.progress.is_decided:
            step.evaluate_next(around)
        step.hand_out(around.starts)
    except RepositoryNotFound:
        step.end_with_repository()
    except PageTokenRefused:
        if work.progress.relisted:
            raise
        step.list_again()
    except (EcrThrottled, EcrUnavailable) as error:
        if work.retry < RETRIES or not step.give_up(error):
            raise


@entrypoint(RepositoryInRun)
def handler(work: RepositoryInRun) -> Progress:
    """Run as FindStaleImages, first state of every child execution."""
    settings, registry, now = FindStaleImagesSettings.load(), ecr_registry(), clock.now()
    findings = pace(settings.ledger_table, Operation.DESCRIBE_IMAGE_SCAN_FINDINGS)
    around = Surroundings(
        registry=registry,
        history=EcrScanHistory(registry, findings, now),
        starts=pace(settings.ledger_table, Operation.START_IMAGE_SCAN),
        cache=image_cache(settings, work.repository, now),
        bucket=run_bucket(settings.run_bucket),
        bus=event_bus(),
    )
    with counted_calls(findings):
        return find_stale_images(work, around, now=now)
