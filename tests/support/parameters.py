"""The parameters of the stack as docs/parameters.md lists them, read from template.yaml."""

from typing import Any

from tests.support.template import template


def groups() -> dict[str, list[str]]:
    """List the parameters of each group that the CloudFormation console shows."""
    interface = template()["Metadata"]["AWS::CloudFormation::Interface"]
    return {
        group["Label"]["default"]: group["Parameters"] for group in interface["ParameterGroups"]
    }


def parameter_tables() -> str:
    """Write one table for each group: what a parameter accepts, does and is changed for."""
    return "\n".join(_table(label, names) for label, names in groups().items())


def _table(label: str, names: list[str]) -> str:
    rows = ["| parameter | default | accepts | description |", "| --- " * 4 + "|"]
    rows += [_row(name, template()["Parameters"][name]) for name in names]
    return "\n".join([f"## {label}", "", *rows, ""])


def _row(name: str, parameter: dict[str, Any]) -> str:
    default = str(parameter["Default"])
    cells = (
        f"`{name}`",
        f"`{default}`" if default else "*(empty)*",
        _accepted(parameter),
        parameter["Description"],
    )
    return f"| {' | '.join(cell.replace('|', r'\|') for cell in cells)} |"


def _accepted(parameter: dict[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return ", ".join(f"`{value}`" for value in parameter["AllowedValues"])
    if "MinValue" in parameter:
        return f"{parameter['MinValue']:,} to {parameter['MaxValue']:,}"
    return str(parameter.get("ConstraintDescription", "")).removeprefix("must be ")
