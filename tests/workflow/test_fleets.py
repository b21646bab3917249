"""What only size and speed show: histories, payloads, and scans that ECR throttles all the time.

The limits hold for any size, because what grows with it is measured at two sizes and grows by the
same amount per repository or image. The fleets of `make test-scale` at the end are of full size.
"""

from typing import Any

import pytest

from rescan_registry.progress import BATCH
from rescan_registry.repository_step import IMAGES_A_STEP
from tests.support.clock import FastClock
from tests.support.engine import Execution
from tests.workflow.conftest import Deploy

MAX_EVENTS = 25_000  # a history that gets there ends its execution
MAX_PAYLOAD = 256 * 1024  # bytes that a state may take or pass on
DUE = {"scanned": "never"}  # nothing to write back, which takes moto 10 ms per image


def fleet(repositories: int, images: int, **settings: Any) -> dict[str, Any]:
    """Describe repositories of as many images each, all of which are due."""
    described = {"tags": "v{n}", "count": images, **DUE}
    return {
        "repositories": [{"name": "team/{n}", "count": repositories, "images": [described]}],
        **settings,
    }


def finished(execution: Execution) -> Execution:
    assert execution.status == "SUCCEEDED", execution.cause
    return execution


def test_the_parent_is_the_same_however_many_repositories_there_are(deploy: Deploy) -> None:

    def run(repositories: int) -> tuple[int, int]:
        execution = finished(deploy(fleet(repositories, 1)).run())
        assert len(execution.children) == repositories
        return len(execution.events), execution.largest_payload()

    (events, payload), (events_of_more, payload_of_more) = run(12), run(48)
    assert events == events_of_more < 50
    assert payload_of_more == pytest.approx(payload, abs=50)  # longer names, larger counts


def test_a_child_grows_by_the_batches_and_the_images_of_one_step(deploy: Deploy) -> None:
    """20,000 is what MaxScansPerRepository lets a run start in a repository by default."""

    def run(images: int) -> tuple[int, int]:
        # One batch after the other: concurrent waits would add up on the clock of the test, until
        # some invocation has no time left and its images take another step.
        execution = finished(deploy(fleet(1, images), MaxScanConcurrency="1").run())
        assert execution.output is not None
        assert execution.output["images"] == {"STARTED": images}
        return execution.largest_history(), execution.largest_payload()

    (events, payload), (events_of_more, payload_of_more) = run(BATCH), run(4 * BATCH)
    per_batch = (events_of_more - events) / 3
    # The rest of the events is that of one step. 20,000 images take 50 at least.
    assert per_batch * 20_000 / BATCH + 50 * (events - per_batch) < MAX_EVENTS / 4
    per_image = (payload_of_more - payload) / (3 * BATCH)
    assert payload + IMAGES_A_STEP * per_image < MAX_PAYLOAD / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "images", [20, pytest.param(100, marks=pytest.mark.scale, id="100 images each")]
)
def test_starts_every_scan_once_though_ecr_takes_ten_per_second(
    deploy: Deploy, images: int
) -> None:
    """All scans are due at once; time runs three times as fast, for ECR as for backoff."""
    throttling = {"StartImageScan": {"rate": 10, "burst": 10}}
    deployed = deploy(fleet(6, images, throttling=throttling), clock=FastClock(times=3))
    execution = finished(deployed.run())
    assert execution.output is not None
    assert execution.output["images"] == {"STARTED": 6 * images}
    assert len(deployed.registry.started) == 6 * images
    assert set(deployed.registry.started.values()) == {1}
    throttled = deployed.registry.throttled["StartImageScan"]
    assert 0 < throttled < 0.4 * 6 * images  # most of them while the rate is learnt
    assert deployed.registry.calls["StartImageScan"] == 6 * images + throttled


@pytest.mark.scale
def test_fits_two_thousand_repositories(deploy: Deploy) -> None:
    execution = finished(deploy(fleet(2_000, 3)).run())
    assert execution.output is not None
    assert execution.output["images"] == {"STARTED": 6_000}
    assert len(execution.children) == 2_000
    assert execution.largest_history() < MAX_EVENTS
    assert execution.largest_payload() < MAX_PAYLOAD
    assert len(execution.events) < 50


@pytest.mark.scale
def test_fits_a_repository_of_twelve_thousand_images(deploy: Deploy) -> None:
    deployed = deploy(fleet(1, 12_000))
    execution = finished(deployed.run())
    assert execution.output is not None
    assert execution.output["images"] == {"STARTED": 12_000}
    assert deployed.registry.calls["DescribeImages"] == 12
    assert deployed.registry.calls["DescribeImageScanFindings"] == 12_000
    assert execution.largest_history() < MAX_EVENTS
    assert execution.largest_payload() < MAX_PAYLOAD
