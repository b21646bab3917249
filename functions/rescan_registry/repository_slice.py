"""One slice of the work on a repository: a page of images decided, a wave of scans handed out."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from registry.ecr import EcrRegistry
from registry.images import Image, LastScan
from registry.scan_history import ScanAnswers, ScanHistory
from rescan_registry.outcomes import IMAGE_GONE, SCAN_QUOTA, Decision, Outcome
from rescan_registry.policy import RescanPolicy
from rescan_registry.progress import WAVE, Progress
from rescan_registry.selection import left_out, newest
from rescan_registry.staleness import why_not_due

OUT_OF_BUDGET = Decision(Outcome.DEFERRED, "repository budget")
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


def decide_next(
    work: RepositoryInRun,
    progress: Progress,
    *,
    registry: EcrRegistry,
    history: ScanHistory,
    now: datetime,
) -> Progress:
    """Decide the images that ECR left undecided, or else those of the next page.

    Raises RepositoryNotFound when the repository was deleted meanwhile.
    """
    scans: dict[str, LastScan | None] = {}
    unknown = progress.undecided
    if not unknown:
        progress, images = _list_next(work, progress, registry, now)
        scans = {image.digest: image.last_scan for image in images if image.last_scan}
        unknown = tuple(image.digest for image in images if image.digest not in scans)
    if work.is_out_of_time(now):
        progress = replace(progress, tally=progress.tally.plus_many(OUT_OF_TIME, len(unknown)))
        unknown = ()
    answers = history.last_scans(work.repository, unknown) if unknown else ScanAnswers({})
    scans |= answers.scans

    decisions = {
        digest: why_not_due(last_scan, work.policy, now) for digest, last_scan in scans.items()
    }
    due = [digest for digest, decision in decisions.items() if decision is None]
    return replace(
        progress,
        waiting=tuple(sorted(due, key=lambda digest: (_scanned_at(scans[digest]), digest))),
        undecided=answers.unanswered,
        tally=progress.tally.plus(*filter(None, decisions.values())).plus_many(
            IMAGE_GONE, len(answers.gone)
        ),
    )


def hand_out(work: RepositoryInRun, progress: Progress, now: datetime) -> Progress:
    """Hand out the next wave of scans, or say why no more are started."""
    waiting, tally = progress.waiting, progress.tally
    budget = work.policy.max_scans_per_repository - progress.handed_out
    if tally.of_decision(SCAN_QUOTA):
        waiting, tally = (), tally.plus_many(SCAN_QUOTA, len(waiting))
    elif work.is_out_of_time(now):
        waiting, tally = (), tally.plus_many(OUT_OF_TIME, len(waiting))
    else:
        tally = tally.plus_many(OUT_OF_BUDGET, len(waiting[budget:]))
        waiting = waiting[:budget]
    if work.policy.dry_run:
        due, waiting = waiting, ()
        tally = tally.plus_many(DRY_RUN, len(due))
    else:
        due, waiting = waiting[:WAVE], waiting[WAVE:]
    return replace(
        progress,
        due=() if work.policy.dry_run else due,
        waiting=waiting,
        handed_out=progress.handed_out + len(due),
        tally=tally,
        finished=not (waiting or progress.undecided or progress.cursor),
    )


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

    decisions = [(image, left_out(image, work.policy, now)) for image in images]
    kept = [image for image, decision in decisions if decision is None]
    tally = progress.tally.plus(*(decision for _, decision in decisions if decision))
    if most and len(kept) > most:
        tally = tally.plus_many(NOT_AMONG_NEWEST, len(kept) - most)
        kept = newest(kept, most)
    return replace(progress, cursor=page.cursor, tally=tally), kept


def _scanned_at(last_scan: LastScan | None) -> datetime:
    """Sort never-scanned images before all others."""
    return (last_scan and last_scan.completed_at) or _NEVER
