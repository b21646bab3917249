"""How the work on each repository of a run ended: records in the ledger table.

Partition key ``run#<execution name>``, sort key ``repository#<name>``. The state machine writes
failures itself (RecordFailure), so its definition shares the names of the attributes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import ledger.client  # noqa: F401 # with the start of a function, which has more CPU than a call
from ledger.table import Table, ledger_table
from runtime.causes import message_in
from runtime.messages import decode

LONGEST_PROBLEM = 500  # characters, also of a remark
MOST_OLDEST = 10  # images that are named because their last scan is the oldest


class RecordStatus(StrEnum):
    """How the work on a repository ended."""

    FINISHED = "FINISHED"
    GONE = "GONE"  # deleted since it was listed
    DEFERRED = "DEFERRED"  # the run ended before it was reached, or listed to its end
    FAILED = "FAILED"


@dataclass(frozen=True)
class Example:
    """One of the images that failed for the same reason. message: 200 characters at most."""

    image_digest: str
    message: str


@dataclass(frozen=True)
class OldImage:
    """An image with an old scan. at: when its last scan ended."""

    repository: str
    image_digest: str
    at: datetime


@dataclass(frozen=True)
class Freshness:
    """How old the last scans of images were, before this run started any.

    scannable: images that a run can scan; all other numbers are of these.
    overdue: those that the run has left without a new scan although they are overdue.
    never: those without a scan that has ended.
    oldest_at: when the oldest of the last scans ended.
    oldest: the images with the oldest scans, the oldest first.
    severities: findings of the last scans, by severity.
    images_with: images with such findings, by severity.
    """

    scannable: int = 0
    overdue: int = 0
    never: int = 0
    oldest_at: datetime | None = None
    oldest: tuple[OldImage, ...] = ()
    severities: dict[str, int] = field(default_factory=dict)
    images_with: dict[str, int] = field(default_factory=dict)

    def merged(self, other: "Freshness") -> "Freshness":
        """Return the freshness of the images of both."""
        dates = [each for each in (self.oldest_at, other.oldest_at) if each]
        by_age = sorted(
            (*self.oldest, *other.oldest), key=lambda image: (image.at, image.image_digest)
        )
        return Freshness(
            scannable=self.scannable + other.scannable,
            overdue=self.overdue + other.overdue,
            never=self.never + other.never,
            oldest_at=min(dates, default=None),
            oldest=tuple(by_age[:MOST_OLDEST]),
            severities=_sum(self.severities, other.severities),
            images_with=_sum(self.images_with, other.images_with),
        )


@dataclass(frozen=True)
class RunRecord:
    """One repository in one run.

    images: counts by outcome and reason.
    examples: one image per reason of FAILED; records of version 0.3.0 have none.
    results_missing, results_found: scans that a run has started and whose result did not arrive,
        and those of them whose result ECR returned when it was asked.
    freshness: of its images; absent if they were not evaluated, or are deleted.
    error, cause: of a failure, as Step Functions reports them.
    """

    run: str
    repository: str
    status: RecordStatus
    started_at: datetime
    ended_at: datetime
    images: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)
    results_missing: int = 0
    results_found: int = 0
    freshness: Freshness | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def is_done(self) -> bool:
        """Return whether the repository needs no rerun."""
        return self.status not in (RecordStatus.DEFERRED, RecordStatus.FAILED)

    def problem(self) -> str:
        """Return the failure in one line of at most 500 characters.

        It is the message of the cause, and then the examples.
        """
        examples = "".join(
            f"; {reason}, for example, on {example.image_digest}: {example.message}"
            for reason, example in self.examples.items()
        )
        problem = f"{message_in(self.cause)}{examples}"
        return f"{self.error}: {' '.join(problem.split())}"[:LONGEST_PROBLEM]


class RunRecords:
    """The run records of the ledger table; without them, nothing says what a run did.

    Every method raises LedgerUnavailable when the table does not answer.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, record: RunRecord, *, expires_at: int) -> None:
        """Write the record of a repository over what an earlier attempt left.

        expires_at: seconds since 1970, when DynamoDB may delete it.
        """
        values = vars(record) | {"run": None, "repository": None, "expires_at": expires_at}
        self._table.put((f"run#{record.run}", f"repository#{record.repository}"), values)

    def for_run(self, run: str) -> Iterator[RunRecord]:
        """Read the records of a run, in the order of repository names."""
        for item in self._table.query(f"run#{run}"):
            repository = item["sk"].removeprefix("repository#")
            yield decode(RunRecord, {**item, "run": run, "repository": repository})


def run_records(table: str) -> RunRecords:
    """Make the adapter of a table."""
    return RunRecords(ledger_table(table))


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    """Add up two counts: a Counter takes four times as long, 100,000 times per run."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
