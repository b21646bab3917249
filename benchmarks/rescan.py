"""A run of RescanRegistry in virtual time.

What is decided is decided by the code of the functions: hand-out (RepositoryStep), numbers and
naps (Pace), rate and calls (pacing.py); backoff is that of the definition. How long each step
takes is assumed.
"""

import json
import math
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, cast

from benchmarks.limits import Kind, Limit
from benchmarks.virtual_time import Process, Signal, Simulation, Timeout
from cli.cost import READ_UNITS_A_PAGE, UNITS_A_SCAN
from cli.prices import Usage
from rescan_registry import pacing
from rescan_registry.image_cache import ImageCache
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import Decision, Outcome, Tally
from rescan_registry.paced_calls import Host, Pace
from rescan_registry.pacing import Call, Look, Operation, Report, Schedule, Wait
from rescan_registry.policy import RescanPolicy
from rescan_registry.progress import Batch, BatchOutcome, DueImage, Progress, StartedBatches
from rescan_registry.repository_step import RepositoryInRun, RepositoryStep
from rescan_registry.scan_history import ASK_FOR_SECONDS
from rescan_registry.start_image_scans import START_FOR_SECONDS
from rescan_registry.waiting_images import MOST_IN_STATE
from runtime.messages import encode
from tests.support.boards import BoardsInMemory
from tests.support.definition import RESCAN_REGISTRY

# Assumed durations, in seconds.
TRANSITION = (0.030, 0.070)
START = (0.080, 0.150)  # a call of StartImageScan, and its note in the ledger
FINDINGS = (0.030, 0.050)
THROTTLED = (0.020, 0.050)
STEP = (0.150, 0.300)
PAGE = (0.8, 1.6)
RECORD = (0.05, 0.10)
LEDGER = (0.004, 0.010)

RUN_TIMEOUT = 6 * 3600
STARTED = Decision(Outcome.STARTED, "accepted")
BEGIN = datetime(2026, 3, 14, 3, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Shape:
    """Repositories, each with as many images that are due, of as many in all."""

    repositories: int
    due: int
    images: int = 0

    @property
    def pages(self) -> int:
        """Return how many pages a repository has."""
        return math.ceil(max(self.due, self.images) / 1000)

    def __str__(self) -> str:
        return f"{self.repositories:,} × {self.due:,}"


@dataclass(frozen=True)
class Result:
    """What a run took.

    share: of the calls that ECR would have accepted meanwhile.
    throttled: of all calls.
    ideal: seconds that the calls take at ECR's limit.
    """

    share: float
    throttled: float
    seconds: float
    ideal: float
    transitions: float
    usd_per_1000: float
    usd: float
    started: int
    deferred: int
    failed: int
    events: int
    payload: int
    board_writes: float
    calls: int
    learnt_rate: float
    is_finished: bool


@dataclass(frozen=True)
class Retrier:
    """A retrier with jitter FULL."""

    interval: float
    attempts: int
    rate: float
    longest: float

    def delays(self, simulation: Simulation) -> Iterator[float]:
        """Return the delay before each further attempt."""
        for attempt in range(self.attempts):
            most = min(self.longest, self.interval * self.rate**attempt)
            yield simulation.random.uniform(0, most)


@cache
def retrier(state: str, error: str) -> Retrier:
    """Read a retrier from the definition."""
    (found,) = [
        each
        for defined in RESCAN_REGISTRY.states
        if defined.name == state
        for each in defined.body["Retry"]
        if error in each["ErrorEquals"]
    ]
    assert found["JitterStrategy"] == "FULL"
    return Retrier(
        found["IntervalSeconds"],
        found["MaxAttempts"],
        found["BackoffRate"],
        found["MaxDelaySeconds"],
    )


class _NothingCached:
    """A ledger that has noted no start of a batch that was given up."""

    def started_by(self, *_: object) -> frozenset[str]:
        """Return nothing."""
        return frozenset()


class Account:
    """What every design of a run uses: time, ECR's limit, and a bill."""

    def __init__(self, shape: Shape, limit: Limit, seed: int) -> None:
        self.simulation = Simulation(seed)
        self.shape, self.limit = shape, limit
        self.transitions = self.invocations = self.puts = self.pages = 0
        self.lambda_seconds = 0.0
        self.started = self.deferred = self.failed = self.events = self.payload = 0
        self.boards = BoardsInMemory()

    def invoke(self, seconds: float) -> Process:
        """Enter a Task and run its function."""
        self.transitions += 1
        self.invocations += 1
        self.lambda_seconds += seconds
        yield self.simulation.lasting(TRANSITION) + seconds

    def run_children(self, child: Any, at_once: int) -> None:
        """Run a child per repository, some at a time, to the end or the time limit."""
        left = [self.shape] * self.shape.repositories

        def worker() -> Process:
            while left:
                left.pop()
                yield from child()

        self.transitions += 6  # the parent
        for _ in range(min(at_once, len(left))):
            self.simulation.start(worker())
        self.is_finished = self.simulation.run(RUN_TIMEOUT)

    def result(self) -> Result:
        """Sum up."""
        limit, started, boards = self.limit, max(1, self.started), self.boards
        usd = Usage(
            transitions=self.transitions,
            invocations=self.invocations,
            seconds=self.lambda_seconds,
            write_units=boards.writes + UNITS_A_SCAN * self.started,
            read_units=boards.reads + READ_UNITS_A_PAGE * self.pages,
            puts=self.puts,
        ).usd()
        due = self.shape.repositories * self.shape.due
        ours = limit.rate / (2 if limit.kind is Kind.OTHERS_HALF else 1)
        return Result(
            share=(limit.calls - limit.throttled) / max(1.0, limit.capacity()),
            throttled=limit.throttled / max(1, limit.calls),
            seconds=self.simulation.now,
            ideal=max(0.0, due - limit.burst) / ours,
            transitions=self.transitions / started,
            usd_per_1000=usd / started * 1000,
            usd=usd,
            started=self.started,
            deferred=self.deferred,
            failed=self.failed,
            events=self.events,
            payload=self.payload,
            board_writes=boards.writes / started,
            calls=limit.calls,
            learnt_rate=boards.board.rate if boards.board else 0.0,
            is_finished=self.is_finished,
        )


class Rescan(Account):
    """The design of this version. remembered: the rate on the board; absent in the first run."""

    def __init__(
        self, shape: Shape, limit: Limit, *, remembered: float | None = None, seed: int = 1
    ) -> None:
        super().__init__(shape, limit, seed)
        random = self.simulation.random.uniform
        host = Host(self._now, cast("Any", None), random, cast("type[Executor]", None))
        self.pace = Pace(self.boards.as_boards, Operation.START_IMAGE_SCAN, host)
        if remembered:
            board = pacing.first_board(BEGIN.timestamp() - 86_400)
            self.boards.board = replace(board, rate=remembered, is_learnt=True)

    def run(self, *, children: int = 10, batches: int = 4) -> Result:
        """Start scans, with the parameters' defaults."""
        self._batches = batches
        self.run_children(self._child, children)
        return self.result()

    def run_cold(self, *, children: int = 10) -> Result:
        """Ask for the last scan of every image, because the ledger knows none."""
        self.run_children(self._cold_child, children)
        return self.result()

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.simulation.now)

    def _child(self) -> Process:
        simulation, shape = self.simulation, self.shape
        self.transitions += 1
        for _ in range(shape.pages - 1):  # FindStaleImages, the empty Map, the Choice
            self.pages += 1
            self.puts += 1
            self.transitions += 2
            yield from self.invoke(simulation.lasting(PAGE))
        policy = RescanPolicy(
            rescan_after=timedelta(days=7),
            schedule_interval=timedelta(days=1),
            unsupported_retry_after=timedelta(days=30),
            stop_at=BEGIN + timedelta(hours=5, minutes=40),
            max_scans_per_repository=20_000,
        )
        progress = Progress(
            step=shape.pages - 1,
            events=13 * (shape.pages - 1),
            waiting=tuple(DueImage(f"sha256:{number:064}") for number in range(shape.due)),
            listed=True,
        )
        self.pages += 1
        self.puts += 1
        takes = PAGE
        while True:
            yield from self.invoke(simulation.lasting(takes))
            takes = STEP
            outcomes = ImageOutcomes("any", "any", self._now())
            step = RepositoryStep(
                RepositoryInRun("any", "any", policy, 0, progress), outcomes, self._now()
            )
            step.count_batches(cast("ImageCache", _NothingCached()))
            if stop := step.why_over():
                step.end(stop)
            else:
                step.hand_out(self.pace)
            progress = step.progress
            self._measure(progress)
            self.transitions += 2
            started = StartedBatches()
            if progress.batches:
                started = yield from self._all_batches(progress.batches)
            progress = replace(progress, started=started)
            if progress.finished and not started.left_count:
                break
            if progress.wait_seconds:
                self.transitions += 1
                yield progress.wait_seconds
        yield from self.invoke(simulation.lasting(RECORD))
        self.events = max(self.events, progress.events + 6)
        outcomes_of_child = progress.folded().tally.outcomes()
        self.deferred += outcomes_of_child.get(Outcome.DEFERRED, 0)
        self.failed += outcomes_of_child.get(Outcome.FAILED, 0)

    def _measure(self, progress: Progress) -> None:
        """Measure the state, and pay for what does not fit it."""
        if len(progress.waiting) > MOST_IN_STATE:
            self.puts += 1
            progress = replace(progress, waiting=(), waiting_stored=1)
        if self.shape.repositories == 1:
            self.payload = max(self.payload, len(json.dumps(encode(progress))))

    def _all_batches(self, batches: tuple[Batch, ...]) -> Any:
        left, outcomes = list(enumerate(batches)), dict[int, BatchOutcome]()

        def iteration() -> Process:
            while left:
                place, batch = left.pop(0)
                outcomes[place] = yield from self._batch(batch)

        workers = [iteration() for _ in range(min(self._batches, len(batches)))]
        yield from self.simulation.at_once(workers)
        ordered = tuple(outcomes[place] for place in range(len(batches)))
        return StartedBatches(ordered, sum(len(outcome.left) for outcome in ordered))

    def _batch(self, batch: Batch) -> Any:
        """Run StartImageScans, with its retries when ECR has answered for no image."""
        simulation, count = self.simulation, len(batch.image_digests)
        delays = retrier("StartImageScans", "EcrThrottled").delays(simulation)
        first: int | None = batch.first
        for retry in range(100):
            drawn = count
            if retry:
                turn = self.pace.draw(count, polls=retry)
                drawn, first = turn.count, turn.first
            answered: set[int] = set()
            is_throttled = not drawn
            begun = simulation.now
            if drawn:
                assert first is not None
                answered, is_throttled = yield from self._calls(
                    first, drawn, START, START_FOR_SECONDS
                )
            yield from self.invoke(0.0)
            self.lambda_seconds += simulation.now - begun
            if answered or not is_throttled:
                break
            delay = next(delays, None)
            if delay is None:
                return BatchOutcome(left=(0,), error="EcrThrottled")
            yield delay
        self.puts += 1
        self.started += len(answered)
        left = tuple(place for place in range(count) if place not in answered)
        return BatchOutcome(tally=Tally().plus(*[STARTED] * len(answered)), left=left)

    def _cold_child(self) -> Process:
        """FindStaleImages alone, as EcrScanHistory asks."""
        simulation = self.simulation
        self.transitions += 1
        unlisted, undecided, polls, events = self.shape.due, 0, 0, 10
        delays = retrier("FindStaleImages", "EcrThrottled").delays(simulation)
        while unlisted or undecided:
            takes = STEP
            if not undecided:
                takes, undecided = PAGE, min(1000, unlisted)
                unlisted -= undecided
                self.pages += 1
            yield from self.invoke(simulation.lasting(takes))
            turn = self.pace.draw(undecided, polls=polls)
            answered: set[int] = set()
            is_throttled = False
            if turn.count:
                begun = simulation.now
                assert turn.first is not None
                answered, is_throttled = yield from self._calls(
                    turn.first, turn.count, FINDINGS, ASK_FOR_SECONDS
                )
                self.lambda_seconds += simulation.now - begun
            self.started += len(answered)
            undecided -= len(answered)
            self.puts += bool(answered)
            events += 13
            if is_throttled and not answered:
                yield next(delays)
                continue
            polls = polls + 1 if turn.wait_seconds else 0
            self.transitions += 2
            if turn.wait_seconds:
                self.transitions += 1
                yield turn.wait_seconds
        yield from self.invoke(simulation.lasting(RECORD))
        self.events = max(self.events, events)

    def _calls(self, first: int, count: int, latency: tuple[float, float], seconds: float) -> Any:
        """Do as Pace.calls does; return who was answered, and whether ECR has throttled."""
        simulation, boards, origin = self.simulation, self.boards, BEGIN.timestamp()
        schedule = Schedule(
            count,
            first,
            boards.read("any"),
            origin + simulation.now,
            origin + simulation.now + seconds,
            simulation.random.uniform,
        )
        ended = Signal()
        answered: set[int] = set()
        is_throttled = False

        def end(index: int, is_accepted: bool) -> None:
            if is_accepted:
                answered.add(index)
                schedule.answered(index)
            else:
                schedule.throttled(index, origin + simulation.now)
            ended.give()

        while step := schedule.next(origin + simulation.now):
            match step:
                case Call(index):
                    is_accepted = self.limit.take(simulation.now)
                    is_throttled = is_throttled or not is_accepted
                    takes = simulation.lasting(latency if is_accepted else THROTTLED)
                    simulation.at(simulation.now + takes, partial(end, index, is_accepted))
                case Wait(longest):
                    yield Timeout(ended, longest)
                case Look():
                    yield simulation.lasting(LEDGER)
                    schedule.saw(boards.read("any"), origin + simulation.now)
                case Report(accepted, refused):
                    yield simulation.lasting(LEDGER)
                    now = origin + simulation.now
                    board = boards.report("any", accepted, refused, now)
                    assert board
                    new = pacing.decided(board, schedule.next_number, now)
                    if new != board and boards.change("any", board, new):
                        board = new
                    schedule.reported(step, board, now)
        return answered, is_throttled
