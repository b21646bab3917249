"""The adapter to ECR where the answer is odd: errors, HTTP, members that are absent."""

import importlib.resources
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from local.registry.botocore_face import _Body
from registry import errors
from registry.ecr import CLIENT_CONFIG, EcrRegistry, RepositoryPage
from registry.images import Image
from tests.support.builders import any_digest
from tests.support.cases import case
from tests.support.clock import NOW
from tests.support.template import REGION

DIGEST = any_digest()
OPERATIONS: dict[str, Callable[[EcrRegistry], object]] = {
    "GetRegistryScanningConfiguration": EcrRegistry.scan_type,
    "DescribeRepositories": EcrRegistry.repositories,
    "DescribeImages": lambda registry: registry.images("team/api"),
    "DescribeImageScanFindings": lambda registry: (
        registry.last_scan("team/api", DIGEST),
        registry.findings("team/api", DIGEST),
    ),
    "StartImageScan": lambda registry: registry.start_scan("team/api", DIGEST),
}


def answered(
    status: int,
    body: object,
    headers: dict[str, str] | None = None,
    *,
    session: botocore.session.Session | None = None,
) -> tuple[EcrRegistry, list[dict[str, Any]]]:
    """Make a registry that answers every call alike, and the list of its requests."""
    client: Any = boto3.Session(botocore_session=session).client(
        "ecr",
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=CLIENT_CONFIG,
    )
    text = body if isinstance(body, str) else json.dumps(body)
    requests: list[dict[str, Any]] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        requests.append(json.loads(request.body))  # type: ignore[arg-type]
        headed = HTTPHeaders.from_dict(headers or {})
        return AWSResponse(request.url, status, headed, _Body(text.encode()))

    client.meta.events.register_first("before-send.ecr", answer)
    return EcrRegistry(client), requests


def refused(operation: str, status: int, body: object, headers: dict[str, str]) -> BaseException:
    registry, _ = answered(status, body, headers)
    with pytest.raises(Exception, match=f"^{operation} of ") as raised:
        OPERATIONS[operation](registry)
    return raised.value


# Errors


def codes_of_botocore() -> Iterator[tuple[str, type[Exception]]]:
    retries = json.loads(
        importlib.resources.files("botocore").joinpath("data/_retry.json").read_text()
    )
    listed = {
        response["service_error_code"]
        for definition in retries["definitions"].values()
        if "service_error_code" in (response := definition["applies_when"].get("response", {}))
    }
    throttling = listed.union(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
    throttling.remove("LimitExceededException")  # here: a scan a day for each image
    yield from ((code, errors.EcrThrottled) for code in sorted(throttling))
    for code in sorted(set(TransientRetryableChecker._TRANSIENT_ERROR_CODES) - throttling):
        yield code, errors.EcrUnavailable


@pytest.mark.parametrize(("code", "name"), list(codes_of_botocore()))
def test_knows_every_code_that_botocore_would_retry(code: str, name: type[Exception]) -> None:
    error = refused("StartImageScan", 400, {"__type": code, "message": "any"}, {})
    assert type(error) is name


@pytest.mark.parametrize(
    "shown", case("12-ecr-errors.json"), ids=lambda shown: f"{shown['code']} {shown['status']}"
)
def test_case_12_errors_of_ecr(shown: dict[str, Any]) -> None:
    body = {"__type": shown["code"], "message": shown["message"]}
    error = refused(shown["operation"], shown["status"], body, {})
    expected = (
        shown["expected"].partition(",")[0].replace("its own name in the record", shown["code"])
    )
    assert type(error).__name__ == expected
    assert str(error).endswith(f": {shown['message']}")


def test_case_13_an_unknown_error_is_known_by_ecrs_code_and_words() -> None:
    images = case("13-image-error-words-lost.yaml")["repositories"][0]["images"]
    for fault in (image["faults"][0] for image in images[:2]):
        body = {"__type": fault["error"], "message": fault["message"]}
        error = refused("StartImageScan", 400, body, {})
        assert isinstance(error, errors.EcrError)
        assert (error.code, error.message) == (fault["error"], fault["message"])
        assert type(error).__name__ == fault["error"]


@pytest.mark.parametrize(
    "shown", case("23-http-level-answers.json"), ids=lambda shown: shown["what"]
)
def test_case_23_answers_of_http(shown: dict[str, Any]) -> None:
    error = refused("DescribeImages", shown["status"], shown["body"], shown["headers"])
    assert type(error).__name__ == shown["expected"]
    if shown["status"] == 403:
        assert str(error) == f"DescribeImages of team/api: {shown['body']}"


def test_an_answer_without_a_code_of_ecr_has_its_status() -> None:
    error = refused("DescribeImages", 413, "Too large", {})
    assert isinstance(error, errors.EcrError)
    assert (error.code, error.message) == ("ClientError", "HTTP status 413: Too large")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_answer_that_is_cut_off_is_none(operation: str) -> None:
    error = refused(operation, 200, '{"images": [{"imageDig', {})
    assert type(error) is errors.EcrUnavailable
    assert "the answer is not JSON" in str(error)


# What the SDK knows


def test_asks_for_archived_images_only_where_the_sdk_can() -> None:
    registry, requests = answered(200, {})
    registry.images("team/api")
    shape = boto3.client("ecr", region_name=REGION).meta.service_model.shape_for(
        "DescribeImagesFilter"
    )
    known = "imageStatus" in getattr(shape, "members", {})
    assert requests[0].get("filter") == ({"imageStatus": "ANY"} if known else None)


def test_asks_nothing_that_an_older_sdk_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def older(*arguments: Any, **options: Any) -> Any:
        model = deepcopy(load(*arguments, **options))
        if filtered := model.get("shapes", {}).get("DescribeImagesFilter"):
            filtered["members"].pop("imageStatus", None)
        return model

    monkeypatch.setattr(loader, "load_service_model", older)
    registry, requests = answered(200, {}, session=session)
    registry.images("team/api", "page-2")
    (request,) = requests
    assert request == {"repositoryName": "team/api", "maxResults": 1_000, "nextToken": "page-2"}


# Tokens of pages


def test_case_11_a_page_token_that_ecr_no_longer_accepts() -> None:
    refusal = {"__type": "InvalidParameterException", "message": "Invalid parameter at 'nextToken'"}
    registry, requests = answered(400, refusal)
    with pytest.raises(
        errors.PageTokenRefused, match="DescribeImages of data/builds: Invalid para"
    ):
        registry.images("data/builds", "page-2")
    with pytest.raises(errors.EcrError) as raised:
        registry.images("data/builds")
    assert raised.value.code == "InvalidParameterException"
    assert [request.get("nextToken") for request in requests] == ["page-2", None]


def test_another_error_of_a_later_page_says_nothing_about_its_token() -> None:
    registry, _ = answered(400, {"__type": "KmsException", "message": "any"})
    with pytest.raises(errors.EcrError) as raised:
        registry.images("data/builds", "page-2")
    assert raised.value.code == "KmsException"


# Members that are absent


def example(shape: Shape) -> Any:
    """Make an answer that has every member of the service model."""
    match shape:
        case StructureShape(type_name="structure"):
            return {name: example(member) for name, member in shape.members.items()}
        case ListShape(type_name="list"):
            return [example(shape.member)]
        case MapShape(type_name="map"):
            return {"HIGH": example(shape.value)}
    values: dict[str, Any] = {
        "timestamp": NOW.timestamp(),
        "string": shape.metadata.get("enum", ["any"])[0],
        "boolean": True,
    }
    return values.get(shape.type_name, 1)


def optional_members(
    shape: Shape, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """List the paths of members that an answer may lack."""
    match shape:
        case StructureShape(type_name="structure"):
            for name, member in shape.members.items():
                if name not in shape.required_members:
                    yield (*path, name)
                yield from optional_members(member, (*path, name))
        case ListShape(type_name="list"):
            yield from optional_members(shape.member, (*path, 0))


def absences() -> Iterator[Any]:
    model = boto3.client("ecr", region_name=REGION).meta.service_model
    for operation in OPERATIONS:
        output: Any = model.operation_model(operation).output_shape
        for path in optional_members(output):
            yield pytest.param(
                operation, output, path, id=f"{operation}-{'.'.join(map(str, path))}"
            )


@pytest.mark.parametrize(("operation", "output", "path"), list(absences()))
def test_no_member_that_ecr_leaves_out_is_missed(
    operation: str, output: Shape, path: tuple[Any, ...]
) -> None:
    answer = example(output)
    answer.pop("nextToken", None)
    if path != ("nextToken",):
        *within, name = path
        inside = answer
        for step in within:
            inside = inside[step]
        del inside[name]
    registry, _ = answered(200, answer)
    OPERATIONS[operation](registry)


def test_an_empty_answer_is_an_empty_page() -> None:
    registry, _ = answered(200, {})
    assert registry.images("team/api").images == ()
    assert registry.repositories() == RepositoryPage((), None)
    assert registry.scan_type() == "BASIC"
    assert registry.last_scan("team/api", DIGEST) is None


def test_case_05_an_image_that_was_pushed_at_a_time_unknown() -> None:
    answer = deepcopy(case("05-image-without-pushed-at.json")["answer"])
    odd, complete = answer["imageDetails"]
    complete["imagePushedAt"] = pushed_at = datetime.fromisoformat(complete["imagePushedAt"])
    complete["imagePushedAt"] = pushed_at.timestamp()
    registry, _ = answered(200, answer)
    images = registry.images("team/api").images
    assert [image.pushed_at for image in images] == [None, pushed_at]
    assert images[1] == Image(complete["imageDigest"], pushed_at, ("v2",))
    assert images[0].digest == odd["imageDigest"]


def test_an_image_without_a_digest_is_left_out_alone() -> None:
    registry, _ = answered(200, {"imageDetails": [{"imageTags": ["v1"]}, {"imageDigest": DIGEST}]})
    assert registry.images("team/api").images == (Image(DIGEST),)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"imageScanFindings": {"imageScanCompletedAt": NOW.timestamp()}}, "COMPLETE"),
        ({"imageScanStatus": {"status": "PENDING"}}, "PENDING"),
    ],
)
def test_a_scan_is_known_by_its_status_or_its_time(answer: dict[str, Any], status: str) -> None:
    registry, _ = answered(200, answer)
    scan = registry.last_scan("team/api", DIGEST)
    assert scan
    assert scan.status == status
