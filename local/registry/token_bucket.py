"""A token bucket, with which AWS limits the rate of an API operation."""

from datetime import datetime

from local.registry.registry_contents import Throttle


class TokenBucket:
    """A bucket that starts full, loses one token per call and refills over time."""

    def __init__(self, throttle: Throttle, now: datetime) -> None:
        self._throttle = throttle
        self._tokens = float(throttle.burst)
        self._filled_at = now

    def take(self, now: datetime) -> bool:
        """Take one token; return whether there was one."""
        elapsed = (now - self._filled_at).total_seconds()
        if elapsed > 0:
            gained = elapsed * (self._throttle.rate - self._throttle.others)
            self._tokens = max(0.0, min(float(self._throttle.burst), self._tokens + gained))
            self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
