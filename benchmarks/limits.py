"""ECR's limits of calls, as they might be: AWS documents neither their kind nor their size."""

import math
import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a limit does beside holding steady."""

    STEADY = "steady"
    OTHERS_HALF = "others ask for half"  # all the time, at random
    OTHERS_AT_TIMES = "others ask for half, every other 30 s"
    VARYING = "0.5 to 1.5 of it, new each second"


@dataclass
class Limit:
    """A token bucket; it is full at the beginning."""

    rate: float
    burst: float
    kind: Kind = Kind.STEADY
    calls: int = 0
    throttled: int = 0
    first_at: float | None = None
    last_at: float = 0.0

    def __post_init__(self) -> None:
        self._tokens = self.burst
        self._filled_at = 0.0
        self._others_at = 0.0
        self._random = random.Random(7)
        self._factors: dict[int, float] = {}

    def take(self, now: float) -> bool:
        """Return whether a call is accepted."""
        self._let_others(now)
        self._fill(now)
        self.calls += 1
        self.first_at = now if self.first_at is None else self.first_at
        self.last_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        self.throttled += 1
        return False

    def capacity(self) -> float:
        """Return how many calls would have been accepted between the first and the last."""
        start, end = self.first_at or 0.0, self.last_at
        seconds = [
            (second, min(end, second + 1) - max(start, second))
            for second in range(int(start), int(end) + 1)
        ]
        match self.kind:
            case Kind.VARYING:
                of_rate = sum(part * self._factor(second) for second, part in seconds)
            case Kind.OTHERS_HALF:
                of_rate = (end - start) / 2
            case Kind.OTHERS_AT_TIMES:
                of_rate = sum(part / (2 if second // 30 % 2 else 1) for second, part in seconds)
            case Kind.STEADY:
                of_rate = end - start
        return self.burst + of_rate * self.rate

    def _fill(self, now: float) -> None:
        while self._filled_at < now:
            second = math.floor(self._filled_at)
            end = min(now, second + 1) if self.kind is Kind.VARYING else now
            gained = (end - self._filled_at) * self.rate * self._factor(second)
            self._tokens = min(self.burst, self._tokens + gained)
            self._filled_at = end

    def _factor(self, second: int) -> float:
        if self.kind is not Kind.VARYING:
            return 1.0
        return self._factors.setdefault(second, self._random.uniform(0.5, 1.5))

    def _let_others(self, now: float) -> None:
        if self.kind not in {Kind.OTHERS_HALF, Kind.OTHERS_AT_TIMES}:
            return
        while self._others_at < now:
            self._fill(self._others_at)
            if self.kind is Kind.OTHERS_HALF or int(self._others_at / 30) % 2:
                self._tokens -= min(1, int(self._tokens))
            self._others_at += self._random.expovariate(self.rate / 2)
