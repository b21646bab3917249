"""Where localemu 1.3.2 differs from AWS, or from what two engines on one machine need.

Every correction changes names of localemu that are not public, which is why it is pinned exactly.
"""

import contextlib
import functools
import pickle
import queue
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import jsonpath_ng
from jsonpath_ng import ext as jsonpath
from jsonpath_ng import parser as jsonpath_parser
from jsonpath_ng.ext import parser as extended_parser
from twisted.internet import endpoints  # type: ignore[import-not-found] # not in dev
from twisted.web import http  # type: ignore[import-not-found] # not in dev

MOST_INVOCATIONS = 8  # at once, of all functions
LOG_SECONDS = 0.2
LOG_BATCH = 500  # lines, of the 10,000 and 1 MiB of a call


def correct_before_import() -> None:
    """Change what localemu copies when it is imported."""
    # It binds all interfaces even with GATEWAY_LISTEN=127.0.0.1:…; its runtime/server/twisted.py
    # says `TODO: interface = host?`.
    endpoints.TCP4ServerEndpoint = functools.partial(
        endpoints.TCP4ServerEndpoint, interface="127.0.0.1"
    )
    # Step Functions parses a path whenever it reads one, with a parser made anew: 45 ms each, 0.6 s
    # an iteration of a Map. And a ResultPath when it writes one, by another parser of the package.
    extended: Any = extended_parser  # typed as if it held nothing
    setattr(jsonpath, "parse", _parse_with_one(extended.ExtentedJsonPathParser))  # noqa: B010
    setattr(jsonpath_ng, "parse", _parse_with_one(jsonpath_parser.JsonPathParser))  # noqa: B010
    # It reads the Content-Type of every request as that of an e-mail: 3 ms, a sixth of its time.
    http._parseContentType = functools.lru_cache(maxsize=256)(http._parseContentType)


def _parse_with_one(parser_class: Callable[[], Any]) -> Callable[[str], Any]:
    """Make a function that parses a path by one parser, and each path once."""
    parser, lock = parser_class(), threading.Lock()

    @functools.lru_cache(maxsize=4096)
    def parse(path: str) -> Any:
        with lock:  # a parser keeps its state in itself
            return parser.parse(path)

    return parse


def correct_after_import() -> None:
    """Change what localemu looks up while it runs."""
    _keep_objects_apart()
    _name_ecr_resources()
    _name_tables()
    _keep_transactions_apart()
    _leave_disabled_rules_alone()
    _name_state_machines()
    _tell_conditions()
    _log_where_told()
    _part_children()
    _measure_no_invocations()
    _invoke_few_at_once()
    _report_no_calls()
    _parse_definitions_once()
    _log_states_in_batches()
    _assume_roles_once()
    _send_the_subject()


def _keep_objects_apart() -> None:
    """Give this engine's S3 a directory of its own; localemu has one for all of a machine."""
    from localemu.services.s3 import provider  # noqa: PLC0415

    provider.DEFAULT_S3_TMP_DIR = tempfile.mkdtemp(prefix="s3-")


def _name_ecr_resources() -> None:
    """Let a policy name ECR repositories, as AWS does; localemu knows `arn:…:*` only."""
    from localemu.services.iam_enforcement import arn_builder  # noqa: PLC0415

    def arn(parameters: dict[str, Any], region: str, account: str) -> str:
        names = parameters.get("repositoryNames") or [parameters.get("repositoryName", "*")]
        return f"arn:aws:ecr:{region}:{account}:repository/{names[0]}"

    arn_builder._SERVICE_ARN_BUILDERS["ecr"] = arn


def _name_state_machines() -> None:
    """Let a policy name a state machine that is started; localemu asks for `stepfunctions:…`."""
    from localemu.services.iam_enforcement import arn_builder, service_action_map  # noqa: PLC0415

    start = ("stepfunctions", "StartExecution")
    service_action_map.ACTION_MAP[start] = ["states:StartExecution"]
    arn_builder._SERVICE_ARN_BUILDERS["stepfunctions"] = arn_builder._states_arn


def _name_tables() -> None:
    """Let a policy name the table of calls that have several; localemu knows `table/*` only.

    And ask of a transaction what AWS asks: leave for what it does, here never a check alone.
    """
    from localemu.services.iam_enforcement import (  # noqa: PLC0415
        arn_builder,
        service_action_map,
    )

    def arn(parameters: dict[str, Any], region: str, account: str) -> str:
        in_transaction = (
            part["TableName"]
            for item in parameters.get("TransactItems", ())
            for part in item.values()
        )
        named = parameters.get("TableName"), *parameters.get("RequestItems", ()), *in_transaction
        table = next(filter(None, named), "*")
        return f"arn:aws:dynamodb:{region}:{account}:table/{table}"

    arn_builder._SERVICE_ARN_BUILDERS["dynamodb"] = arn
    transaction = service_action_map.ACTION_MAP["dynamodb", "TransactWriteItems"]
    transaction.remove("dynamodb:ConditionCheckItem")


def _keep_transactions_apart() -> None:
    """Let calls of DynamoDB wait for each other: a transaction undoes what others have written."""
    from moto.dynamodb.models import DynamoDBBackend  # noqa: PLC0415
    from moto.dynamodb.responses import DynamoHandler  # noqa: PLC0415

    from local.cloud import moto_tables  # noqa: PLC0415

    call, transact = DynamoHandler.call_action, DynamoDBBackend.transact_write_items
    DynamoHandler.call_action = moto_tables.one_at_a_time(call)
    DynamoDBBackend.transact_write_items = moto_tables.lightly(transact)


def _leave_disabled_rules_alone() -> None:
    """Send a disabled rule no events, which localemu does."""
    from localemu.services.events.provider import EventsProvider  # noqa: PLC0415

    process = EventsProvider._process_rules

    def process_enabled(provider: Any, rule: Any, *arguments: Any, **named: Any) -> None:
        if rule.state != "DISABLED":
            process(provider, rule, *arguments, **named)

    EventsProvider._process_rules = process_enabled


def _tell_conditions() -> None:
    """Fill condition keys that AWS fills: with them missing, sound policies refuse everything.

    aws:SecureTransport: the loopback interface stands for a TLS connection.
    """
    from localemu.services.iam_enforcement import enforcer  # noqa: PLC0415

    original = enforcer._build_conditions

    def conditions(context: Any, caller: Any) -> dict[str, Any]:
        filled: dict[str, Any] = original(context, caller)
        filled["aws:SecureTransport"] = "true"
        entries = (context.service_request or {}).get("Entries", ())
        sources = {entry.get("Source") for entry in entries if isinstance(entry, dict)}
        if context.operation.name == "PutEvents" and len(sources) == 1:
            filled["events:source"] = sources.pop()
        return filled

    enforcer._build_conditions = conditions


def _log_where_told() -> None:
    """Write a function's log to the log group of its LoggingConfig."""
    from localemu.services.lambda_.invocation.execution_environment import (  # noqa: PLC0415
        ExecutionEnvironment,
    )

    def log_group(environment: Any) -> str:
        group: str = environment.function_version.config.logging_config["LogGroup"]
        return group

    ExecutionEnvironment.get_log_group_name = log_group


def _part_children() -> None:
    """Make each child of a distributed Map an execution with a history of its own, as AWS does.

    In localemu they share one history, which is thrown away, and the context of their parent.
    """
    from localemu.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501, PLC0415
        DistributedItemProcessorWorker,
    )
    from localemu.services.stepfunctions.asl.eval.event.event_manager import (  # noqa: PLC0415
        EventManager,
    )

    from local.cloud.child_executions import CHILD_EXECUTIONS, ChildExecution  # noqa: PLC0415

    make_input = DistributedItemProcessorWorker._eval_input
    evaluate = DistributedItemProcessorWorker._eval_job

    def make_input_and_begin(worker: Any, env_frame: Any) -> None:
        make_input(worker, env_frame)
        # Only now: what makes the input, the ItemSelector, still belongs to the parent.
        name = str(uuid.uuid4())
        context = env_frame.states.context_object.context_object_data
        map_run: str = worker._map_run_record.map_run_arn
        context["Execution"] = {
            **context["Execution"],
            "Id": f"{map_run.rpartition(':')[0].replace(':mapRun:', ':execution:')}:{name}",
            "Name": name,
            "Input": env_frame.states.get_input(),
            "StartTime": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        }

    def evaluate_apart(worker: Any, env: Any, job: Any) -> None:
        env.event_manager = EventManager()
        evaluate(worker, env, job)
        execution = env.states.context_object.context_object_data["Execution"]
        CHILD_EXECUTIONS.note(
            ChildExecution(
                execution["Name"],
                worker._map_run_record.execution_arn,
                execution["Input"],
                env.event_manager.get_event_history(),
            )
        )

    DistributedItemProcessorWorker._eval_input = make_input_and_begin
    DistributedItemProcessorWorker._eval_job = evaluate_apart


def _measure_no_invocations() -> None:
    """Keep no CloudWatch metrics of single invocations: they cost half of the engine's time."""
    from localemu.services.lambda_.invocation import version_manager  # noqa: PLC0415

    def keep_nothing(*_: Any, **__: Any) -> None:
        pass

    version_manager.record_cw_metric_invocation = keep_nothing
    version_manager.record_cw_metric_error = keep_nothing


def _invoke_few_at_once() -> None:
    """Let an invocation wait for a free process where AWS would start another one.

    Seventy scans that end in the same second would otherwise be a hundred processes, most of whose
    time goes into starting.
    """
    from localemu.services.lambda_.invocation.assignment import (  # noqa: PLC0415
        AssignmentService,
    )

    get_environment = AssignmentService.get_environment
    places = threading.Semaphore(MOST_INVOCATIONS)

    @contextlib.contextmanager
    def wait_for_environment(*arguments: Any, **named: Any) -> Iterator[Any]:
        with places, get_environment(*arguments, **named) as environment:
            yield environment

    AssignmentService.get_environment = wait_for_environment


def _parse_definitions_once() -> None:
    """Give each execution a copy of its definition as it was read for the first one.

    localemu parses the text anew: 60 to 170 ms of its one thread, where a copy takes 1 ms.
    """
    from localemu.services.stepfunctions.asl.parse.asl_parser import (  # noqa: PLC0415
        AmazonStateLanguageParser,
    )
    from localemu.services.stepfunctions.backend.execution_worker import (  # noqa: PLC0415
        ExecutionWorker,
    )

    @functools.lru_cache(maxsize=64)
    def parsed(definition: str) -> bytes:
        return pickle.dumps(AmazonStateLanguageParser.parse(definition)[0])

    def program(worker: Any) -> Any:
        definition = worker._evaluation_details.state_machine_details.definition
        return pickle.loads(parsed(definition))  # noqa: S301 # written three lines above

    ExecutionWorker._get_evaluation_entrypoint = program


def _report_no_calls() -> None:
    """Put no event on the bus for each call of any API, as CloudTrail does: nothing listens.

    localemu keeps a thread for a minute for each, which are thousands, and then makes another call.
    """
    from localemu.services.cloudtrail import recording_hook  # noqa: PLC0415

    def put_nothing(*_: Any, **__: Any) -> None:
        pass

    recording_hook._emit_cloudtrail_to_eventbridge = put_nothing


def _log_states_in_batches() -> None:
    """Write the log of executions some tenths of a second later and many lines at once, as AWS.

    localemu makes a call for each event of an execution, which waits for it.
    """
    from localemu.services.stepfunctions.asl.eval.event import logging as states  # noqa: PLC0415

    lines: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()

    def put(session: Any, history_log: Any) -> None:
        lines.put((session, history_log))

    def write() -> None:
        while True:
            taken = [lines.get()]
            time.sleep(LOG_SECONDS)
            taken += [lines.get() for _ in range(lines.qsize())]
            streams: dict[str, tuple[Any, list[dict[str, Any]]]] = {}
            for session, event in taken:
                _, events = streams.setdefault(session.configuration.log_stream_name, (session, []))
                timestamp = int(event["event_timestamp"].timestamp() * 1000)
                events.append({"timestamp": timestamp, "message": states.to_json_str(event)})
            for session, events in streams.values():
                events.sort(key=lambda event: event["timestamp"])  # anything else is refused
                for begin in range(0, len(events), LOG_BATCH):
                    session._publish_history_log_or_setup(events[begin : begin + LOG_BATCH])

    states.CloudWatchLoggingSession.publish_history_log = put
    threading.Thread(target=write, name="states-log", daemon=True).start()


def _assume_roles_once() -> None:
    """Keep the credentials of a role, as AWS's services do, for a quarter of the hour they last.

    localemu assumes the role anew for every task of a state machine, and makes a new client.
    """
    from localemu.aws.connect import ClientFactory  # noqa: PLC0415

    assume = ClientFactory.with_assumed_role
    assumed: dict[Any, Any] = {}
    lock = threading.Lock()

    def assume_once(factory: Any, **arguments: Any) -> Any:
        quarter = time.monotonic() // 900
        key = (id(factory), quarter, *sorted(arguments.items(), key=lambda item: item[0]))
        with lock:
            if key not in assumed:
                assumed[key] = assume(factory, **arguments)
            return assumed[key]

    ClientFactory.with_assumed_role = assume_once


def _send_the_subject() -> None:
    """Give an e-mail of SNS the subject that was published; localemu gives all the same one."""
    from localemu.services.sns import publisher  # noqa: PLC0415

    def publish(sender: Any, context: Any, subscriber: Any) -> None:
        address, source = subscriber["Endpoint"], "no-reply@sns.amazonaws.com"
        topic = publisher.parse_arn(subscriber["TopicArn"])
        ses = publisher.connect_to(
            aws_access_key_id=topic["account"], region_name=topic["region"]
        ).ses
        ses.verify_email_address(EmailAddress=address)
        ses.verify_email_address(EmailAddress=source)
        text = sender.prepare_message(context.message, subscriber, context.topic_attributes)
        # Without one AWS sends this: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
        subject = context.message.subject or "AWS Notification Message"
        ses.send_email(
            Source=source,
            Message={"Body": {"Text": {"Data": text}}, "Subject": {"Data": subject}},
            Destination={"ToAddresses": [address]},
        )

    publisher.EmailJsonTopicPublisher._publish = publish
