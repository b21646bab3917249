"""Runs of RescanRegistry in the local cloud: observed from outside, and read at their end."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.cloud.engine import Engine

# In the order of display: done, not needed, not possible, failed.
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
type ImageOutcomes = dict[str, dict[str, ImageOutcome]]
_KEYS = ("run", "repository", "image_digest", "outcome", "reason")
POLL_SECONDS = 0.3
POLL_SHARE = 0.1  # most of the time that is spent on polling, which slows the engine down
LONGEST_PAUSE_SECONDS = 2.0  # between two polls, also after a slow one
LONGEST_RUN_SECONDS = 3600
# Generous, for a machine whose cores are all busy.
LOG_TIMEOUT_SECONDS = 300
SCANS_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class ImageOutcome:
    """The outcome of one image in a run, and the reason."""

    outcome: str
    reason: str


@dataclass(frozen=True)
class RepositoryRecord:
    """The ledger's record of one repository in one run.

    status: FINISHED, GONE or FAILED.
    images: number of images by outcome and reason.
    """

    status: str
    images: Counter[ImageOutcome] = field(default_factory=Counter)
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class EcrCalls:
    """Calls to ECR, including refused ones, and those of them that it throttled.

    made: by operation and repository; "" if a call names no repository.
    """

    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)

    def since(self, earlier: "EcrCalls") -> "EcrCalls":
        """Return the calls since an earlier count."""
        return EcrCalls(self.made - earlier.made, self.throttled - earlier.throttled)

    def by_operation(self) -> Counter[str]:
        """Sum the calls of each operation."""
        return _added_up((operation, count) for (operation, _), count in self.made.items())

    def by_repository(self) -> Counter[str]:
        """Sum the calls for each repository."""
        return _added_up((repository, count) for (_, repository), count in self.made.items())


@dataclass(frozen=True)
class Histories:
    """Event counts, as AWS counts them, and the largest text in any event, in bytes.

    largest: events of the longest history, which is that of `largest_of`.
    """

    parent: int
    largest: int
    largest_of: str
    largest_payload: int


@dataclass(frozen=True)
class RescanRun:
    """One execution of RescanRegistry that has ended, and its results.

    repositories: the names of those that it should work on.
    images: outcomes by repository and image digest.
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
        """Return the sentence with which the run ended."""
        if self.status != "SUCCEEDED":
            return _message_in(self.cause)
        return str(self.output.get("conclusion") or self.output.get("notice") or "")

    @property
    def is_incomplete(self) -> bool:
        """Return whether the run completed and some repositories need a rerun."""
        return self.status == "FAILED" and self.error == "RescanIncomplete"

    @property
    def is_dry(self) -> bool:
        """Return whether the run was asked to start no scan."""
        return isinstance(self.input, dict) and self.input.get("dry_run") is True

    @property
    def unfinished(self) -> dict[str, str]:
        """Return the repositories that did not finish, with the reason."""
        problems: dict[str, str] = {}
        for name in self.repositories:
            record = self.records.get(name)
            if record is None:
                problems[name] = "not started, or stopped before it finished"
            elif record.status == "FAILED":
                problems[name] = f"{record.error}: {_message_in(record.cause)}"
        return problems

    def rerun_input(self) -> Any:
        """Return the input at the end of an incomplete run's cause, or None if there is none."""
        _, start, rest = (self.cause or "").rpartition('{"rerun_of":')
        return json.loads(start + rest) if start else None

    def outcomes_of(self, repository: str) -> Counter[str]:
        """Count the images of a repository by outcome."""
        return Counter(image.outcome for image in self.images.get(repository, {}).values())

    def outcomes(self) -> Counter[str]:
        """Count all images by outcome."""
        return Counter(
            image.outcome for images in self.images.values() for image in images.values()
        )


def in_order(outcomes: Iterable[str]) -> list[str]:
    """Sort outcomes in the order of display, unknown names last."""
    return sorted(
        outcomes, key=lambda name: (OUTCOMES.index(name) if name in OUTCOMES else 99, name)
    )


def _added_up(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, count in counts:
        total[name] += count
    return total


def _message_in(cause: str | None) -> str:
    """Return the message in the cause of a Lambda error, or the whole cause."""
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (ValueError, TypeError, KeyError):
        return cause or ""


class OutcomesDisagreeError(Exception):
    """The log and the records disagree about outcomes: one of them is wrong."""


def read_log(run: str, lines: Iterable[str]) -> ImageOutcomes:
    """Read outcomes from the functions' log, one line per image."""
    images: ImageOutcomes = {}
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:  # written by a process that died, not by a function
            continue
        if isinstance(said, dict) and said.get("run") == run and said.keys() >= set(_KEYS):
            decided = ImageOutcome(said["outcome"], said["reason"])
            # A retried step decides again, so the last line counts.
            images.setdefault(said["repository"], {})[said["image_digest"]] = decided
    return images


def disagreement(images: ImageOutcomes, records: Mapping[str, RepositoryRecord]) -> str | None:
    """Return where images and records disagree as one sentence, or None.

    A repository that failed before its images were counted has a record without images.
    """
    for repository, record in sorted(records.items()):
        if record.status == "FAILED" and not record.images:
            continue
        decided = Counter(images.get(repository, {}).values())
        if decided != record.images:
            return (
                f"{repository}: only its record has {_wording(record.images - decided)}; only its "
                f"log has {_wording(decided - record.images)}."
            )
    return None


def _wording(images: Counter[ImageOutcome]) -> str:
    if not images:
        return "nothing"
    each = (f"{count} {image.outcome} ({image.reason})" for image, count in images.items())
    return ", ".join(sorted(each))


class RunTimeoutError(Exception):
    """A run has not ended after LONGEST_RUN_SECONDS."""


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run; `repositories` is None before they are listed."""

    repositories: int | None
    repositories_done: int
    scans_started: int
    throttled: int
    has_ended: bool = False


@dataclass(frozen=True)
class EndedScans:
    """The number of scans started, and of the events that ECR sent about them, by status."""

    started: int
    events: Counter[str]


class RunWatch:
    """The deployed RescanRegistry, observed from outside like an operator does."""

    def __init__(self, engine: Engine, outputs: Mapping[str, str]) -> None:
        self._engine = engine
        self._outputs = outputs
        self._states = engine.client("stepfunctions")
        self._s3 = engine.client("s3")
        self._logs = engine.client("logs")
        dynamodb = engine.session().resource("dynamodb", endpoint_url=engine.url)
        # Any: the stubs allow every type of DynamoDB for every attribute.
        self._ledger: Any = dynamodb.Table(outputs["LedgerTableName"])
        self._listed: dict[str, tuple[str, ...]] = {}

    def run(self, name: str, input: object, show: Callable[[RunProgress], object]) -> RescanRun:  # noqa: A002
        """Start an execution, show its progress until it ends, and return its results."""
        before = self._engine.registry_counters()
        arn = self._states.start_execution(
            stateMachineArn=self._outputs["RescanRegistryArn"], name=name, input=json.dumps(input)
        )["executionArn"]
        deadline = time.monotonic() + LONGEST_RUN_SECONDS
        while True:
            polled_at = time.monotonic()
            described = self._states.describe_execution(executionArn=arn)
            has_ended = described["status"] != "RUNNING"
            show(self._progress(name, before, has_ended=has_ended))
            if has_ended:
                return self._read(described, _calls(before))
            if time.monotonic() > deadline:
                raise RunTimeoutError(f"{name} is still running after {LONGEST_RUN_SECONDS} s.")
            time.sleep(pause_after(time.monotonic() - polled_at))

    def scans_ended(self) -> EndedScans:
        """Wait until the running scans have ended or time is up; count scans and events."""
        deadline = time.monotonic() + SCANS_TIMEOUT_SECONDS
        while True:
            counters = self._engine.registry_counters()
            started = _scans_started(counters)
            if counters["events_sent"] >= started or time.monotonic() > deadline:
                return EndedScans(started, Counter(counters["events_sent_by_status"]))
            time.sleep(POLL_SECONDS)

    def _progress(self, run: str, before: dict[str, Any], *, has_ended: bool) -> RunProgress:
        now = self._engine.registry_counters()
        listed = self._repositories(run)
        return RunProgress(
            repositories=len(listed) if listed else None,
            repositories_done=len(self._records(run)),
            scans_started=_scans_started(now) - _scans_started(before),
            throttled=_calls(now).since(_calls(before)).throttled.total(),
            has_ended=has_ended,
        )

    def _read(self, described: dict[str, Any], before: EcrCalls) -> RescanRun:
        name, arn = described["name"], described["executionArn"]
        records = self._records(name)
        children = self._engine.child_executions(arn)
        return RescanRun(
            name=name,
            arn=arn,
            input=json.loads(described["input"]),
            status=described["status"],
            started_at=described["startDate"],
            ended_at=described["stopDate"],
            output=json.loads(described["output"]) if "output" in described else None,
            error=described.get("error"),
            cause=described.get("cause"),
            repositories=self._repositories(name),
            records=records,
            images=self._images(name, described["startDate"], records),
            calls=_calls(self._engine.registry_counters()).since(before),
            histories=self._histories(arn, children),
        )

    def _repositories(self, run: str) -> tuple[str, ...]:
        """Read the run's list of repositories; empty until the run has written it."""
        if run not in self._listed:
            try:
                document = self._s3.get_object(
                    Bucket=self._outputs["RunBucketName"], Key=f"runs/{run}/repositories.json"
                )
            except self._s3.exceptions.NoSuchKey:
                return ()
            self._listed[run] = tuple(json.loads(document["Body"].read()))
        return self._listed[run]

    def _records(self, run: str) -> dict[str, RepositoryRecord]:
        records: dict[str, RepositoryRecord] = {}
        start: dict[str, Any] = {}
        while True:
            page = self._ledger.query(
                KeyConditionExpression="pk = :run",
                ExpressionAttributeValues={":run": f"run#{run}"},
                ConsistentRead=True,
                **start,
            )
            for item in page["Items"]:
                records[item["sk"].removeprefix("repository#")] = _record(item)
            if "LastEvaluatedKey" not in page:
                return records
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _images(
        self,
        run: str,
        started_at: datetime,
        records: Mapping[str, RepositoryRecord],
    ) -> ImageOutcomes:
        """Read the log until it has every image: lines arrive some time after the invocation."""
        deadline = time.monotonic() + LOG_TIMEOUT_SECONDS
        while True:
            images = read_log(run, self._log_lines(started_at))
            wrong = disagreement(images, records)
            if wrong is None:
                return images
            if time.monotonic() > deadline:
                raise OutcomesDisagreeError(f"The log and the records of {run} disagree. {wrong}")
            time.sleep(POLL_SECONDS)

    def _log_lines(self, since: datetime) -> list[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._outputs["FunctionLogGroup"],
            startTime=int(since.timestamp() * 1000),
        )
        return [event["message"] for page in pages for event in page["events"]]

    def _histories(self, arn: str, children: list[dict[str, Any]]) -> Histories:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=arn)
        events = [event for page in pages for event in page["events"]]
        details = [value for event in events for value in event.values() if isinstance(value, dict)]
        texts = [text for each in details for text in each.values() if isinstance(text, str)]
        payload = max((len(text.encode()) for text in texts), default=0)
        sizes = [(len(events), "the run itself")]
        sizes += [(child["history_events"], child["input"]["repository"]) for child in children]
        largest, largest_of = max(sizes)
        payloads = [payload, *(child["largest_payload"] for child in children)]
        return Histories(len(events), largest, largest_of, max(payloads))


def pause_after(seconds: float) -> float:
    """Return how long to wait after a poll that took this long."""
    return min(max(POLL_SECONDS, seconds / POLL_SHARE), LONGEST_PAUSE_SECONDS)


def _calls(counters: dict[str, Any]) -> EcrCalls:
    made = Counter(
        {
            (operation, repository): count
            for operation, counts in counters["calls_by_repository"].items()
            for repository, count in counts.items()
        }
    )
    return EcrCalls(made, Counter(counters["throttled"]))


def _scans_started(counters: dict[str, Any]) -> int:
    return sum(sum(digests.values()) for digests in counters["started"].values())


def _record(item: dict[str, Any]) -> RepositoryRecord:
    images = Counter(
        {
            ImageOutcome(outcome, reason): int(count)
            for outcome, reasons in item.get("images", {}).items()
            for reason, count in reasons.items()
        }
    )
    return RepositoryRecord(item["status"], images, item.get("error"), item.get("cause"))
