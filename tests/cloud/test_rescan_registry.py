"""RescanRegistry, built and deployed: what only its package, its policies and its log can show."""

import functools
import io
import json
import re
import urllib.request
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud.account import ACCOUNT, REGION
from local.cloud.engine import Engine
from local.registry.registry_contents import digest_of
from tests.support.stack import Run, Stack, eventually
from tests.support.template import resources

FRESH = {"tags": "fresh", "scanned": "1d"}
OLD = {"tags": "old", "scanned": "8d"}
FUNCTIONS = (
    "ListRepositoriesFunction",
    "FindStaleImagesFunction",
    "StartImageScanFunction",
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


def started(engine: Engine) -> dict[str, list[int]]:
    """Tell, by repository, how often the scan of each image in it was started, if it was."""
    scans = engine.registry_counters()["started"]
    return {name: list(digests.values()) for name, digests in scans.items()}


def await_scans(engine: Engine) -> None:
    eventually(engine.registry_counters, until=lambda counters: not counters["scans_under_way"])


@dataclass
class Mailbox:
    """A queue that gets the events of ECR and of ecr-rescan."""

    engine: Engine
    url: str

    def events_of(self, *names: str, until: Callable[[list[Any]], bool]) -> list[Any]:
        """Collect events about runs or repositories of these names, until all are there."""
        queue, events = self.engine.client("sqs"), list[Any]()

        def receive() -> list[Any]:
            answer = queue.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                event = json.loads(message["Body"])
                detail = event["detail"]
                if detail.get("run") in names or detail.get("repository-name") in names:
                    events.append(event)
            return events

        return eventually(receive, until)


@pytest.fixture(autouse=True)
def forgotten(stack: Stack) -> None:
    """Images have the same names from test to test."""
    stack.forget_images()


@pytest.fixture
def mailbox(engine: Engine) -> Iterator[Mailbox]:
    name = f"mailbox-{uuid.uuid4().hex[:8]}"
    sqs, events = engine.client("sqs"), engine.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    pattern = json.dumps({"source": ["ecr-rescan", "aws.ecr"]})
    events.put_rule(Name=name, EventPattern=pattern)
    target = {"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"}
    events.put_targets(Rule=name, Targets=[target])
    yield Mailbox(engine, url)
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=url)


def test_starts_what_is_due_once_and_leaves_records_summary_and_events(
    engine: Engine, stack: Stack, mailbox: Mailbox
) -> None:
    names = ("prod/api", "prod/web", "prod/empty")
    put_registry(
        engine,
        repository("prod/api", FRESH, OLD, {"tags": "new"}),
        repository("prod/web"),
        {"name": "prod/empty", "images": []},
        scan_duration="1s",
    )

    run = stack.run({})

    summary = summary_of(run)
    assert summary["images"] == {"FRESH": 2, "STARTED": 3}
    assert started(engine) == {"prod/api": [1, 1], "prod/web": [1]}
    records = stack.records(run.name)
    assert {name: record.status for name, record in records.items()} == dict.fromkeys(
        names, "FINISHED"
    )
    assert records["prod/api"].images["STARTED"] == {"accepted": 2}
    document = stack.document(f"runs/{run.name}/summary.json")
    assert (document["status"], document["repositories"]) == ("FINISHED", 3)

    events = mailbox.events_of(run.name, *names, until=lambda events: len(events) == 4)
    kinds = Counter((event["source"], event["detail-type"]) for event in events)
    assert kinds == {("ecr-rescan", "Rescan Finished"): 1, ("aws.ecr", "ECR Image Scan"): 3}
    (finished,) = (event for event in events if event["source"] == "ecr-rescan")
    assert finished["resources"] == [run.arn]
    assert finished["detail"]["images"] == {"FRESH": 2, "STARTED": 3}


def test_starts_nothing_again_once_its_scans_have_ended(engine: Engine, stack: Stack) -> None:
    put_registry(engine, repository("team/api"), repository("team/web"), scan_duration="1s")
    first = stack.run()
    assert summary_of(first)["images"] == {"FRESH": 2, "STARTED": 2}
    await_scans(engine)
    calls = engine.registry_counters()["calls"]
    assert (calls["DescribeImageScanFindings"], calls["StartImageScan"]) == (4, 2)

    assert summary_of(stack.run())["images"] == {"FRESH": 4}

    # The ledger knew all of them.
    calls = engine.registry_counters()["calls"]
    assert (calls["DescribeImageScanFindings"], calls["StartImageScan"]) == (4, 2)
    for name in ("team/api", "team/web"):
        fresh, old = (digest_of(name, tag) for tag in ("fresh", "old"))
        known = {record.image_digest: record for record in stack.image_records(name, [fresh, old])}
        assert (known[old].started_by, known[fresh].started_by) == (first.name, None)
        assert {record.last_scan.status for record in known.values()} == {"COMPLETE"}


def test_retries_what_ecr_throttles_until_every_scan_is_started_once(
    engine: Engine, stack: Stack
) -> None:
    throttled = {"operation": "StartImageScan", "error": "ThrottlingException", "times": 3}
    images = {"tags": "v{n}", "count": 3, "scanned": "8d"}
    put_registry(
        engine, repository("team/api", images), repository("team/web", images), faults=[throttled]
    )

    assert summary_of(stack.run())["images"] == {"STARTED": 6}

    assert started(engine) == {"team/api": [1, 1, 1], "team/web": [1, 1, 1]}
    counters = engine.registry_counters()
    assert counters["throttled"] == {"StartImageScan": 3}
    assert counters["calls"]["StartImageScan"] == 6 + 3


def test_records_a_repository_that_fails_and_reruns_only_that(engine: Engine, stack: Stack) -> None:
    denied = {"operation": "DescribeImages", "error": "AccessDeniedException", "times": 1}
    put_registry(
        engine,
        repository("team/api"),
        repository("team/app"),
        repository("team/web", faults=[denied]),
    )

    failed = stack.run()

    assert (failed.status, failed.error) == ("FAILED", "RescanIncomplete")
    records = stack.records(failed.name)
    assert {name for name, record in records.items() if record.is_done} == {"team/api", "team/app"}
    assert records["team/web"].error == "AccessDenied"
    assert "DescribeImages of team/web" in records["team/web"].problem()
    assert failed.cause is not None
    assert failed.cause.startswith("1 of 3 repositories did not finish: team/web (AccessDenied: ")
    asked = json.loads(failed.cause[failed.cause.index('{"rerun_of"') :])

    rerun = stack.run(asked)

    assert summary_of(rerun)["repositories"] == 1
    assert stack.document(f"runs/{rerun.name}/repositories.json") == ["team/web"]
    assert started(engine) == {"team/api": [1], "team/app": [1], "team/web": [1]}


def test_reruns_what_a_run_stopped_half_way_did_not_reach(engine: Engine, stack: Stack) -> None:
    throttled = {"error": "ThrottlingException"}
    stuck = {**OLD, "tags": "stuck", "faults": [{**throttled, "operation": "StartImageScan"}]}
    put_registry(
        engine,
        repository("stop/done", FRESH),
        repository("stop/half", OLD, stuck),
        repository("stop/slow", OLD, faults=[{**throttled, "operation": "DescribeImages"}]),
        scan_duration="1s",
    )
    arn = stack.start()
    name = arn.rpartition(":")[2]

    def reached() -> tuple[set[str], set[str], set[str]]:
        counters = engine.registry_counters()
        return {*stack.records(name)}, {*counters["started"]}, {*counters["throttled"]}

    half_way = ({"stop/done"}, {"stop/half"}, {"DescribeImages", "StartImageScan"})
    eventually(reached, until=lambda seen: seen == half_way)

    stopped = stack.stop(arn)

    assert stopped.status == "ABORTED"
    assert stack.records(name).keys() == {"stop/done"}
    engine.clear_faults()
    await_scans(engine)
    rerun = stack.run({"rerun_of": name})
    assert summary_of(rerun)["images"] == {"FRESH": 1, "STARTED": 2}
    assert stack.document(f"runs/{rerun.name}/repositories.json") == ["stop/half", "stop/slow"]
    assert started(engine) == {"stop/half": [1, 1], "stop/slow": [1]}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"repos": ["team/api"]}, "Unknown key 'repos' in the execution input"),
        ({"repository_filter": "("}, "repository_filter must be a regular expression"),
        ({"rescan_after": "weekly"}, "rescan_after must be a duration such as 7d"),
        ({"rescan_after": "12h"}, "rescan_after must be at least 24h"),
        ({"repositories": ["team/nope"]}, "repositories must name repositories of this registry"),
        (
            {"rerun_of": "never"},
            "rerun_of: no repository list found for run 'never'",
        ),
        ([], "The execution input must be a JSON object"),
    ],
)
def test_refuses_bad_input_and_says_what_is_accepted(
    asked: object, said: str, engine: Engine, stack: Stack
) -> None:
    put_registry(engine, repository("team/api"))

    run = stack.run(asked)

    assert (run.status, run.error) == ("FAILED", "InvalidRescanRequest")
    assert run.cause is not None
    assert said in json.loads(run.cause)["errorMessage"]
    assert run.states == ("ListRepositories",)


def test_says_that_an_empty_registry_has_nothing_to_rescan(engine: Engine, stack: Stack) -> None:
    put_registry(engine)

    run = stack.run()

    assert run.states[-1] == "NothingToRescan"
    assert summary_of(run)["notice"] == "0 of 0 repositories in the registry"


def test_starts_nothing_in_an_enhanced_registry(engine: Engine, stack: Stack) -> None:
    put_registry(engine, repository("team/api"), scanning="ENHANCED")

    run = stack.run()

    assert run.states[-1] == "EnhancedScanningActive"
    assert "Amazon Inspector rescans its images" in summary_of(run)["notice"]
    assert engine.registry_counters()["calls"] == {"GetRegistryScanningConfiguration": 1}


def test_decides_everything_and_starts_nothing_in_a_dry_run(engine: Engine, stack: Stack) -> None:
    put_registry(engine, repository("team/api"), repository("team/web"))

    summary = summary_of(stack.run({"dry_run": True}))

    assert (summary["dry_run"], summary["images"]) == (True, {"DUE": 2, "FRESH": 2})
    assert "StartImageScan" not in engine.registry_counters()["calls"]


def test_logs_one_info_line_an_invocation_and_no_secret(engine: Engine, stack: Stack) -> None:
    put_registry(engine, repository("log/api"), repository("log/web"), repository("log/app"))
    run = stack.run()
    summary_of(run)
    invocations = dict(zip(FUNCTIONS, (1, 3, 3, 3, 1), strict=True))

    def info_lines() -> list[dict[str, Any]]:
        lines = map(json.loads, stack.log_lines())  # every line is JSON
        return [
            line for line in lines if (line.get("run"), line.get("level")) == (run.name, "INFO")
        ]

    lines = eventually(info_lines, until=lambda lines: len(lines) >= sum(invocations.values()))

    logged = Counter(
        next(name for name in FUNCTIONS if f"-{name}-" in line["function_name"]) for line in lines
    )
    assert logged == invocations
    assert set(Counter(line["function_request_id"] for line in lines).values()) == {1}
    text = "\n".join(stack.log_lines())
    assert '"level":"DEBUG"' in text
    assert not re.search(
        r"AWS4-HMAC|Signature|Security-Token|Authorization|\b[AL][SK]IA\w{12}", text
    )


def test_counts_a_run_without_naming_repository_or_image(engine: Engine, stack: Stack) -> None:
    images = [{"tags": "secret-tag", "scanned": "8d"}, {"tags": "secret-tag-2", "scanned": "1d"}]
    put_registry(engine, repository("secret/api", *images), repository("secret/web", *images))
    summary_of(stack.run())

    def metrics() -> list[dict[str, Any]]:
        """Read the lines in which CloudWatch looks for metrics, and which are this run's."""
        lines = map(json.loads, stack.log_lines())
        counts = {"images_started": [2.0], "images_fresh": [2.0], "repositories": [2.0]}
        return [line for line in lines if "_aws" in line and counts.items() <= line.items()]

    for line in eventually(metrics, until=bool):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "EcrRescan"
        assert directive["Dimensions"] == [["service"]]
        assert line["service"] == stack.name
        assert not re.search("secret|sha256", json.dumps(line))


def everything_attempted(stack: Stack) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Name calls by the permission that they take; none of them does harm where it is allowed."""
    image = {"repositoryName": "team/api", "imageId": {"imageTag": "old"}}
    bucket, table = stack.outputs["RunBucketName"], stack.outputs["LedgerTableName"]
    item = {"pk": {"S": "run#attempt"}}  # refused by DynamoDB itself: it has no sort key
    functions = stack.physical_names("AWS::Lambda::Function")
    attempts: dict[str, tuple[str, str, dict[str, Any]]] = {
        "read the scan type": ("ecr", "get_registry_scanning_configuration", {}),
        "list repositories": ("ecr", "describe_repositories", {}),
        "list images": ("ecr", "describe_images", {"repositoryName": "team/api"}),
        "read findings": ("ecr", "describe_image_scan_findings", image),
        "start a scan": ("ecr", "start_image_scan", {**image, "repositoryName": "team/none"}),
        "delete a repository": ("ecr", "delete_repository", {"repositoryName": "team/api"}),
        "delete an image": (
            "ecr",
            "batch_delete_image",
            {"repositoryName": "team/api", "imageIds": [{"imageTag": "old"}]},
        ),
        "put a record": ("dynamodb", "put_item", {"TableName": table, "Item": item}),
        "update a record": ("dynamodb", "update_item", {"TableName": table, "Key": item}),
        "delete a record": ("dynamodb", "delete_item", {"TableName": table, "Key": item}),
        "query records": (
            "dynamodb",
            "query",
            {
                "TableName": table,
                "KeyConditionExpression": "pk = :run",
                "ExpressionAttributeValues": {":run": item["pk"]},
            },
        ),
        "scan the table": ("dynamodb", "scan", {"TableName": table}),
        "list the bucket": ("s3", "list_objects_v2", {"Bucket": bucket}),
        "delete a list": (
            "s3",
            "delete_object",
            {"Bucket": bucket, "Key": "runs/attempt/repositories.json"},
        ),
        "read the queue": (
            "sqs",
            "receive_message",
            {"QueueUrl": stack.outputs["UnstartedRunsQueueUrl"]},
        ),
        "delete the log": ("logs", "delete_log_group", {"logGroupName": "/aws/lambda/none"}),
    }
    for name, key in {
        "list": "runs/attempt/repositories.json",
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
            *("read the scan type", "list repositories", "query records"),
            *("write a list", "read a list", "list the bucket"),
        },
        "FindStaleImagesFunctionRole": {
            *("list images", "read findings", "query records", "update a record"),
            "put an event of ecr-rescan",
        },
        "StartImageScanFunctionRole": {"start a scan", "update a record"},
        "RecordRepositoryFunctionRole": {"put a record"},
        "SummarizeRescanFunctionRole": {
            *("read a list", "query records", "write a summary", "put an event of ecr-rescan"),
        },
        "RescanRegistryStateMachineRole": {
            *("read a list", "write a result", "read a result", "update a record"),
            *(f"invoke {name}" for name in FUNCTIONS),
        },
        "RescanRegistryStateMachineScheduleRole": set[str](),
    }.items(),
)
def test_refuses_a_role_all_that_it_does_not_need(
    role: str, allowed: set[str], engine: Engine, stack: Stack
) -> None:
    put_registry(engine, repository("team/api"))
    session: Any = stack.session_of(role)

    client = functools.cache(lambda service: session.client(service, endpoint_url=engine.url))

    granted = set()
    for name, (service, operation, parameters) in everything_attempted(stack).items():
        try:
            getattr(client(service), operation)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                continue
        granted.add(name)

    assert granted == allowed
    assert started(engine) == {}


def test_deploys_one_small_package_without_what_lambda_brings(engine: Engine, stack: Stack) -> None:
    functions = stack.physical_names("AWS::Lambda::Function")
    assert functions.keys() == resources("AWS::Serverless::Function").keys()
    deployed = [
        stack.client("lambda").get_function(FunctionName=name) for name in functions.values()
    ]

    assert len({function["Configuration"]["CodeSha256"] for function in deployed}) == 1
    assert deployed[0]["Configuration"]["CodeSize"] < 2_000_000
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
    queue = stack.outputs["UnstartedRunsQueueUrl"].rpartition("/")[2]
    assert target["DeadLetterConfig"]["Arn"].rpartition(":")[2] == queue
    role = stack.physical_names("AWS::IAM::Role")["RescanRegistryStateMachineScheduleRole"]
    assert target["RoleArn"].endswith(f"role/{role}")
