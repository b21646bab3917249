"""One step of a repository: evaluate a page of images, or return a batch of due ones.

All pages are evaluated before the first batch. Otherwise the images that ECR lists first would use
up the budget in every run, and older scans on later pages would never be renewed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from own_events.scan_result_found import ScanResultFound
from registry.ecr import EcrRegistry
from registry.images import Image
from registry.scan_history import ScanAnswers, ScanHistory
from rescan_registry.image_cache import ImageCache
from rescan_registry.outcomes import GIVEN_UP, IMAGE_GONE, SCAN_QUOTA, Decision, Outcome
from rescan_registry.page_knowledge import PageKnowledge, gather
from rescan_registry.policy import RescanPolicy
from rescan_registry.progress import BATCH, DueImage, Progress
from rescan_registry.selection import left_out, newest
from rescan_registry.staleness import why_not_due
from runtime.log import logger

OUT_OF_BUDGET = Decision(Outcome.DEFERRED, "repository budget")
TOO_FAST = Decision(Outcome.DEFERRED, "ECR throttles")
OUT_OF_TIME = Decision(Outcome.DEFERRED, "execution time")
NOT_AMONG_NEWEST = Decision(Outcome.EXCLUDED, "not among the newest")
DRY_RUN = Decision(Outcome.DUE, "dry run")

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class RepositoryInRun:
    """One repository in one run, and its progress.

    started_at: start of the child execution, from which an Express time limit counts.
    """

    run: str
    repository: str
    started_at: datetime
    policy: RescanPolicy
    progress: Progress = field(default_factory=Progress)

    def is_out_of_time(self, now: datetime) -> bool:
        """Return whether the child execution has used up its time."""
        limit = self.policy.time_limit_seconds
        return limit is not None and now - self.started_at > timedelta(seconds=limit)

    def is_to_start(self, progress: Progress, now: datetime) -> bool:
        """Return whether batches are due: all pages are evaluated, or half of the time is over."""
        limit = self.policy.time_limit_seconds
        is_late = limit is not None and now - self.started_at > timedelta(seconds=limit) / 2
        return progress.is_decided or is_late


def decide_next(
    work: RepositoryInRun,
    progress: Progress,
    *,
    registry: EcrRegistry,
    history: ScanHistory,
    cache: ImageCache,
    now: datetime,
) -> tuple[Progress, tuple[ScanResultFound, ...]]:
    """Evaluate the images that ECR left undecided, or else those of the next page.

    Also returns the missing results that were found. Raises RepositoryNotFound if the repository
    was deleted in the meantime.
    """
    if progress.undecided:
        known = PageKnowledge(
            unknown=progress.undecided, unreported=frozenset(progress.undecided[: progress.missing])
        )
    else:
        progress, images = _list_next(work, progress, registry, now)
        known = gather(images, cache, now)
    unknown = known.unknown
    if work.is_out_of_time(now):
        progress = _settled(work, progress, dict.fromkeys(unknown, OUT_OF_TIME))
        unknown = ()
    answers = history.last_scans(work.repository, unknown) if unknown else ScanAnswers({})
    scans = known.scans_with(answers)
    found = known.results_found(work.repository, answers)
    if new := known.scan_to_store(answers, found, now):
        cache.note_scans(new)

    decisions = {
        digest: why_not_due(last_scan, work.policy, now) for digest, last_scan in scans.items()
    }
    due = (
        DueImage(digest, last_scan.completed_at if last_scan else None)
        for digest, last_scan in scans.items()
        if decisions[digest] is None
    )
    progress = _settled(work, progress, decisions | dict.fromkeys(answers.gone, IMAGE_GONE))
    progress = replace(
        progress,
        waiting=tuple(sorted((*progress.waiting, *due), key=_oldest_scan_first)),
        undecided=answers.unanswered,
        missing=sum(map(known.misses, answers.unanswered)),
        results_missing=progress.results_missing + len(known.missing),
        results_found=progress.results_found + len(found),
    )
    return progress, found


def hand_out(work: RepositoryInRun, progress: Progress, now: datetime) -> Progress:
    """Return the next batch, or defer what is left if no more scans can be started."""
    due = progress.waiting
    batch: tuple[DueImage, ...] = ()
    budget = work.policy.max_scans_per_repository - progress.handed_out
    stop = _why_no_more(work, progress, now)
    due, left = ((), due) if stop else (due[:budget], due[budget:])
    progress = _settled(work, progress, _all(left, stop or OUT_OF_BUDGET))
    if work.is_to_start(progress, now):
        if work.policy.dry_run:
            progress = _settled(work, progress, _all(due, DRY_RUN))
            progress, due = replace(progress, handed_out=progress.handed_out + len(due)), ()
        batch, due = due[:BATCH], due[BATCH:]
    return replace(
        progress,
        due=tuple(image.digest for image in batch),
        waiting=due,
        handed_out=progress.handed_out + len(batch),
        finished=progress.is_decided and not due,
    )


def _all(images: Iterable[DueImage], decision: Decision) -> dict[str, Decision]:
    return {image.digest: decision for image in images}


def _why_no_more(work: RepositoryInRun, progress: Progress, now: datetime) -> Decision | None:
    """Return why no further batch is started, or None."""
    if progress.tally.of_decision(SCAN_QUOTA):
        return SCAN_QUOTA
    if progress.tally.of_decision(GIVEN_UP):
        return TOO_FAST
    return OUT_OF_TIME if work.is_out_of_time(now) else None


def _list_next(
    work: RepositoryInRun, progress: Progress, registry: EcrRegistry, now: datetime
) -> tuple[Progress, list[Image]]:
    """List the next page, or all pages for MaxImagesPerRepository, because ECR does not sort."""
    most = work.policy.max_images_per_repository
    page = registry.images(work.repository, progress.cursor)
    images = list(page.images)
    while most and page.cursor:
        page = registry.images(work.repository, page.cursor)
        images.extend(page.images)

    decisions = {image.digest: left_out(image, work.policy, now) for image in images}
    kept = [image for image in images if decisions[image.digest] is None]
    if most:
        older = {image.digest for image in kept}
        kept = newest(kept, most)
        older -= {image.digest for image in kept}
        decisions |= dict.fromkeys(older, NOT_AMONG_NEWEST)
    return replace(_settled(work, progress, decisions), cursor=page.cursor), kept


def _settled(
    work: RepositoryInRun, progress: Progress, decisions: Mapping[str, Decision | None]
) -> Progress:
    """Count the images with a decision, and log each at DEBUG."""
    made = {digest: decision for digest, decision in decisions.items() if decision}
    for digest, decision in made.items():
        logger.debug(
            "settled",
            extra={
                "run": work.run,
                "repository": work.repository,
                "image_digest": digest,
                "outcome": decision.outcome.value,
                "reason": decision.reason,
            },
        )
    return replace(progress, tally=progress.tally.plus(*made.values()))


def _oldest_scan_first(image: DueImage) -> tuple[datetime, str]:
    """Sort images never scanned before all others."""
    return image.scanned_at or _NEVER, image.digest
