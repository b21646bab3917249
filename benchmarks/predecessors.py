"""Other designs under the same limits: that of version 0.3, and a nested Map as samples show it."""

from collections.abc import Callable

from benchmarks.limits import Limit
from benchmarks.rescan import PAGE, RECORD, START, STEP, THROTTLED, Account, Result, Retrier, Shape
from benchmarks.virtual_time import Process

# Version 0.3: one state per image, five at a time per repository, retried fifteen times.
RETRIED_BY_0_3 = Retrier(interval=2, attempts=15, rate=2.0, longest=60)
BATCH_OF_0_3 = 100
MOST_SCANS_OF_0_3 = 1_000
# The retrier of AWS's samples.
RETRIED_BY_SAMPLES = Retrier(interval=2, attempts=6, rate=2.0, longest=3_600)


class OneStatePerImage(Account):
    """A Task per image in an inline Map, which Step Functions retries."""

    def __init__(self, shape: Shape, limit: Limit, seed: int, retried: Retrier) -> None:
        super().__init__(shape, limit, seed)
        self._retried = retried

    def run_0_3(self) -> Result:
        """Run as version 0.3."""
        self.run_children(self._child_of_0_3, 10)
        return self.result()

    def run_nested_map(self) -> Result:
        """Run as a Map over repositories with a Map over all images, 40 of each at a time."""
        self.run_children(self._child_of_nested_map, 40)
        return self.result()

    def _child_of_0_3(self) -> Process:
        simulation = self.simulation
        self.transitions += 1
        left = min(self.shape.due, MOST_SCANS_OF_0_3)
        self.deferred += self.shape.due - left
        self.transitions += 3 * (self.shape.pages - 1)
        for _ in range(self.shape.pages - 1):
            yield from self.invoke(simulation.lasting(PAGE))
        takes = PAGE
        while left:
            yield from self.invoke(simulation.lasting(takes))
            takes = STEP
            self.transitions += 2
            batch = min(left, BATCH_OF_0_3)
            left -= batch
            yield from self._map(batch, 5, self._image)
        yield from self.invoke(simulation.lasting(RECORD))

    def _child_of_nested_map(self) -> Process:
        self.transitions += 2
        for _ in range(self.shape.pages):
            yield from self.invoke(self.simulation.lasting(PAGE))

        def image() -> Process:  # asks for its findings first, and then decides
            self.transitions += 2
            yield from self._image()

        yield from self._map(self.shape.due, 40, image)

    def _map(self, count: int, at_once: int, make: Callable[[], Process]) -> Process:
        left = [None] * count

        def iteration() -> Process:
            while left:
                left.pop()
                yield from make()

        yield from self.simulation.at_once([iteration() for _ in range(min(at_once, count))])

    def _image(self) -> Process:
        for delay in (*self._retried.delays(self.simulation), None):
            is_accepted = self.limit.take(self.simulation.now)
            takes = self.simulation.lasting(START if is_accepted else THROTTLED)
            yield from self.invoke(takes)
            if is_accepted:
                self.started += 1
                return
            if delay is not None:
                yield delay
        self.failed += 1
