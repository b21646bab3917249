"""Template parameters in a registry file, validated as CloudFormation would."""

import re
from pathlib import Path
from typing import Any

import yaml

from local.cloud.interpreters import REPOSITORY
from local.registry import checked_yaml
from local.registry.checked_yaml import Value
from local.registry.registry_file import REGISTRY_KEYS

TEMPLATE = REPOSITORY / "template.yaml"


def of_registry_file(text: str, *, name: str, template: Path = TEMPLATE) -> dict[str, str]:
    """Return the `parameters` of a registry file; empty if it has no such key.

    Raises RegistryFileError for a parameter that the template does not have, and for a value that
    it does not allow.
    """
    members = checked_yaml.compose(text, name).members("a registry", REGISTRY_KEYS)
    if "parameters" not in members:
        return {}
    declared = _declared(template)
    given = members["parameters"].members("the template's parameters", tuple(declared))
    return {parameter: _allowed(value, declared[parameter]) for parameter, value in given.items()}


def _declared(template: Path) -> dict[str, dict[str, Any]]:
    root: Any = yaml.compose(template.read_text(), Loader=yaml.SafeLoader)
    # Only this section is plain YAML: others contain tags such as !Ref.
    parameters = next(value for key, value in root.value if key.value == "Parameters")
    declared: dict[str, dict[str, Any]] = yaml.SafeLoader("").construct_document(parameters)
    return declared


def _allowed(value: Value, declared: dict[str, Any]) -> str:
    if "AllowedValues" in declared:
        return value.choice(tuple(map(str, declared["AllowedValues"])))
    if declared["Type"] == "Number":
        number = value.number(declared.get("MinValue", 0), declared.get("MaxValue", 10**15))
        return str(number)
    accepted = declared.get("ConstraintDescription", "as the template says").removeprefix(
        "must be "
    )
    pattern = declared.get("AllowedPattern", "(?s:.*)")
    if value.is_empty_text and re.fullmatch(pattern, ""):
        return ""  # turns the feature off
    return value.matching(pattern, accepted)
