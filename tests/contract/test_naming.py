"""One name a state, in five spellings; and every kind of state says by its name what it is."""

import importlib
import re

import pytest

from tests.support.definition import WORKFLOWS, State, Workflow, snake, states
from tests.support.template import ROOT, resources

PREFIXES = {
    "Map": ("ForEach",),
    "Pass": ("Record", "Prepare"),
    "Choice": ("Is",),
    "Wait": ("WaitFor",),
}
LAMBDA_TASKS = [state for state in states() if state.is_function]


@pytest.mark.parametrize("state", states(), ids=lambda state: state.name)
def test_a_state_is_named_for_what_it_is(state: State) -> None:
    assert re.fullmatch(r"([A-Z][a-z]+)+", state.name)
    assert len(state.name) <= 40
    assert state.name.startswith(PREFIXES.get(state.kind, ""))


def test_no_name_stands_twice() -> None:
    names = [state.name for state in states()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("state", LAMBDA_TASKS, ids=lambda state: state.name)
def test_a_task_has_one_name_in_five_spellings(state: State) -> None:
    package, module = state.workflow.package, snake(state.name)
    function = resources("AWS::Serverless::Function")[f"{state.name}Function"]
    assert state.body["Resource"] == f"${{{state.name}FunctionArn}}"
    assert function["Handler"] == f"{package}.{module}.handler"
    assert callable(importlib.import_module(f"{package}.{module}").handler)
    assert (ROOT / "tests" / "unit" / f"test_{module}.py").exists()
    assert (ROOT / "events" / package / f"{module}.json").exists()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_no_spelling_is_left_over(workflow: Workflow) -> None:
    snakes = {snake(state.name) for state in LAMBDA_TASKS if state.workflow == workflow}
    assert {path.stem for path in (ROOT / "events" / workflow.package).iterdir()} == snakes
    modules = (ROOT / "functions" / workflow.package).rglob("*.py")
    assert {path.stem for path in modules if "@entrypoint" in path.read_text()} == snakes


def test_no_function_is_left_over() -> None:
    names = {f"{state.name}Function" for state in LAMBDA_TASKS}
    assert resources("AWS::Serverless::Function").keys() == names


def test_an_entry_point_is_short() -> None:
    """If it needs more, a noun is missing."""
    for state in LAMBDA_TASKS:
        path = ROOT / "functions" / state.workflow.package / f"{snake(state.name)}.py"
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(lines) <= 66, path
