"""Outcomes of images in a run: the vocabulary of records, metrics and messages."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of one image in a run. Every image has exactly one."""

    STARTED = "STARTED"  # ECR accepted the scan
    FRESH = "FRESH"  # no scan needed yet, in progress, or not accepted by ECR yet
    RECENT = "RECENT"  # ECR refused: scanned in the last 24 hours. Counts as done
    UNSCANNABLE = "UNSCANNABLE"  # not a container image: index, chart, signature …
    UNSUPPORTED = "UNSUPPORTED"  # ECR cannot scan the image, by an earlier scan
    ARCHIVED = "ARCHIVED"  # archived in ECR
    EXCLUDED = "EXCLUDED"  # outside the selection that the parameters make
    GONE = "GONE"  # deleted between listing and call
    DEFERRED = "DEFERRED"  # due, but the budget, the run's time or the quota was used up
    FAILED = "FAILED"  # anything else, by error name
    DUE = "DUE"  # in a dry run only: a scan would have been started


@dataclass(frozen=True)
class Decision:
    """An outcome and the reason for it, one of a few constant phrases or an error name."""

    outcome: Outcome
    reason: str


# Decisions that more than one place makes.
STARTED = Decision(Outcome.STARTED, "accepted")
SCAN_QUOTA = Decision(Outcome.DEFERRED, "registry scan quota")
THROTTLED = Decision(Outcome.DEFERRED, "ECR throttles")
RUN_TIME = Decision(Outcome.DEFERRED, "run time")
IMAGE_GONE = Decision(Outcome.GONE, "image deleted")
REPOSITORY_GONE = Decision(Outcome.GONE, "repository deleted")
ARCHIVED = Decision(Outcome.ARCHIVED, "archived")
# Of an image that is due, and still is after the run.
STILL_DUE = frozenset({Outcome.DEFERRED, Outcome.FAILED, Outcome.DUE})


@dataclass(frozen=True)
class Tally:
    """Images counted by outcome and reason."""

    counts: dict[Outcome, dict[str, int]] = field(default_factory=dict)

    def plus(self, *decisions: Decision) -> "Tally":
        """Count more images."""
        return self.merged(Tally.of(Counter(decisions)))

    def plus_many(self, decision: Decision, images: int) -> "Tally":
        """Count many images with the same decision."""
        return self.merged(Tally.of(Counter({decision: images})))

    def merged(self, other: "Tally") -> "Tally":
        """Add up two tallies."""
        return Tally.of(self._counter() + other._counter())

    def outcomes(self) -> dict[Outcome, int]:
        """Add up the reasons of each outcome."""
        return {outcome: sum(reasons.values()) for outcome, reasons in self.counts.items()}

    def images(self) -> int:
        """Count all images."""
        return self._counter().total()

    def of_decision(self, decision: Decision) -> int:
        """Count the images of one outcome and reason."""
        return self.counts.get(decision.outcome, {}).get(decision.reason, 0)

    @classmethod
    def of(cls, counter: Counter[Decision]) -> "Tally":
        """Return a tally with outcomes and reasons in a stable order."""
        counts: dict[Outcome, dict[str, int]] = {}
        for decision in sorted(counter, key=lambda each: (each.outcome, each.reason)):
            if counter[decision]:
                counts.setdefault(decision.outcome, {})[decision.reason] = counter[decision]
        return cls(counts)

    def _counter(self) -> Counter[Decision]:
        return Counter(
            {
                Decision(outcome, reason): images
                for outcome, reasons in self.counts.items()
                for reason, images in reasons.items()
            }
        )
