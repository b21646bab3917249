"""The real definitions and the real handlers in one process, on moto's Step Functions.

What is foreign and private in it is in local/cloud/moto_internals.py; tests/workflow/test_engine.py
fails clearly when that moves. One difference from AWS that tests must know: a child of the
distributed Map that fails leaves null in the results, regardless of the tolerance.
"""

import contextvars
import functools
import importlib
import json
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters import base as parameters_read
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from moto import mock_aws

from accepted_risks.document import accepted_risks_document
from cli.kept_messages import Message, Taker, read
from ledger.bucket import run_bucket
from ledger.digest_entries import DigestEntries, digest_entries
from ledger.run_records import RunRecord, run_records
from ledger.table import ledger_table
from local.cloud import moto_internals
from local.cloud.moto_internals import Attempt, TaskFailure
from local.registry.botocore_face import attach
from local.registry.simulated_registry import SimulatedRegistry
from own_events.event_bus import event_bus
from registry.ecr import ecr_registry
from runtime.settings import loaded
from send_digest.notify_scan_executions import notify_scan_executions
from tests.support import template
from tests.support.clock import Clock
from tests.support.definition import (
    NOTIFY_SCAN,
    RESCAN_REGISTRY,
    SEND_DIGEST,
    Workflow,
)
from tests.support.grants import Judge, Need, needs_of
from tests.support.receivers import SECRETS, Receivers
from tests.support.template import ACCOUNT, REGION, resolved, resources

DEADLINE = 600  # seconds of real time, of one wait; shorter than the timeout of pytest
ROLE = "arn:aws:iam::123456789012:role/any"
# What the template's resources are called here.
RESOURCES = {
    "NotificationTopic": f"arn:aws:sns:{REGION}:{ACCOUNT}:NotificationTopic",
    "ChatbotTopic": f"arn:aws:sns:{REGION}:{ACCOUNT}:ChatbotTopic",
    "Undelivered": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/Undelivered",
    "NotifyScanStateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:NotifyScan",
    "RescanRegistryStateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:RescanRegistry",
}

# The function or the state machine that makes a call; empty for a test.
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")

# Kept from test to test: boto3 takes longer to make a client than most tests take to use it.
_clients: dict[str, Any] = {}

type Fault = Callable[[dict[str, Any]], None]
type Attempts = Callable[[Attempt, Callable[[], None]], None]
# Takes path and body of a call; raises a refusal, answers, or returns None and lets AWS answer.
type Answer = Callable[[str], dict[str, Any] | None]


class Refusal(Exception):
    """AWS refuses a call with an error code, and clients raise what they raise for that code."""

    def __init__(self, code: str, message: str = "any", *, status: int = 400) -> None:
        super().__init__(code)
        self.answer: Any = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "any"},
        }


class FunctionKilled(BaseException):
    """A function is killed in the middle of its work, so that no handler of errors runs."""


@dataclass(frozen=True)
class Child:
    """One child execution of the distributed Map, counted as AWS would."""

    repository: str
    events: list[dict[str, Any]]


@dataclass
class Execution:
    """One execution that has ended. Its history is read when it is first looked at."""

    name: str
    status: str
    output: dict[str, Any] | None
    error: str | None
    cause: str | None
    read_history: Callable[[], list[dict[str, Any]]]
    children: list[Child] = field(default_factory=list)

    @functools.cached_property
    def events(self) -> list[dict[str, Any]]:
        """All events of its history."""
        return self.read_history()

    @property
    def states(self) -> list[str]:
        """Return the states of the parent execution that were entered, in order."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.events
            if "stateEnteredEventDetails" in event
        ]

    def child(self, repository: str) -> Child:
        """Pick the child execution of a repository."""
        (found,) = [child for child in self.children if child.repository == repository]
        return found

    def largest_history(self) -> int:
        """Count the events of the longest history; children also start and end on AWS."""
        return max([len(self.events), *(len(child.events) + 2 for child in self.children)])

    def largest_payload(self) -> int:
        """Measure, in bytes, the largest text in any event of any history."""
        histories = [self.events, *(child.events for child in self.children)]
        return max(_longest_text(event) for events in histories for event in events)


class Engine:
    """All state machines deployed in process, on a simulated registry.

    `concurrency`: how many invocations Lambda runs concurrently, of all functions; new accounts
    may have 10. It refuses others, and `refused` counts them.
    `attempting`: what becomes of each attempt of a task. `retries`: the most of a task, by state.
    `answers`: what AWS answers, by service and operation, such as "dynamodb.PutItem".
    """

    def __init__(
        self, registry: SimulatedRegistry, clock: Clock, parameters: Mapping[str, str]
    ) -> None:
        self.registry = registry
        self.clock = clock
        self.backoffs: list[float] = []
        self.waits: list[float] = []
        self.invocations: Counter[str] = Counter()
        self.concurrency: int | None = None
        self.refused: Counter[str] = Counter()
        self._running = 0
        self.faults: dict[str, Fault] = {}
        self.retries: Counter[str] = Counter()
        self.attempting: Attempts = lambda _, perform: perform()
        self.answers: dict[str, Answer] = {}
        self._killed: set[str] = set()
        self._under_way: Counter[str] = Counter()
        self.receivers = Receivers()
        self._parameters = {**RESOURCES, **parameters}
        self.judge = Judge(self._parameters)
        self._children: list[Child] = []
        self._machines: dict[Workflow, str] = {}
        self._lock = threading.Lock()
        self._ends = threading.Condition()
        self._ended: set[str] = set()
        self._functions = {
            template.arn(logical_id): properties
            for logical_id, properties in resources("AWS::Serverless::Function").items()
        }

    def run(self, input: object = None, *, name: str | None = None) -> Execution:  # noqa: A002
        """Start an execution and wait for its end."""
        arn = self.start(input, name=name)
        return self.wait(arn)

    def notify(self, event: object) -> Execution:
        """Start NotifyScan with an event, or with deliveries, and wait for its end."""
        return self.wait(self.start(event, workflow=NOTIFY_SCAN))

    def send_digest(self, *, name: str | None = None) -> Execution:
        """Start SendDigest and wait for its end, and for that of the messages it has sent."""
        execution = self.wait(self.start({}, name=name, workflow=SEND_DIGEST))
        for started in self.notifications():
            self.wait(started)
        return execution

    def redeliver(self, bodies: Sequence[Any]) -> list[Execution]:
        """Give messages of the dead-letter queue to NotifyScan, as the command line does."""
        messages = [Message(str(uuid.uuid4()), json.dumps(body), {}) for body in bodies]
        kept = [read(message, {}) for message in messages]
        assert {each.taker for each in kept} <= {Taker.NOTIFY_SCAN}
        return [self.notify(each.content) for each in kept]

    @contextmanager
    def refusing_to_start(self) -> Iterator[None]:
        """Let no state machine start another one meanwhile."""
        refusal: Any = {
            "Error": {"Code": "ExecutionLimitExceeded", "Message": "any"},
            "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "any"},
        }

        def refuse(params: dict[str, Any], **_: object) -> None:
            if params["stateMachineArn"] == self._machine(NOTIFY_SCAN):
                raise ClientError(refusal, "StartExecution")

        event = "provide-client-params.stepfunctions.StartExecution"
        self._states.meta.events.register(event, refuse)
        try:
            yield
        finally:
            self._states.meta.events.unregister(event, refuse)

    def notifications(self) -> list[str]:
        """Return the ARNs of all executions of NotifyScan."""
        machine = self._machine(NOTIFY_SCAN)
        listed = self._states.list_executions(stateMachineArn=machine)["executions"]
        return [str(each["executionArn"]) for each in listed]

    def start(
        self,
        input: object = None,  # noqa: A002
        *,
        name: str | None = None,
        workflow: Workflow = RESCAN_REGISTRY,
    ) -> str:
        """Start an execution under a name of its own: moto confuses those without one."""
        response = self._states.start_execution(
            stateMachineArn=self._machine(workflow),
            name=name or f"run-{uuid.uuid4()}",
            input=json.dumps({} if input is None else input),
        )
        return str(response["executionArn"])

    def stop(self, arn: str) -> None:
        """Stop an execution, as an operator does in the console."""
        self._states.stop_execution(executionArn=arn)

    def kill(self, arn: str) -> None:
        """End an execution here and now: none of its tasks begins any more."""
        self._killed.add(arn)
        self.stop(arn)

    def wait(self, arn: str) -> Execution:
        """Wait for the end of an execution, and of its attempts that a kill has left behind."""

        def has_ended() -> bool:
            return arn in self._ended and not self._under_way[arn]

        with self._ends:
            if not self._ends.wait_for(has_ended, DEADLINE):
                raise TimeoutError(f"{arn} still runs after {DEADLINE} s")
        described = self._states.describe_execution(executionArn=arn)
        moto_internals.forget_ended_threads()
        children, self._children = self._children, []
        return Execution(
            name=described["name"],
            status="ABORTED" if arn in self._killed else described["status"],
            output=json.loads(described["output"]) if "output" in described else None,
            error=described.get("error"),
            cause=described.get("cause"),
            read_history=lambda: self.history(arn),
            children=children,
        )

    def tolerated_failure_percentage(self, arn: str) -> float:
        """Return the tolerance of the Map Run of an execution."""
        (run,) = self._states.list_map_runs(executionArn=arn)["mapRuns"]
        described = self._states.describe_map_run(mapRunArn=run["mapRunArn"])
        return float(described["toleratedFailurePercentage"])

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Read the history of an execution."""
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=arn)
        return [dict(event) for page in pages for event in page["events"]]

    @property
    def entries(self) -> DigestEntries:
        """Return the entries of digests."""
        return digest_entries("LedgerTable")

    def records(self, run: str) -> dict[str, RunRecord]:
        """Read the records of a run, by repository."""
        records = run_records("LedgerTable").for_run(run)
        return {record.repository: record for record in records}

    def document(self, key: str) -> Any:
        """Read a document of the run bucket."""
        body = boto3.client("s3").get_object(Bucket="RunBucket", Key=key)["Body"]
        return json.loads(body.read())

    def make_resources(self) -> None:
        """Make what the template declares, as it declares it."""
        self.make_ledger()
        location: Any = {"LocationConstraint": REGION}
        boto3.client("s3").create_bucket(Bucket="RunBucket", CreateBucketConfiguration=location)
        for topic in resources("AWS::SNS::Topic"):
            boto3.client("sns").create_topic(Name=topic)
        boto3.client("sqs").create_queue(QueueName="Undelivered")
        for channel, secret in SECRETS.items():
            if f"{channel}-secret" in self._parameters.values():
                boto3.client("secretsmanager").create_secret(
                    Name=f"{channel}-secret", SecretString=json.dumps(secret)
                )
        self._states = boto3.client("stepfunctions")

    def make_ledger(self) -> None:
        """Make the table, as the template declares it."""
        table = resources("AWS::DynamoDB::Table")["LedgerTable"]
        boto3.client("dynamodb").create_table(
            TableName="LedgerTable",
            **{name: table[name] for name in ("BillingMode", "AttributeDefinitions", "KeySchema")},
        )

    def undelivered(self) -> list[Any]:
        """Take everything out of the queue of what could not be delivered."""
        queue, taken = boto3.client("sqs"), []
        while messages := queue.receive_message(
            QueueUrl=RESOURCES["Undelivered"], MaxNumberOfMessages=10
        ).get("Messages"):
            for message in messages:
                taken.append(json.loads(message["Body"]))
                queue.delete_message(
                    QueueUrl=RESOURCES["Undelivered"], ReceiptHandle=message["ReceiptHandle"]
                )
        return taken

    def _machine(self, workflow: Workflow) -> str:
        """Return the ARN of a state machine, which is made when it is first needed."""
        if workflow not in self._machines:
            if workflow is SEND_DIGEST:  # it starts NotifyScan
                self._machine(NOTIFY_SCAN)
            self._machines[workflow] = self._make_machine(workflow)
        return self._machines[workflow]

    def _make_machine(self, workflow: Workflow) -> str:
        definition = workflow.rendered(resolved(workflow.substitutions, self._parameters))
        # STANDARD, though NotifyScan is EXPRESS: so its history can be asked for.
        made = self._states.create_state_machine(
            name=workflow.name, definition=json.dumps(definition), roleArn=ROLE
        )
        return str(made["stateMachineArn"])

    def attempt(self, attempt: Attempt, perform: Callable[[], None]) -> None:
        """Let an attempt be made, unless its execution was killed, and count it."""
        if attempt.state == "ForgetDigest":
            # It waits for what SendDigest has started, but on the clock of a test no time passes.
            self._wait_for_the_end_of(self.notifications())
        with self._ends:
            if attempt.execution in self._killed:
                raise TaskFailure("Killed")
            self.retries[attempt.state] = max(self.retries[attempt.state], attempt.number)
            self._under_way[attempt.execution] += 1
        try:
            self.attempting(attempt, perform)
        finally:
            with self._ends:
                self._under_way[attempt.execution] -= 1
                self._ends.notify_all()

    def _wait_for_the_end_of(self, arns: list[str]) -> None:
        with self._ends:
            if not self._ends.wait_for(lambda: self._ended.issuperset(arns), DEADLINE):
                raise TimeoutError(f"{self._ended.symmetric_difference(arns)} after {DEADLINE} s")

    def answer(self, client: Any) -> Callable[[], None]:
        """Let `answers` answer a client's calls first; return what ends this."""

        def answer(event_name: str, params: dict[str, Any], **_: Any) -> Any:
            name = event_name.removeprefix("before-call.")
            body, answers = params["body"], self.answers.get(name)
            try:
                text = body.decode() if isinstance(body, bytes) else str(body)
                given = answers(f"{params['url_path']} {text}") if answers else None
            except Refusal as refusal:
                kind = client.exceptions.from_code(refusal.answer["Error"]["Code"])
                raise kind(refusal.answer, name.partition(".")[2]) from None
            if given is None:
                return None
            metadata = {"HTTPStatusCode": 200, "RequestId": "any"}
            response = SimpleNamespace(status_code=200, content=b"<html>")
            return response, {**given, "ResponseMetadata": metadata}

        client.meta.events.register_first("before-call", answer)
        return lambda: client.meta.events.unregister("before-call", answer)

    def invoke(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function in process, in its own environment, and report like Lambda."""
        properties = self._functions[parameters["FunctionName"]]
        name = parameters["FunctionName"].rpartition(":")[2].removesuffix("Function")
        payload = json.loads(parameters["Payload"])
        with self._lock:
            if self.concurrency is not None and self._running >= self.concurrency:
                self.refused[name] += 1
                return _failed("Lambda.TooManyRequestsException", "Rate Exceeded.")
            self.invocations[name] += 1
            self._running += 1
        try:
            if fault := self.faults.get(name):
                with self.acting(""):  # a fault is of the test
                    fault(payload)
            module, _, attribute = properties["Handler"].rpartition(".")
            handler = getattr(importlib.import_module(module), attribute)
            with self.acting(f"{name}Function"):
                # Through JSON, as Lambda would pass it.
                result = json.loads(json.dumps(handler(payload, any_lambda_context(name))))
        except FunctionKilled:
            return _failed("Sandbox.Timedout", "Task timed out")
        except Exception as error:  # noqa: BLE001 Lambda reports every exception
            trace = traceback.format_tb(error.__traceback__)
            return _failed(type(error).__name__, str(error), stackTrace=trace)
        finally:
            with self._lock:
                self._running -= 1
        return {"StatusCode": 200, "Payload": result}

    def environment(self) -> dict[str, str]:
        """Put together the environment of all functions, as the template gives it to each."""
        environment: dict[str, str] = {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "POWERTOOLS_SERVICE_NAME": "ecr-rescan",
            "POWERTOOLS_METRICS_NAMESPACE": "EcrRescan",
        }
        for properties in self._functions.values():
            variables = properties.get("Environment", {}).get("Variables", {})
            environment |= resolved(variables, self._parameters)
        return environment

    @contextmanager
    def acting(self, caller: str) -> Iterator[None]:
        """Let a function or a state machine be the caller of what is called meanwhile.

        An empty name is that of the test, which may do everything.
        """
        token = _caller.set(caller)
        try:
            yield
        finally:
            _caller.reset(token)

    def watch_permissions(self, client: Any) -> Callable[[], None]:
        """Let a client refuse, as IAM does, what the role of its caller does not allow."""

        def refuse(params: dict[str, Any], model: Any, **_: object) -> None:
            if not (caller := _caller.get()):
                return
            for need in needs_of(model.service_model.service_name, model.name, params):
                if not self.judge.allows(caller, need):
                    self.judge.refused.append((caller, need))
                    raise ClientError(_access_denied(need), model.name)

        def hide(parsed: dict[str, Any], **_: object) -> None:
            """Say of an object that does not exist what S3 says without an unconditional grant."""
            caller, code = _caller.get(), parsed.get("Error", {}).get("Code")
            listing = Need("s3:ListBucket", template.arn("RunBucket"))
            if caller and code == "NoSuchKey" and not self.judge.allows(caller, listing):
                parsed |= _access_denied(listing)

        hooks = {"provide-client-params": refuse, "after-call.s3.GetObject": hide}
        for event, hook in hooks.items():
            client.meta.events.register(event, hook)

        def forget() -> None:
            for event, hook in hooks.items():
                client.meta.events.unregister(event, hook)

        return forget

    def back_off(self, seconds: float) -> None:
        """Note a retry's delay and let it pass on the clock of the test."""
        with self._lock:
            self.backoffs.append(seconds)
        self.clock.sleep(seconds)
        if self.concurrency is not None:
            time.sleep(seconds / 100)  # for invocations under way to end, which take real time

    def wait_for(self, seconds: float) -> None:
        """Note how long a state waits, and let it pass on the clock of the test.

        What SendDigest has started ends first: on the clock of the test, it takes no time.
        """
        if NOTIFY_SCAN in self._machines:
            self._wait_for_the_end_of(self.notifications())
        with self._lock:
            self.waits.append(seconds)
        self.clock.sleep(seconds)

    def note_end(self, arn: str) -> None:
        """Wake who waits for an execution."""
        with self._ends:
            self._ended.add(arn)
            self._ends.notify_all()

    def note_child(self, input: object, events: list[dict[str, Any]]) -> None:  # noqa: A002
        """Keep the history of a child execution, whose input is its repository."""
        with self._lock:
            self._children.append(Child(str(input), events))

    def now(self) -> datetime:
        """Return the time on the clock of the test."""
        return self.clock.now()


@contextmanager
def engine(
    registry: SimulatedRegistry, clock: Clock, parameters: Mapping[str, str] | None = None
) -> Iterator[Engine]:
    """Deploy both in process, with the template's defaults or other parameters."""
    deployed = Engine(registry, clock, parameters or {})
    make_client = boto3.client

    def client(service_name: str, **arguments: Any) -> Any:
        with making:
            return watched_client(service_name, arguments)

    def watched_client(service_name: str, arguments: dict[str, Any]) -> Any:
        if service_name not in _clients:
            made = _clients[service_name] = make_client(service_name, **arguments)  # type: ignore[call-overload]
            if service_name == "ecr":
                moto_internals.answer_alone(made)
            elif service_name == "stepfunctions":
                moto_internals.name_executions(made)
        used = _clients[service_name]
        if service_name not in watched:
            watched.add(service_name)
            stack.callback(deployed.answer(used))
            stack.callback(deployed.watch_permissions(used))
            if service_name == "ecr":
                stack.callback(attach(used, registry))
            elif service_name == "dynamodb":
                stack.callback(moto_internals.answer_directly(used))
            elif service_name == "stepfunctions":
                used.meta.events.register(_STARTING, _name)
                stack.callback(used.meta.events.unregister, _STARTING, _name)
            elif service_name in ("events", "sns"):
                stack.callback(deployed.receivers.watch(used))
        return used

    watched: set[str] = set()
    making = threading.Lock()  # several children make their clients concurrently
    with ExitStack() as stack:
        stack.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        stack.enter_context(mock.patch.dict("os.environ", deployed.environment()))
        stack.enter_context(mock.patch("boto3.client", client))
        stack.enter_context(mock.patch("runtime.clock.now", clock.now))
        stack.enter_context(mock.patch("runtime.clock.sleep", clock.sleep))
        stack.enter_context(mock.patch.object(ThreadPoolExecutor, "submit", _submit_as_caller))
        stack.enter_context(moto_internals.step_functions(deployed))
        stack.enter_context(
            mock.patch(
                "notify_scan.post_to_webhook.webhook_client", return_value=deployed.receivers
            )
        )
        providers = parameters_read.DEFAULT_PROVIDERS  # type: ignore[attr-defined] # no export
        secrets = SecretsProvider(boto3_client=boto3.client("secretsmanager"))
        stack.enter_context(mock.patch.dict(providers, secrets=secrets))
        factories = (
            accepted_risks_document,
            ecr_registry,
            event_bus,
            ledger_table,
            loaded,
            notify_scan_executions,
            run_bucket,
        )
        for factory in factories:
            stack.callback(factory.cache_clear)
            factory.cache_clear()
        deployed.make_resources()
        yield deployed
        assert not deployed.judge.refused, f"roles do not allow {deployed.judge.refused[:3]}"


def is_in_function() -> bool:
    """Return whether a function is the caller, and not a state machine or a test."""
    return _caller.get().endswith("Function")


def any_lambda_context(name: str = "any") -> LambdaContext:
    """Make the context that Lambda hands to a function."""
    context = LambdaContext()
    context._function_name = name
    context._memory_limit_in_mb = 256
    context._invoked_function_arn = f"arn:aws:lambda:{REGION}:123456789012:function:{name}"
    context._aws_request_id = str(uuid.uuid4())
    return context


_submit = ThreadPoolExecutor.submit


def _submit_as_caller(pool: Any, call: Any, /, *arguments: Any, **named: Any) -> Any:
    """Let a thread of a function act as that function."""
    return _submit(pool, contextvars.copy_context().run, call, *arguments, **named)


_STARTING = "provide-client-params.stepfunctions.StartExecution"


def _name(params: dict[str, Any], **_: object) -> None:
    """Name an execution, as Step Functions does; moto confuses those without a name."""
    params.setdefault("name", str(uuid.uuid4()))


def _access_denied(need: Need) -> Any:
    """Refuse a call like IAM."""
    message = f"not authorized to perform: {need.action} on resource: {need.resource}"
    return {
        "Error": {"Code": "AccessDenied", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 403, "RequestId": "any"},
    }


def _failed(error: str, message: str, **more: Any) -> dict[str, Any]:
    """Report an error like Lambda."""
    payload = {"errorMessage": message, "errorType": error, **more}
    return {"FunctionError": "Unhandled", "Payload": payload}


def _longest_text(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return max(map(_longest_text, value.values()), default=0)
    return 0
