"""Processes in virtual time: generators that yield for how many seconds they wait, or for what."""

import heapq
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

type Process = Generator["float | Signal | Timeout", None, Any]


class Simulation:
    """A clock, and what happens at which time."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, time: float, happens: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._number += 1
        heapq.heappush(self._coming, (time, self._number, happens))

    def start(self, process: Process) -> None:
        """Begin a process now."""
        self.at(self.now, lambda: self._continue(process))

    def run(self, until: float) -> bool:
        """Let time pass until nothing comes any more, or return False at the time limit."""
        while self._coming:
            time, _, happens = heapq.heappop(self._coming)
            if time > until:
                self.now = until
                return False
            self.now = time
            happens()
        return True

    def lasting(self, seconds: tuple[float, float]) -> float:
        """Return a duration between two."""
        return self.random.uniform(*seconds)

    def at_once(self, processes: list[Process]) -> Process:
        """Run processes at once, and go on when all have ended."""
        left, end = len(processes), Signal()

        def counted(process: Process) -> Process:
            nonlocal left
            yield from process
            left -= 1
            if not left:
                end.give()

        for process in processes:
            self.start(counted(process))
        yield end

    def _continue(self, process: Process) -> None:
        try:
            waits_for = next(process)
        except StopIteration:
            return
        if isinstance(waits_for, Signal):
            waits_for.wakes = lambda: self.at(self.now, lambda: self._continue(process))
        elif isinstance(waits_for, Timeout):
            self._continue_once(process, waits_for)
        else:
            self.at(self.now + waits_for, lambda: self._continue(process))

    def _continue_once(self, process: Process, timeout: "Timeout") -> None:
        is_over = False

        def wake() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                timeout.signal.wakes = None
                self._continue(process)

        timeout.signal.wakes = lambda: self.at(self.now, wake)
        self.at(self.now + timeout.seconds, wake)


class Signal:
    """What one process waits for and another gives."""

    def __init__(self) -> None:
        self.wakes: Callable[[], None] | None = None

    def give(self) -> None:
        """Wake the process that waits, if one does."""
        if wakes := self.wakes:
            self.wakes = None
            wakes()


@dataclass(frozen=True)
class Timeout:
    """A signal, waited for no longer than some seconds."""

    signal: Signal
    seconds: float
