"""The picture of all errors in docs/errors.md: complete, and possible."""

import pytest

from tests.support.definition import State, states
from tests.support.errors import ENDS, LEAVES, errors, imports_of

FUNCTIONS = [state for state in states() if state.is_function]
by_function = pytest.mark.parametrize("state", FUNCTIONS, ids=lambda state: state.name)


def test_every_function_has_its_errors() -> None:
    assert LEAVES.keys() == {state.name for state in FUNCTIONS}


@by_function
def test_every_error_that_a_state_retries_can_leave_its_function(state: State) -> None:
    for retrier in state.body["Retry"]:
        ours = set(retrier["ErrorEquals"]) & errors().keys()
        assert ours <= set(LEAVES[state.name])


@by_function
def test_every_error_that_leaves_a_function_is_raised_in_what_it_imports(state: State) -> None:
    reached = imports_of(state)
    for name in LEAVES[state.name]:
        assert errors()[name].raised_in & reached, name


@by_function
def test_settings_can_be_wrong_in_every_function_that_reads_them(state: State) -> None:
    assert ("SettingsError" in LEAVES[state.name]) == ("runtime/settings.py" in imports_of(state))


def test_every_error_is_raised_and_ends_somewhere() -> None:
    for error in errors().values():
        assert error.raised_in, error.name
        assert error.leaves or error.handled_in, error.name


def test_every_error_means_something() -> None:
    for error in errors().values():
        assert len(error.meaning) > 20, error.name


def test_every_end_is_a_state() -> None:
    assert ENDS.keys() <= {state.name for state in states()}
