"""One step of a repository: evaluate a page of images, or return batches of due ones.

All pages are evaluated before the first batch. Otherwise the images that ECR lists first would use
up the budget in every run, and older scans on later pages would never be renewed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil

from ledger.bucket import RunBucket
from ledger.run_records import Freshness
from own_events.event_bus import EventBus
from registry.ecr import EcrRegistry
from registry.errors import EcrThrottled
from registry.images import Image, LastScan
from rescan_registry.freshness import freshness_of
from rescan_registry.image_cache import ImageCache
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import (
    IMAGE_GONE,
    REPOSITORY_GONE,
    RUN_TIME,
    SCAN_QUOTA,
    STARTED,
    STILL_DUE,
    THROTTLED,
    Decision,
    Outcome,
)
from rescan_registry.paced_calls import Pace
from rescan_registry.page_knowledge import PageKnowledge, gather
from rescan_registry.policy import RescanPolicy
from rescan_registry.progress import (
    BATCH,
    Batch,
    DueImage,
    Progress,
    UndecidedImage,
)
from rescan_registry.scan_history import ScanHistory
from rescan_registry.selection import decisions_on
from rescan_registry.staleness import ScanDates, can_be_scanned, is_overdue, why_not_due

OUT_OF_BUDGET = Decision(Outcome.DEFERRED, "repository budget")
HISTORY_FULL = Decision(Outcome.DEFERRED, "execution history")
DRY_RUN = Decision(Outcome.DUE, "dry run")

IMAGES_A_STEP = 1_000  # that a state holds beside what else it does, in batches
# A history ends its execution at 25,000 events. The last batches have room for all their retries.
MOST_EVENTS = 20_000
EVENTS_PER_STEP = 5 + 2 + 4 + 2  # FindStaleImages, the Choice, the Map, and the Wait
EVENTS_PER_BATCH = 2 + 5  # an iteration of the Map, StartImageScans
EVENTS_PER_RETRY = 3  # scheduled, started, failed
MOST_RETRIES = 60  # of a batch that failed: more than all retriers of its state together
_KNOWN_BY = slice(-16, None)  # what identifies the digest of an image on a page


@dataclass(frozen=True)
class RepositoryInRun:
    """One repository in one run, and its progress. retry: 0 is the first attempt of a step."""

    run: str
    repository: str
    policy: RescanPolicy
    retry: int = 0
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Surroundings:
    """Everything outside that a step reads or writes. starts: the pace of StartImageScan."""

    registry: EcrRegistry
    history: ScanHistory
    starts: Pace
    cache: ImageCache
    bucket: RunBucket
    bus: EventBus


class RepositoryStep:
    """One step: every method moves its progress on, and notes the outcomes that it decides."""

    def __init__(self, work: RepositoryInRun, outcomes: ImageOutcomes, now: datetime) -> None:
        self._work = work
        self._policy = work.policy
        self._outcomes = outcomes
        self._now = now
        before = work.progress
        self.progress = replace(
            before,
            step=before.step + 1,
            events=before.events + EVENTS_PER_STEP + EVENTS_PER_RETRY * work.retry,
            wait_seconds=0,
        )

    def count_batches(self, cache: ImageCache) -> None:
        """Count what became of the last batches.

        Of a batch that failed, its invocations may have started some scans before.
        """
        retries = 0
        for batch, outcome in self.progress.ended_batches():
            if outcome.error:
                failure = _failure(outcome.error)
                started = cache.started_by(self._work.run, batch.image_digests)
                others = [digest for digest in batch.image_digests if digest not in started]
                decisions = dict.fromkeys(started, STARTED) | dict.fromkeys(others, failure)
                self._settle(decisions)
                self.progress = self.progress.with_overdue(batch.still_overdue(decisions))
                if failure != THROTTLED:
                    for digest in others:
                        cache.note_attempt(digest, failure, at=self._now)
            retries += MOST_RETRIES if outcome.error else outcome.retries
        progress = self.progress.folded()
        self.progress = replace(progress, events=progress.events + EVENTS_PER_RETRY * retries)

    def why_over(self) -> Decision | None:
        """Return why nothing more is listed, evaluated or started, or None."""
        if self._policy.is_time_over(self._now):
            return RUN_TIME
        return HISTORY_FULL if self.progress.events >= MOST_EVENTS else None

    def evaluate_next(self, around: Surroundings) -> None:
        """Evaluate the images that ECR left undecided, or else those of the next page.

        Puts the missing results that were found, and again those of images that are not due if ECR
        did not list their findings. Raises RepositoryNotFound if the repository was deleted in the
        meantime, PageTokenRefused if ECR does not continue the listing. Images whose last scan ECR
        was asked for are undecided then.
        """
        if self.progress.undecided:
            known = _known_of(self.progress)
        else:
            images = self._list_next(around.registry)
            known = gather(images, around.cache, self._policy, self._now)
        self._settle(known.refused)
        self._evaluate(known.scans, known.dates)
        self._report_unnamed(known, around.bus)
        self._leave_undecided(known, known.unknown)
        self.progress = replace(
            self.progress, results_missing=self.progress.results_missing + len(known.missing)
        )
        if known.unknown:
            self._ask(known, around)
        self._defer_beyond(self._most_to_ask())

    def hand_out(self, pace: Pace) -> None:
        """Return the next batches, wait for their turn, or defer what is left."""
        if not self.progress.is_decided:
            return
        if self._policy.dry_run:
            self._defer_beyond(self._budget())
            self._settle_waiting(DRY_RUN)
        elif self.progress.waiting and (stop := self._why_no_more(pace)):
            self._settle_waiting(stop)
        ready = [image for image in self.progress.waiting if not self._is_too_early(image)]
        if ready:
            self._draw(ready, pace)
        elif self.progress.waiting:
            free_at = min(each.not_before for each in self.progress.waiting if each.not_before)
            seconds = ceil((free_at - self._now).total_seconds())
            self.progress = replace(self.progress, wait_seconds=seconds)
        self.progress = replace(self.progress, finished=not self.progress.waiting)

    def give_up(self, error: Exception) -> bool:
        """Continue without what ECR was asked in vain, and return whether that is possible.

        Images for whose last scan it was asked are counted; the next step continues without them.
        Where there are none, throttling defers the rest of the repository.
        """
        undecided = self.progress.undecided
        if not undecided and isinstance(error, EcrThrottled):
            self.end(THROTTLED)
            return True
        self._settle_all(undecided, _failure(type(error).__name__))
        self.progress = replace(self.progress, undecided=(), missing=0)
        return bool(undecided)

    def end(self, decision: Decision) -> None:
        """Defer every image that waits, and end before the other pages are listed, if any."""
        is_cut_short = not self.progress.is_decided
        self._settle_all(self.progress.undecided, decision)
        self._settle_waiting(decision)
        self.progress = replace(
            self.progress, undecided=(), missing=0, finished=True, cut_short=is_cut_short
        )

    def list_again(self) -> None:
        """Start the listing again. No scan was started before: that takes a complete listing."""
        self.progress = Progress(
            step=self.progress.step, events=self.progress.events, relisted=True
        )

    def end_with_repository(self) -> None:
        """Count what is left of a repository that was deleted in the meantime."""
        self._settle_all(self.progress.undecided, REPOSITORY_GONE)
        self._settle_waiting(REPOSITORY_GONE)
        self.progress = replace(
            self.progress,
            undecided=(),
            missing=0,
            freshness=Freshness(),
            finished=True,
            repository_gone=True,
        )

    def _ask(self, known: PageKnowledge, around: Surroundings) -> None:
        """Ask ECR for the last scans that are unknown, as many as it answers."""
        answers = around.history.last_scans(
            self._work.repository, known.unknown, polls=self.progress.polls
        )
        found = known.results_found(self._work.repository, answers)
        if new := known.scan_to_store(answers, found, self._now):
            around.cache.note_scans(new)
        if found and not self._policy.dry_run:
            around.bus.put(found)
        self._evaluate(known.scans_of(answers), known.dates)
        self._settle(dict.fromkeys(answers.gone, IMAGE_GONE))
        self._leave_undecided(known, answers.unanswered)
        self.progress = replace(
            self.progress,
            results_found=self.progress.results_found + len(found),
            wait_seconds=answers.wait_seconds,
            polls=self.progress.polls + 1 if answers.wait_seconds else 0,
        )

    def _report_unnamed(self, known: PageKnowledge, bus: EventBus) -> None:
        """Put the known results whose findings ECR did not list; a due image gets a new one."""
        due = {image.image_digest for image in self.progress.waiting}
        results = [
            unnamed.again(self._work.repository)
            for digest, unnamed in known.unnamed.items()
            if digest not in due
        ]
        if results and not self._policy.dry_run:
            bus.put(results)

    def _evaluate(
        self, scans: Mapping[str, LastScan | None], known: Mapping[str, ScanDates]
    ) -> None:
        """Settle the images that are not due, and queue the others."""
        dates = {digest: known[digest].with_scan(scan) for digest, scan in scans.items()}
        decisions = {
            digest: why_not_due(scan, dates[digest], self._policy, self._now)
            for digest, scan in scans.items()
        }
        counted = {
            digest: dates[digest]
            for digest, scan in scans.items()
            if can_be_scanned(scan, dates[digest], decisions[digest])
        }
        self._outcomes.note_scans({digest: dates[digest].ended for digest in scans})
        self._settle(decisions)
        fresh = freshness_of(self._work.repository, counted)
        self.progress = replace(
            self.progress, freshness=self.progress.freshness.merged(fresh)
        ).queued(
            DueImage(
                digest,
                dates[digest].since,
                dates[digest].not_before(self._now),
                digest in counted and is_overdue(dates[digest].aged_from, self._policy, self._now),
            )
            for digest, decision in decisions.items()
            if decision is None
        )

    def _draw(self, ready: list[DueImage], pace: Pace) -> None:
        most = min(self._budget(), self._most_to_ask(), IMAGES_A_STEP)
        turn = pace.draw(len(ready[:most]), polls=self.progress.polls)
        if not turn.count:
            self.progress = replace(
                self.progress, wait_seconds=turn.wait_seconds, polls=self.progress.polls + 1
            )
            return
        taken = sorted(ready[: turn.count], key=lambda image: image.is_overdue, reverse=True)
        digests = [image.image_digest for image in taken]
        overdue = sum(image.is_overdue for image in taken)
        made = self.progress.batches_made
        batches = tuple(
            Batch(
                number=made + number,
                first=None if turn.first is None else turn.first + start,
                image_digests=tuple(digests[start : start + BATCH]),
                overdue=min(BATCH, max(0, overdue - start)),
            )
            for number, start in enumerate(range(0, len(digests), BATCH), start=1)
        )
        drawn = frozenset(digests)
        self.progress = replace(
            self.progress,
            batches=batches,
            batches_made=made + len(batches),
            waiting=tuple(i for i in self.progress.waiting if i.image_digest not in drawn),
            asked=self.progress.asked + len(digests),
            events=self.progress.events + EVENTS_PER_BATCH * len(batches),
            polls=0,
        )

    def _why_no_more(self, pace: Pace) -> Decision | None:
        """Return why no further batch is started, or None."""
        if pace.closed_until():
            return SCAN_QUOTA
        if self.progress.tally.of_decision(REPOSITORY_GONE):
            return REPOSITORY_GONE
        return None if min(self._budget(), self._most_to_ask()) > 0 else OUT_OF_BUDGET

    def _budget(self) -> int:
        """Return how many more scans may be started, or would be in a dry run."""
        outcomes = self.progress.tally.outcomes()
        started = outcomes.get(Outcome.STARTED, 0) + outcomes.get(Outcome.DUE, 0)
        return self._policy.max_scans_per_repository - started

    def _most_to_ask(self) -> int:
        """Return how many more scans ECR may be asked for, regardless of its answers."""
        return self._policy.most_calls - self.progress.asked

    def _is_too_early(self, image: DueImage) -> bool:
        return image.not_before is not None and image.not_before > self._now

    def _list_next(self, registry: EcrRegistry) -> list[Image]:
        """List the next page, or all pages for MaxImagesPerRepository, because ECR does not sort.

        An image that ECR lists on two pages in succession, because others were pushed meanwhile, is
        evaluated once.
        """
        most = self._policy.max_images_per_repository
        seen = frozenset(self.progress.last_page)
        page = registry.images(self._work.repository, self.progress.cursor)
        images = {image.digest: image for image in page.images}
        while most and page.cursor:
            page = registry.images(self._work.repository, page.cursor)
            images |= {image.digest: image for image in page.images}
        images = {d: image for d, image in images.items() if d[_KNOWN_BY] not in seen}

        decisions = decisions_on(images.values(), self._policy, self._now)
        self._outcomes.note_images(images.values())
        self._settle(decisions)
        self.progress = replace(
            self.progress,
            cursor=page.cursor,
            listed=not page.cursor,
            last_page=tuple(d[_KNOWN_BY] for d in images) if page.cursor else (),
        )
        return [image for image in images.values() if decisions[image.digest] is None]

    def _defer_beyond(self, most: int) -> None:
        """Defer the images that wait behind as many others."""
        most = max(0, most)
        kept, beyond = self.progress.waiting[:most], self.progress.waiting[most:]
        self._settle_due(beyond, OUT_OF_BUDGET)
        self.progress = replace(self.progress, waiting=kept)

    def _leave_undecided(self, known: PageKnowledge, image_digests: Sequence[str]) -> None:
        dates = known.dates
        self.progress = replace(
            self.progress,
            undecided=tuple(
                UndecidedImage(digest, dates[digest].since, dates[digest].accepted_at)
                for digest in image_digests
            ),
            missing=sum(map(known.misses, image_digests)),
        )

    def _settle_waiting(self, decision: Decision) -> None:
        self._settle_due(self.progress.waiting, decision)
        self.progress = replace(self.progress, waiting=())

    def _settle_due(self, images: Sequence[DueImage], decision: Decision) -> None:
        """Settle images that are due, and count those that stay overdue."""
        self._settle_all(images, decision)
        if decision.outcome in STILL_DUE:
            self.progress = self.progress.with_overdue(sum(it.is_overdue for it in images))

    def _settle_all(self, images: Sequence[DueImage | UndecidedImage], decision: Decision) -> None:
        self._settle({image.image_digest: decision for image in images})

    def _settle(self, decisions: Mapping[str, Decision | None]) -> None:
        """Count and note the images with a decision."""
        made = {digest: decision for digest, decision in decisions.items() if decision}
        self._outcomes.note(made)
        self.progress = replace(self.progress, tally=self.progress.tally.plus(*made.values()))


def _known_of(progress: Progress) -> PageKnowledge:
    """Return what the earlier step knew of the images that it left undecided.

    A state has no room for more dates: an image never scanned counts as pushed when it was last
    tried, if it was.
    """
    digests = tuple(image.image_digest for image in progress.undecided)
    return PageKnowledge(
        unknown=digests,
        dates={
            image.image_digest: ScanDates(image.since, image.accepted_at, pushed_at=image.since)
            for image in progress.undecided
        },
        unreported=frozenset(digests[: progress.missing]),
    )


def _failure(error: str) -> Decision:
    """Return the outcome of the images of a batch that failed with an error."""
    return THROTTLED if error == EcrThrottled.__name__ else Decision(Outcome.FAILED, error)
