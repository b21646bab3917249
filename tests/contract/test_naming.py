"""One name a state, in five spellings; and every kind of state says by its name what it is."""

import importlib
import re

import pytest

from tests.support.definition import (
    OF_EVENTS,
    WORKFLOWS,
    Function,
    State,
    Workflow,
    functions,
    snake,
    states,
)
from tests.support.template import ROOT, resources

PREFIXES = {
    "Map": ("ForEach",),
    "Choice": ("Is",),
    "Wait": ("WaitFor",),
}
LAMBDA_TASKS = [state for state in states() if state.is_function]


@pytest.mark.parametrize("state", states(), ids=lambda state: state.name)
def test_a_state_is_named_for_what_it_is(state: State) -> None:
    assert re.fullmatch(r"([A-Z][a-z]+)+", state.name)
    assert len(state.name) <= 40
    assert state.name.startswith(PREFIXES.get(state.kind, ""))
    if state.kind == "Pass":
        is_outcome = state.body.get("Result") == snake(state.name).upper()
        assert is_outcome or state.name.startswith(("Record", "Prepare"))


def test_no_name_stands_twice() -> None:
    names = [state.name for state in states()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("state", LAMBDA_TASKS, ids=lambda state: state.name)
def test_a_task_is_named_for_its_function(state: State) -> None:
    assert state.body["Resource"] == f"${{{state.name}FunctionArn}}"


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.name)
def test_a_function_has_one_name_in_all_spellings(function: Function) -> None:
    module = snake(function.name)
    declared = resources("AWS::Serverless::Function")[function.logical_id]
    assert declared["Handler"] == f"{function.module}.handler"
    assert callable(importlib.import_module(function.module).handler)
    assert (ROOT / "tests" / "unit" / f"test_{module}.py").exists()
    assert (ROOT / "events" / function.package / f"{module}.json").exists()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_no_spelling_is_left_over(workflow: Workflow) -> None:
    snakes = {snake(each.name) for each in functions() if each.package == workflow.package}
    assert {path.stem for path in (ROOT / "events" / workflow.package).iterdir()} == snakes
    modules = (ROOT / "functions" / workflow.package).rglob("*.py")
    assert {path.stem for path in modules if "@entrypoint" in path.read_text()} == snakes


def test_no_function_is_left_over() -> None:
    names = [function.logical_id for function in functions()]
    assert sorted(resources("AWS::Serverless::Function")) == sorted(names)


def test_a_function_of_events_is_of_no_state() -> None:
    assert not {function.name for function in OF_EVENTS} & {state.name for state in states()}


def test_an_entry_point_is_short() -> None:
    """If it needs more, a noun is missing."""
    for function in functions():
        lines = [line for line in function.path.read_text().splitlines() if line.strip()]
        assert len(lines) <= 70, function.path
