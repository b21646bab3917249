"""`make prove` without AWS: the cases that it makes, and what it says of answers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from operations import prove as module
from operations.prove import Machine, differences, machines, main, prove
from operations.state_cases import ANY_OTHER, Case, Outcome, UnreadableDefinitionError, cases_of
from tests.support.definition import WORKFLOWS, State, states

MACHINES = machines(partition="aws-cn", region="cn-north-1")
CASES = [case for machine in MACHINES for case in cases_of(machine.name, machine.definition)]
MODEL = botocore.session.get_session().get_service_model("stepfunctions")
JUDGED = [state for state in states() if state.kind in {"Task", "Map", "Choice"}]


class FakeStates:
    """Answers as expected, unless `answer` says otherwise; checks every request by AWS's model."""

    class meta:  # noqa: N801 # botocore's name
        region_name = "eu-central-1"
        endpoint_url = "https://states.example"

    def __init__(self, answer: Any = None) -> None:
        self._expected = iter(CASES)
        self._answer = answer or (lambda answer: answer)

    def test_state(self, **request: Any) -> dict[str, Any]:
        assert_valid("TestState", request)
        expected = next(self._expected).expected
        return dict(self._answer(answer_of(expected)))

    def validate_state_machine_definition(self, **request: Any) -> dict[str, Any]:
        assert_valid("ValidateStateMachineDefinition", request)
        return {"result": "OK", "diagnostics": []}


def answer_of(expected: Outcome) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": expected.status}
    if expected.next_state:
        answer["nextState"] = expected.next_state
    if expected.output is not None:
        answer["output"] = json.dumps(expected.output)
    if expected.error:
        answer["error"] = expected.error
    return answer


def assert_valid(operation: str, request: dict[str, Any]) -> None:
    shape = MODEL.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()


def refusing(code: str) -> Any:
    def refuse(_: object) -> Iterator[tuple[str, Any]]:
        error: Any = {"Error": {"Code": code, "Message": "any"}}
        raise ClientError(error, "TestState")

    return refuse


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.state} {case.about}")
def test_asks_only_what_the_model_of_aws_accepts(case: Case) -> None:
    assert_valid("TestState", dict(case.request))
    assert "roleArn" not in case.request
    is_mocked = "mock" in case.request
    assert is_mocked is (json.loads(case.request["definition"])["Type"] != "Choice")
    assert is_mocked is ("context" in case.request)
    assert "${" not in case.request["definition"]


def test_reads_every_state_machine_as_the_template_names_it() -> None:
    assert [machine.name for machine in MACHINES] == [workflow.name for workflow in WORKFLOWS]
    for machine, workflow in zip(MACHINES, WORKFLOWS, strict=True):
        assert machine.kind == workflow.properties["Type"]
        assert machine.definition["StartAt"] == workflow.definition["StartAt"]
        text = json.dumps(machine.definition)
        assert "${" not in text
        assert "arn:aws-cn:" in text
        assert "arn:aws:" not in text


@pytest.mark.parametrize("state", JUDGED, ids=lambda state: state.name)
def test_every_next_state_and_every_named_error_has_a_case(state: State) -> None:
    cases = [
        case for case in CASES if (case.machine, case.state) == (state.workflow.name, state.name)
    ]
    reached = {case.expected.next_state for case in cases if case.expected.next_state}
    body = state.body
    rules = [*body.get("Choices", ()), *body.get("Catch", ()), body]
    leads_to = {rule["Next"] for rule in rules if "Next" in rule} | {body.get("Default")}
    assert reached == leads_to - {None}
    if state.kind == "Choice":
        assert len(cases) == len(body["Choices"]) + 1
        return
    named = [name for rule in body.get("Retry", ()) for name in rule["ErrorEquals"]]
    asked = [case.request["mock"].get("errorOutput", {}).get("error") for case in cases]
    assert {*named, ANY_OTHER} - {"States.TaskFailed", "States.ALL"} <= {*asked}
    assert asked.count(None) == 1
    for index, retrier in enumerate(body.get("Retry", ())):
        retried = [case for case in cases if case.expected.status == "RETRIABLE"]
        is_retried = index in {case.expected.index for case in retried}
        assert is_retried is (retrier["MaxAttempts"] > 0)


def test_all_answers_agree_and_are_in_the_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proving(FakeStates(), tmp_path, monkeypatch) == 0
    head, *lines = [json.loads(line) for line in (tmp_path / "it.jsonl").read_text().splitlines()]
    assert head.keys() == {"began", "endpoint"}
    assert len(lines) == len(CASES) + len(MACHINES)
    said = capsys.readouterr().out
    assert said.startswith(f"{len(lines)} answers of https://states.example; 0 differ")


def proving(states: FakeStates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    class Session:
        def __init__(self, **_: object) -> None: ...

        def client(self, *_: object, **__: object) -> FakeStates:
            return states

        def get_partition_for_region(self, _: str) -> str:
            return "aws"

    monkeypatch.setattr(module.boto3, "Session", Session)
    return main(["--transcript", str(tmp_path / "it.jsonl")])


def test_a_difference_is_said_and_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = FakeStates(lambda answer: answer | {"status": "FAILED", "error": "States.Runtime"})
    assert proving(states, tmp_path, monkeypatch) == 1
    assert "RescanRegistry ListRepositories, result: status is FAILED" in capsys.readouterr().out


def test_a_refused_test_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert proving(FakeStates(refusing("ValidationException")), tmp_path, monkeypatch) == 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "ExpiredTokenException"])
def test_a_refused_caller_proves_nothing(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proving(FakeStates(refusing(code)), tmp_path, monkeypatch) == 2
    assert capsys.readouterr().out.startswith("Not judged, after 1 answers: ")


def test_a_definition_that_aws_would_not_create_is_a_difference() -> None:
    class Strict(FakeStates):
        def validate_state_machine_definition(self, **_: Any) -> dict[str, Any]:
            return {"result": "FAIL", "diagnostics": [{"severity": "ERROR"}]}

    machine = Machine("Any", "STANDARD", {"States": {}})
    client: Any = Strict()
    (verdict,) = prove([machine], client)
    assert verdict.differences == ("result is FAIL",)


CAUGHT = Outcome("CAUGHT_ERROR", "Keep", {"error": {}}, "Any", 1)


@pytest.mark.parametrize(
    ("expected", "answer", "found"),
    [
        (CAUGHT, answer_of(CAUGHT), []),
        (CAUGHT, answer_of(CAUGHT) | {"nextState": "Other"}, ["next state is Other"]),
        (CAUGHT, answer_of(CAUGHT) | {"output": "{}"}, ["output is {}"]),
        (CAUGHT, {"status": "RETRIABLE"}, ["status is RETRIABLE"]),
        (
            CAUGHT,
            answer_of(CAUGHT) | {"inspectionData": {"errorDetails": {"catchIndex": 0}}},
            ["catchIndex is 0"],
        ),
        (
            Outcome("RETRIABLE", error="Any", index=0),
            {"status": "RETRIABLE", "inspectionData": {"errorDetails": {"retryIndex": 2}}},
            ["retryIndex is 2"],
        ),
        (Outcome("FAILED", error="Any"), {"status": "FAILED", "error": "B"}, ["error is B"]),
        (Outcome("SUCCEEDED"), {"status": "SUCCEEDED", "nextState": "A"}, ["next state is A"]),
    ],
)
def test_compares_what_both_say(
    expected: Outcome, answer: dict[str, Any], found: list[str]
) -> None:
    assert list(differences(expected, answer)) == found


def outcome_of(state: dict[str, Any], error: str, retries: int) -> Outcome:
    definition = {"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "any", **state}}}
    (found,) = (
        case.expected
        for case in cases_of("M", definition)
        if case.about == f"{error} after {retries} retries"
    )
    return found


def test_takes_the_first_rule_and_the_default_number_of_attempts() -> None:
    """By hand, as the specification says: https://states-language.net/#errors"""
    both = {
        "Retry": [{"ErrorEquals": ["A"]}, {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1}],
        "Catch": [
            {"ErrorEquals": ["States.Timeout"], "Next": "Late", "ResultPath": "$.a.b"},
            {"ErrorEquals": ["States.ALL"], "Next": "Rest"},
        ],
    }
    rest = {"Error": "A", "Cause": "mocked by make prove"}
    assert outcome_of(both, "A", 0) == Outcome("RETRIABLE", error="A", index=0)
    assert outcome_of(both, "A", 3) == Outcome("CAUGHT_ERROR", "Rest", rest, "A", 1)
    assert outcome_of(both, ANY_OTHER, 0).index == 1
    timeout = outcome_of(both, "States.Timeout", 0)
    assert (timeout.status, timeout.next_state, timeout.index) == ("CAUGHT_ERROR", "Late", 0)
    assert timeout.output == {"a": {"b": {**rest, "Error": "States.Timeout"}}}
    assert outcome_of({}, ANY_OTHER, 0) == Outcome("FAILED", error=ANY_OTHER)


@pytest.mark.parametrize(
    "choices",
    [
        [{"Variable": "$.a", "NumericLessThan": 1, "Next": "B"}],
        [
            {"Variable": "$.a", "IsPresent": True, "Next": "B"},
            {"Variable": "$.a", "StringEquals": "x", "Next": "C"},
        ],
    ],
    ids=["an unknown operator", "a rule that never applies"],
)
def test_says_what_it_cannot_read(choices: list[dict[str, Any]]) -> None:
    choice = {"Type": "Choice", "Choices": choices, "Default": "D"}
    with pytest.raises(UnreadableDefinitionError):
        list(cases_of("M", {"StartAt": "S", "States": {"S": choice}}))


def test_a_changed_definition_changes_what_is_expected() -> None:
    (machine, *_) = MACHINES
    definition = json.loads(json.dumps(machine.definition))
    definition["States"]["ListRepositories"]["Next"] = "SummarizeRescan"
    (first, *_) = cases_of(machine.name, definition)
    assert first.expected == replace(CASES[0].expected, next_state="SummarizeRescan")
