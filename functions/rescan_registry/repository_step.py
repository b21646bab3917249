"""One slice of the work on a repository: a page of images decided, or a wave of scans handed out.

All pages come before the first wave, or the budget would go to the images that ECR lists first, run
after run, and older scans on later pages would never have their turn.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from registry.ecr import EcrRegistry
from registry.images import Image
from registry.scan_history import ScanAnswers, ScanHistory
from rescan_registry.image_cache import ImageMemory
from rescan_registry.missing_results import FoundResult
from rescan_registry.outcomes import GIVEN_UP, IMAGE_GONE, SCAN_QUOTA, Decision, Outcome
from rescan_registry.page_knowledge import Recollection, recollect
from rescan_registry.policy import RescanPolicy
from rescan_registry.progress import WAVE, DueImage, Progress
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
    """One repository in one run, and how far the work on it has come.

    started_at: when the child execution started, which an Express time limit counts from.
    """

    run: str
    repository: str
    started_at: datetime
    policy: RescanPolicy
    progress: Progress = field(default_factory=Progress)

    def is_out_of_time(self, now: datetime) -> bool:
        """Tell whether the child execution must come to its end."""
        limit = self.policy.time_limit_seconds
        return limit is not None and now - self.started_at > timedelta(seconds=limit)

    def is_to_start(self, progress: Progress, now: datetime) -> bool:
        """Tell whether scans are handed out: all is decided, or half of the time limit is over."""
        limit = self.policy.time_limit_seconds
        is_late = limit is not None and now - self.started_at > timedelta(seconds=limit) / 2
        return progress.is_decided or is_late


def decide_next(
    work: RepositoryInRun,
    progress: Progress,
    *,
    registry: EcrRegistry,
    history: ScanHistory,
    memory: ImageMemory,
    now: datetime,
) -> tuple[Progress, tuple[FoundResult, ...]]:
    """Decide the images that ECR left undecided, or else those of the next page.

    Tells with it the missing results that were found. Raises RepositoryNotFound when the repository
    was deleted meanwhile.
    """
    if progress.undecided:
        known = Recollection(
            unknown=progress.undecided, unreported=frozenset(progress.undecided[: progress.missing])
        )
    else:
        progress, images = _list_next(work, progress, registry, now)
        known = recollect(images, memory, now)
    unknown = known.unknown
    if work.is_out_of_time(now):
        progress = _settled(work, progress, dict.fromkeys(unknown, OUT_OF_TIME))
        unknown = ()
    answers = history.last_scans(work.repository, unknown) if unknown else ScanAnswers({})
    scans = known.scans_with(answers)
    found = known.results_found(work.repository, answers)
    if new := known.worth_remembering(answers, found, now):
        memory.note_scans(new)

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
    """Hand out the next wave of scans, or say why no more are started."""
    due = progress.waiting
    wave: tuple[DueImage, ...] = ()
    budget = work.policy.max_scans_per_repository - progress.handed_out
    stop = _why_no_more(work, progress, now)
    due, left = ((), due) if stop else (due[:budget], due[budget:])
    progress = _settled(work, progress, _all(left, stop or OUT_OF_BUDGET))
    if work.is_to_start(progress, now):
        if work.policy.dry_run:
            progress = _settled(work, progress, _all(due, DRY_RUN))
            progress, due = replace(progress, handed_out=progress.handed_out + len(due)), ()
        wave, due = due[:WAVE], due[WAVE:]
    return replace(
        progress,
        due=tuple(image.digest for image in wave),
        waiting=due,
        handed_out=progress.handed_out + len(wave),
        finished=progress.is_decided and not due,
    )


def _all(images: Iterable[DueImage], decision: Decision) -> dict[str, Decision]:
    return {image.digest: decision for image in images}


def _why_no_more(work: RepositoryInRun, progress: Progress, now: datetime) -> Decision | None:
    """Say why no further wave is started, if the waves before or the time speak against it."""
    if progress.tally.of_decision(SCAN_QUOTA):
        return SCAN_QUOTA
    if progress.tally.of_decision(GIVEN_UP):
        return TOO_FAST
    return OUT_OF_TIME if work.is_out_of_time(now) else None


def _list_next(
    work: RepositoryInRun, progress: Progress, registry: EcrRegistry, now: datetime
) -> tuple[Progress, list[Image]]:
    """List the next page; all pages where only the newest images are wanted, for ECR sorts none."""
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
    """Count the images that a decision was made on; at DEBUG also say which and why."""
    made = {digest: decision for digest, decision in decisions.items() if decision}
    for digest, decision in made.items():
        logger.debug(
            "settled",
            extra={
                "run": work.run,
                "repository": work.repository,
                "digest": digest,
                "outcome": decision.outcome.value,
                "reason": decision.reason,
            },
        )
    return replace(progress, tally=progress.tally.plus(*made.values()))


def _oldest_scan_first(image: DueImage) -> tuple[datetime, str]:
    """Sort images never scanned before all others."""
    return image.scanned_at or _NEVER, image.digest
