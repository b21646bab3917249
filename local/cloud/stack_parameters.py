"""Template parameters in a registry file, validated as CloudFormation would."""

from pathlib import Path

from cli.template_parameters import Parameter, read_template
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
    declared = read_template(template).parameters
    given = members["parameters"].members("the template's parameters", tuple(declared))
    return {parameter: _allowed(value, declared[parameter]) for parameter, value in given.items()}


def _allowed(value: Value, parameter: Parameter) -> str:
    text = "" if value.is_empty_text else value.text()
    if accepted := parameter.refusal(text):
        value.refuse(f"is {text!r}, but must be {accepted}.")
    return text
