"""The deployed NotifyScan, seen from outside: its executions, and what they decided."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from local.cloud.engine import Engine
from local.demo.notifications import TAKEN, Decided
from local.demo.rescan_run import RescanRun
from local.demo.run_watch import pause_after

POLL_SECONDS = 0.5
# An execution lasts 5 minutes at most, and of many that are under way one ends long before.
STILL_SECONDS = 90
# What an Express execution logs first, and last.
STARTED = "ExecutionStarted"
ENDED_WELL = "ExecutionSucceeded"
ENDED_BADLY = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


class NotificationsTimeoutError(Exception):
    """Executions of NotifyScan are missing, or do not end: the message says how many."""


class NotifyWatch:
    """What NotifyScan leaves in its log and in that of its functions."""

    def __init__(self, engine: Engine, outputs: Mapping[str, str]) -> None:
        self._logs = engine.client("logs")
        self._sqs = engine.client("sqs")
        self._outputs = outputs

    def failed_executions(self, expected: int) -> int:
        """Wait until so many executions have ended, and all that have started; count the failed."""
        last, last_change = Counter[str](), time.monotonic()
        while True:
            polled_at = time.monotonic()
            events = self._executions()
            failed = sum(events[name] for name in ENDED_BADLY)
            ended = events[ENDED_WELL] + failed
            if ended >= max(expected, events[STARTED]):
                return failed
            if events != last:
                last, last_change = events, polled_at
            if polled_at - last_change > STILL_SECONDS:
                raise NotificationsTimeoutError(
                    f"{expected} executions of NotifyScan were to be expected, but only {ended} "
                    f"have ended, of {events[STARTED]} that have started, and for "
                    f"{STILL_SECONDS} s none has ended."
                )
            time.sleep(pause_after(time.monotonic() - polled_at))

    def decisions(self, expected: int, *, within_seconds: float = 10.0) -> tuple[Decided, ...]:
        """Read what ComposeNotification decided, once it is so much or the time is over."""
        deadline = time.monotonic() + within_seconds
        while True:
            decisions = tuple(decisions_in(self._messages("FunctionLogGroup", '"tell"')))
            if len(decisions) >= expected or time.monotonic() > deadline:
                return decisions
            time.sleep(POLL_SECONDS)

    def undelivered(self) -> tuple[str, ...]:
        """Read what is in the queue Undelivered, without taking it out."""
        url = self._outputs["UndeliveredQueueUrl"]
        bodies: list[str] = []
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60
            )
            messages = answer.get("Messages", [])
            if not messages:
                return tuple(bodies)
            bodies += [message["Body"] for message in messages]

    def _executions(self) -> Counter[str]:
        types = Counter[str]()
        pattern = " ".join(f"?{name}" for name in (STARTED, ENDED_WELL, *ENDED_BADLY))
        for message in self._messages("NotifyScanLogGroup", pattern):
            types[json.loads(message)["type"]] += 1
        return types

    def _messages(self, log_group: str, pattern: str) -> Iterator[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._outputs[log_group], filterPattern=pattern
        )
        for page in pages:
            for event in page["events"]:
                yield event["message"]


def executions_caused(scan_events: Mapping[str, int], runs: Sequence[RescanRun]) -> int:
    """Count the executions of NotifyScan: one a scan, one a summary, one a run that went red."""
    return sum(scan_events.get(status, 0) for status in TAKEN) + sum(
        _events_of(run) for run in runs
    )


def decisions_in(lines: Iterator[str]) -> Iterator[Decided]:
    """Read the decisions from the functions' log lines."""
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:  # of a process that died: not one of ours
            continue
        if isinstance(said, dict) and {"tell", "reason", "about"} <= said.keys():
            yield Decided(about=said["about"], tell=said["tell"], reason=said["reason"])


def _events_of(run: RescanRun) -> int:
    went_red = run.status != "SUCCEEDED"
    has_summary = run.is_incomplete or "conclusion" in (run.output or {})
    return went_red + has_summary
