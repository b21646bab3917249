"""What each Task, Map, and Choice must do, read from its definition: the cases of `make prove`.

A small reader of the Amazon States Language, independent of every engine: which retrier and which
catcher takes an error, which rule of a Choice applies, and what a ResultPath makes of a result.
"""

import copy
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape

ANY_OTHER = "AnyOtherError"  # one that no retrier and no catcher names
CAUSE = "mocked by make prove"
TIME = "2026-01-01T00:00:00.000Z"
DEFAULT_MAX_ATTEMPTS = 3  # of a retrier: https://states-language.net/#errors
SERVICES = {"states": "stepfunctions", "sfn": "stepfunctions"}  # botocore's names
NUMBERS = ("MaxConcurrencyPath", "TimeoutSecondsPath", "ToleratedFailureCountPath")

type Object = dict[str, Any]


class UnreadableDefinitionError(Exception):
    """A definition uses what this reader does not know, or a rule of a Choice never applies."""


@dataclass(frozen=True)
class Outcome:
    """What TestState must answer.

    next_state: None at the end of a scope. output: None where it is not compared.
    index: that of the retrier or catcher which takes the error.
    """

    status: str
    next_state: str | None = None
    output: Any = None
    error: str | None = None
    index: int | None = None


@dataclass(frozen=True)
class Case:
    """One call of TestState. request: its parameters; about: what is mocked, in words."""

    machine: str
    state: str
    about: str
    request: Mapping[str, Any]
    expected: Outcome


def cases_of(machine: str, definition: Object) -> Iterator[Case]:
    """List the cases of all states, those inside of a Map too."""
    for name, state in definition["States"].items():
        read = {"Task": _task_cases, "Map": _map_cases, "Choice": _choice_cases}.get(state["Type"])
        for about, asked, expected in read(state) if read else ():
            request = {
                "definition": json.dumps(state),
                "inspectionLevel": "DEBUG",
                **asked,
                "input": json.dumps(asked["input"]),
            }
            if "mock" in request:  # without one, TestState takes no context
                request["context"] = json.dumps(_context(machine, name))
            yield Case(machine, name, about, request, expected)
        if "ItemProcessor" in state:
            yield from cases_of(machine, state["ItemProcessor"])


type _Read = Iterator[tuple[str, Object, Outcome]]


def _task_cases(state: Object) -> _Read:
    operation = _operation(state["Resource"])
    result: Object = {"any": "result"}
    if operation:
        result = _required(operation.output_shape)
    given = _input(state, operation.input_shape if operation else None)
    yield (
        "result",
        {"input": given, "mock": {"result": json.dumps(result)}},
        _success(state, given, result),
    )
    yield from _error_cases(state, {"input": given})


def _map_cases(state: Object) -> _Read:
    given = _input(state, None)
    items = {"stateConfiguration": {"mapItemReaderData": '["1"]'}} if "ItemReader" in state else {}
    result = {"MapRunArn": "any", "ResultWriterDetails": {}} if "ResultWriter" in state else [{}]
    request = {"input": given, **items}
    mock = {"mock": {"result": json.dumps(result)}}
    yield "result", request | mock, _success(state, given, result)
    yield from _error_cases(state, request)


def _error_cases(state: Object, request: Object) -> _Read:
    rules = [*state.get("Retry", ()), *state.get("Catch", ())]
    named = [name for rule in rules for name in rule["ErrorEquals"]]
    general = {"States.ALL", "States.TaskFailed"}
    for error in dict.fromkeys([*(name for name in named if name not in general), ANY_OTHER]):
        index = _taker(error, state.get("Retry", ()))
        most = 0 if index is None else _most_attempts(state["Retry"][index])
        for count in sorted({0, most}):
            mock = {"errorOutput": {"error": error, "cause": CAUSE}}
            configuration = {**request.get("stateConfiguration", {}), "retrierRetryCount": count}
            asked = request | {"mock": mock, "stateConfiguration": configuration}
            yield (
                f"{error} after {count} retries",
                asked,
                _failure(state, request["input"], error, count),
            )


def _choice_cases(state: Object) -> _Read:
    for index, given in enumerate(_inputs_by_rule(state)):
        rules = state["Choices"]
        to = rules[index]["Next"] if index < len(rules) else state["Default"]
        about = f"rule {index + 1}" if index < len(rules) else "default"
        yield about, {"input": given}, Outcome("SUCCEEDED", to, given)


def _success(state: Object, given: Object, result: Any) -> Outcome:
    is_compared = "ResultSelector" not in state and "OutputPath" not in state
    output = _placed(given, state.get("ResultPath", "$"), result) if is_compared else None
    return Outcome("SUCCEEDED", state.get("Next"), output)


def _failure(state: Object, given: Object, error: str, retries: int) -> Outcome:
    index = _taker(error, state.get("Retry", ()))
    if index is not None and retries < _most_attempts(state["Retry"][index]):
        return Outcome("RETRIABLE", error=error, index=index)
    index = _taker(error, state.get("Catch", ()))
    if index is None:
        return Outcome("FAILED", error=error)
    catcher = state["Catch"][index]
    output = _placed(given, catcher.get("ResultPath", "$"), {"Error": error, "Cause": CAUSE})
    return Outcome("CAUGHT_ERROR", catcher["Next"], output, error, index)


def _most_attempts(retrier: Object) -> int:
    attempts: int = retrier.get("MaxAttempts", DEFAULT_MAX_ATTEMPTS)
    return attempts


def _taker(error: str, rules: Any) -> int | None:
    """Find the first retrier or catcher for an error. States.TaskFailed is all but a timeout."""
    for index, rule in enumerate(rules):
        names = rule["ErrorEquals"]
        if error in names or "States.ALL" in names:
            return index
        if "States.TaskFailed" in names and error != "States.Timeout":
            return index
    return None


def _input(state: Object, shape: Shape | None) -> Object:
    """Make an input that has everything the state refers to, in the form that AWS needs."""
    given: Object = {}
    for field in ("Parameters", "ItemSelector", "ItemReader", "ResultWriter"):
        for path, value in _references(state.get(field), shape if field == "Parameters" else None):
            _put(given, path, value)
    for field in NUMBERS:
        if field in state:
            _put(given, _steps(state[field]), 30)
    if "ToleratedFailurePercentagePath" in state:
        _put(given, _steps(state["ToleratedFailurePercentagePath"]), 5)
    if "ItemsPath" in state:
        _put(given, _steps(state["ItemsPath"]), ["1"])
    return given


def _references(template: Any, shape: Shape | None) -> Iterator[tuple[list[str | int], Any]]:
    if isinstance(template, list):
        for item in template:
            yield from _references(item, shape.member if isinstance(shape, ListShape) else None)
    if not isinstance(template, dict):
        return
    for key, value in template.items():
        member = _member(shape, key.removesuffix(".$"))
        if not key.endswith(".$"):
            yield from _references(value, member)
            continue
        for path in re.findall(r"(?<!\$)\$((?:\.\w+|\[\d+\])+)", value):
            is_plain = value == f"${path}"
            yield _steps(path), _any_of(member) if is_plain else "1"


def _member(shape: Shape | None, name: str) -> Shape | None:
    if isinstance(shape, MapShape):
        found: Shape = shape.value
        return found
    if isinstance(shape, StructureShape):
        return shape.members.get(name) or shape.members.get(name[:1].lower() + name[1:])
    return None


def _any_of(shape: Shape | None) -> Any:
    kind = shape.type_name if shape else "string"
    values: dict[str, Any] = {"map": {}, "structure": {}, "list": [], "boolean": True}
    values |= dict.fromkeys(("integer", "long", "float", "double"), 1)
    return values.get(kind, "1")


def _required(shape: StructureShape | None) -> Object:
    """Make a result with the members that the service always returns, in PascalCase."""
    members = shape.members if shape else {}
    return {
        name[:1].upper() + name[1:]: TIME
        if members[name].type_name == "timestamp"
        else _any_of(members[name])
        for name in (shape.required_members if shape else ())
    }


@functools.cache
def _operation(resource: str) -> Any:
    """Find the operation of a service integration; None for a Lambda function."""
    found = re.search(r":states:::(?:aws-sdk:)?(\w+):(\w+)$", resource)
    if not found:
        return None
    model: Any = botocore.session.get_session().get_service_model(SERVICES.get(found[1], found[1]))
    return model.operation_model(found[2][:1].upper() + found[2][1:])


def _context(machine: str, state: str) -> Object:
    arn = "arn:aws:states:eu-central-1:123456789012"
    execution = f"{arn}:execution:{machine}:any"
    return {
        "Execution": {"Id": execution, "Input": {}, "Name": "any", "StartTime": TIME},
        "State": {"EnteredTime": TIME, "Name": state, "RetryCount": 0},
        "StateMachine": {"Id": f"{arn}:stateMachine:{machine}", "Name": machine},
    }


def _inputs_by_rule(state: Object) -> list[Object]:
    """Find an input for each rule, so that none before it applies, and one for the default."""
    found: dict[int, Object] = {}
    conditions = list(_conditions(state["Choices"]))
    paths = list(dict.fromkeys(condition["Variable"] for condition in conditions))
    values = [_candidates(path, conditions) for path in paths]
    for combination in itertools.product(*values):
        given: Object = {}
        for path, value in zip(paths, combination, strict=True):
            if value is not _ABSENT:
                _put(given, _steps(path), copy.deepcopy(value))
        applying = _applying(state["Choices"], given)
        if applying is not None:
            found.setdefault(applying, given)
    wanted = len(state["Choices"]) + ("Default" in state)
    if sorted(found) != list(range(wanted)):
        raise UnreadableDefinitionError(f"no input for each rule of {json.dumps(state)}")
    return [found[index] for index in range(wanted)]


_ABSENT = object()


def _conditions(rules: Any) -> Iterator[Object]:
    for rule in rules:
        if "Variable" in rule:
            yield rule
        yield from _conditions([*rule.get("And", ()), *rule.get("Or", ())])
        yield from _conditions([rule["Not"]] if "Not" in rule else [])


def _candidates(path: str, conditions: list[Object]) -> list[Any]:
    compared = [
        value
        for condition in conditions
        if condition["Variable"] == path
        for key, value in condition.items()
        if key not in {"Variable", "Next", "Comment"} and not isinstance(value, bool)
    ]
    more = [value + 1 for value in compared if isinstance(value, int)]
    return [*compared, *more, "any", True, False, None, _ABSENT]


def _applying(rules: list[Object], given: Object) -> int | None:
    """Return the index of the first rule that applies, the next one for none, None for a fault."""
    for index, rule in enumerate(rules):
        try:
            if _applies(rule, given):
                return index
        except LookupError:  # AWS fails the execution: a path that is not there
            return None
    return len(rules)


def _applies(rule: Object, given: Object) -> bool:
    if "And" in rule:
        return all(_applies(part, given) for part in rule["And"])
    if "Or" in rule:
        return any(_applies(part, given) for part in rule["Or"])
    if "Not" in rule:
        return not _applies(rule["Not"], given)
    (operator,) = rule.keys() - {"Variable", "Next", "Comment"}
    expected = rule[operator]
    if operator == "IsPresent":
        return _is_present(given, rule["Variable"]) is bool(expected)
    value = _at(given, rule["Variable"])
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match operator:
        case "IsNull":
            return (value is None) is bool(expected)
        case "StringEquals":
            return isinstance(value, str) and value == expected
        case "BooleanEquals":
            return isinstance(value, bool) and value is expected
        case "NumericEquals":
            return is_number and bool(value == expected)
        case "NumericGreaterThan":
            return is_number and bool(value > expected)
        case _:
            raise UnreadableDefinitionError(f"operator {operator}")


def _is_present(given: Object, path: str) -> bool:
    try:
        _at(given, path)
    except LookupError:
        return False
    return True


def _steps(path: str) -> list[str | int]:
    return [name or int(index) for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path)]


def _at(given: Any, path: str) -> Any:
    value: Any = given
    for step in _steps(path):
        if not isinstance(value, list if isinstance(step, int) else dict):
            raise LookupError(path)  # noqa: TRY004 # the path is not there
        value = cast("Any", value)[step]
    return value


def _put(given: Any, steps: list[str | int], value: Any) -> None:
    """Put a value at a path. What is there already and has more in it stays."""
    step, *rest = steps
    empty: Any = None
    if rest:
        empty = [] if isinstance(rest[0], int) else {}
    if isinstance(step, int):
        given.extend([None] * (step + 1 - len(given)))
    there = given[step] if isinstance(step, int) else given.get(step)
    if rest:
        if not isinstance(there, type(empty)):
            given[step] = empty
        _put(given[step], rest, value)
    elif not (isinstance(there, dict | list) and there):
        given[step] = value


def _placed(given: Object, path: str | None, result: Any) -> Any:
    """Return the output that a ResultPath makes of an input and a result."""
    if path is None:
        return given
    if path == "$":
        return result
    output = copy.deepcopy(given)
    *parents, last = _steps(path)
    inner: Any = output
    for step in parents:
        inner = inner.setdefault(step, {})
    inner[last] = result
    return output
