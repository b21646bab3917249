"""State machine definitions as CloudFormation reads them: first the text, then the YAML."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# A task's timeout here includes the wait for one of few Lambda processes (corrections.py), and
# machines are slower than AWS: InterpretEvent has 30 s, and took longer when the load was 10.
TASK_TIMEOUT_FACTOR = 4


def render(
    template: dict[str, Any], parameters: Mapping[str, str], source: Path, target: Path
) -> None:
    """Write every definition of a template as JSON, and point the template to the result.

    CloudFormation substitutes in the text and parses it afterwards, so `MaxConcurrency: ${Most}`
    becomes a number. localemu parses first. Therefore parameters are substituted here. What only a
    deployment knows, such as an ARN, is left to the engine. Timeouts of tasks are extended.
    """
    known = {**_defaults(template), **parameters}
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::StateMachine":
            continue
        properties = resource["Properties"]
        text = (source / properties["DefinitionUri"]).read_text()
        for key, value in properties.get("DefinitionSubstitutions", {}).items():
            if isinstance(value, dict) and value.get("Ref") in known:
                text = text.replace(f"${{{key}}}", known[value["Ref"]])
        definition = target / f"{name}.asl.json"
        definition.write_text(json.dumps(_with_patience(yaml.safe_load(text)), indent=2))
        properties["DefinitionUri"] = str(definition)


def _with_patience(state: Any) -> Any:
    """Return a definition, or a part of one, whose tasks have longer timeouts."""
    if isinstance(state, list):
        return [_with_patience(item) for item in state]
    if not isinstance(state, dict):
        return state
    patient = {name: _with_patience(value) for name, value in state.items()}
    if state.get("Type") == "Task" and "TimeoutSeconds" in state:
        patient["TimeoutSeconds"] = state["TimeoutSeconds"] * TASK_TIMEOUT_FACTOR
    return patient


def _defaults(template: dict[str, Any]) -> dict[str, str]:
    parameters = template.get("Parameters", {})
    return {name: str(p["Default"]) for name, p in parameters.items() if "Default" in p}
