"""The errors that ecr-rescan names: raised where, retried by which state, ending as what.

Read from the classes in functions/ and the definitions in statemachine/; `make docs` writes it
into docs/errors.md.
"""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.support.definition import Function, State, Workflow, functions, states
from tests.support.template import ROOT

FUNCTIONS = ROOT / "functions"

# Which errors leave a function. That is what no file states: the rest of the picture
# is derived, and a test holds this table against what each function can import and retry.
LEAVES: dict[str, tuple[str, ...]] = {
    "ListRepositories": (
        "SettingsError",
        "InvalidRescanRequest",
        "EcrThrottled",
        "EcrUnavailable",
        "AccessDenied",
        "EcrError",
        "LedgerUnavailable",
    ),
    "FindStaleImages": (
        "SettingsError",
        "EcrThrottled",
        "EcrUnavailable",
        "AccessDenied",
        "PageTokenRefused",
        "EcrError",
        "EventRefused",
        "LedgerUnavailable",
    ),
    "StartImageScans": ("SettingsError", "EcrThrottled", "EcrUnavailable"),
    "RecordRepository": ("SettingsError", "ImageScansFailed", "LedgerUnavailable"),
    "SummarizeRescan": ("SettingsError", "EventRefused", "LedgerUnavailable"),
    "InterpretEvent": ("SettingsError", "UnreadableScanEvent"),
    "ComposeNotification": (
        "SettingsError",
        "EcrThrottled",
        "EcrUnavailable",
        "AccessDenied",
        "EcrError",
        "LedgerUnavailable",
        "BaselineMoved",
    ),
    "PostToWebhook": (
        "SettingsError",
        "WebhookSecretUnusable",
        "WebhookThrottled",
        "WebhookThrottledForLong",
        "WebhookUnavailable",
        "WebhookRefused",
        "DeliveryTimeUsedUp",
    ),
    "RecheckImages": ("SettingsError", "EventRefused"),
    "RecordPlatforms": (
        "SettingsError",
        "UnreadableScanEvent",
        "UnreadableIndex",
        "EcrThrottled",
        "EcrUnavailable",
        "AccessDenied",
        "EcrError",
        "LedgerUnavailable",
    ),
    "ComposeDigest": ("SettingsError", "LedgerUnavailable", "DigestAlreadyBegun"),
    "RestartUnfinished": ("SettingsError", "LedgerUnavailable", "NotifyScanNotStarted"),
    "ForgetDigest": ("SettingsError", "LedgerUnavailable", "DigestNotDelivered"),
}

# What an operator sees when a state has given up, by the state in which its errors end.
ENDS = {
    "RepositoryFailed": "the child execution fails",
    "RecordBatchFailure": (
        "the images have the outcome `FAILED`; `DEFERRED`, if it is `EcrThrottled`"
    ),
    "KeepUndelivered": "the delivery is in the dead-letter queue `Undelivered`",
    "NotificationFailed": (
        "the execution fails, and the event is in the dead-letter queue `Undelivered`"
    ),
}
FAILS = "the execution fails"


@dataclass
class Error:
    """An exception class of functions/, and the modules that name it."""

    name: str
    module: str
    meaning: str
    raised_in: set[str] = field(default_factory=set)
    handled_in: set[str] = field(default_factory=set)

    @property
    def leaves(self) -> list[Function]:
        """The functions that it leaves, in the order of the definitions."""
        return [each for each in functions() if self.name in LEAVES[each.name]]


@cache
def errors() -> dict[str, Error]:
    """Find every exception class of functions/, by its name."""
    trees = {
        path.relative_to(FUNCTIONS).as_posix(): ast.parse(path.read_text())
        for path in sorted(FUNCTIONS.rglob("*.py"))
    }
    found = {
        node.name: Error(node.name, module, _first_sentence(node))
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "Exception" in map(_name, node.bases)
    }
    for module, tree in trees.items():
        for node in ast.walk(tree):
            for name in _raised(node):
                if name in found:
                    found[name].raised_in.add(module)
            for name in _handled(node):
                if name in found:
                    found[name].handled_in.add(module)
    return found


def picture(workflow: Workflow) -> str:
    """Draw which errors leave each state, how often they are retried and where they end."""
    lines = ["flowchart LR"]
    for state in workflow.states:
        for retries, names in _by_retries(state).items():
            group = f"{state.name}{retries}"
            label = f"|{retries} retries|" if retries else ""
            lines.append(f'  {group}["{"<br>".join(names)}"] -->{label} {state.name}')
        if state.name in LEAVES:
            road = _road(state) or ["ExecutionFails"]
            lines.append(f"  {state.name} -. gives up .-> {road[0]}")
            lines += [f"  {here} --> {there}" for here, there in itertools.pairwise(road)]
            lines.append(f'  {road[-1]}(["{ENDS.get(road[-1], FAILS)}"])'.replace("`", ""))
    return "\n".join([*dict.fromkeys(lines), ""])


def error_table() -> str:
    """List every error class: what it means, where it comes from and what becomes of it."""
    rows = ["| error | meaning | raised in | handled in Python in | leaves |", "| --- " * 5 + "|"]
    rows += [
        f"| `{error.name}` | {error.meaning} | {_listed(error.raised_in)} "
        f"| {_listed(error.handled_in)} | {_listed(each.name for each in error.leaves)} |"
        for error in sorted(errors().values(), key=lambda error: (error.module, error.name))
    ]
    return "\n".join([*rows, ""])


def state_table() -> str:
    """List every Task: what it retries and how, and what happens when it gives up."""
    rows = ["| state | retried errors | retries | when it gives up |", "| --- " * 4 + "|"]
    for state in states():
        if state.kind != "Task":
            continue
        for first, retrier in enumerate(state.body["Retry"]):
            name, end = (f"`{state.name}`", _end(state)) if first == 0 else ("", "")
            rows.append(f"| {name} | {_matched(retrier)} | {_waits(retrier)} | {end} |")
    return "\n".join([*rows, ""])


def imports_of(function: Function) -> set[str]:
    """List the modules that a function can reach by imports, its entry point among them."""
    todo, reached = [f"{function.module.replace('.', '/')}.py"], set[str]()
    while todo:
        module = todo.pop()
        if module not in reached:
            reached.add(module)
            todo.extend(_imported(module))
    return reached


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((FUNCTIONS / module).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            folder = node.module.replace(".", "/")
            for path in (folder, *(f"{folder}/{alias.name}" for alias in node.names)):
                if (FUNCTIONS / f"{path}.py").exists():
                    yield f"{path}.py"


def _by_retries(state: State) -> dict[int, list[str]]:
    """Group the errors that leave a state by how often the state retries them."""
    groups = dict[int, list[str]]()
    for name in LEAVES.get(state.name, ()):
        attempts = [
            retrier["MaxAttempts"]
            for retrier in state.body["Retry"]
            if name in retrier["ErrorEquals"]
        ]
        groups.setdefault(sum(attempts), []).append(name)
    return groups


def _road(state: State) -> list[str]:
    """Follow the Catch for every error from state to state, to the end that ENDS explains."""
    body, road = state.body, list[str]()
    following = next(
        (each["Next"] for each in body.get("Catch", []) if each["ErrorEquals"] == ["States.ALL"]),
        None,
    )
    while following:
        road.append(following)
        if following in ENDS:
            break
        following = state.scope["States"][following].get("Next")
    return road


def _end(state: State) -> str:
    road = _road(state)
    if not road:
        return ENDS["RepositoryFailed"] if _is_in_child(state) else FAILS
    if road[-1] not in ENDS:
        return f"continues with `{road[0]}`"
    return f"{' → '.join(f'`{name}`' for name in road)}: {ENDS[road[-1]]}"


def _is_in_child(state: State) -> bool:
    """Return whether a state is in the child execution of a repository."""
    return any(
        other.kind == "Map"
        and other.body["ItemProcessor"] is state.scope
        and other.body["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        for other in state.workflow.states
    )


def _matched(retrier: dict[str, Any]) -> str:
    names = retrier["ErrorEquals"]
    if names[0] == "Lambda.ServiceException":
        return "errors of Lambda itself"
    return _listed(names)


def _waits(retrier: dict[str, Any]) -> str:
    attempts = retrier["MaxAttempts"]
    if not attempts:
        return "none: not a fault"
    jitter = " with jitter" if retrier["JitterStrategy"] == "FULL" else ""
    waits = f"{retrier['IntervalSeconds']} to {retrier['MaxDelaySeconds']} s"
    return f"{attempts}, after {waits}{jitter}"


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "–"


def _first_sentence(node: ast.ClassDef) -> str:
    text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    return text.partition(". ")[0].removesuffix(".")


def _raised(node: ast.AST) -> Iterator[str]:
    """Find classes that are raised, called, returned, or kept under ECR's code to be raised."""
    match node:
        case ast.Raise(exc=value) | ast.Return(value=value) if value:
            yield from _alternatives(value)
        case ast.Call(func=function):
            yield _name(function)
            if isinstance(function, ast.Attribute):  # made by a method of the class
                yield _name(function.value)
        case ast.Dict(values=values):
            yield from map(_name, values)


def _handled(node: ast.AST) -> Iterator[str]:
    """Find classes that are caught, looked up by their type or asked for by isinstance."""
    match node:
        case ast.ExceptHandler(type=caught) if caught:
            yield from (_name(each) for each in ast.walk(caught))
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
            yield from (_name(each) for each in ast.walk(kinds))
        case ast.Dict(keys=keys):
            yield from (_name(key) for key in keys if key)


def _alternatives(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from _alternatives(value.body)
        yield from _alternatives(value.orelse)
    else:
        yield _name(value)


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
