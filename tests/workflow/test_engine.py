"""The engine is what the other tests take it for: moto's private names are where we look."""

import threading
from collections.abc import Collection
from concurrent.futures import Future
from typing import Any

from tests.support.clock import Clock
from tests.support.engine import DEADLINE, Execution
from tests.workflow.conftest import Deploy

ONE_IMAGE = {"repositories": [{"name": "team/api", "images": [{"tags": "v1", "scanned": "8d"}]}]}


def run(deploy: Deploy) -> Execution:
    return deploy(ONE_IMAGE).run()


def test_runs_the_real_handlers(deploy: Deploy) -> None:
    deployed = deploy(ONE_IMAGE)
    deployed.run()
    assert deployed.invocations == {
        "ListRepositories": 1,
        "FindStaleImages": 1,
        "StartImageScans": 1,
        "RecordRepository": 1,
        "SummarizeRescan": 1,
    }


def test_keeps_a_history_for_every_child(deploy: Deploy) -> None:
    execution = run(deploy)
    types = [str(event["type"].value) for event in execution.child("team/api").events]
    assert types[:5] == [
        "TaskStateEntered",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
        "TaskStateExited",
    ]
    # One Task, a Map of one image, a Choice, a Task: 5 + (4 + 7) + 2 + 5; it starts and ends too.
    assert len(types) == 23
    assert execution.largest_history() == max(25, len(execution.events))


def test_records_backoff_and_does_not_sleep(deploy: Deploy) -> None:
    fault = {"operation": "DescribeImages", "error": "ThrottlingException", "times": 2}
    (repository,) = ONE_IMAGE["repositories"]
    deployed = deploy({"repositories": [{**repository, "faults": [fault]}]})
    started_at = deployed.clock.now()
    execution = deployed.run()
    assert execution.status == "SUCCEEDED"
    assert len(deployed.backoffs) == 2
    assert deployed.clock.now() > started_at


def test_a_path_with_wildcards_finds_an_empty_list(deploy: Deploy) -> None:
    fresh = {"repositories": [{"name": "team/api", "images": [{"tags": "v1", "scanned": "1d"}]}]}
    execution = deploy(fresh).run()
    assert execution.status == "SUCCEEDED", execution.cause


def test_measures_what_states_hand_on(deploy: Deploy) -> None:
    execution = run(deploy)
    digest = "sha256:" + 64 * "0"
    assert len(digest) < execution.largest_payload() < 10_000


class WatchedClock(Clock):
    """Says when somebody has begun to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waited_for = threading.Event()

    def sleep(self, seconds: float, until: Collection[Future[Any]] = ()) -> None:
        """Wait without waiting."""
        self.is_waited_for.set()
        super().sleep(seconds, until)


def test_refuses_invocations_beyond_the_concurrency_of_lambda(deploy: Deploy) -> None:
    images = [{"tags": "v1", "scanned": "1d"}]
    repositories = [{"name": f"team/{n}", "images": images} for n in "abcd"]
    clock = WatchedClock()
    deployed = deploy({"repositories": repositories}, clock=clock)
    deployed.concurrency = 2
    running: list[str] = []
    two_run = threading.Barrier(2)

    def stay(work: dict[str, str]) -> None:
        """Stay until two run at once, and a third one was refused."""
        running.append(work["repository"])
        if len(running) <= two_run.parties:
            two_run.wait(DEADLINE)
            clock.is_waited_for.wait(DEADLINE)

    deployed.faults["FindStaleImages"] = stay
    execution = deployed.run()
    assert execution.status == "SUCCEEDED", execution.cause
    assert deployed.invocations["FindStaleImages"] == len(running) == 4
    assert deployed.refused["FindStaleImages"] >= 1
    assert deployed.refused.total() == len(deployed.backoffs)
