"""Runs of RescanRegistry in the local cloud: started, watched, and read when they have ended."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.cloud.engine import Engine
from local.demo.image_outcomes import ImageOutcomes, OutcomesDisagreeError, disagreement, read_log
from local.demo.rescan_run import EcrCalls, Histories, ImageOutcome, RepositoryRecord, RescanRun

POLL_SECONDS = 0.3
POLL_SHARE = 0.1  # of the time at most: to be asked slows the engine down
LONGEST_POLL_SECONDS = 2.0  # between two looks all the same: one may have met a busy moment
LONGEST_RUN_SECONDS = 3600
LOG_TIMEOUT_SECONDS = 30
SCANS_TIMEOUT_SECONDS = 60


class RunTimeoutError(Exception):
    """A run did not end in an hour, which no registry that fits here takes."""


@dataclass(frozen=True)
class RunProgress:
    """How far a run has come; `repositories` is none before they are listed."""

    repositories: int | None
    repositories_done: int
    scans_started: int
    throttled: int


@dataclass(frozen=True)
class EndedScans:
    """The scans that were started, and the events that ECR sent of them by status."""

    started: int
    events: Counter[str]


class RunWatch:
    """The deployed RescanRegistry, seen from outside as an operator sees it."""

    def __init__(self, engine: Engine, outputs: Mapping[str, str]) -> None:
        self._engine = engine
        self._outputs = outputs
        self._states = engine.client("stepfunctions")
        self._s3 = engine.client("s3")
        self._logs = engine.client("logs")
        dynamodb = engine.session().resource("dynamodb", endpoint_url=engine.url)
        # Typed as whatever DynamoDB may hold, where the table holds what the template says.
        self._ledger: Any = dynamodb.Table(outputs["LedgerTableName"])
        self._listed: dict[str, tuple[str, ...]] = {}

    def run(self, name: str, input: object, show: Callable[[RunProgress], object]) -> RescanRun:  # noqa: A002
        """Start an execution, show its progress until its end, and read what it left."""
        before = self._engine.registry_counters()
        arn = self._states.start_execution(
            stateMachineArn=self._outputs["RescanRegistryArn"], name=name, input=json.dumps(input)
        )["executionArn"]
        deadline = time.monotonic() + LONGEST_RUN_SECONDS
        while True:
            polled_at = time.monotonic()
            described = self._states.describe_execution(executionArn=arn)
            show(self._progress(name, before))
            if described["status"] != "RUNNING":
                return self._read(described, _calls(before))
            if time.monotonic() > deadline:
                raise RunTimeoutError(f"{name} still runs after {LONGEST_RUN_SECONDS} s.")
            time.sleep(pause_after(time.monotonic() - polled_at))

    def scans_ended(self) -> EndedScans:
        """Wait a while for the scans under way; count what was started, and what was sent."""
        deadline = time.monotonic() + SCANS_TIMEOUT_SECONDS
        while True:
            counters = self._engine.registry_counters()
            started = _scans_started(counters)
            if counters["events_sent"] >= started or time.monotonic() > deadline:
                return EndedScans(started, Counter(counters["events_sent_by_status"]))
            time.sleep(POLL_SECONDS)

    def _progress(self, run: str, before: dict[str, Any]) -> RunProgress:
        now = self._engine.registry_counters()
        listed = self._repositories(run)
        return RunProgress(
            repositories=len(listed) if listed else None,
            repositories_done=len(self._records(run)),
            scans_started=_scans_started(now) - _scans_started(before),
            throttled=_calls(now).since(_calls(before)).throttled.total(),
        )

    def _read(self, described: dict[str, Any], before: EcrCalls) -> RescanRun:
        name, arn = described["name"], described["executionArn"]
        records = self._records(name)
        children = self._engine.child_executions(arn, entered="RecordImageFailure")
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
            images=self._images(name, described["startDate"], records, _failures(children)),
            calls=_calls(self._engine.registry_counters()).since(before),
            histories=self._histories(arn, children),
        )

    def _repositories(self, run: str) -> tuple[str, ...]:
        """Read the list that the run works on; it is empty until the run has written it."""
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
        failures: ImageOutcomes,
    ) -> ImageOutcomes:
        """Read the log until it tells of every image: it is written some time after the call."""
        deadline = time.monotonic() + LOG_TIMEOUT_SECONDS
        while True:
            images = read_log(run, self._log_lines(started_at))
            for repository, failed in failures.items():
                images.setdefault(repository, {}).update(failed)
            wrong = disagreement(images, records)
            if wrong is None:
                return images
            if time.monotonic() > deadline:
                raise OutcomesDisagreeError(f"The outcomes of {run} do not add up. {wrong}")
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
    """Say how long to wait after a look that took so long."""
    return min(max(POLL_SECONDS, seconds / POLL_SHARE), LONGEST_POLL_SECONDS)


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


def _failures(children: list[dict[str, Any]]) -> ImageOutcomes:
    """Read the images whose scan could not be started: their function had no last word to log."""
    failures: ImageOutcomes = {}
    for child in children:
        for image in child["entered"]:
            failed = ImageOutcome("FAILED", image["error"]["Error"])
            failures.setdefault(image["repository"], {})[image["digest"]] = failed
    return failures


def _record(item: dict[str, Any]) -> RepositoryRecord:
    images = Counter(
        {
            ImageOutcome(outcome, reason): int(count)
            for outcome, reasons in item.get("images", {}).items()
            for reason, count in reasons.items()
        }
    )
    return RepositoryRecord(item["status"], images, item.get("error"), item.get("cause"))
