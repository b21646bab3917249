"""Start the scans of one batch of images, at the pace that all callers share."""

from ledger.bucket import run_bucket
from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import EcrThrottled
from rescan_registry.image_cache import ImageCache, image_cache
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import STARTED, Decision, Tally
from rescan_registry.paced_calls import Pace, pace
from rescan_registry.pacing import Operation
from rescan_registry.progress import BatchOutcome
from rescan_registry.run_metrics import counted_calls
from rescan_registry.scan_starter import BatchInRun, ScanStarter
from rescan_registry.settings import StartImageScansSettings
from runtime import clock
from runtime.entrypoint import entrypoint

START_FOR_SECONDS = 150.0  # the ledger and the bucket may take 110 s, and the function ends at 270


def start_image_scans(
    work: BatchInRun,
    *,
    registry: EcrRegistry,
    pace: Pace,
    cache: ImageCache,
    outcomes: ImageOutcomes,
) -> BatchOutcome:
    """Start the scans of a batch, and return how many images had which outcome.

    A repeated invocation asks ECR only for what the one before has not started. Raises
    EcrThrottled or EcrUnavailable if ECR has answered for no image.
    """
    digests, first = work.batch.image_digests, work.batch.first
    decisions: dict[str, Decision] = {}
    if work.retry:
        started = cache.started_by(work.run, digests)
        decisions = {digest: STARTED for digest in digests if digest in started}
    asked = [digest for digest in digests if digest not in decisions]
    if work.retry and asked:
        turn = pace.draw_again(first, len(asked), polls=work.retry)
        if not turn.count and not decisions:
            raise EcrThrottled("StartImageScan: the other calls of ECR take its whole rate")
        asked, first = asked[: turn.count], turn.first

    starter = ScanStarter(work, registry, cache, pace)
    refusal = starter.start_all(asked, first, seconds=START_FOR_SECONDS)
    decisions |= starter.decisions
    if refusal and not decisions:
        raise refusal
    outcomes.note(decisions)
    left = tuple(place for place, digest in enumerate(digests) if digest not in decisions)
    return BatchOutcome(
        tally=Tally().plus(*decisions.values()),
        left=left,
        overdue=work.batch.still_overdue(decisions),
        examples=starter.examples,
        retries=work.retry,
    )


@entrypoint(BatchInRun)
def handler(work: BatchInRun) -> BatchOutcome:
    """Run as StartImageScans, once per batch."""
    settings, now = StartImageScansSettings.load(), clock.now()
    outcomes = ImageOutcomes(work.run, work.repository, now)
    starts = pace(settings.ledger_table, Operation.START_IMAGE_SCAN)
    with counted_calls(starts):
        outcome = start_image_scans(
            work,
            registry=ecr_registry(),
            pace=starts,
            cache=image_cache(settings, work.repository, now),
            outcomes=outcomes,
        )
    outcomes.write(run_bucket(settings.run_bucket), f"batch-{work.batch.number:04}")
    return outcome
