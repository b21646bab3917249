"""The local cloud behaves as AWS does, seen from a function that is deployed to it."""

import base64
import io
import json
import socket
import subprocess
import sys
import textwrap
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.cloud.engine import Engine, EngineError
from local.cloud.interpreters import REPOSITORY
from local.receivers.inbox import Inbox
from tests.support.mailbox import Mailbox
from tests.support.stack import eventually

ONE_REPOSITORY = "repositories: [{name: team/api, images: [{tags: [a]}]}]"
HANDLER = "def handler(event, context):\n"


@dataclass
class Answer:
    payload: Any
    error: str | None
    log: str


@dataclass
class Function:
    """A function in the local cloud, whose role may do only what it was made with."""

    engine: Engine
    name: str

    def invoke(self, event: object = None) -> Answer:
        answer = self.engine.client("lambda").invoke(
            FunctionName=self.name, Payload=json.dumps(event), LogType="Tail"
        )
        return Answer(
            json.loads(answer["Payload"].read()),
            answer.get("FunctionError"),
            base64.b64decode(answer["LogResult"]).decode(),
        )


def a_function(
    engine: Engine, code: str, *, actions: tuple[str, ...] = (), timeout: int = 30
) -> Function:
    name = f"toy-{uuid.uuid4().hex[:8]}"
    iam = engine.client("iam")
    trust = _policy("sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
    if actions:
        document = _policy(*actions, Resource="arn:aws:ecr:*:*:repository/*")
        iam.put_role_policy(RoleName=name, PolicyName="toy", PolicyDocument=document)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("toy.py", code)
    functions = engine.client("lambda")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="toy.handler",
        Role=role["Arn"],
        Code={"ZipFile": package.getvalue()},
        Timeout=timeout,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    return Function(engine, name)


def _policy(*actions: str, **rest: object) -> str:
    statement = {"Effect": "Allow", "Action": actions, **rest}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_answers_with_the_result(engine: Engine) -> None:
    function = a_function(engine, HANDLER + "    return {'twice': event * 2}")

    answer = function.invoke(21)

    assert answer.payload == {"twice": 42}
    assert answer.error is None


def test_keeps_the_process_from_one_invocation_to_the_next(engine: Engine) -> None:
    function = a_function(engine, "import os\n" + HANDLER + "    return os.getpid()")

    assert function.invoke().payload == function.invoke().payload


def test_names_an_error_for_the_class_that_was_raised(engine: Engine) -> None:
    function = a_function(
        engine,
        "class EcrThrottled(Exception): pass\n" + HANDLER + "    raise EcrThrottled('too fast')",
    )

    answer = function.invoke()

    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "EcrThrottled"
    assert answer.payload["errorMessage"] == "too fast"
    assert "toy.py" in answer.payload["stackTrace"][0]


def test_reports_a_dependency_that_the_package_lacks(engine: Engine) -> None:
    function = a_function(engine, "import aws_lambda_powertools\n" + HANDLER + "    pass")

    answer = function.invoke()

    assert answer.payload["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'aws_lambda_powertools'" in answer.payload["errorMessage"]
    assert "No module named 'aws_lambda_powertools'" in answer.log


def test_reports_an_error_of_the_import_itself(engine: Engine) -> None:
    function = a_function(engine, "raise ValueError('at import')")

    assert function.invoke().payload["errorType"] == "ValueError"


def test_reports_a_handler_that_is_not_there(engine: Engine) -> None:
    function = a_function(engine, "")

    assert function.invoke().payload["errorType"] == "Runtime.HandlerNotFound"


def test_reports_a_result_that_is_not_json(engine: Engine) -> None:
    function = a_function(engine, HANDLER + "    return {1, 2}")

    assert function.invoke().payload["errorType"] == "Runtime.MarshalError"


def test_kills_a_handler_that_takes_too_long_and_starts_afresh(engine: Engine) -> None:
    function = a_function(
        engine,
        "import os, time\n"
        + HANDLER
        + "    print('asked to', event)\n    if event == 'sleep': time.sleep(60)\n"
        + "    return os.getpid()",
        timeout=2,
    )
    first = function.invoke("work").payload

    late = function.invoke("sleep")

    assert late.payload["errorType"] == "Sandbox.Timedout"
    assert late.payload["errorMessage"].endswith("Error: Task timed out after 2.00 seconds")
    assert "asked to sleep" in late.log
    again = function.invoke("work")
    assert again.error is None
    assert again.payload != first


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
    ],
)
def test_reports_an_exit_of_the_process_and_starts_afresh(
    engine: Engine, end: str, reason: str
) -> None:
    code = "import os\n" + HANDLER + f"    if event == 'end': {end}\n    return 'healthy'"
    function = a_function(engine, code)

    answer = function.invoke("end")

    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith(reason)
    assert function.invoke("work").payload == "healthy"


def test_runs_invocations_side_by_side(engine: Engine, tmp_path: Path) -> None:
    """Each waits for the other, so that both end only if they run at the same time."""
    code = f"""
        import os, pathlib, time
        def handler(event, context):
            pathlib.Path({str(tmp_path)!r}, event["me"]).touch()
            while not pathlib.Path({str(tmp_path)!r}, event["other"]).exists():
                time.sleep(0.01)
            return os.getpid()
    """
    function = a_function(engine, textwrap.dedent(code))

    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(function.invoke, [{"me": "a", "other": "b"}, {"me": "b", "other": "a"}])
        )

    assert [answer.error for answer in answers] == [None, None]
    assert answers[0].payload != answers[1].payload


def test_gives_an_invocation_its_own_log(engine: Engine) -> None:
    function = a_function(engine, HANDLER + "    print('hello', event)")
    function.invoke("first")

    log = function.invoke("second").log

    assert "hello second" in log
    assert "first" not in log


def test_keeps_logs_in_cloudwatch(engine: Engine) -> None:
    function = a_function(engine, HANDLER + "    print('hello')")
    function.invoke()

    logs = engine.client("logs")
    group = f"/aws/lambda/{function.name}"

    def messages() -> list[str]:
        """Read what a thread of its own writes, some time after the answer."""
        groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        events = logs.filter_log_events(logGroupName=group)["events"] if groups else []
        return [event["message"].strip() for event in events]

    assert eventually(messages, until=bool, what=f"lines in {group}")[0] == "hello"


def test_hides_the_environment_of_this_machine(engine: Engine) -> None:
    function = a_function(engine, "import os\n" + HANDLER + "    return dict(os.environ)")

    seen = function.invoke().payload

    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == function.name
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert not {name for name in seen if name.startswith(("LOCAL", "PYTHON", "VIRTUAL"))}


LISTS = (
    "import boto3\n"
    + HANDLER
    + "    found = boto3.client('ecr').describe_repositories()['repositories']\n"
    + "    return [repository['repositoryName'] for repository in found]"
)


def test_lets_a_role_do_what_it_is_allowed_to(engine: Engine) -> None:
    engine.put_registry(ONE_REPOSITORY)
    function = a_function(engine, LISTS, actions=("ecr:DescribeRepositories",))

    assert function.invoke().payload == ["team/api"]


def test_refuses_a_role_what_it_is_not_allowed_to(engine: Engine) -> None:
    engine.put_registry(ONE_REPOSITORY)
    function = a_function(engine, LISTS, actions=("ecr:DescribeImages",))

    message = function.invoke().payload["errorMessage"]

    assert "AccessDenied" in message
    assert "ecr:DescribeRepositories" in message
    assert engine.registry_counters()["calls"] == {}


def test_throttles_as_a_client_error(engine: Engine) -> None:
    engine.put_registry(
        "throttling: {DescribeRepositories: {rate: 0.001, burst: 1}}\n" + ONE_REPOSITORY
    )
    ecr = engine.client("ecr")
    ecr.describe_repositories()

    with pytest.raises(ecr.exceptions.ClientError) as refused:
        ecr.describe_repositories()

    assert refused.value.response["Error"]["Code"] == "ThrottlingException"
    assert engine.registry_counters()["throttled"]["DescribeRepositories"] >= 1


def test_puts_the_event_of_a_scan_on_the_default_bus(engine: Engine) -> None:
    name = f"team/{uuid.uuid4().hex[:8]}"
    image = {"tags": "a"}
    registry = {"scan_duration": "1s", "repositories": [{"name": name, "images": [image]}]}
    engine.put_registry(json.dumps(registry))
    with Mailbox(engine).watch("aws.ecr") as mailbox:
        engine.client("ecr").start_image_scan(repositoryName=name, imageId={"imageTag": "a"})
        (event,) = mailbox.events_of(name, until=bool)
    assert event["detail-type"] == "ECR Image Scan"
    assert event["detail"]["image-tags"] == ["a"]


def test_says_what_is_wrong_with_a_registry(engine: Engine) -> None:
    with pytest.raises(EngineError, match="`nope` is not a key of a registry"):
        engine.put_registry("nope: 1")


def test_runs_two_engines_side_by_side(engine: Engine) -> None:
    engine.put_registry(ONE_REPOSITORY)
    s3 = engine.client("s3")
    s3.create_bucket(Bucket="toy", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="toy", Key="whose", Body=b"mine")

    with Engine() as other:
        other.put_registry("repositories: []")
        assert other.client("ecr").describe_repositories()["repositories"] == []
        assert other.client("s3").list_buckets()["Buckets"] == []

    assert len(engine.client("ecr").describe_repositories()["repositories"]) == 1
    assert s3.get_object(Bucket="toy", Key="whose")["Body"].read() == b"mine"


def test_ends_the_engine_when_its_starter_is_killed() -> None:
    program = """
        from local.cloud.engine import Engine
        with Engine() as engine:
            print(engine.url, flush=True)
            input()
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout
    url = starter.stdout.readline().strip()
    assert url

    starter.kill()
    starter.communicate()

    address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))

    def is_silent() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(address) != 0

    eventually(is_silent, until=bool, what=f"the end of the engine that listens on {url}")


@pytest.mark.parametrize(
    "post",
    [
        "import urllib.request\n    urllib.request.urlopen(event['url'], body)\n",
        "import urllib3\n    urllib3.PoolManager().request('POST', event['url'], body=body)\n",
    ],
    ids=["urllib", "urllib3"],
)
def test_a_function_trusts_the_inbox(engine: Engine, inbox: Inbox, post: str) -> None:
    own = uuid.uuid4().hex
    body = "body = event['body'].encode()\n    "
    function = a_function(engine, f"{HANDLER}    {body}{post}    return 'posted'\n")

    answer = function.invoke({"url": inbox.url("webhook"), "body": json.dumps({"own": own})})

    assert answer.payload == "posted"
    [received] = [each for each in inbox.received if own in each.body.decode()]
    assert (received.channel, received.json) == ("webhook", {"own": own})
