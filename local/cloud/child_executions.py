"""Child executions of distributed Maps, which no API of localemu shows."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localemu.http import Request, Response, Router

PATH = "/_child_executions"
FIRST_AND_LAST = 2  # ExecutionStarted, and ExecutionSucceeded or …Failed, which AWS adds


@dataclass(frozen=True)
class ChildExecution:
    """A child execution that has ended, with its history."""

    name: str
    parent_arn: str
    input: Any
    events: list[dict[str, Any]]

    def largest_payload(self) -> int:
        """Return the size in bytes of the largest text in any event."""
        return max(map(_longest_text, self.events), default=0)


class ChildExecutions:
    """All child executions that have ended in this engine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[ChildExecution] = []

    def record(self, child: ChildExecution) -> None:
        """Record a child that has ended."""
        with self._lock:
            self._children.append(child)

    def children_of(self, parent_arn: str) -> list[ChildExecution]:
        """Return the children of an execution in the order in which they ended."""
        with self._lock:
            return [child for child in self._children if child.parent_arn == parent_arn]


CHILD_EXECUTIONS = ChildExecutions()


def add_route(router: Router[Any]) -> None:
    """Serve the children of `?execution=<arn>`."""

    def get(request: Request) -> Response:
        children = [
            {
                "name": child.name,
                "input": child.input,
                "history_events": len(child.events) + FIRST_AND_LAST,
                "largest_payload": child.largest_payload(),
            }
            for child in CHILD_EXECUTIONS.children_of(request.args.get("execution", ""))
        ]
        return Response(json.dumps(children), mimetype="application/json")

    router.add(PATH, get, methods=["GET"])


def _longest_text(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return max(map(_longest_text, value.values()), default=0)
    return 0
