"""What only size and speed show: histories, payloads, and scans that ECR throttles all the time."""

import pytest

from tests.support.clock import FastClock
from tests.workflow.conftest import Deploy

MAX_EVENTS = 25_000  # a history that gets there ends its execution
MAX_PAYLOAD = 256 * 1024  # bytes that a state may take or hand on
DUE = {"scanned": "never"}  # nothing to write back, which takes moto 10 ms an image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_starts_every_scan_once_though_ecr_takes_ten_a_second(deploy: Deploy) -> None:
    """600 scans are due at once; time runs three times as fast, for ECR as for backoff."""
    registry = {
        "throttling": {"StartImageScan": {"rate": 10, "burst": 10}},
        "repositories": [
            {"name": "team/{n}", "count": 6, "images": [{"tags": "v{n}", "count": 100, **DUE}]}
        ],
    }
    deployed = deploy(registry, clock=FastClock(times=3))
    execution = deployed.run()
    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.output is not None
    assert execution.output["images"] == {"STARTED": 600}
    assert len(deployed.registry.started) == 600
    assert set(deployed.registry.started.values()) == {1}
    throttled = deployed.registry.throttled["StartImageScan"]
    assert throttled > 0
    assert deployed.registry.calls["StartImageScan"] == 600 + throttled


def test_fits_two_thousand_repositories(deploy: Deploy) -> None:
    registry = {
        "repositories": [
            {"name": "team/{n}", "count": 2_000, "images": [{"tags": "v{n}", "count": 3, **DUE}]}
        ]
    }
    deployed = deploy(registry)
    execution = deployed.run()
    assert execution.output is not None, execution.cause
    assert execution.output["images"] == {"STARTED": 6_000}
    assert len(execution.children) == 2_000
    assert execution.largest_history() < MAX_EVENTS
    assert execution.largest_payload() < MAX_PAYLOAD
    # The parent's history is the same however many repositories there are.
    assert len(execution.events) < 50


def test_fits_a_repository_of_twelve_thousand_images(deploy: Deploy) -> None:
    registry = {
        "repositories": [
            {"name": "team/large", "images": [{"tags": "v{n}", "count": 12_000, **DUE}]}
        ]
    }
    deployed = deploy(registry)
    execution = deployed.run()
    assert execution.output is not None, execution.cause
    assert execution.output["images"] == {"STARTED": 1_000, "DEFERRED": 11_000}
    assert deployed.registry.calls["DescribeImages"] == 12
    assert deployed.registry.calls["DescribeImageScanFindings"] == 12_000
    assert execution.largest_history() < MAX_EVENTS
    assert execution.largest_payload() < MAX_PAYLOAD
