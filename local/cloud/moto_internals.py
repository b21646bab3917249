"""The only module that uses names of moto that are not its public API, for all that need them.

The local cloud and the tests share it. moto is pinned exactly for its sake, and
tests/contract/test_code.py finds other modules that import from inside moto.

Tables: a transaction of moto copies the whole table first, and restores the copy if it fails. That
is slow for large tables, fails if another thread writes meanwhile, and undoes what that thread has
written. localemu has the same code, because its DynamoDB is moto's.

Step Functions: moto's interpreter runs the definitions of ecr-rescan in the process of a test.
tests/workflow/test_engine.py fails clearly when the names move.

Every group of patches says what it is for, what is known upstream, and when to remove it.
"""

import copy
import functools
import json
import pickle
import sys
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from types import SimpleNamespace
from typing import Any, Protocol
from unittest import mock

from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.responses import DynamoHandler
from werkzeug.exceptions import HTTPException

S3_CLOCK = "moto.s3.models.utcnow"  # dates the objects of a bucket


@dataclass(frozen=True)
class Patch:
    """An attribute of moto, and what takes its place."""

    owner: Any
    name: str
    value: Any

    def apply(self) -> None:
        """Replace it for as long as the process lasts."""
        setattr(self.owner, self.name, self.value)

    def while_used(self) -> Any:
        """Return a context manager that replaces it meanwhile."""
        return mock.patch.object(self.owner, self.name, self.value)


# Tables


def table_patches() -> list[Patch]:
    """Return patches that make tables safe for concurrent callers, in tests and in localemu.

    Replaces: the methods below, and the module `copy` in moto.dynamodb.models.
    Upstream: no issue is known; https://github.com/getmoto/moto/pull/2879 brought transactions.
    Remove when a transaction of moto copies only the items that it names, under a lock.
    """
    call, transact = DynamoHandler.call_action, DynamoDBBackend.transact_write_items
    return [
        Patch(DynamoHandler, "call_action", _one_at_a_time(call)),
        Patch(DynamoDBBackend, "transact_write_items", _lightly(transact)),
    ]


@functools.cache  # what is parsed for one test is parsed for all
def quick_table_patches() -> list[Patch]:
    """Return those patches, and more with which tables answer thousands of calls quickly.

    Replaces: the parser of update expressions, and the query of a table.
    Upstream: no issue is known.
    Remove when a workflow test without them takes less than twice as long.
    """
    parse = functools.cache(UpdateExpressionParser.make)
    return [
        *table_patches(),
        Patch(Table, "query", _query_one_partition),
        Patch(UpdateExpressionParser, "make", parse),
    ]


_one_call = threading.Lock()  # over HTTP, or directly


def _one_at_a_time(call_action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a handler of calls that runs one after the other."""

    def call(handler: Any) -> Any:
        with _one_call:
            return call_action(handler)

    return call


def _lightly(transact: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return a transaction that copies only the items that it names."""

    def transact_lightly(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        with mock.patch.object(models, "copy", _CopyingItems(transact_items)):
            transact(backend, transact_items)

    return transact_lightly


class _CopyingItems:
    """Stands in for the module `copy`: copies only the items of a table that are named."""

    def __init__(self, transact_items: list[dict[str, Any]]) -> None:
        parts = [part for item in transact_items for part in item.values()]
        self._keys = [part.get("Key") or part["Item"] for part in parts]

    def deepcopy(self, value: Any) -> Any:
        if not isinstance(value, Table):
            return copy.deepcopy(value)
        copied = copy.copy(value)
        copied.items = defaultdict(dict, value.items)
        for key in self._keys:
            pk, sk = DynamoType(key["pk"]), DynamoType(key["sk"])
            partition = copied.items[pk] = copied.items[pk].copy()
            if sk in partition:
                partition[sk] = copy.deepcopy(partition[sk])
        return copied


def answer_directly(client: Any) -> Callable[[], None]:
    """Let moto's tables answer a DynamoDB client without a request over HTTP.

    botocore validates and serializes the parameters, the tables are those of moto, and the answers
    are the same; what is left out takes most of the time of a call. The handler comes after all
    others of the same event. The returned function removes it.

    Replaces: the dispatch of requests, and the serializer of answers.
    Upstream: no issue is known.
    Remove when a call takes less than twice as long without it.
    """

    def answer(event_name: str, model: Any, params: dict[str, Any], **_: Any) -> Any:
        operation = _ITEM_OPERATIONS.get(event_name.rpartition(".")[2])
        if operation is None:
            return None
        handler = DynamoHandler()
        handler.current_account, handler.region = DEFAULT_ACCOUNT_ID, client.meta.region_name
        handler.body = json.loads(params["body"])
        try:
            with _one_call:
                result: Any = operation(handler).result
        except HTTPException:
            return None  # refused, so nothing has changed: botocore asks again, over HTTP
        known = {name: result.get(name) for name in model.output_shape.members}
        parsed = {name: part for name, part in known.items() if part is not None}
        parsed["ResponseMetadata"] = {"HTTPStatusCode": 200, "RequestId": "any"}
        return SimpleNamespace(status_code=200), parsed

    client.meta.events.register_last("before-call", answer)
    return lambda: client.meta.events.unregister("before-call", answer)


_ITEM_OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "BatchGetItem": DynamoHandler.batch_get_item,
    "DeleteItem": DynamoHandler.delete_item,
    "GetItem": DynamoHandler.get_item,
    "PutItem": DynamoHandler.put_item,
    "Query": DynamoHandler.query,
    "TransactWriteItems": DynamoHandler.transact_write_items,
    "UpdateItem": DynamoHandler.update_item,
}


_query = Table.query


def _query_one_partition(table: Any, hash_key: Any, *conditions: Any, **more: Any) -> Any:
    """Query the items of one key; moto sorts the whole table, while other threads write into it.

    Replaces: Table.query.
    Upstream: no issue is known.
    Remove when a query of moto reads one partition only.
    """
    partition = copy.copy(table)
    partition.items = {hash_key: table.items.get(hash_key, {}).copy()}
    return _query(partition, hash_key, *conditions, **more)


# Step Functions


@dataclass(frozen=True)
class Attempt:
    """One attempt of a Task state.

    execution: ARN of the execution; of a child execution, that of its parent.
    number: 0 for the first one.
    """

    execution: str
    state: str
    number: int
    input: Any


class TaskFailure(Exception):
    """An attempt fails with an error of this name, as Step Functions reports it."""

    def __init__(self, error: str, cause: str = "any") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Runtime(Protocol):
    """What an execution needs from the process that it runs in."""

    def attempt(self, attempt: Attempt, perform: Callable[[], None]) -> None:
        """Let an attempt do its work, or raise TaskFailure before or after it has."""

    def invoke(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer a task as Lambda answers the call Invoke."""

    def back_off(self, seconds: float) -> None:
        """Wait before a retry."""

    def wait_for(self, seconds: float) -> None:
        """Wait in a Wait state."""

    def note_end(self, arn: str) -> None:
        """Take note of the end of an execution."""

    def note_child(self, input: object, events: list[dict[str, Any]]) -> None:  # noqa: A002
        """Take note of the end of a child execution, with its history."""

    def now(self) -> datetime:
        """Return the time on the clock of the test."""

    def acting(self, caller: str) -> AbstractContextManager[None]:
        """Return a context in which a state machine makes calls of its own."""


@contextmanager
def step_functions(runtime: Runtime) -> Iterator[None]:
    """Let moto's executions run on a runtime, as close to AWS as they come, and fast."""
    parents: dict[str, str] = {}  # of child executions
    with ExitStack() as stack:
        for patch in (
            *quick_table_patches(),
            *_path_patches(),
            *_runtime_patches(runtime),
            *_attempt_patches(runtime, parents),
            *_child_patches(runtime, parents),
            *_speed_patches(),
        ):
            stack.enter_context(patch.while_used())
        stack.enter_context(_deep_recursion())
        yield


def forget_ended_threads() -> None:
    """Drop the threads that have ended: moto keeps each that it has started, with its stack."""
    from moto.stepfunctions.parser.utils import TMP_THREADS  # noqa: PLC0415

    TMP_THREADS[:] = [thread for thread in TMP_THREADS if thread.is_alive()]


def answer_alone(client: Any) -> None:
    """Keep moto from working out answers to a client's calls, which another handler answers."""
    from moto.core.models import botocore_stubber  # noqa: PLC0415

    client.meta.events.unregister("before-send", botocore_stubber)


def name_executions(client: Any) -> None:
    """Give a name to every execution that a client starts without one: moto confuses these."""

    def name(params: dict[str, Any], **_: Any) -> None:
        params.setdefault("name", str(uuid.uuid4()))

    client.meta.events.register("provide-client-params.stepfunctions.StartExecution", name)


def _runtime_patches(runtime: Runtime) -> list[Patch]:
    """Return patches that run tasks, backoffs and waits on the runtime of a test.

    Replaces: the calls of Lambda, sleeps, times of starts and states, names of nested
    StartExecution calls, and the methods in which a Map reads its list and writes its results.
    Upstream: none, because these are the seams of a test engine; only the parameter names of
    nested executions are a fault, of which no issue is known.
    Remove when moto lets tests inject functions and a clock into executions.
    """
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.state import state  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (  # noqa: PLC0415
        resource_eval_s3 as read_from_s3,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (  # noqa: E501, PLC0415
        resource_eval_s3 as write_to_s3,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import (  # noqa: PLC0415
        lambda_eval_utils,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (  # noqa: PLC0415
        state_task_service_sfn,
    )
    from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (  # noqa: PLC0415
        WaitFunction,
    )
    from moto.stepfunctions.parser.backend.execution import (  # noqa: PLC0415
        BaseExecutionWorkerCommunication,
        Execution,
    )

    details_of = Execution.get_start_execution_details
    end = BaseExecutionWorkerCommunication.terminated
    starting = state_task_service_sfn.StateTaskServiceSfn
    normalise = starting._normalise_parameters

    def note_end(communication: Any) -> None:
        end(communication)
        runtime.note_end(communication.execution.exec_arn)

    def details(execution: Any) -> Any:
        told = details_of(execution)
        told.start_time = runtime.now().isoformat()
        return told

    def normalise_as_boto3(service: Any, parameters: dict[str, Any], *arguments: Any) -> None:
        """Begin names with a small letter, as boto3 does; moto keeps those of the definition."""
        normalise(service, parameters, *arguments)
        for name in list(parameters):
            parameters[f"{name[0].lower()}{name[1:]}"] = parameters.pop(name)
        parameters.setdefault("name", str(uuid.uuid4()))  # moto gives every one the same

    def invoke(parameters: Any, region: object, state_credentials: object) -> Any:
        del region, state_credentials
        return runtime.invoke(parameters)

    def wait(_function: object, env: object, wait_seconds: float) -> None:
        del env  # moto passes it by name or by position
        runtime.wait_for(wait_seconds)

    return [
        Patch(BaseExecutionWorkerCommunication, "terminated", note_end),
        Patch(Execution, "get_start_execution_details", details),
        Patch(starting, "_normalise_parameters", normalise_as_boto3),
        Patch(lambda_eval_utils, "_invoke_lambda_function", invoke),
        # The module's names for the modules are replaced, so that no other time is.
        Patch(state, "datetime", _clock_of(runtime)),
        Patch(retrier_decl, "time", SimpleNamespace(sleep=runtime.back_off)),
        Patch(WaitFunction, "_wait_interval", wait),
        *(
            Patch(owner, "eval_resource", _as_state_machine(owner.eval_resource, runtime))
            for owner in (read_from_s3.ResourceEvalS3, write_to_s3.ResourceEvalS3)
        ),
    ]


def _clock_of(runtime: Runtime) -> SimpleNamespace:
    """Return what stands in for the module datetime: `now` is the time of a runtime."""

    def now(tz: tzinfo) -> datetime:
        return runtime.now().astimezone(tz)

    return SimpleNamespace(datetime=SimpleNamespace(now=now), timezone=timezone)


def _attempt_patches(runtime: Runtime, parents: dict[str, str]) -> list[Patch]:
    """Return patches that lead every attempt of a task through the runtime of a test.

    parents: the ARN of the parent of every child execution.

    Replaces: _eval_execution of Lambda tasks and of service integrations, and the names of errors
    of DynamoDB.
    Upstream: none, because this is a seam of a test engine.
    Remove when moto lets tests inject errors into tasks.
    """
    from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.common.error_name import (  # noqa: PLC0415
        failure_event,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (  # noqa: PLC0415
        CustomErrorName,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (  # noqa: PLC0415
        StatesErrorName,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (  # noqa: PLC0415
        StatesErrorNameType,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (  # noqa: E501, PLC0415
        StateTaskService,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_dynamodb import (  # noqa: E501, PLC0415
        StateTaskServiceDynamoDB,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import (  # noqa: PLC0415
        StateTaskLambda,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails  # noqa: PLC0415

    def attempt(env: Any) -> Attempt:
        context = env.states.context_object.context_object_data
        state, arn = context["State"], context["Execution"]["Id"]
        number = int(state.get("RetryCount", 0))
        return Attempt(parents.get(arn, arn), state["Name"], number, env.states.get_input())

    def failed(env: Any, failure: TaskFailure) -> Exception:
        is_timeout = failure.error == StatesErrorNameType.StatesTimeout.to_name()
        details = TaskFailedEventDetails(error=failure.error, cause=failure.cause)
        failed_event: Any = failure_event.FailureEventException(
            failure_event.FailureEvent(
                env=env,
                error_name=StatesErrorName(StatesErrorNameType.StatesTimeout)
                if is_timeout
                else CustomErrorName(failure.error),
                event_type=HistoryEventType.TaskFailed,
                event_details=EventDetails(taskFailedEventDetails=details),
            )
        )
        return failed_event  # type: ignore[no-any-return]

    def watched(evaluate: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def evaluate_attempt(task: Any, env: Any) -> None:
            try:
                runtime.attempt(attempt(env), lambda: evaluate(task, env))
            except TaskFailure as failure:
                raise failed(env, failure) from failure

        return evaluate_attempt

    name_of = StateTaskServiceDynamoDB._from_error

    def named(task: Any, env: Any, ex: Exception) -> Any:
        """Keep the name of an error that has one; moto calls all but ClientError the same."""
        if isinstance(ex, failure_event.FailureEventException):
            return ex.failure_event
        return name_of(task, env, ex)

    return [
        *(
            Patch(
                kind, "_eval_execution", watched(_as_state_machine(kind._eval_execution, runtime))
            )
            for kind in (StateTaskLambda, StateTaskService)
        ),
        Patch(StateTaskServiceDynamoDB, "_from_error", named),
    ]


def _as_state_machine(call: Callable[..., None], runtime: Runtime) -> Callable[[Any, Any], None]:
    """Let the state machine of an execution be the caller of what a part of it calls."""

    def call_as_state_machine(part: Any, env: Any) -> None:
        machine = env.states.context_object.context_object_data["StateMachine"]["Name"]
        with runtime.acting(f"{machine}StateMachine"):
            call(part, env=env)

    return call_as_state_machine


def _child_patches(runtime: Runtime, parents: dict[str, str]) -> list[Patch]:
    """Return patches that give each child of a Map its own history and context, as on AWS.

    In moto, all children share those of the parent.

    Replaces: DistributedItemProcessorWorker._eval_job and ._eval_input.
    Upstream: no issue is known of moto; https://github.com/localstack/localstack/pull/9205 lists
    the limits of the code that moto has copied.
    Remove when ListExecutions by Map run and GetExecutionHistory show children.
    """
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (  # noqa: E501, PLC0415
        distributed_item_processor_worker,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_manager import (  # noqa: PLC0415
        EventManager,
    )

    worker_class = distributed_item_processor_worker.DistributedItemProcessorWorker
    evaluate, make_input = worker_class._eval_job, worker_class._eval_input

    def evaluate_child(worker: Any, env: Any, job: Any) -> None:
        env.event_manager = EventManager()
        evaluate(worker, env, job)
        runtime.note_child(job.job_input, env.event_manager._history_event_list)

    def make_input_of_child(worker: Any, env_frame: Any) -> None:
        make_input(worker, env_frame)
        context = env_frame.states.context_object.context_object_data
        name = str(uuid.uuid4())
        arn = f"arn:aws:states:::execution:RescanRegistry/Repositories:{name}"
        parents[arn] = context["Execution"]["Id"]
        context["Execution"] = {
            **context["Execution"],
            "Id": arn,
            "Name": name,
            "StartTime": runtime.now().isoformat(),
        }

    return [
        Patch(worker_class, "_eval_job", evaluate_child),
        Patch(worker_class, "_eval_input", make_input_of_child),
    ]


@functools.cache
def _path_patches() -> list[Patch]:
    """Return patches that let a path with several wildcards find nothing.

    moto and localemu fail when `$[*].left[*]` finds nothing; on AWS, as in the library that it uses
    (https://github.com/json-path/JsonPath#what-is-returned-when), the result is an empty list.

    Replaces: _contains_slice_or_wildcard_array in json_path.
    Upstream: no issue is known.
    Remove when test_a_path_with_wildcards_finds_an_empty_list passes without.
    """
    from moto.stepfunctions.parser.asl.utils import json_path  # noqa: PLC0415

    return [Patch(json_path, "_contains_slice_or_wildcard_array", has_wildcard)]


def has_wildcard(path: str) -> bool:
    """Return whether a path can find any number of values."""
    return "[*]" in path


@functools.cache  # what is parsed for one engine is parsed for all
def _speed_patches() -> list[Patch]:
    """Return patches that parse definitions and paths once, and copy JSON quickly.

    moto copies the whole state in each of its many steps, which takes most of the time of a long
    execution. Parsing takes most of the time of a short one.

    Replaces: the module `copy` where states are copied, the parsers of definitions and paths, and
    the module of S3's URLs, which is loaded again for every call.
    Upstream: https://github.com/h2non/jsonpath-ng/issues/233 (paths); of copies, none is known.
    Remove when a workflow test without them takes less than twice as long.
    """
    from moto.s3 import urls as s3_urls  # noqa: PLC0415
    from moto.s3.models import S3Backend  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.common.path import result_path  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.common.string import (  # noqa: PLC0415
        string_expression,
    )
    from moto.stepfunctions.parser.asl.component.state.exec import execute_state  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.state.exec.state_map import (  # noqa: PLC0415
        state_map,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (  # noqa: PLC0415
        state_task_service,
    )
    from moto.stepfunctions.parser.asl.eval import states  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.parse.asl_parser import (  # noqa: PLC0415
        AmazonStateLanguageParser,
    )
    from moto.stepfunctions.parser.asl.utils import json_path  # noqa: PLC0415

    def urls_of_s3(_: object) -> Any:
        return s3_urls

    copying = (execute_state, result_path, state_map, state_task_service, states, string_expression)
    parse_path = functools.cache(json_path.parse)
    return [
        Patch(S3Backend, "_url_module", property(urls_of_s3)),
        *(Patch(module, "copy", _Copying) for module in copying),
        Patch(AmazonStateLanguageParser, "parse", functools.cache(AmazonStateLanguageParser.parse)),
        Patch(json_path, "parse", parse_path),
        Patch(result_path, "parse", parse_path),
    ]


class _Copying:
    """Stands in for the module `copy`."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))  # noqa: S301 # written in the same line


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Make room for moto's workers, which recurse from one item of a Map to the next."""
    limit, size = sys.getrecursionlimit(), threading.stack_size()
    sys.setrecursionlimit(100_000)
    threading.stack_size(16 * 1024 * 1024)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
