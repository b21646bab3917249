"""What runs and notifications cost, by formula.

The formula of a run follows the simulation of `make bench`, which prices what it counts by the same
prices; a test compares both. docs/cost.md explains each term.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cli.prices import Usage, prices
from rescan_registry.pacing import LONGEST_NAP, QUEUE_SECONDS
from rescan_registry.progress import BATCH
from rescan_registry.repository_step import IMAGES_A_STEP
from rescan_registry.settings import RUN_TIME_LIMIT
from rescan_registry.start_image_scans import START_FOR_SECONDS

# Assumed, in seconds: how long a step takes that evaluates a page, one that does not, a record.
PAGE, STEP, RECORD = 1.2, 0.225, 0.075
IMAGES_A_PAGE = 1_000
READ_UNITS_A_PAGE = 138  # 1 MB of records of images
UNITS_A_SCAN = 2  # a record of an image is larger than 1 KB
OF_A_RUN = 6  # state transitions outside the Map
A_STEP = 3  # state transitions: FindStaleImages, ForEachBatch, IsRepositoryFinished
A_POLL = A_STEP + 1  # and WaitForTurn
# Fitted to the simulation: how much of the waiting is naps, and of the time invocations that wait.
SHARE_OF_NAPS, SHARE_OF_WAITING = 0.6, 0.8

# NotifyScan. Assumed seconds of functions and of the execution; log_gb: at INFO, as measured.
OF_A_RESULT = Usage(
    invocations=2,  # InterpretEvent, ComposeNotification
    seconds=0.8,
    write_units=5,  # NoteExecution, RecordScan 2, the baseline, ForgetExecution
    read_units=4,
    express_requests=1,
    express_seconds=1.0,
    log_gb=12e-6,
)
OF_A_CHANGE = Usage(write_units=8, express_seconds=1.0)  # its transaction, and NoteDeliveries
OF_A_MESSAGE = Usage(
    invocations=1,  # PostToWebhook
    seconds=0.5,
    write_units=4,  # ClaimDelivery, MarkDelivered, RecordDelivery, what was notified
    log_gb=8e-6,
)
CHANNELS = 2  # assumed
CHANGED = 0.05  # of the results, assumed

QUOTA = 100_000  # scans of a registry in 24 hours, by ECR's default, those on push included
ALARMS = 12
METRICS = 29
HOURS_A_MONTH = 730
RUNS_A_MONTH = 30.4  # one per day


@dataclass(frozen=True)
class Size:
    """How many images a repository has, and how many of them are due."""

    images: int
    due: int

    @property
    def pages(self) -> int:
        """Return how many pages of images ECR lists."""
        return max(1, math.ceil(self.images / IMAGES_A_PAGE))


@dataclass(frozen=True)
class Speed:
    """How fast a run is. rate: calls per second that ECR accepts.

    children: repositories at a time, MaxConcurrency. batches: of each, MaxScanConcurrency.
    """

    rate: float
    children: int = 10
    batches: int = 4

    @property
    def queue(self) -> float:
        """Return how many calls may wait for their turn when another repository asks for some."""
        return max(BATCH, QUEUE_SECONDS * self.rate)

    @property
    def most_drawn(self) -> int:
        """Return how many scans the batches of a step have at most."""
        return min(IMAGES_A_STEP, math.ceil(self.queue / BATCH) * BATCH)


@dataclass(frozen=True)
class RunCost:
    """What a run takes. results: of its scans, which NotifyScan processes."""

    repositories: int
    images: int
    due: int
    seconds: float
    usage: Usage
    results: Usage

    def usd(self) -> float:
        """Return what the run costs, and its results."""
        return self.usage.usd() + self.results.usd()


def run_cost(sizes: Mapping[Size, int], speed: Speed) -> RunCost:
    """Compute what a run takes. sizes: repositories by their size."""
    repositories = sum(sizes.values())
    due = sum(size.due * count for size, count in sizes.items())
    pages = sum(size.pages * count for size, count in sizes.items())
    steps, batches = _batches(sizes, speed)
    polls = steps * _polls(due / steps, _callers(sizes), speed) if steps else 0.0
    more_steps = max(0, steps - sum(count for size, count in sizes.items() if size.due))
    seconds = due / speed.rate
    waiting = _seconds_waiting(seconds, batches, due / steps, _callers(sizes), speed) if due else 0
    usage = Usage(
        transitions=OF_A_RUN
        + repositories * 2  # the child execution, and RecordRepository
        + A_STEP * (pages + more_steps)
        + batches
        + A_POLL * polls,
        invocations=repositories + pages + more_steps + batches + polls,
        seconds=pages * PAGE + (more_steps + polls) * STEP + repositories * RECORD + waiting,
        write_units=UNITS_A_SCAN * due + seconds + steps + batches / 2,
        read_units=READ_UNITS_A_PAGE * pages + waiting + polls,
        puts=pages + batches,
        traces=_traces(repositories, seconds) if repositories else 0,
    )
    # A repository is listed as a whole before its first scan, and meanwhile others are scanned.
    listing = pages * PAGE / min(speed.children, max(1, repositories))
    first = pages * PAGE / max(1, repositories)
    return RunCost(
        repositories=repositories,
        images=sum(size.images * count for size, count in sizes.items()),
        due=due,
        seconds=max(listing, first + seconds),
        usage=usage,
        results=results_cost(due),
    )


def alike(repositories: int, images: int) -> Counter[Size]:
    """Return repositories of one size, of which a daily run finds a seventh due: RescanAfter=7d."""
    return Counter({Size(images, math.ceil(images / 7)): repositories})


def startable(sizes: Mapping[Size, int], rate: float) -> Counter[Size]:
    """Return how many of the due images a run starts; its time and ECR's quota defer the others.

    All repositories get the same share of what can be started, and some of them the remainder.
    """
    due = sum(size.due * count for size, count in sizes.items())
    most = min(due, QUOTA, math.floor(rate * RUN_TIME_LIMIT.total_seconds()))
    shares = {size: divmod(size.due * most, due) if due else (0, 0) for size in sizes}
    left = most - sum(shares[size][0] * count for size, count in sizes.items())
    started = Counter[Size]()
    for size, count in sizes.items():
        share, remainder = shares[size]
        one_more = min(count, left) if remainder else 0
        started[Size(size.images, share + 1)] += one_more
        started[Size(size.images, share)] += count - one_more
        left -= one_more
    return +started  # without sizes that no repository has


def results_cost(scans: int, *, changed: float = CHANGED, channels: int = CHANNELS) -> Usage:
    """Compute what NotifyScan takes for the results of scans. changed: the share that is sent."""
    messages = OF_A_CHANGE.plus(OF_A_MESSAGE.times(channels)).times(changed)
    return OF_A_RESULT.plus(messages).times(scans)


def fixed_usd_a_month(
    *, runs: float = RUNS_A_MONTH, secrets: int = 0, dashboards: int = 0
) -> float:
    """Return what a stack costs in a month beside its runs.

    runs: in the month; metrics are charged in hours with a run.
    """
    usd = prices().usd
    return (
        ALARMS * usd["alarm_month"]
        + METRICS * usd["metric_month"] * min(runs / HOURS_A_MONTH, 1)
        + secrets * usd["secret_month"]
        + dashboards * usd["dashboard_month"]
    )


def fan_out_usd(sizes: Mapping[Size, int]) -> float:
    """Return what the scans cost by a queue with a message and an invocation per repository."""
    usd, start = prices().usd, 0.115
    repositories = sum(sizes.values())
    seconds = sum((size.pages * PAGE + size.due * start) * n for size, n in sizes.items())
    requests = 3 * repositories * usd["queue_request"]  # send, receive, delete
    return requests + Usage(invocations=repositories, seconds=seconds).usd()


def enhanced_usd_a_month(images: int, *, pushed: int = 0) -> float:
    """Return what Amazon Inspector charges for images that it rescans once in seven days."""
    usd = prices().usd
    return pushed * usd["enhanced_first_scan"] + images * RUNS_A_MONTH / 7 * usd["enhanced_rescan"]


def _batches(sizes: Mapping[Size, int], speed: Speed) -> tuple[int, int]:
    """Return how many steps have batches, and how many these are."""
    steps = batches = 0
    for size, count in sizes.items():
        full, rest = divmod(size.due, speed.most_drawn)
        steps += count * (full + bool(rest))
        batches += count * (full * math.ceil(speed.most_drawn / BATCH) + math.ceil(rest / BATCH))
    return steps, batches


def _callers(sizes: Mapping[Size, int]) -> int:
    return sum(count for size, count in sizes.items() if size.due)


def _calling(drawn: float, callers: int, speed: Speed) -> float:
    """Return how many repositories have numbers at a time; the others wait for a shorter queue."""
    return min(speed.children, callers, 1 + speed.queue / drawn)


def _polls(drawn: float, callers: int, speed: Speed) -> float:
    """Return how often a repository asks in vain before it may draw. drawn: numbers per draw."""
    others = min(speed.children, callers) - _calling(drawn, callers, speed)
    left, polls, longest = others * drawn / speed.rate, 0.0, 5.0
    while left > 0:
        nap = drawn / 2 / speed.rate + min(1.5 * speed.queue / speed.rate, longest)
        nap = min(nap, LONGEST_NAP)
        polls += min(1.0, left / nap)
        left -= nap
        longest *= 1.5
    return SHARE_OF_NAPS * polls


def _seconds_waiting(
    seconds: float, batches: int, drawn: float, callers: int, speed: Speed
) -> float:
    """Return how long the invocations of StartImageScans last, which wait for their turn."""
    concurrent = _calling(drawn, callers, speed) * min(speed.batches, max(1.0, drawn / BATCH))
    longest = min(START_FOR_SECONDS, (speed.queue + drawn) / speed.rate)
    return SHARE_OF_WAITING * min(seconds * concurrent, batches * longest)


def _traces(repositories: int, seconds: float) -> float:
    """Return how many executions X-Ray records by its default: one per second, and 5 % more."""
    executions = repositories + 1
    reservoir = min(executions, seconds + 1)
    return reservoir + 0.05 * (executions - reservoir)
