"""The scene of a demo with enhanced scanning: what Amazon Inspector finds, a digest reports."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.cloud.engine import Engine

SECONDS_BETWEEN_READS = 1.0
LONGEST_WAIT_SECONDS = 240


class SceneTimeoutError(Exception):
    """Something that the scene waits for has not happened; the message says what."""


@dataclass(frozen=True)
class Rechecks:
    """What became of the events of Amazon Inspector.

    events: that it sent. invocations: of RecheckImages. messages: that these took from the queue.
    results: that they found, one per image and invocation. ecr_calls: that they and the
        comparisons made. left: messages in the queue.
    """

    events: int
    invocations: int = 0
    messages: int = 0
    results: int = 0
    ecr_calls: int = 0
    left: int = 0

    def sentence(self) -> str:
        """Return one line about the events."""
        return (
            f"Amazon Inspector sent {self.events:,} events. RecheckImages was invoked "
            f"{_times(self.invocations)}, and put {self.results:,} results on the bus."
        )

    def unexpected(self) -> str | None:
        """Return what went wrong as one sentence, or None."""
        if self.messages != self.events:
            return f"RecheckImages received {self.messages} messages about {self.events} events."
        if self.left:
            return f"{self.left} events of Amazon Inspector are left in the queue."
        return None


class InspectorWatch:
    """The deployed RecheckImages, observed from outside like an operator does."""

    def __init__(self, engine: Engine, outputs: Mapping[str, str]) -> None:
        self._engine = engine
        self._outputs = outputs
        self._logs = engine.client("logs")
        self._sqs = engine.client("sqs")

    def inspect(self) -> Rechecks:
        """Let Inspector scan again, and wait until all of its events have been processed."""
        sent = self._engine.inspect()
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while (found := self._read(sent)).messages < sent:
            if time.monotonic() > deadline:
                raise SceneTimeoutError(
                    f"RecheckImages has received {found.messages} of {sent} messages after "
                    f"{LONGEST_WAIT_SECONDS} s."
                )
            time.sleep(SECONDS_BETWEEN_READS)
        return found

    def left(self) -> int:
        """Count the messages in the queue, hidden ones among them."""
        attributes = self._attributes(self._outputs["InspectorFindingsQueueUrl"])
        names = ("", "Delayed", "NotVisible")
        return sum(int(attributes[f"ApproximateNumberOfMessages{name}"]) for name in names)

    def ecr_calls(self) -> int:
        """Count the calls for findings since the registry was put there."""
        return int(self._engine.registry_counters()["calls"].get("DescribeImageScanFindings", 0))

    def _read(self, sent: int) -> Rechecks:
        lines = list(self._lines())
        return Rechecks(
            events=sent,
            invocations=len(lines),
            messages=sum(line["messages"] for line in lines),
            results=sum(line["results_found"] for line in lines),
        )

    def _lines(self) -> list[dict[str, Any]]:
        """Read the log of RecheckImages, one line per invocation."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._outputs["FunctionLogGroup"], filterPattern='"messages_to_retry"'
        )
        return [json.loads(event["message"]) for page in pages for event in page["events"]]

    def _attributes(self, url: str) -> Mapping[str, str]:
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes: Mapping[str, str] = answer["Attributes"]
        return attributes


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
