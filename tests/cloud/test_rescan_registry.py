"""RescanRegistry, built and deployed: what only its package, its policies and its log can show."""

import functools
import io
import json
import re
import time
import urllib.request
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud.engine import Engine
from local.registry.registry_contents import digest_of
from tests.support.mailbox import Mailbox
from tests.support.stack import Run, Stack, eventually
from tests.support.template import resources

FRESH = {"tags": "fresh", "scanned": "1d"}
OLD = {"tags": "old", "scanned": "8d"}
FUNCTIONS = (
    "ListRepositoriesFunction",
    "FindStaleImagesFunction",
    "StartImageScansFunction",
    "RecordRepositoryFunction",
    "SummarizeRescanFunction",
)


def repository(name: str, *images: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "images": list(images or (FRESH, OLD)), **more}


def put_registry(engine: Engine, *repositories: dict[str, Any], **settings: Any) -> None:
    engine.put_registry(json.dumps({"repositories": repositories, **settings}))


def summary_of(run: Run) -> dict[str, Any]:
    assert run.status == "SUCCEEDED", run.cause
    summary: dict[str, Any] = run.output
    return summary


def started(engine: Engine, *names: str) -> dict[str, list[int]]:
    """Count, by repository, how often the scan of each image was started, if it was."""
    scans = engine.registry_counters()["started"]
    return {name: list(scans[name].values()) for name in names if name in scans}


def calls(engine: Engine, *names: str) -> dict[str, int]:
    """Count, by operation, the calls that named one of these repositories, or none at all ("")."""
    counted = engine.registry_counters()["calls_by_repository"]
    sums = {
        operation: sum(by_name.get(name, 0) for name in names)
        for operation, by_name in counted.items()
    }
    return {operation: number for operation, number in sums.items() if number}


def await_scans(engine: Engine) -> None:
    eventually(
        engine.registry_counters,
        until=lambda counters: not counters["scans_under_way"],
        what="the ends of all scans of the registry that this test put there",
    )


@pytest.fixture
def own() -> Callable[[str], str]:
    """Name repositories that no other test has, because all tests share one ledger and one log."""
    prefix = f"t-{uuid.uuid4().hex[:8]}"
    return lambda name: f"{prefix}/{name}"


@pytest.fixture
def mailbox(engine: Engine) -> Iterator[Mailbox]:
    with Mailbox(engine) as mailbox:
        yield mailbox.watch("ecr-rescan", "aws.ecr")


def test_starts_what_is_due_once_and_leaves_records_summary_and_events(
    engine: Engine, stack: Stack, mailbox: Mailbox, own: Callable[[str], str]
) -> None:
    api, web, empty = names = own("api"), own("web"), own("empty")
    put_registry(
        engine,
        repository(api, FRESH, OLD, {"tags": "new"}),
        repository(web),
        {"name": empty, "images": []},
        scan_duration="1s",
    )

    run = stack.run({})

    summary = summary_of(run)
    assert summary["images"] == {"FRESH": 2, "STARTED": 3}
    assert started(engine, *names) == {api: [1, 1], web: [1]}
    records = stack.records(run.name)
    assert {name: record.status for name, record in records.items()} == dict.fromkeys(
        names, "FINISHED"
    )
    assert records[api].images["STARTED"] == {"accepted": 2}
    document = stack.document(f"runs/{run.name}/summary.json")
    assert (document["status"], document["repositories"]) == ("FINISHED", 3)

    events = mailbox.events_of(run.name, *names, until=lambda events: len(events) == 4)
    kinds = Counter((event["source"], event["detail-type"]) for event in events)
    assert kinds == {("ecr-rescan", "Rescan Finished"): 1, ("aws.ecr", "ECR Image Scan"): 3}
    (finished,) = (event for event in events if event["source"] == "ecr-rescan")
    assert finished["resources"] == [run.arn]
    assert finished["detail"]["images"] == {"FRESH": 2, "STARTED": 3}


def test_starts_nothing_again_once_its_scans_have_ended(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    names = own("api"), own("web")
    put_registry(engine, *map(repository, names), scan_duration="1s")
    first = stack.run()
    assert summary_of(first)["images"] == {"FRESH": 2, "STARTED": 2}
    await_scans(engine)
    called = {"DescribeImages": 2, "DescribeImageScanFindings": 4, "StartImageScan": 2}
    assert calls(engine, *names) == called

    assert summary_of(stack.run())["images"] == {"FRESH": 4}

    # The ledger knew all of them.
    assert calls(engine, *names) == {**called, "DescribeImages": 4}
    for name in names:
        fresh, old = (digest_of(name, tag) for tag in ("fresh", "old"))
        known = {record.image_digest: record for record in stack.image_records(name, [fresh, old])}
        assert (known[old].started_by, known[fresh].started_by) == (first.name, None)
        assert {record.last_scan.status for record in known.values()} == {"COMPLETE"}


def test_retries_what_ecr_throttles_until_every_scan_is_started_once(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    api, web = names = own("api"), own("web")
    throttled = {"operation": "StartImageScan", "error": "ThrottlingException", "times": 3}
    images = {"tags": "v{n}", "count": 3, "scanned": "8d"}
    put_registry(engine, repository(api, images), repository(web, images), faults=[throttled])

    assert summary_of(stack.run())["images"] == {"STARTED": 6}

    assert started(engine, *names) == {api: [1, 1, 1], web: [1, 1, 1]}
    assert calls(engine, *names)["StartImageScan"] == 6 + 3


def test_records_a_repository_that_fails_and_reruns_only_that(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    api, app, web = names = own("api"), own("app"), own("web")
    denied = {"operation": "DescribeImages", "error": "AccessDeniedException", "times": 1}
    put_registry(
        engine,
        repository(api),
        repository(app),
        repository(web, faults=[denied]),
    )

    failed = stack.run()

    assert (failed.status, failed.error) == ("FAILED", "RescanIncomplete")
    records = stack.records(failed.name)
    assert {name for name, record in records.items() if record.is_done} == {api, app}
    assert records[web].error == "AccessDenied"
    assert f"DescribeImages of {web}" in records[web].problem()
    assert failed.cause is not None
    assert failed.cause.startswith(f"1 of 3 repositories did not finish: {web} (AccessDenied: ")
    asked = json.loads(failed.cause[failed.cause.index('{"rerun_of"') :])

    rerun = stack.run(asked)

    assert summary_of(rerun)["repositories"] == 1
    assert stack.document(f"runs/{rerun.name}/repositories.json") == [web]
    assert started(engine, *names) == {api: [1], app: [1], web: [1]}


def test_reruns_what_a_run_stopped_half_way_did_not_reach(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    done, half, slow = names = own("done"), own("half"), own("slow")
    throttled = {"error": "ThrottlingException"}
    stuck = {**OLD, "tags": "stuck", "faults": [{**throttled, "operation": "StartImageScan"}]}
    put_registry(
        engine,
        repository(done, FRESH),
        repository(half, OLD, stuck),
        repository(slow, OLD, faults=[{**throttled, "operation": "DescribeImages"}]),
        scan_duration="1s",
    )
    arn = stack.start()
    name = arn.rpartition(":")[2]

    def reached() -> tuple[set[str], set[str], set[str]]:
        counters = engine.registry_counters()
        return {*stack.records(name)}, {*counters["started"]}, {*counters["throttled"]}

    half_way = ({done}, {half}, {"DescribeImages", "StartImageScan"})
    eventually(
        reached,
        until=lambda seen: seen == half_way,
        what=f"{done} done, {half} started, and two operations throttled",
    )

    stopped = stack.stop(arn)

    assert stopped.status == "ABORTED"
    assert stack.records(name).keys() == {done}
    engine.clear_faults()
    await_scans(engine)
    rerun = stack.run({"rerun_of": name})
    assert summary_of(rerun)["images"] == {"FRESH": 1, "STARTED": 2}
    assert stack.document(f"runs/{rerun.name}/repositories.json") == [half, slow]
    assert started(engine, *names) == {half: [1, 1], slow: [1]}


def test_refuses_bad_input_and_says_what_is_accepted(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    put_registry(engine, repository(own("api")))

    run = stack.run({"repos": [own("api")]})

    assert (run.status, run.error) == ("FAILED", "InvalidRescanRequest")
    assert run.cause is not None
    said = json.loads(run.cause)["errorMessage"]
    assert "Unknown key 'repos' in the execution input" in said
    assert run.states == ("ListRepositories",)


def test_logs_one_info_line_per_invocation_and_no_secret(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    put_registry(engine, *(repository(own(name)) for name in ("api", "web", "app")))
    run = stack.run()
    summary_of(run)
    invocations = dict(zip(FUNCTIONS, (1, 3, 3, 3, 1), strict=True))

    def lines_of(*parts: str) -> list[dict[str, Any]]:
        """Read the lines that hold one of these texts; every one of them is JSON."""
        lines = stack.log_lines()
        return [json.loads(line) for line in lines if any(part in line for part in parts)]

    def info_lines() -> list[dict[str, Any]]:
        return [
            line
            for line in lines_of(run.name)
            if (line.get("run"), line.get("level")) == (run.name, "INFO")
        ]

    lines = eventually(
        info_lines,
        until=lambda lines: len(lines) >= sum(invocations.values()),
        what=f"an INFO line of each invocation of {run.name}",
    )

    logged = Counter(
        next(name for name in FUNCTIONS if f"-{name}-" in line["function_name"]) for line in lines
    )
    assert logged == invocations
    requests = Counter(line["function_request_id"] for line in lines)
    assert set(requests.values()) == {1}
    assert "DEBUG" in {line.get("level") for line in lines_of(*requests)}
    # A secret must be in no line of any test.
    assert not re.search(
        r"AWS4-HMAC|Signature|Security-Token|Authorization|\b[AL][SK]IA\w{12}",
        "\n".join(stack.log_lines()),
    )


def test_counts_a_run_without_naming_repository_or_image(
    engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    images = [{"tags": "secret-tag", "scanned": "8d"}, {"tags": "secret-tag-2", "scanned": "1d"}]
    put_registry(
        engine, repository(own("secret-api"), *images), repository(own("secret-web"), *images)
    )
    began_at = time.time() * 1000
    summary_of(stack.run())

    def metrics() -> list[dict[str, Any]]:
        """Read the lines in which CloudWatch looks for metrics, since this run was started."""
        lines = [json.loads(line) for line in stack.log_lines() if '"_aws"' in line]
        return [line for line in lines if line["_aws"]["Timestamp"] >= began_at]

    lines = eventually(
        metrics,
        until=lambda lines: any("repositories" in line for line in lines),
        what="the metrics of the run in the log",
    )
    (of_run,) = (line for line in lines if "repositories" in line)
    counts = {
        "images_started": [2.0],
        "images_fresh": [2.0],
        "repositories": [2.0],
        "images_scannable": [4.0],
        "images_overdue": [0.0],
        "repositories_unknown": [0.0],
    }
    assert counts.items() <= of_run.items()
    assert 8 * 24 <= of_run["oldest_scan_age_hours"][0] < 8 * 24 + 1
    assert sum(line["ecr_calls"][0] for line in lines if line != of_run) >= 2  # scans started
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "EcrRescan"
        assert directive["Dimensions"] == [["service"]]
        assert line["service"] == stack.name
        assert not re.search("secret|sha256", json.dumps(line))


PARTITIONS = {
    "a record": "run#attempt",
    "the state of runs": "run-state",
    "an image": "repository#attempt",
    "a board": "pace#attempt",
    "a digest": "digest#DAILY",
}


def everything_attempted(
    stack: Stack, repository: str
) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Name calls by the permission that they take; none of them does harm where it is allowed."""
    image = {"repositoryName": repository, "imageId": {"imageTag": "old"}}
    bucket, table = stack.outputs["RunBucketName"], stack.outputs["LedgerTableName"]
    functions = stack.physical_names("AWS::Lambda::Function")
    attempts: dict[str, tuple[str, str, dict[str, Any]]] = {
        "read the scan type": ("ecr", "get_registry_scanning_configuration", {}),
        "list repositories": ("ecr", "describe_repositories", {}),
        "list images": ("ecr", "describe_images", {"repositoryName": repository}),
        "read findings": ("ecr", "describe_image_scan_findings", image),
        "start a scan": (
            "ecr",
            "start_image_scan",
            {**image, "repositoryName": f"{repository}-none"},
        ),
        "delete a repository": ("ecr", "delete_repository", {"repositoryName": repository}),
        "delete an image": (
            "ecr",
            "batch_delete_image",
            {"repositoryName": repository, "imageIds": [{"imageTag": "old"}]},
        ),
        "scan the table": ("dynamodb", "scan", {"TableName": table}),
        "list the bucket": ("s3", "list_objects_v2", {"Bucket": bucket}),
        "look for a list": (
            "s3",
            "list_objects_v2",
            {"Bucket": bucket, "Prefix": "runs/attempt/repositories.json"},
        ),
        "delete a list": (
            "s3",
            "delete_object",
            {"Bucket": bucket, "Key": "runs/attempt/repositories.json"},
        ),
        "read the queue": (
            "sqs",
            "receive_message",
            {"QueueUrl": stack.outputs["UndeliveredQueueUrl"]},
        ),
        "delete the log": ("logs", "delete_log_group", {"logGroupName": "/aws/lambda/none"}),
    }
    for name, partition in PARTITIONS.items():
        item = {"pk": {"S": partition}}  # refused by DynamoDB itself: it has no sort key
        batch = {table: {"Keys": [item]}}
        condition = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": item["pk"]},
        }
        attempts |= {
            f"get {name}": ("dynamodb", "get_item", {"TableName": table, "Key": item}),
            f"get several: {name}": ("dynamodb", "batch_get_item", {"RequestItems": batch}),
            f"put {name}": ("dynamodb", "put_item", {"TableName": table, "Item": item}),
            f"update {name}": ("dynamodb", "update_item", {"TableName": table, "Key": item}),
            f"delete {name}": ("dynamodb", "delete_item", {"TableName": table, "Key": item}),
            f"query {name}": ("dynamodb", "query", {"TableName": table, **condition}),
        }
    for name, key in {
        "list": "runs/attempt/repositories.json",
        "list of waiting images": "runs/attempt/waiting/any/step-0001.json",
        "file of image outcomes": "runs/attempt/images/any/step-0001.ndjson.gz",
        "summary": "runs/attempt/summary.json",
        "result": "runs/attempt/results/0.json",
        "other object": "attempt",
    }.items():
        attempts[f"write a {name}"] = ("s3", "put_object", {"Bucket": bucket, "Key": key})
        attempts[f"read a {name}"] = ("s3", "get_object", {"Bucket": bucket, "Key": key})
    for source in ("ecr-rescan", "aws.ecr", "somebody.else"):
        entry = {"Source": source, "DetailType": "Attempt", "Detail": "{}"}
        attempts[f"put an event of {source}"] = ("events", "put_events", {"Entries": [entry]})
    for name in FUNCTIONS:
        invocation = {"FunctionName": functions[name], "InvocationType": "DryRun"}
        attempts[f"invoke {name}"] = ("lambda", "invoke", invocation)
    return attempts


# The grants to start and follow executions are left to the contract tests: localemu 1.3.2 looks for
# them under `stepfunctions:` where AWS has `states:`.
@pytest.mark.parametrize(
    ("role", "allowed"),
    {
        "ListRepositoriesFunctionRole": {
            *("read the scan type", "list repositories", "query a record"),
            *("get the state of runs", "write a list", "read a list", "look for a list"),
        },
        "FindStaleImagesFunctionRole": {
            *("list images", "read findings", "query an image", "update an image"),
            *("get several: an image", "get a board", "update a board"),
            "put an event of ecr-rescan",
            *("write a list of waiting images", "read a list of waiting images"),
            "write a file of image outcomes",
        },
        "StartImageScansFunctionRole": {
            *("start a scan", "get several: an image", "update an image"),
            *("get a board", "update a board"),
            "write a file of image outcomes",
        },
        "RecordRepositoryFunctionRole": {"put a record"},
        "SummarizeRescanFunctionRole": {
            *("read a list", "query a record", "get the state of runs", "put the state of runs"),
            *("write a summary", "put an event of ecr-rescan"),
        },
        "RescanRegistryStateMachineRole": {
            *("read a list", "write a result", "read a result", "update a record"),
            *(f"invoke {name}" for name in FUNCTIONS),
        },
        "RescanRegistryStateMachineScheduleRole": set[str](),
    }.items(),
)
def test_refuses_a_role_all_that_it_does_not_need(
    role: str, allowed: set[str], engine: Engine, stack: Stack, own: Callable[[str], str]
) -> None:
    put_registry(engine, repository(own("api")))
    session: Any = stack.session_of(role)

    client = functools.cache(lambda service: session.client(service, endpoint_url=engine.url))

    granted = set()
    for name, (service, operation, parameters) in everything_attempted(stack, own("api")).items():
        try:
            getattr(client(service), operation)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                continue
        granted.add(name)

    assert granted == allowed
    assert started(engine, own("api")) == {}


def test_deploys_one_small_package_without_what_lambda_brings(engine: Engine, stack: Stack) -> None:
    functions = stack.physical_names("AWS::Lambda::Function")
    assert functions.keys() == resources("AWS::Serverless::Function").keys()
    deployed = [
        stack.client("lambda").get_function(FunctionName=name) for name in functions.values()
    ]

    assert len({function["Configuration"]["CodeSha256"] for function in deployed}) == 1
    # A third is libyaml, a quarter Powertools and PyYAML, and the rest ecr-rescan, compiled too.
    assert deployed[0]["Configuration"]["CodeSize"] < 2_250_000
    with urllib.request.urlopen(deployed[0]["Code"]["Location"]) as answer:
        package = zipfile.ZipFile(io.BytesIO(answer.read()))
    top = {name.partition("/")[0] for name in package.namelist()}
    ours = {"ledger", "notify_scan", "registry", "rescan_registry", "runtime"}
    assert top >= {"aws_lambda_powertools", *ours}
    assert not top & {"awslambdaric", "boto3", "botocore", "local", "s3transfer", "tests"}


def test_schedules_a_run_with_an_empty_input(engine: Engine, stack: Stack) -> None:
    scheduler = stack.client("scheduler")
    (listed,) = (
        schedule
        for schedule in scheduler.list_schedules()["Schedules"]
        if schedule["Target"]["Arn"] == stack.outputs["RescanRegistryArn"]
    )

    schedule = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])

    assert schedule["State"] == "ENABLED"
    assert schedule["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = schedule["Target"]
    assert target["Input"] == "{}"
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 3600,
        "MaximumRetryAttempts": 10,
    }
    queue = stack.outputs["UndeliveredQueueUrl"].rpartition("/")[2]
    assert target["DeadLetterConfig"]["Arn"].rpartition(":")[2] == queue
    role = stack.physical_names("AWS::IAM::Role")["RescanRegistryStateMachineScheduleRole"]
    assert target["RoleArn"].endswith(f"role/{role}")
