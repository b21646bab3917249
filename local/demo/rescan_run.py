"""What is known of one run of RescanRegistry after its end."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# As a reader asks: what was done, what was not needed, what is not possible, what went wrong.
OUTCOMES = (
    "STARTED",
    "DUE",
    "RECENT",
    "FRESH",
    "DEFERRED",
    "UNSCANNABLE",
    "UNSUPPORTED",
    "ARCHIVED",
    "EXCLUDED",
    "GONE",
    "FAILED",
)


@dataclass(frozen=True)
class ImageOutcome:
    """What a run decided for one image, and why."""

    outcome: str
    reason: str


@dataclass(frozen=True)
class RepositoryRecord:
    """The ledger's record of one repository in one run.

    status: FINISHED, GONE or FAILED.
    images: counted by what was decided.
    """

    status: str
    images: Counter[ImageOutcome] = field(default_factory=Counter)
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class EcrCalls:
    """Calls that ECR was sent, refused ones included, and those of them that it throttled.

    made: by operation and repository, which is "" where a call names none.
    """

    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)

    def since(self, earlier: "EcrCalls") -> "EcrCalls":
        """Leave out the calls of before."""
        return EcrCalls(self.made - earlier.made, self.throttled - earlier.throttled)

    def by_operation(self) -> Counter[str]:
        """Add up the calls of each operation."""
        return _added_up((operation, count) for (operation, _), count in self.made.items())

    def by_repository(self) -> Counter[str]:
        """Add up the calls for each repository."""
        return _added_up((repository, count) for (_, repository), count in self.made.items())


@dataclass(frozen=True)
class Histories:
    """Event counts, as AWS counts them, and the largest text in any event, in bytes.

    largest: of the execution with the most events, which is of `largest_of`.
    """

    parent: int
    largest: int
    largest_of: str
    largest_payload: int


@dataclass(frozen=True)
class RescanRun:
    """One execution of RescanRegistry that has ended, and what it left behind.

    repositories: the names that it was to work on.
    images: what was decided for each image, by repository and digest.
    """

    name: str
    arn: str
    input: Any
    status: str
    started_at: datetime
    ended_at: datetime
    output: Any = None
    error: str | None = None
    cause: str | None = None
    repositories: tuple[str, ...] = ()
    records: Mapping[str, RepositoryRecord] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, ImageOutcome]] = field(default_factory=dict)
    calls: EcrCalls = field(default_factory=EcrCalls)
    histories: Histories = Histories(0, 0, "", 0)

    @property
    def conclusion(self) -> str:
        """Give the sentence with which the run ended."""
        if self.status != "SUCCEEDED":
            return _message_in(self.cause)
        return str(self.output.get("conclusion") or self.output.get("notice") or "")

    @property
    def is_incomplete(self) -> bool:
        """Tell whether the run came to its end and left repositories to rerun."""
        return self.status == "FAILED" and self.error == "RescanIncomplete"

    @property
    def unfinished(self) -> dict[str, str]:
        """Name the repositories that did not finish, each with the reason."""
        problems: dict[str, str] = {}
        for name in self.repositories:
            record = self.records.get(name)
            if record is None:
                problems[name] = "not reached, or stopped half-way"
            elif record.status == "FAILED":
                problems[name] = f"{record.error}: {_message_in(record.cause)}"
        return problems

    def rerun_input(self) -> Any:
        """Read the input that the cause of an incomplete run ends with."""
        cause = self.cause or ""
        return json.loads(cause[cause.rindex("{") :])

    def outcomes_of(self, repository: str) -> Counter[str]:
        """Count the images of a repository by outcome."""
        return Counter(image.outcome for image in self.images.get(repository, {}).values())

    def outcomes(self) -> Counter[str]:
        """Count all images by outcome."""
        return Counter(
            image.outcome for images in self.images.values() for image in images.values()
        )


def in_order(outcomes: Iterable[str]) -> list[str]:
    """Sort outcomes as they are always shown; new names come last."""
    return sorted(
        outcomes, key=lambda name: (OUTCOMES.index(name) if name in OUTCOMES else 99, name)
    )


def _added_up(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, count in counts:
        total[name] += count
    return total


def _message_in(cause: str | None) -> str:
    """Read the message inside a Lambda's cause, or take all of it."""
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (ValueError, TypeError, KeyError):
        return cause or ""
