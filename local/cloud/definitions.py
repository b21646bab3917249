"""State machine definitions as CloudFormation reads them: first the text, then the YAML."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def render(
    template: dict[str, Any], parameters: Mapping[str, str], source: Path, target: Path
) -> None:
    """Write every definition of a template as JSON, and point the template to the result.

    CloudFormation substitutes in the text and parses it afterwards, so `MaxConcurrency: ${Most}`
    becomes a number. localemu parses first. So what stands for a parameter is substituted here,
    and what only a deployment knows, such as an ARN, stays for the engine.
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
        definition.write_text(json.dumps(yaml.safe_load(text), indent=2))
        properties["DefinitionUri"] = str(definition)


def _defaults(template: dict[str, Any]) -> dict[str, str]:
    parameters = template.get("Parameters", {})
    return {name: str(p["Default"]) for name, p in parameters.items() if "Default" in p}
