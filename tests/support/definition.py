"""A state machine definition as tests read it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.support.strict_yaml import StrictLoader, load
from tests.support.template import ROOT, resources

RESCAN_REGISTRY = ROOT / "statemachine" / "rescan_registry.asl.yaml"


@dataclass(frozen=True)
class State:
    """One state, with the scope of states that it stands in."""

    name: str
    body: dict[str, Any]
    scope: dict[str, Any]

    @property
    def kind(self) -> str:
        """Its type: Task, Map, Choice …"""
        return str(self.body["Type"])


@cache
def definition() -> dict[str, Any]:
    """Read the definition of RescanRegistry, its placeholders as they stand."""
    document: dict[str, Any] = load(RESCAN_REGISTRY)
    return document


def states() -> list[State]:
    """List all states of all scopes."""
    return list(_states(definition()))


def _states(scope: dict[str, Any]) -> Iterator[State]:
    for name, body in scope["States"].items():
        yield State(name, body, scope)
        if "ItemProcessor" in body:
            yield from _states(body["ItemProcessor"])


def substitutions() -> dict[str, Any]:
    """Read the DefinitionSubstitutions of the template."""
    machine = resources("AWS::Serverless::StateMachine")["RescanRegistryStateMachine"]
    found: dict[str, Any] = machine["DefinitionSubstitutions"]
    return found


def rendered(values: Mapping[str, str]) -> dict[str, Any]:
    """Substitute in the text first and parse it afterwards, as CloudFormation does."""
    text = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], RESCAN_REGISTRY.read_text())
    document: dict[str, Any] = yaml.load(text, StrictLoader)
    return document
