"""Corrections of localemu 1.3.2: where it differs from AWS, is slow, or cannot run twice.

Each correction says what it is for, which foreign names it replaces, whether the fault is known
upstream, and when to remove it. Many of the names are private, so localemu is pinned exactly. This
module and moto_internals.py are the only ones in local/ that use private names of other packages.
"""

import contextlib
import functools
import json
import pickle
import queue
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import jsonpath_ng
from jsonpath_ng import ext as jsonpath
from jsonpath_ng import parser as jsonpath_parser
from jsonpath_ng.ext import parser as extended_parser
from twisted.internet import endpoints  # type: ignore[import-not-found] # not in dev
from twisted.web import http  # type: ignore[import-not-found] # not in dev

MOST_INVOCATIONS = 8  # concurrent ones, of all functions together
LOG_SECONDS = 0.2  # a log line of an execution waits this long for others
LOG_BATCH = 500  # lines per call; CloudWatch Logs takes 10,000 and 1 MiB
BATCH_SECONDS = 0.5  # between two looks at a queue whose messages are collected
CREDENTIALS_SECONDS = 900  # how long credentials of a role are reused; they last an hour


def correct_before_import() -> None:
    """Apply the corrections of what localemu binds to names when it is imported."""
    _listen_on_loopback()
    _reuse_path_parsers()
    _cache_content_types()


def _listen_on_loopback() -> None:
    """Listen on 127.0.0.1 only, as GATEWAY_LISTEN says, not on all interfaces.

    Replaces: twisted.internet.endpoints.TCP4ServerEndpoint.
    Upstream: https://github.com/localstack/localstack/pull/11601 (names the fault, keeps it)
    Remove when GATEWAY_LISTEN=127.0.0.1:… binds no other interface.
    """
    endpoints.TCP4ServerEndpoint = functools.partial(
        endpoints.TCP4ServerEndpoint, interface="127.0.0.1"
    )


def _reuse_path_parsers() -> None:
    """Parse each JSONPath once: jsonpath-ng builds a parser per call, 45 ms each.

    An iteration of a Map took 0.6 s longer. Input paths and ResultPath use different parsers.

    Replaces: jsonpath_ng.parse, jsonpath_ng.ext.parse.
    Upstream: https://github.com/h2non/jsonpath-ng/issues/233
    Remove when jsonpath-ng keeps its parse tables, or localemu its parsed paths.
    """
    extended: Any = extended_parser  # its stubs are empty
    setattr(jsonpath, "parse", _parse_with_one(extended.ExtentedJsonPathParser))  # noqa: B010
    setattr(jsonpath_ng, "parse", _parse_with_one(jsonpath_parser.JsonPathParser))  # noqa: B010


def _cache_content_types() -> None:
    """Parse each Content-Type once: twisted uses the parser of emails, 3 ms per request.

    Replaces: twisted.web.http._parseContentType.
    Upstream: no issue is known.
    Remove when twisted parses the header in less than 0.1 ms.
    """
    http._parseContentType = functools.lru_cache(maxsize=256)(http._parseContentType)


def _parse_with_one(parser_class: Callable[[], Any]) -> Callable[[str], Any]:
    """Return a function that parses with a single parser, and each path once."""
    parser, lock = parser_class(), threading.Lock()

    @functools.lru_cache(maxsize=4096)
    def parse(path: str) -> Any:
        with lock:  # a parser is not thread-safe
            return parser.parse(path)

    return parse


def correct_after_import() -> None:
    """Apply the corrections of what localemu looks up while it runs."""
    _use_own_s3_directory()
    _mock_functions_in_test_state()
    _keep_mocked_errors_of_tables()
    _resolve_ecr_arns()
    _resolve_table_arns()
    _serialize_table_calls()
    _skip_disabled_rules()
    _resolve_state_machine_arns()
    _fill_condition_keys()
    _log_to_configured_group()
    _separate_child_executions()
    _tell_empty_inputs_as_texts()
    _skip_invocation_metrics()
    _limit_concurrent_invocations()
    _skip_cloudtrail_events()
    _reuse_parsed_definitions()
    _batch_execution_logs()
    _reuse_role_credentials()
    _send_email_subjects()
    _await_email_confirmations()
    _find_empty_lists()
    _transform_before_references()
    _compare_what_refers_to_itself()
    _refuse_empty_change_sets()
    _make_dashboards()
    _collect_for_the_batching_window()


def _mock_functions_in_test_state() -> None:
    """Let TestState return the mock of a Task whose resource is the ARN of a function, as AWS does.

    It mocks service integrations only, and would invoke the function.

    Replaces: lambda_eval_utils.execute_lambda_function_integration.
    Upstream: no issue is known.
    Remove when TestState with a mock succeeds for a function that does not exist.
    """
    from localemu.services.stepfunctions.asl.component.state.state_execution.state_task import (  # noqa: PLC0415 # after the start
        lambda_eval_utils,
    )
    from localemu.services.stepfunctions.asl.component.test_state.state.base_mock import (  # noqa: PLC0415
        MockedBaseState,
    )
    from localemu.services.stepfunctions.asl.eval.test_state.environment import (  # noqa: PLC0415
        TestStateEnvironment,
    )

    execute = lambda_eval_utils.execute_lambda_function_integration

    def execute_or_mock(env: Any, **named: Any) -> None:
        if isinstance(env, TestStateEnvironment) and env.is_test_state_mocked_mode():
            MockedBaseState.do_mock(env)
            env.stack.append({"Payload": env.stack.pop()})
        else:
            execute(env=env, **named)

    lambda_eval_utils.execute_lambda_function_integration = execute_or_mock


def _keep_mocked_errors_of_tables() -> None:
    """Let TestState return a mocked error of a DynamoDB integration under its own name.

    Every error that is no ClientError became DynamoDB.AmazonDynamoDBException, mocked ones too.

    Replaces: state_task_service_dynamodb.StateTaskServiceDynamoDB._from_error.
    Upstream: no issue is known.
    Remove when TestState returns DynamoDB.ConditionalCheckFailedException that was mocked.
    """
    from localemu.services.stepfunctions.asl.component.common.error_name.failure_event import (  # noqa: PLC0415
        FailureEventException,
    )
    from localemu.services.stepfunctions.asl.component.state.state_execution.state_task.service import (  # noqa: PLC0415, E501
        state_task_service_dynamodb as module,
    )

    name_error = module.StateTaskServiceDynamoDB._from_error

    def name_or_keep(task: Any, env: Any, ex: Exception) -> Any:
        return (
            ex.failure_event if isinstance(ex, FailureEventException) else name_error(task, env, ex)
        )

    module.StateTaskServiceDynamoDB._from_error = name_or_keep


def _use_own_s3_directory() -> None:
    """Give this engine its own S3 directory; localemu shares one among all engines of a machine.

    Replaces: localemu.services.s3.provider.DEFAULT_S3_TMP_DIR.
    Upstream: no issue is known.
    Remove when a setting of localemu names the directory.
    """
    from localemu.services.s3 import provider  # noqa: PLC0415

    provider.DEFAULT_S3_TMP_DIR = tempfile.mkdtemp(prefix="s3-")


def _resolve_ecr_arns() -> None:
    """Let policies name ECR repositories, as on AWS; localemu resolves `arn:…:*` only.

    Replaces: arn_builder._SERVICE_ARN_BUILDERS["ecr"].
    Upstream: no issue is known.
    Remove when localemu resolves the ARN of a repository.
    """
    from localemu.services.iam_enforcement import arn_builder  # noqa: PLC0415

    def arn(parameters: dict[str, Any], region: str, account: str) -> str:
        names = parameters.get("repositoryNames") or [parameters.get("repositoryName", "*")]
        return f"arn:aws:ecr:{region}:{account}:repository/{names[0]}"

    arn_builder._SERVICE_ARN_BUILDERS["ecr"] = arn


def _resolve_state_machine_arns() -> None:
    """Let policies allow `states:StartExecution`; localemu checks `stepfunctions:` actions.

    Replaces: service_action_map.ACTION_MAP, arn_builder._SERVICE_ARN_BUILDERS["stepfunctions"].
    Upstream: no issue is known.
    Remove when localemu checks `states:` actions.
    """
    from localemu.services.iam_enforcement import arn_builder, service_action_map  # noqa: PLC0415

    start = ("stepfunctions", "StartExecution")
    service_action_map.ACTION_MAP[start] = ["states:StartExecution"]
    arn_builder._SERVICE_ARN_BUILDERS["stepfunctions"] = arn_builder._states_arn


def _resolve_table_arns() -> None:
    """Let policies name the table of batch and transaction calls; localemu resolves `table/*` only.

    A transaction needs the permissions of its writes, on AWS too. None here contains a
    ConditionCheck, which localemu requires of all.

    Replaces: arn_builder._SERVICE_ARN_BUILDERS["dynamodb"], service_action_map.ACTION_MAP.
    Upstream: no issue is known.
    Remove when localemu resolves the tables and the actions of TransactItems.
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


def _serialize_table_calls() -> None:
    """Run calls of DynamoDB one at a time, and make transactions cheap: see moto_internals.py.

    Replaces: what table_patches() lists.
    Upstream: no issue is known.
    Remove when a transaction of moto does not undo concurrent writes.
    """
    from local.cloud import moto_internals  # noqa: PLC0415

    for patch in moto_internals.table_patches():
        patch.apply()


def _skip_disabled_rules() -> None:
    """Send no events through a disabled EventBridge rule; localemu does.

    Replaces: EventsProvider._process_rules.
    Upstream: no issue is known.
    Remove when a disabled rule with an event pattern has no effect.
    """
    from localemu.services.events.provider import EventsProvider  # noqa: PLC0415

    process = EventsProvider._process_rules

    def process_enabled(provider: Any, rule: Any, *arguments: Any, **named: Any) -> None:
        if rule.state != "DISABLED":
            process(provider, rule, *arguments, **named)

    EventsProvider._process_rules = process_enabled


def _fill_condition_keys() -> None:
    """Fill condition keys that AWS fills; without them, correct policies deny everything.

    aws:SecureTransport: the loopback interface stands for a TLS connection. dynamodb:LeadingKeys:
    each write of a transaction needs the permission of its own kind, for the keys of all, which
    is the strictest reading of AWS's documents.

    Replaces: enforcer._build_conditions, PolicyEvaluator.evaluate.
    Upstream: no issue is known.
    Remove when localemu fills `aws:SecureTransport`, `events:source`, `s3:prefix`, and
    `dynamodb:LeadingKeys`.
    """
    from localemu.services.iam_enforcement import enforcer  # noqa: PLC0415
    from localemu.services.iam_enforcement.evaluator import (  # noqa: PLC0415
        Decision,
        PolicyEvaluator,
    )

    original, evaluate = enforcer._build_conditions, PolicyEvaluator.evaluate

    def conditions(context: Any, caller: Any) -> dict[str, Any]:
        filled: dict[str, Any] = original(context, caller)
        filled["aws:SecureTransport"] = "true"
        entries = (context.service_request or {}).get("Entries", ())
        sources = {entry.get("Source") for entry in entries if isinstance(entry, dict)}
        if context.operation.name == "PutEvents" and len(sources) == 1:
            filled["events:source"] = sources.pop()
        if context.service.service_name == "dynamodb":
            filled[_LEADING_KEYS] = _leading_keys(context.operation.name, context.service_request)
        if prefix := (context.service_request or {}).get("Prefix"):
            filled["s3:prefix"] = prefix
        return filled

    def evaluate_with_keys(
        evaluator: Any, *, action: str, conditions: dict[str, Any], **more: Any
    ) -> Any:
        if (by_action := conditions.get(_LEADING_KEYS)) is not None:
            if by_action and action not in by_action:
                return Decision.ALLOW  # a transaction without a write of this kind
            conditions = {**conditions, _LEADING_KEYS: by_action.get(action)}
        return evaluate(evaluator, action=action, conditions=conditions, **more)

    enforcer._build_conditions = conditions
    PolicyEvaluator.evaluate = evaluate_with_keys


_LEADING_KEYS = "dynamodb:LeadingKeys"


def _leading_keys(operation: str, request: Any) -> dict[str, list[str]]:
    """Return the partition keys of a call by the action that they need; of a Scan, none."""
    if operation == "TransactWriteItems":
        parts = [part for item in request["TransactItems"] for part in item.items()]
        keys = [_partition(part) for _, part in parts]
        return {f"dynamodb:{kind}Item": keys for kind, _ in parts}
    if operation == "BatchGetItem":
        asked = [key for table in request["RequestItems"].values() for key in table["Keys"]]
        return {f"dynamodb:{operation}": [key["pk"]["S"] for key in asked]}
    if operation in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query"):
        return {f"dynamodb:{operation}": [_partition(request)]}
    return {}


def _partition(request: Any) -> str:
    """Return the partition key of an item, or that with which the condition of a query begins."""
    item = request.get("Key") or request.get("Item")
    if item:
        return str(item["pk"]["S"])
    name = request["KeyConditionExpression"].partition("=")[2].split()[0]
    return str(request["ExpressionAttributeValues"][name]["S"])


def _log_to_configured_group() -> None:
    """Write a function's log to the log group in its LoggingConfig.

    Replaces: ExecutionEnvironment.get_log_group_name.
    Upstream: no issue is known.
    Remove when localemu reads LoggingConfig.LogGroup.
    """
    from localemu.services.lambda_.invocation.execution_environment import (  # noqa: PLC0415
        ExecutionEnvironment,
    )

    def log_group(environment: Any) -> str:
        group: str = environment.function_version.config.logging_config["LogGroup"]
        return group

    ExecutionEnvironment.get_log_group_name = log_group


def _separate_child_executions() -> None:
    """Return each child of a distributed Map its own name, start time and history, as on AWS.

    In localemu, children share the context of their parent and one history, which is discarded.

    Replaces: DistributedItemProcessorWorker._eval_input and ._eval_job.
    Upstream: https://github.com/localstack/localstack/pull/9205 (lists the limits of Map runs)
    Remove when ListExecutions by Map run and GetExecutionHistory show children.
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
        # Only now, because the ItemSelector is still evaluated in the parent's context.
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
        CHILD_EXECUTIONS.record(
            ChildExecution(
                execution["Name"],
                worker._map_run_record.execution_arn,
                execution["Input"],
                env.event_manager.get_event_history(),
            )
        )

    DistributedItemProcessorWorker._eval_input = make_input_and_begin
    DistributedItemProcessorWorker._eval_job = evaluate_apart


def _tell_empty_inputs_as_texts() -> None:
    """Put the input of an execution into its events as a text, also if it is {}.

    An empty one is an object there, of which a rule about the text knows nothing.

    Replaces: Execution._get_events_client.
    Upstream: no issue is known.
    Remove when the event of an execution with the input {} has the input "{}".
    """
    from localemu.services.stepfunctions.backend import execution as module  # noqa: PLC0415

    client_of = module.Execution._get_events_client

    def client_for_texts(execution: Any) -> Any:
        client = client_of(execution)

        def put_events(Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 # boto3's name
            for entry in Entries:
                detail = json.loads(entry["Detail"])
                entry["Detail"] = json.dumps(detail | {"input": detail["input"] or "{}"})
            return client.put_events(Entries=Entries)

        return SimpleNamespace(put_events=put_events)

    module.Execution._get_events_client = client_for_texts


def _skip_invocation_metrics() -> None:
    """Record no CloudWatch metrics of invocations: they took half of the engine's time.

    Replaces: version_manager.record_cw_metric_invocation and .record_cw_metric_error.
    Upstream: no issue is known.
    Remove when a setting of localemu turns them off, or they take less than 5 % of the time.
    """
    from localemu.services.lambda_.invocation import version_manager  # noqa: PLC0415

    def keep_nothing(*_: Any, **__: Any) -> None:
        pass

    version_manager.record_cw_metric_invocation = keep_nothing
    version_manager.record_cw_metric_error = keep_nothing


def _limit_concurrent_invocations() -> None:
    """Let an invocation wait for a free process where AWS would start another environment.

    Otherwise 70 scans that end in the same second would start 100 processes.

    Replaces: AssignmentService.get_environment.
    Upstream: none, because it is no fault, but a limit for small machines.
    Remove when the demo no longer runs on two cores.
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


def _reuse_parsed_definitions() -> None:
    """Parse each state machine definition once, and give executions copies of the result.

    localemu parses the text per execution: 60 to 170 ms of its one thread. A copy takes 1 ms.

    Replaces: ExecutionWorker._get_evaluation_entrypoint.
    Upstream: no issue is known.
    Remove when localemu keeps parsed definitions.
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


def _skip_cloudtrail_events() -> None:
    """Put no `AWS API Call via CloudTrail` events on the bus: no rule here matches them.

    localemu keeps a thread for a minute per API call, thousands of them, and calls PutEvents.

    Replaces: recording_hook._emit_cloudtrail_to_eventbridge.
    Upstream: no issue is known.
    Remove when a setting of localemu turns them off.
    """
    from localemu.services.cloudtrail import recording_hook  # noqa: PLC0415

    def put_nothing(*_: Any, **__: Any) -> None:
        pass

    recording_hook._emit_cloudtrail_to_eventbridge = put_nothing


def _batch_execution_logs() -> None:
    """Write execution logs in batches, some tenths of a second later, as AWS does.

    localemu makes one PutLogEvents call per history event, and the execution waits for it.

    Replaces: CloudWatchLoggingSession.publish_history_log.
    Upstream: https://github.com/localstack/localstack/pull/10975 (brought the logs)
    Remove when logging does not block an execution.
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
                events.sort(
                    key=lambda event: event["timestamp"]
                )  # CloudWatch Logs refuses any other order
                for begin in range(0, len(events), LOG_BATCH):
                    session._publish_history_log_or_setup(events[begin : begin + LOG_BATCH])

    states.CloudWatchLoggingSession.publish_history_log = put
    threading.Thread(target=write, name="states-log", daemon=True).start()


def _reuse_role_credentials() -> None:
    """Reuse the credentials of a role for CREDENTIALS_SECONDS, as AWS services do.

    localemu assumes the role and makes a client for every task of a state machine.

    Replaces: ClientFactory.with_assumed_role.
    Upstream: no issue is known.
    Remove when localemu reuses the client of a role.
    """
    from localemu.aws.connect import ClientFactory  # noqa: PLC0415

    assume = ClientFactory.with_assumed_role
    assumed: dict[Any, Any] = {}
    lock = threading.Lock()

    def assume_once(factory: Any, **arguments: Any) -> Any:
        period = time.monotonic() // CREDENTIALS_SECONDS
        key = (id(factory), period, *sorted(arguments.items(), key=lambda item: item[0]))
        with lock:
            if key not in assumed:
                assumed[key] = assume(factory, **arguments)
            return assumed[key]

    ClientFactory.with_assumed_role = assume_once


def _send_email_subjects() -> None:
    """Send emails of SNS with the published subject; localemu sends all with the same one.

    Replaces: EmailJsonTopicPublisher._publish.
    Upstream: https://github.com/localstack/localstack/pull/3571 (brought the emails)
    Remove when localemu passes the subject of Publish.
    """
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
        # AWS's subject if none is published: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
        subject = context.message.subject or "AWS Notification Message"
        ses.send_email(
            Source=source,
            Message={"Body": {"Text": {"Data": text}}, "Subject": {"Data": subject}},
            Destination={"ToAddresses": [address]},
        )

    publisher.EmailJsonTopicPublisher._publish = publish


def _await_email_confirmations() -> None:
    """Send emails to confirmed subscriptions only, and list the others as AWS does.

    Replaces: PublishDispatcher._should_publish, SnsProvider.list_subscriptions_by_topic.
    Upstream: no issue is known; a comment of localemu names the fault.
    Remove when an email address gets nothing before ConfirmSubscription.
    """
    from localemu.services.sns import provider, publisher  # noqa: PLC0415

    should_publish = publisher.PublishDispatcher._should_publish
    list_subscriptions = provider.SnsProvider.list_subscriptions_by_topic

    def publish_if_confirmed(
        dispatcher: Any, policy: Any, message: Any, subscriber: Any, **named: Any
    ) -> Any:
        return subscriber["PendingConfirmation"] == "false" and should_publish(
            dispatcher, policy, message, subscriber, **named
        )

    def list_pending(sns: Any, context: Any, topic_arn: str, **named: Any) -> Any:
        response = list_subscriptions(sns, context, topic_arn, **named)
        known = sns.get_store(context.account_id, context.region).subscriptions
        for each in response["Subscriptions"]:
            subscription = known.get(each["SubscriptionArn"], {})
            if subscription.get("PendingConfirmation") == "true":
                each["SubscriptionArn"] = "PendingConfirmation"
        return response

    publisher.PublishDispatcher._should_publish = publish_if_confirmed
    provider.SnsProvider.list_subscriptions_by_topic = list_pending


def _find_empty_lists() -> None:
    """Let a path with several wildcards find nothing: see moto_internals.py.

    Replaces: _contains_slice_or_wildcard_array in json_path.
    Upstream: no issue is known.
    Remove when localemu returns an empty list for `$[*].left[*]`.
    """
    from localemu.services.stepfunctions.asl.utils import json_path  # noqa: PLC0415

    from local.cloud.moto_internals import has_wildcard  # noqa: PLC0415

    json_path._contains_slice_or_wildcard_array = has_wildcard


def _transform_before_references() -> None:
    """Resolve references after the transform, because some lead to resources that SAM makes.

    localemu first looks for transforms inside of resources, of which the template has none, and
    resolves all references on the way.

    Replaces: _execute_local_transforms of ChangeSetModelTransform.
    Upstream: no issue is known.
    Remove when localemu accepts `!GetAtt RecordPlatformsFunctionIndexPushed.Arn`.
    """
    from localemu.services.cloudformation.engine.v2 import (  # noqa: PLC0415
        change_set_model_transform,
    )

    def transform_nothing(_: object) -> None:
        """Leave it to the transform of the whole template."""

    transform: Any = change_set_model_transform.ChangeSetModelTransform
    transform._execute_local_transforms = transform_nothing


def _compare_what_refers_to_itself() -> None:
    """Compare two templates in which a resource leads to itself, as only those for SAM may.

    The role of a schedule names its state machine, whose events name the role. localemu follows
    such references without end when it looks for changes, before it transforms.

    Replaces: ChangeSetModel._retrieve_or_visit_resource.
    Upstream: no issue is known.
    Remove when a stack with a ScheduleV2 event and a role for it can be updated.
    """
    from localemu.services.cloudformation.engine.v2 import change_set_model  # noqa: PLC0415

    retrieve = change_set_model.ChangeSetModel._retrieve_or_visit_resource
    unchanged = SimpleNamespace(
        change_type=change_set_model.ChangeType.UNCHANGED, properties=SimpleNamespace(properties=())
    )

    def retrieve_or_end(model: Any, resource_name: str) -> Any:
        under_way: set[str] = vars(model).setdefault("resources_under_way", set())
        if resource_name in under_way:
            return unchanged
        under_way.add(resource_name)
        try:
            return retrieve(model, resource_name)
        finally:
            under_way.remove(resource_name)

    change_set_model.ChangeSetModel._retrieve_or_visit_resource = retrieve_or_end


def _refuse_empty_change_sets() -> None:
    """Let a change set without changes fail, as AWS does; a template with a transform never did.

    Replaces: ChangeSet.has_changes.
    Upstream: no issue is known.
    Remove when `sam deploy` of a deployed stack says that it is up to date.
    """
    from localemu.services.cloudformation.engine.v2 import change_set_model  # noqa: PLC0415
    from localemu.services.cloudformation.v2 import entities  # noqa: PLC0415

    def has_changes(change_set: Any) -> bool:
        template = change_set.update_model.node_template
        parts = (template.resources, template.outputs)
        return any(part.change_type != change_set_model.ChangeType.UNCHANGED for part in parts)

    entities.ChangeSet.has_changes = has_changes


def _make_dashboards() -> None:
    """Let CloudFormation make dashboards; localemu reports them as made, and makes none.

    Replaces: ResourceProviderExecutor.try_load_resource_provider.
    Upstream: no issue is known.
    Remove when a stack with an AWS::CloudWatch::Dashboard has one.
    """
    from localemu.services.cloudformation import resource_provider as module  # noqa: PLC0415

    def put(_provider: Any, request: Any) -> Any:
        model = request.desired_state
        request.aws_client_factory.cloudwatch.put_dashboard(
            DashboardName=model["DashboardName"], DashboardBody=model["DashboardBody"]
        )
        return module.ProgressEvent(module.OperationStatus.SUCCESS, resource_model=model)

    def delete(_provider: Any, request: Any) -> Any:
        model = request.desired_state
        request.aws_client_factory.cloudwatch.delete_dashboards(
            DashboardNames=[model["DashboardName"]]
        )
        return module.ProgressEvent(module.OperationStatus.SUCCESS, resource_model=model)

    dashboards = type(
        "DashboardProvider",
        (module.ResourceProvider,),
        {
            "TYPE": "AWS::CloudWatch::Dashboard",
            "SCHEMA": {
                "typeName": "AWS::CloudWatch::Dashboard",
                "primaryIdentifier": ["/properties/DashboardName"],
                "createOnlyProperties": ["/properties/DashboardName"],
                "properties": {
                    "DashboardName": {"type": "string"},
                    "DashboardBody": {"type": "string"},
                },
            },
            "create": put,
            "update": put,
            "delete": delete,
        },
    )
    load = module.ResourceProviderExecutor.try_load_resource_provider

    def load_or_make(resource_type: str) -> Any:
        return (
            dashboards() if resource_type == "AWS::CloudWatch::Dashboard" else load(resource_type)
        )

    module.ResourceProviderExecutor.try_load_resource_provider = staticmethod(load_or_make)


def _collect_for_the_batching_window() -> None:
    """Let an event source mapping collect messages until its batching window is over.

    ReceiveMessage returns what is there together with the first message, so that 300 messages that
    arrive within 5 s become three batches.

    Replaces: SqsPoller.poll_events.
    Upstream: https://github.com/localstack/localstack/pull/12002 (collects, if the window is longer
    than 20 s and messages are few)
    Remove when a batch holds the messages of a whole window.
    """
    from localemu.services.lambda_.event_source_mapping.pollers import sqs_poller  # noqa: PLC0415

    receive = sqs_poller.SqsPoller.poll_events

    def poll_events(poller: Any) -> None:
        ends_at = None
        while poller.maximum_batching_window:
            visible = _visible_messages(poller)
            if not visible:
                raise sqs_poller.EmptyPollResultsException(
                    service="sqs", source_arn=poller.source_arn
                )
            ends_at = ends_at or time.monotonic() + poller.maximum_batching_window
            if visible >= poller.batch_size or time.monotonic() >= ends_at:
                break
            time.sleep(BATCH_SECONDS)
        receive(poller)

    sqs_poller.SqsPoller.poll_events = poll_events


def _visible_messages(poller: Any) -> int:
    name = "ApproximateNumberOfMessages"
    answer = poller.source_client.get_queue_attributes(
        QueueUrl=poller.queue_url, AttributeNames=[name]
    )
    return int(answer["Attributes"][name])
