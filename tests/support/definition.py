"""The state machine definitions as tests read them."""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.strict_yaml import StrictLoader, load
from tests.support.template import ROOT, resources


@dataclass(frozen=True)
class Workflow:
    """One state machine, by its name."""

    name: str

    @property
    def package(self) -> str:
        """Its name as Python spells it."""
        return snake(self.name)

    @property
    def path(self) -> Path:
        """The file of its definition."""
        return ROOT / "statemachine" / f"{self.package}.asl.yaml"

    @property
    def properties(self) -> dict[str, Any]:
        """The state machine in the template."""
        return resources("AWS::Serverless::StateMachine")[f"{self.name}StateMachine"]

    @property
    def role(self) -> dict[str, Any]:
        """Its role in the template."""
        return resources("AWS::IAM::Role")[f"{self.name}StateMachineRole"]

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        """The rules that start it, by logical ID."""
        machine = {"Ref": f"{self.name}StateMachine"}
        return {
            name: rule
            for name, rule in resources("AWS::Events::Rule").items()
            if [target["Arn"] for target in rule["Targets"]] == [machine]
        }

    @property
    def substitutions(self) -> dict[str, Any]:
        """Its DefinitionSubstitutions in the template."""
        found: dict[str, Any] = self.properties["DefinitionSubstitutions"]
        return found

    @property
    def definition(self) -> dict[str, Any]:
        """Its definition, with its placeholders."""
        return _load(self.path)

    @property
    def states(self) -> list["State"]:
        """All states of all scopes."""
        return list(_states(self, self.definition))

    def rendered(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Substitute in the text first and parse it afterwards, as CloudFormation does."""
        text = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], self.path.read_text())
        return copy.deepcopy(_parse(text))


@dataclass(frozen=True)
class State:
    """One state, with the scope of states that it is in."""

    workflow: Workflow
    name: str
    body: dict[str, Any]
    scope: dict[str, Any]

    @property
    def kind(self) -> str:
        """Its type: Task, Map, Choice …"""
        return str(self.body["Type"])

    @property
    def is_function(self) -> bool:
        """Return whether a Lambda function backs it."""
        return self.kind == "Task" and "FunctionArn" in self.body["Resource"]


@dataclass(frozen=True)
class Function:
    """A Lambda function: of a state, or started by events without a state machine."""

    name: str
    package: str

    @property
    def module(self) -> str:
        """Its entry point, as Python imports it."""
        return f"{self.package}.{snake(self.name)}"

    @property
    def logical_id(self) -> str:
        """Its name in the template."""
        return f"{self.name}Function"

    @property
    def path(self) -> Path:
        """The file of its entry point."""
        return ROOT / "functions" / self.package / f"{snake(self.name)}.py"


RESCAN_REGISTRY = Workflow("RescanRegistry")
NOTIFY_SCAN = Workflow("NotifyScan")
SEND_DIGEST = Workflow("SendDigest")
WORKFLOWS = (RESCAN_REGISTRY, NOTIFY_SCAN, SEND_DIGEST)


def states() -> list[State]:
    """List all states of all workflows."""
    return [state for workflow in WORKFLOWS for state in workflow.states]


# Started by a queue or a rule.
OF_EVENTS = (Function("RecheckImages", "notify_scan"), Function("RecordPlatforms", "notify_scan"))


def functions() -> list[Function]:
    """List all functions, those of states first."""
    of_states = [
        Function(state.name, state.workflow.package) for state in states() if state.is_function
    ]
    return [*of_states, *OF_EVENTS]


def snake(name: str) -> str:
    """Spell a name as Python does."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@cache
def _parse(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(text, StrictLoader)
    return document


@cache
def _load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = load(path)
    return document


def _states(workflow: Workflow, scope: dict[str, Any]) -> Iterator[State]:
    for name, body in scope["States"].items():
        yield State(workflow, name, body, scope)
        if "ItemProcessor" in body:
            yield from _states(workflow, body["ItemProcessor"])
