"""The engine is what the other tests take it for: moto's private names are where we look."""

from tests.support.engine import Execution
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
        "StartImageScan": 1,
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
    throttled = {**ONE_IMAGE, "throttling": {"StartImageScan": {"rate": 1, "burst": 1}}}
    throttled["repositories"] = [
        {"name": "team/api", "images": [{"tags": "v{n}", "count": 3, "scanned": "8d"}]}
    ]
    deployed = deploy(throttled)
    started_at = deployed.clock.now()
    execution = deployed.run()
    assert execution.status == "SUCCEEDED"
    assert deployed.backoffs
    assert deployed.clock.now() > started_at


def test_measures_what_states_hand_on(deploy: Deploy) -> None:
    execution = run(deploy)
    digest = "sha256:" + 64 * "0"
    assert len(digest) < execution.largest_payload() < 10_000
