"""template.yaml as tests read it, with what CloudFormation would put in for its functions."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.strict_yaml import StrictLoader

ROOT = Path(__file__).parents[2]
REGION = "eu-west-1"
ACCOUNT = "123456789012"
STACK = "ecr-rescan"


class _TemplateLoader(StrictLoader):
    """Reads CloudFormation's short functions in their long form."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _function)


@cache
def template() -> dict[str, Any]:
    """Read template.yaml."""
    document: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _TemplateLoader)
    return document


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Pick the properties of all resources of a kind."""
    return {
        name: resource["Properties"]
        for name, resource in template()["Resources"].items()
        if resource["Type"] == kind
    }


def arn(logical_id: str) -> str:
    """Make an ARN for a resource; that of a function is one that engines accept."""
    if logical_id.endswith("Function"):
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{logical_id}"
    return f"arn:{logical_id}"


def resolved(value: Any, overrides: Mapping[str, str] | None = None) -> Any:
    """Put in what Ref, GetAtt and Sub would give: parameters' defaults, and names of resources.

    A resource is known by its logical id, and by what `arn` makes of it.
    """
    known = {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": STACK,
        **{
            name: str(parameter.get("Default", ""))
            for name, parameter in template()["Parameters"].items()
        },
        **(overrides or {}),
    }
    return _resolve(value, known)


def _resolve(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolve(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Ref"}:
        return known.get(value["Ref"], value["Ref"])
    if value.keys() == {"Fn::GetAtt"}:
        name, attribute = value["Fn::GetAtt"]
        return arn(name) if attribute == "Arn" else f"{name}.{attribute}"
    if value.keys() == {"Fn::If"}:
        condition, when_true, when_false = value["Fn::If"]
        return _resolve(when_true if _holds(condition, known) else when_false, known)
    if value.keys() == {"Fn::Sub"} and isinstance(value["Fn::Sub"], list):
        text, variables = value["Fn::Sub"]
        return _resolve({"Fn::Sub": text}, {**known, **_resolve(variables, known)})
    if value.keys() == {"Fn::Sub"}:
        return re.sub(
            r"\$\{([^}]+)\}",
            lambda match: known.get(
                match[1],
                arn(match[1].removesuffix(".Arn")) if match[1].endswith(".Arn") else match[1],
            ),
            value["Fn::Sub"],
        )
    return {key: _resolve(item, known) for key, item in value.items()}


def _holds(condition: Any, known: Mapping[str, str]) -> bool:
    if isinstance(condition, str):
        return _holds(template()["Conditions"][condition], known)
    ((function, operands),) = condition.items()
    if function == "Fn::Equals":
        left, right = _resolve(operands, known)
        return str(left) == str(right)  # CloudFormation compares texts
    if function == "Condition":
        return _holds(operands, known)
    decided = [_holds(operand, known) for operand in operands]
    return {"Fn::Not": not decided[0], "Fn::And": all(decided), "Fn::Or": any(decided)}[function]
