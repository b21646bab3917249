"""Registries as people have met them, in daily runs: tests/cases/rescan/ has them by number."""

import gzip
import itertools
import json
import random
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.cloud.stack_parameters import of_registry_file
from tests.support.clock import FastClock
from tests.support.days import DAY, daily_runs, started_at
from tests.support.engine import Engine, Execution
from tests.support.template import template
from tests.workflow.conftest import Deploy

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "rescan"
WEEK = timedelta(days=7)  # the default of RescanAfter


def case(number: str) -> str:
    (path,) = CASES.glob(f"{number}-*")
    return path.read_text("utf-8")


def deployed_case(deploy: Deploy, number: str, **parameters: str) -> Engine:
    text = case(number)
    given = of_registry_file(text, name=number)
    return deploy(text, **given | parameters)


def images(execution: Execution) -> dict[str, int]:
    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.output is not None
    counted: dict[str, int] = execution.output["images"]
    return counted


def image_outcomes(run: str) -> list[dict[str, Any]]:
    """Read what the run bucket has of the images of a run that have an outcome."""
    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket="RunBucket", Prefix=f"runs/{run}/images/")
    lines = [
        json.loads(line)
        for each in listed["Contents"]
        for line in gzip.decompress(
            client.get_object(Bucket="RunBucket", Key=each["Key"])["Body"].read()
        ).splitlines()
    ]
    return [line for line in lines if "outcome" in line]


def test_case_01_artifacts_that_ecr_refuses_use_up_no_budget(deploy: Deploy) -> None:
    deployed = deployed_case(deploy, "01")
    runs = [images(run) for run in daily_runs(deployed, 12)]
    assert runs[0] == {"STARTED": 3, "UNSCANNABLE": 8}
    assert runs[1:6] == [{"FRESH": 3, "UNSCANNABLE": 8}] * 5
    # RescanAfter is 7 days: the scans of the first day would be too old on the eighth.
    assert [run.get("STARTED", 0) for run in runs[6:]].count(3) == 1
    assert deployed.registry.calls["StartImageScan"] == 3 + 8 + 3


def test_case_02_images_whose_scans_fail_do_not_stand_before_others(deploy: Deploy) -> None:
    deployed = deployed_case(deploy, "02")
    for run in daily_runs(deployed, 12):
        images(run)
        now = deployed.clock.now()
        scans = [at for tags, at in started_at(deployed).items() if tags[0].startswith("v")]
        assert len(scans) == 3
        assert now - min(scans) <= WEEK


def test_case_03_a_scan_that_never_ends_is_started_again(deploy: Deploy) -> None:
    shown = json.loads(case("03"))["answer"]["imageScanStatus"]
    stuck = {"tags": "v1", "pushed": "30d", "scanned": "30d", "result": "pending"}
    deployed = deploy({"repositories": [{"name": "team/api", "images": [stuck]}]})
    asked = {"repositoryName": "team/api", "imageId": {"imageTag": "v1"}}
    answer = deployed.registry.call("DescribeImageScanFindings", asked)
    assert answer["imageScanStatus"] == shown

    outcomes = [images(run) for run in daily_runs(deployed, 4)]

    assert outcomes == [{"STARTED": 1}] * 4


@pytest.mark.slow
@pytest.mark.parametrize("counted_from", ["start", "end"])
def test_case_18_every_24_hours_on_a_daily_schedule(counted_from: str, deploy: Deploy) -> None:
    text = f"scan_limit_from: {counted_from}\n{case('18')}"
    deployed = deploy(text, **of_registry_file(text, name="18"))
    chance = random.Random(18)
    late = (timedelta(seconds=chance.uniform(0, 60)) for _ in itertools.count())
    for run in daily_runs(deployed, 60, late=late):
        images(run)
    assert deployed.registry.started.total() >= 57


def test_case_19_a_promoted_image_is_found_by_its_pulls(deploy: Deploy) -> None:
    newest = deployed_case(deploy, "19")
    images(newest.run())
    assert "production" not in {tag for tags in scanned_now(newest) for tag in tags}
    pulled = deployed_case(deploy, "19", MaxImagesPerRepository="0", PulledWithin="2d")
    images(pulled.run())
    assert ("v41", "production") in scanned_now(pulled)
    description = template()["Parameters"]["MaxImagesPerRepository"]["Description"]
    assert "PulledWithin" in description


def scanned_now(deployed: Engine) -> set[tuple[str, ...]]:
    """Return the tags of the images whose scans were started."""
    return {
        image.tags
        for repository in deployed.registry.repositories.values()
        for image in repository.images.values()
        if (repository.name, image.digest) in deployed.registry.started
    }


def test_case_20_an_image_on_two_pages_has_one_outcome(deploy: Deploy) -> None:
    pages = json.loads(case("20"))["pages"]
    described = {"count": len({digest for page in pages for digest in page}), "scanned": "8d"}
    deployed = deploy(
        {
            "page_size": len(pages[0]),
            "repositories": [{"name": "team/api", "shifts": True, "images": [described]}],
        }
    )
    execution = deployed.run()
    assert images(execution) == {"STARTED": 3}
    assert deployed.registry.calls["DescribeImages"] == len(pages)
    assert list(deployed.registry.started.values()) == [1, 1, 1]
    counts = Counter(line["image_digest"] for line in image_outcomes(execution.name))
    assert list(counts.values()) == [1, 1, 1]


def test_case_22_enhanced_scanning_switched_on_during_a_run(deploy: Deploy) -> None:
    deployed = deployed_case(deploy, "22")
    execution = deployed.run()
    assert (execution.status, execution.error) == ("FAILED", "RescanIncomplete")
    record = deployed.records(execution.name)["team/api"]
    assert record.images == {"FAILED": {"ManualScanningDisabled": 150}}
    # Calls that were under way at the first refusal of each of the three batches.
    assert deployed.registry.calls["StartImageScan"] <= 3 * 16
    assert "ManualScanningDisabled" in (ROOT / "docs" / "operations.md").read_text("utf-8")


@pytest.mark.slow
def test_case_24_ten_concurrent_invocations(deploy: Deploy) -> None:
    text = case("24")
    deployed = deploy(text, clock=FastClock(times=20))
    deployed.concurrency = 10 - 4  # NotifyScan has the others

    def take_time(_: object) -> None:
        time.sleep(0.05)

    for name in ("FindStaleImages", "StartImageScans", "RecordRepository"):
        deployed.faults[name] = take_time
    execution = deployed.run()
    assert images(execution) == {"STARTED": 500}
    assert deployed.refused.total() > 0


def test_every_image_has_its_turn_whatever_else_uses_the_budget(deploy: Deploy) -> None:
    budget, refused = 4, 6
    refusal = {"operation": "StartImageScan", "error": "UnsupportedImageTypeException"}
    described = [
        {"tags": "real-{n}", "count": 8, "scanned": "1d..7d"},
        {"tags": "refused-{n}", "count": refused, "pushed": "40d..50d", "faults": [refusal]},
        {"tags": "failing-{n}", "count": 3, "scanned": "9d", "result": "failed"},
        {"tags": "undated-{n}", "count": 2, "scanned": "2d", "last_result": "failed"},
        {"tags": "stuck-{n}", "count": 2, "scanned": "30d", "result": "pending"},
    ]
    deployed = deploy(
        {"repositories": [{"name": "team/api", "images": described}]},
        MaxScansPerRepository=str(budget),
    )
    assert budget < refused
    for run in daily_runs(deployed, 12):
        outcomes = images(run)
        assert sum(outcomes.values()) == sum(each["count"] for each in described)
        assert outcomes.get("STARTED", 0) <= budget
        now = deployed.clock.now()
        real = {tags: at for tags, at in started_at(deployed).items() if "real" in tags[0]}
        assert max(now - at for at in real.values()) <= WEEK + DAY
