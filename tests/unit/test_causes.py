"""Causes of failed executions, as operators read them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.causes import message_in, reason
from tests.support.causes import of_lambda

OF_LAMBDA = of_lambda("repositories names what does not exist: nope")


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (OF_LAMBDA, "repositories names what does not exist: nope"),
        (json.dumps({"errorMessage": "two\nlines"}), "two lines"),
        (json.dumps({"errorMessage": ""}), ""),
        ("2 of 5  repositories\ndid not finish", "2 of 5 repositories did not finish"),
        ("", ""),
        (None, ""),
        ('{"errorMessage": null}', '{"errorMessage": null}'),
        ('{"errorType": "E"}', '{"errorType": "E"}'),
        (OF_LAMBDA[:60], OF_LAMBDA[:60]),
        ("[1, 2]", "[1, 2]"),
        ("5", "5"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_says_what_a_function_says_and_anything_else_as_it_is(
    cause: str | None, message: str
) -> None:
    assert message_in(cause) == message


@given(st.text())
def test_any_cause_is_one_line(text: str) -> None:
    for cause in (text, json.dumps({"errorMessage": text})):
        assert message_in(cause) == " ".join(message_in(cause).split())


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        ("EcrThrottled", OF_LAMBDA, "EcrThrottled: repositories names what does not exist: nope"),
        ("States.Timeout", None, "States.Timeout"),
        (None, "stopped by an operator", "stopped by an operator"),
        ("", "", ""),
    ],
)
def test_a_reason_is_the_error_and_its_message(
    error: str | None, cause: str | None, words: str
) -> None:
    assert reason(error, cause) == words
