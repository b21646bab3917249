"""The definitions: what AWS validates late, and what it does not validate."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import lint_all

from notify_scan import scan_details
from notify_scan.post_to_webhook import TIME_LIMIT
from notify_scan.webhooks import client
from reporting.channels.delivery import Channel
from rescan_registry import find_stale_images, repository_step
from rescan_registry.progress import BATCH
from tests.support.definition import (
    NOTIFY_SCAN,
    WORKFLOWS,
    State,
    Workflow,
    states,
)
from tests.support.errors import errors
from tests.support.strict_yaml import load
from tests.support.template import resolved, resources

LAMBDA_RETRIER = {
    "ErrorEquals": [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
    ],
    "IntervalSeconds": 2,
    "MaxAttempts": 5,
    "BackoffRate": 2,
    "MaxDelaySeconds": 30,
    "JitterStrategy": "FULL",
}
# As patient as with ECR: an account may have 10 concurrent executions of functions.
CONCURRENCY_RETRIER = {
    "ErrorEquals": ["Lambda.TooManyRequestsException"],
    "IntervalSeconds": 2,
    "MaxAttempts": 30,
    "BackoffRate": 1.5,
    "MaxDelaySeconds": 30,
    "JitterStrategy": "FULL",
}
# In the 5 minutes of an Express execution, other waits must fit too.
EXPRESS_CONCURRENCY_RETRIER = CONCURRENCY_RETRIER | {"MaxAttempts": 8, "MaxDelaySeconds": 10}
# How a function that is killed fails, by https://github.com/localstack/localstack, snapshots of
# tests/aws/services/stepfunctions/v2/. States.TaskFailed would match all but States.Timeout.
CRASH_RETRIER = {
    "ErrorEquals": ["Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown", "States.Timeout"],
    "IntervalSeconds": 5,
    "MaxAttempts": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 10,
    "JitterStrategy": "FULL",
}
ECR_RETRIER = {
    "ErrorEquals": ["EcrThrottled", "EcrUnavailable"],
    "IntervalSeconds": 2,
    "MaxAttempts": 15,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "JitterStrategy": "FULL",
}
CALLS_ECR = {"ListRepositories", "FindStaleImages", "StartImageScans"}
# DynamoDB's answer to a condition that does not hold: somebody else was first.
NO_FAULT = ["DynamoDB.ConditionalCheckFailedException"]
AWS_ERRORS = {
    *LAMBDA_RETRIER["ErrorEquals"],  # type: ignore[misc]
    *CONCURRENCY_RETRIER["ErrorEquals"],  # type: ignore[misc]
    *CRASH_RETRIER["ErrorEquals"],  # type: ignore[misc]
    *NO_FAULT,
    "States.TaskFailed",
    "States.ALL",
}
# What a receiver asks for is waited for, so there is no jitter.
WAITS_AS_TOLD = {
    "WebhookThrottled": client.SOON,
    "WebhookThrottledForLong": client.LATER,
    "DigestNotDelivered": 1,
}
# Their effect is the same however often they run, and nothing is known of what they failed of.
NEEDS_NO_REASON = {
    "NoteExecution",
    "NoteDeliveries",
    "MarkDelivered",
    "KeepUndelivered",
    "MarkKept",
    "ForgetExecution",
    "KeepEvent",
    "ForgetKeptEvent",
}
MAX_EVENTS = 25_000
# Not yet: the states of a child execution.
CHILD = {"FindStaleImages", "StartImageScans", "RecordRepository"}

TASKS = [state for state in states() if state.kind == "Task"]
MAPS = [state for state in states() if state.kind == "Map"]
by_name = pytest.mark.parametrize("state", states(), ids=lambda state: state.name)
by_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)


def default_definition(workflow: Workflow) -> dict[str, Any]:
    return workflow.rendered(resolved(workflow.substitutions))


def paths(value: object) -> Iterator[str]:
    """Find the JSONPaths in a state, those inside intrinsic functions too."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in ("ItemProcessor", "Comment"):
                yield from paths(item)
    elif isinstance(value, list):
        for item in value:
            yield from paths(item)
    elif isinstance(value, str):
        yield from re.findall(r"\$\$?\.[\w.]+", value)


def next_of(body: dict[str, Any]) -> list[str]:
    """List where a state can go from itself."""
    steps = [body.get("Next"), body.get("Default")]
    steps += [rule["Next"] for rule in body.get("Choices", [])]
    steps += [catcher["Next"] for catcher in body.get("Catch", [])]
    return [step for step in steps if step]


@by_workflow
def test_placeholders_and_substitutions_are_the_same_names(workflow: Workflow) -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", workflow.path.read_text()))
    assert placeholders == workflow.substitutions.keys()


@by_workflow
def test_no_account_region_or_partition_stands_in_it(workflow: Workflow) -> None:
    text = workflow.path.read_text()
    assert not re.search(r"[0-9]{12}|arn:aws|[a-z]{2}-[a-z]+-[0-9]", text)


@by_workflow
def test_cloudformation_lint_accepts_it_as_a_state_machine(workflow: Workflow) -> None:
    document = {
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "Definition": default_definition(workflow),
                    "StateMachineType": workflow.properties["Type"],
                    "RoleArn": "arn:aws:iam::123456789012:role/any",
                },
            }
        }
    }
    found = [match for match in lint_all(json.dumps(document)) if match.rule.id[0] in "EW"]
    assert [str(match) for match in found] == []


# It is older than these; cfn-lint knows both, and localemu and moto read them.
STATELINT_COMPLAINTS = {
    "RescanRegistry": [
        'Field "Label" not allowed in State Machine.States.ForEachRepository',
        'Field "InputType" not allowed in '
        "State Machine.States.ForEachRepository.ItemReader.ReaderConfig",
    ],
    "NotifyScan": [],
    "SendDigest": [],
}


@by_workflow
def test_statelint_accepts_it(workflow: Workflow, tmp_path: Path) -> None:
    path = tmp_path / "definition.json"
    path.write_text(json.dumps(default_definition(workflow)))
    linted = subprocess.run(
        [sys.executable, "-m", "statelint", path], capture_output=True, text=True, check=False
    )
    complaints = [line.strip() for line in linted.stdout.splitlines()[1:] if line.strip()]
    assert complaints == STATELINT_COMPLAINTS[workflow.name]


@by_name
def test_every_transition_leads_to_a_state_of_the_same_scope(state: State) -> None:
    assert set(next_of(state.body)) <= state.scope["States"].keys()
    ends = state.kind in ("Succeed", "Fail") or state.body.get("End") is True
    assert ends != bool(next_of({**state.body, "Catch": []}))


def test_every_state_is_reached() -> None:
    definitions = [workflow.definition for workflow in WORKFLOWS]
    scopes = [*definitions, *(state.body["ItemProcessor"] for state in MAPS)]
    for scope in scopes:
        reached, todo = set(), [scope["StartAt"]]
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo.extend(next_of(scope["States"][name]))
        assert reached == scope["States"].keys()


@pytest.mark.parametrize("state", TASKS, ids=lambda state: state.name)
def test_every_task_is_retried_by_the_one_rule(state: State) -> None:
    retry = state.body["Retry"]
    if state.is_function:
        is_express = state.workflow.properties["Type"] == "EXPRESS"
        expected = EXPRESS_CONCURRENCY_RETRIER if is_express else CONCURRENCY_RETRIER
        assert retry[:2] == [LAMBDA_RETRIER, expected]
        # A receiver may have the message of a function that was killed.
        assert (retry[-1] == CRASH_RETRIER) == (state.name != "PostToWebhook")
        assert (ECR_RETRIER in retry[1:]) == (state.name in CALLS_ECR)
    for retrier in retry:
        if retrier["ErrorEquals"] == NO_FAULT:
            assert retrier["MaxAttempts"] == 0
            continue
        (name, *_) = retrier["ErrorEquals"]
        assert retrier["JitterStrategy"] == ("NONE" if name in WAITS_AS_TOLD else "FULL")
        assert retrier["IntervalSeconds"] >= WAITS_AS_TOLD.get(name, 1)
        assert "MaxDelaySeconds" in retrier
        assert ("States.ALL" in retrier["ErrorEquals"]) == (state.name in NEEDS_NO_REASON)


@pytest.mark.parametrize("state", TASKS, ids=lambda state: state.name)
def test_a_task_waits_longer_than_its_function_runs(state: State) -> None:
    function = resources("AWS::Serverless::Function").get(f"{state.name}Function", {"Timeout": 0})
    assert state.body["TimeoutSeconds"] > function.get("Timeout", 20)


@by_name
def test_only_the_last_catch_takes_everything_and_keeps_the_input(state: State) -> None:
    *named, last = state.body.get("Catch", [{"ErrorEquals": ["States.ALL"], "ResultPath": None}])
    assert last["ErrorEquals"] == ["States.ALL"]
    for catcher in named:
        assert catcher["ErrorEquals"] == NO_FAULT
    for catcher in (*named, last):
        assert catcher["ResultPath"] in ("$.error", "$.ledger_error", None)


@by_name
def test_every_error_name_is_a_class_or_one_of_awss_own(state: State) -> None:
    known = errors().keys() | AWS_ERRORS
    for rule in (*state.body.get("Retry", []), *state.body.get("Catch", [])):
        assert set(rule["ErrorEquals"]) <= known


def test_comments_say_why_where_work_is_done() -> None:
    for state in states():
        if state.kind in ("Task", "Map", "Choice"):
            comment = state.body["Comment"]
            assert len(comment) > 40, state.name
            assert comment.endswith("."), state.name
    for workflow in WORKFLOWS:
        assert "Started by" in workflow.definition["Comment"]


@pytest.mark.parametrize("state", MAPS, ids=lambda state: state.name)
def test_a_map_names_what_it_hands_to_an_item(state: State) -> None:
    assert "MaxConcurrency" in state.body
    handed = state.body["ItemSelector"]
    assert "$" not in handed.values()
    given = {key.removesuffix(".$") for key in handed}
    for inner in state.body["ItemProcessor"]["States"].values():
        made = given | {
            path.split(".")[1]
            for other in state.body["ItemProcessor"]["States"].values()
            for path in (other.get("ResultPath"), *_catch_paths(other))
            if path and path != "$"
        }
        if state.name == "ForEachBatch":
            made |= {"error"}
        for path in paths(inner):
            if not path.startswith("$$"):
                assert path.split(".")[1] in made, (state.name, path)


def _catch_paths(body: dict[str, Any]) -> list[str]:
    return [catcher["ResultPath"] for catcher in body.get("Catch", [])]


def test_a_choice_always_has_a_default_that_is_not_success() -> None:
    for state in states():
        if state.kind == "Choice":
            default = state.scope["States"][state.body["Default"]]
            assert (
                state.body["Default"] in ("NothingToReport", "NothingToSend")
                or default["Type"] != "Succeed"
            )


def test_the_last_attempt_at_details_is_the_last_retry() -> None:
    (compose,) = [state for state in TASKS if state.name == "ComposeNotification"]
    assert compose.body["Retry"][2]["ErrorEquals"] == [
        "EcrThrottled",
        "EcrUnavailable",
        "LedgerUnavailable",
        "BaselineMoved",
    ]
    assert compose.body["Retry"][2]["MaxAttempts"] == scan_details.RETRIES


def test_no_retrier_of_an_express_execution_takes_its_time() -> None:
    """Three functions in a row, each of which waits as long as it can for concurrency."""
    interval = float(str(EXPRESS_CONCURRENCY_RETRIER["IntervalSeconds"]))
    waits = 0.0
    for _ in range(int(str(EXPRESS_CONCURRENCY_RETRIER["MaxAttempts"]))):
        waits += min(interval, 10)
        interval *= 1.5
    assert 3 * waits < NOTIFY_SCAN.definition["TimeoutSeconds"] - 100


def test_no_channel_waits_for_another() -> None:
    (fan_out,) = [state for state in MAPS if state.workflow == NOTIFY_SCAN]
    assert fan_out.body["MaxConcurrency"] >= len(Channel)


def test_a_message_that_finds_no_taker_gets_to_the_queue_in_time() -> None:
    """An Express execution is killed after 300 s, and what it still has is lost then."""
    (post,) = [state for state in TASKS if state.name == "PostToWebhook"]
    (keep,) = [state for state in TASKS if state.name == "KeepUndelivered"]
    longest_wait = max(retrier["MaxDelaySeconds"] for retrier in post.body["Retry"])
    posting = TIME_LIMIT.seconds + post.body["TimeoutSeconds"] + longest_wait
    assert posting + keep.body["TimeoutSeconds"] / 2 < NOTIFY_SCAN.definition["TimeoutSeconds"]


def retries_of(name: str) -> int:
    """Add up the attempts of all retriers of a state."""
    (state,) = [state for state in TASKS if state.name == name]
    return sum(retrier["MaxAttempts"] for retrier in state.body["Retry"])


def test_the_last_attempt_of_a_step_is_the_last_retry() -> None:
    (step,) = [state for state in TASKS if state.name == "FindStaleImages"]
    assert ECR_RETRIER in step.body["Retry"]
    assert ECR_RETRIER["MaxAttempts"] == find_stale_images.RETRIES


def test_a_child_stays_below_the_history_limit_however_much_is_retried() -> None:
    """Its last batches are started when almost MOST_EVENTS are counted."""
    per_retry = repository_step.EVENTS_PER_RETRY
    assert retries_of("StartImageScans") <= repository_step.MOST_RETRIES
    batch = repository_step.EVENTS_PER_BATCH + per_retry * repository_step.MOST_RETRIES + 2
    step = repository_step.EVENTS_PER_STEP + per_retry * retries_of("FindStaleImages")
    child = 1 + repository_step.MOST_EVENTS
    child += repository_step.IMAGES_A_STEP // BATCH * batch  # 2 for the Pass of one that failed
    child += step
    child += 5 + per_retry * retries_of("RecordRepository")
    child += 5 + per_retry * retries_of("RecordFailure")
    child += 1 + 1  # RepositoryFailed, and the end of the execution
    assert child < MAX_EVENTS


def test_the_largest_repository_needs_no_more_events_than_it_may_have() -> None:
    """100,000 images and the largest budget; each batch is a step after a wait, and is retried."""
    pages = 100 * repository_step.EVENTS_PER_STEP
    batches = 20_000 // BATCH
    per_batch = 2 * repository_step.EVENTS_PER_STEP + repository_step.EVENTS_PER_BATCH
    retries = 2 * repository_step.EVENTS_PER_RETRY
    assert pages + batches * (per_batch + retries) < repository_step.MOST_EVENTS


@pytest.mark.parametrize(
    "text", ["a: &x 1\nb: *x\n", "a: 1\na: 2\n", "a: &x {b: 1}\nc:\n  <<: *x\n"]
)
def test_the_loader_refuses_what_cloudformation_would_misread(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(yaml.YAMLError):
        load(path)
