"""The picture of all errors in docs/errors.md: complete, and possible."""

import pytest

from tests.support.definition import Function, State, functions, states
from tests.support.errors import ENDS, LEAVES, errors, imports_of

TASKS = [state for state in states() if state.is_function]
by_function = pytest.mark.parametrize("function", functions(), ids=lambda function: function.name)


def test_every_function_has_its_errors() -> None:
    assert LEAVES.keys() == {function.name for function in functions()}


@pytest.mark.parametrize("state", TASKS, ids=lambda state: state.name)
def test_every_error_that_a_state_retries_can_leave_its_function(state: State) -> None:
    for retrier in state.body["Retry"]:
        ours = set(retrier["ErrorEquals"]) & errors().keys()
        assert ours <= set(LEAVES[state.name])


@by_function
def test_every_error_that_leaves_a_function_is_raised_in_what_it_imports(
    function: Function,
) -> None:
    reached = imports_of(function)
    for name in LEAVES[function.name]:
        assert errors()[name].raised_in & reached, name


@by_function
def test_settings_can_be_wrong_in_every_function_that_reads_them(function: Function) -> None:
    assert ("SettingsError" in LEAVES[function.name]) == (
        "runtime/settings.py" in imports_of(function)
    )


def test_every_error_is_raised_and_ends_somewhere() -> None:
    for error in errors().values():
        assert error.raised_in, error.name
        assert error.leaves or error.handled_in, error.name


def test_every_error_means_something() -> None:
    for error in errors().values():
        assert len(error.meaning) > 20, error.name


def test_every_end_is_a_state() -> None:
    assert ENDS.keys() <= {state.name for state in states()}
