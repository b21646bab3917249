"""The simulated registry answers a real boto3 client as ECR does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from moto import mock_aws

from local.registry.botocore_face import attach
from local.registry.registry_file import parse
from local.registry.simulated_registry import SimulatedRegistry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FILE = """
latency: 20ms
throttling:
  DescribeImageScanFindings: {rate: 1, burst: 1}
repositories:
  - name: team/api
    images:
      - {tags: scanned, scanned: 10d, findings: {high: 1}}
      - {tags: fresh, scanned: 2h}
      - {count: 3, tags: "build-{n}"}
  - name: team/broken
    faults: [{operation: DescribeImages, error: ServerException, times: 1}]
"""


@pytest.fixture
def registry() -> SimulatedRegistry:
    return parse(FILE, now=lambda: NOW)


@pytest.fixture
def client(registry: SimulatedRegistry) -> Any:
    return attached_client(registry)


def attached_client(registry: SimulatedRegistry, attempts: int = 1) -> Any:
    client = boto3.client(
        "ecr",
        region_name="eu-central-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}),
    )
    attach(client, registry, sleep=lambda _: None)
    return client


def test_times_come_back_as_aware_datetimes(client: Any) -> None:
    answer = client.describe_image_scan_findings(
        repositoryName="team/api", imageId={"imageTag": "scanned"}
    )
    completed = answer["imageScanFindings"]["imageScanCompletedAt"]
    assert completed == NOW - timedelta(days=10)
    assert completed.tzinfo is not None


def test_paginators_of_boto3_walk_every_page(client: Any) -> None:
    pages = client.get_paginator("describe_images").paginate(
        repositoryName="team/api", PaginationConfig={"PageSize": 2}
    )
    sizes = [len(page["imageDetails"]) for page in pages]
    assert sizes == [2, 2, 1]


def test_modelled_errors_are_the_exceptions_of_the_client(client: Any) -> None:
    with pytest.raises(client.exceptions.ImageNotFoundException, match="does not exist within"):
        client.start_image_scan(repositoryName="team/api", imageId={"imageTag": "none"})
    with pytest.raises(client.exceptions.LimitExceededException, match="quota per image"):
        client.start_image_scan(repositoryName="team/api", imageId={"imageTag": "fresh"})


def test_throttling_is_a_plain_client_error(client: Any) -> None:
    def ask() -> None:
        client.describe_image_scan_findings(
            repositoryName="team/api", imageId={"imageTag": "scanned"}
        )

    ask()
    with pytest.raises(ClientError) as raised:
        ask()
    assert type(raised.value) is ClientError
    assert raised.value.response["Error"] == {
        "Code": "ThrottlingException",
        "Message": "Rate exceeded",
    }
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_sdk_retries_a_server_fault(
    registry: SimulatedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = attached_client(registry, attempts=2)
    assert client.describe_images(repositoryName="team/broken")["imageDetails"] == []
    assert registry.calls["DescribeImages"] == 2


def test_botocore_refuses_what_no_request_may_hold(
    client: Any, registry: SimulatedRegistry
) -> None:
    with pytest.raises(ParamValidationError):
        client.describe_repositories(maxResults=0)
    assert not registry.calls


def test_operations_that_are_not_simulated_say_so(client: Any) -> None:
    with pytest.raises(ClientError, match="does not support CreateRepository"):
        client.create_repository(repositoryName="team/new")


def test_every_call_waits_for_the_latency_of_the_registry(registry: SimulatedRegistry) -> None:
    waits: list[float] = []
    client = boto3.client(
        "ecr", region_name="eu-central-1", aws_access_key_id="any", aws_secret_access_key="any"
    )
    attach(client, registry, sleep=waits.append)
    client.describe_repositories()
    client.describe_repositories()
    assert waits == [0.02, 0.02]


@pytest.fixture
def moto_account() -> Iterator[None]:
    with mock_aws():
        boto3.client("ecr", region_name="eu-central-1").create_repository(repositoryName="motos")
        yield


def test_the_registry_answers_while_moto_answers_for_other_clients(
    moto_account: None, registry: SimulatedRegistry
) -> None:
    simulated = attached_client(registry).describe_repositories()["repositories"]
    others = boto3.client("ecr", region_name="eu-central-1").describe_repositories()
    assert [repository["repositoryName"] for repository in simulated] == ["team/api", "team/broken"]
    assert [repository["repositoryName"] for repository in others["repositories"]] == ["motos"]


def test_the_registry_answers_when_moto_starts_after_it(registry: SimulatedRegistry) -> None:
    client = attached_client(registry)
    with mock_aws():
        names = [
            found["repositoryName"] for found in client.describe_repositories()["repositories"]
        ]
    assert names == ["team/api", "team/broken"]
