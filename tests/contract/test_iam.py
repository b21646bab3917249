"""Least privilege: what the statements of roles look like.

That each role allows what its code uses, and no more, is in tests/workflow/test_grants.py.
"""

import re
from typing import Any

import pytest

from tests.support.definition import NOTIFY_SCAN, RESCAN_REGISTRY, SEND_DIGEST, WORKFLOWS, Workflow
from tests.support.template import ROOT, resources, template

FUNCTIONS = resources("AWS::Serverless::Function")
ROLES = resources("AWS::IAM::Role")
POLICIES = resources("AWS::IAM::Policy")
# Actions without resource-level permissions, by the Service Authorization Reference.
REGISTRY_WIDE = {
    "ecr:GetRegistryScanningConfiguration",
    "inspector2:ListCoverage",
    "inspector2:ListFindings",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
LOG_DELIVERY = re.compile(r"logs:\w*(LogDeliver|ResourcePolic|LogGroups)\w*")


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """List the statements of a function or of a role."""
    policies = [with_every_condition(policy) for policy in properties.get("Policies", [])]
    return [
        with_every_condition(statement)
        for policy in policies
        for statement in policy.get("PolicyDocument", policy)["Statement"]
    ]


def with_every_condition(value: dict[str, Any]) -> dict[str, Any]:
    """Take what a stack has in which every condition holds."""
    chosen: dict[str, Any] = value["Fn::If"][1] if "Fn::If" in value else value
    return chosen


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return action if isinstance(action, list) else [action]


ALL = [
    (name, statement)
    for name, properties in {**FUNCTIONS, **ROLES}.items()
    for statement in statements(properties)
] + [
    (name, statement)
    for name, properties in POLICIES.items()
    for statement in properties["PolicyDocument"]["Statement"]
]


@pytest.mark.parametrize(("name", "statement"), ALL, ids=lambda each: str(each)[:40])
def test_a_statement_is_exact_and_says_what_for(name: str, statement: dict[str, Any]) -> None:
    assert statement["Effect"] == "Allow"
    assert re.fullmatch(r"([A-Z][a-z]*)+", statement["Sid"])
    for action in actions(statement):
        assert re.fullmatch(r"[a-z0-9]+:[A-Z]\w+", action)
        if statement["Resource"] == "*":
            assert action in REGISTRY_WIDE or LOG_DELIVERY.fullmatch(action)


def test_a_star_has_its_reason_beside_it() -> None:
    text = (ROOT / "template.yaml").read_text()
    for line in text.splitlines():
        if re.search(r"(Resource|Principal|Action): \"?(\w+:)?\*", line):
            assert re.search(r"# \w+", line), line


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_a_state_machine_invokes_its_functions_and_nothing_else(workflow: Workflow) -> None:
    allowed = [
        each for each in statements(workflow.role) if "lambda:InvokeFunction" in actions(each)
    ]
    (invoke,) = allowed
    invoked = {resource["Fn::GetAtt"][0] for resource in invoke["Resource"]}
    assert invoked == {f"{state.name}Function" for state in workflow.states if state.is_function}


def rules_of(queue: str) -> list[dict[str, Any]]:
    """Find the rules that may send to a queue, by the policy of the queue."""
    policies = resources("AWS::SQS::QueuePolicy").values()
    (policy,) = [each for each in policies if each["Queues"] == [{"Ref": queue}]]
    _, statement = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert statement["Condition"].keys() == {"ArnEquals"}
    admitted = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    return admitted if isinstance(admitted, list) else [admitted]


def test_only_rules_of_ours_may_fill_a_queue() -> None:
    rules = (*NOTIFY_SCAN.rules, "RecordPlatformsFunctionIndexPushed", "FindingChanged")
    assert rules_of("Undelivered") == [{"Fn::GetAtt": [name, "Arn"]} for name in rules]
    assert rules_of("InspectorFindings") == [{"Fn::GetAtt": ["FindingChanged", "Arn"]}]


def test_only_alarms_of_the_account_may_publish_to_the_topic_of_alarms() -> None:
    policy = resources("AWS::SNS::TopicPolicy")["AlarmTopicPolicy"]
    assert policy["Topics"] == [{"Ref": "AlarmTopic"}]
    _, take = policy["PolicyDocument"]["Statement"]
    assert (take["Effect"], take["Action"]) == ("Allow", "sns:Publish")
    assert take["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert take["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert take["Resource"] == {"Ref": "AlarmTopic"}


# A role is trusted by AWS's own services alone, and of these by those that document the condition.
ASSUMED_BY = {
    "RescanRegistryStateMachineRole": "states.amazonaws.com",
    "RescanRegistryStateMachineScheduleRole": "scheduler.amazonaws.com",
    "NotifyScanStateMachineRole": "states.amazonaws.com",
    "NotifyScanRulesRole": "events.amazonaws.com",
    "SendDigestStateMachineRole": "states.amazonaws.com",
    "SendDigestStateMachineDigestScheduleRole": "scheduler.amazonaws.com",
}


def test_a_service_may_assume_a_role_for_this_account_alone() -> None:
    assert ROLES.keys() == ASSUMED_BY.keys()
    for name, role in ROLES.items():
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Effect"] == "Allow"
        assert trust["Principal"] == {"Service": ASSUMED_BY[name]}
        assert trust["Action"] == "sts:AssumeRole"
        account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert trust["Condition"] == {"StringEquals": account}


def test_sam_makes_no_role_but_those_of_functions() -> None:
    """Their trust policy is SAM's: Lambda documents no condition for it."""
    for name, machine in resources("AWS::Serverless::StateMachine").items():
        assert machine["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        assert "Policies" not in machine
        for event, schedule in machine.get("Events", {}).items():
            assert schedule["Type"] == "ScheduleV2"
            role = schedule["Properties"]["RoleArn"]
            assert role == {"Fn::GetAtt": [f"{name}{event}Role", "Arn"]}
    for function in FUNCTIONS.values():
        assert not {"Role", "AssumeRolePolicyDocument"} & function.keys()


@pytest.mark.parametrize(
    ("role", "machine"),
    [
        ("RescanRegistryStateMachineScheduleRole", "RescanRegistryStateMachine"),
        ("SendDigestStateMachineDigestScheduleRole", "SendDigestStateMachine"),
    ],
)
def test_a_schedule_may_start_its_state_machine_and_say_that_it_could_not(
    role: str, machine: str
) -> None:
    """EventBridge Scheduler sends to the dead-letter queue by the role of the schedule."""
    start, keep = statements(ROLES[role])
    assert (start["Action"], start["Resource"]) == ("states:StartExecution", {"Ref": machine})
    assert keep["Action"] == "sqs:SendMessage"
    assert keep["Resource"] == {"Fn::GetAtt": ["Undelivered", "Arn"]}


def test_a_rule_may_start_notify_scan() -> None:
    (start,) = statements(ROLES["NotifyScanRulesRole"])
    assert start["Action"] == "states:StartExecution"
    assert start["Resource"] == {"Ref": "NotifyScanStateMachine"}


def test_every_role_has_the_permissions_boundary() -> None:
    boundary = template()["Globals"]["Function"]["PermissionsBoundary"]
    assert boundary["Fn::If"][0] == "HasPermissionsBoundary"
    for role in ROLES.values():
        assert role["PermissionsBoundary"] == boundary


def test_a_map_run_starts_follows_and_redrives_its_own_children_and_nothing_else() -> None:
    (policy,) = POLICIES.values()
    assert policy["Roles"] == [{"Ref": "RescanRegistryStateMachineRole"}]
    start, follow, redrive = policy["PolicyDocument"]["Statement"]
    assert start["Action"] == "states:StartExecution"
    assert start["Resource"] == {"Ref": "RescanRegistryStateMachine"}
    executions = (
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:"
        "${RescanRegistryStateMachine.Name}"
    )
    (map_state,) = [state for state in RESCAN_REGISTRY.states if state.name == "ForEachRepository"]
    of_label = {"Fn::Sub": f"{executions}/{map_state.body['Label']}:*"}
    assert follow["Action"] == ["states:DescribeExecution", "states:StopExecution"]
    assert follow["Resource"] == [{"Fn::Sub": f"{executions}:*"}, of_label]
    assert redrive["Action"] == "states:RedriveExecution"
    assert redrive["Resource"] == of_label


def test_every_queue_that_rules_fill_has_a_policy() -> None:
    filled = set()
    for function in FUNCTIONS.values():
        for event in function.get("Events", {}).values():
            filled.add(event["Properties"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0])
    for rule in resources("AWS::Events::Rule").values():
        (target,) = rule["Targets"]
        filled.add(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0])
        if "Fn::GetAtt" in target["Arn"]:
            filled.add(target["Arn"]["Fn::GetAtt"][0])
    policies = resources("AWS::SQS::QueuePolicy").values()
    assert filled == {policy["Queues"][0]["Ref"] for policy in policies}


def test_digests_may_start_notify_scan_and_nothing_else() -> None:
    (start,) = [
        each for each in statements(SEND_DIGEST.role) if "states:StartExecution" in actions(each)
    ]
    assert start["Resource"] == {"Ref": "NotifyScanStateMachine"}
