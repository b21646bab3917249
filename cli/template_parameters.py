"""The parameters of template.yaml, and which values CloudFormation takes for them.

local/ reads it, too, for registry files: it imports nothing but PyYAML.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LARGEST = 10**15


@dataclass(frozen=True)
class Parameter:
    """A parameter of the template. bounds: of a number, inclusive; accepted: what pattern means."""

    default: str
    description: str
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None
    pattern: str = ""
    accepted: str = ""

    def refusal(self, value: str) -> str | None:
        """Say what the value must be, for example "one of ANY, TAGGED"; None if it is allowed."""
        if self.choices:
            return None if value in self.choices else f"one of {', '.join(self.choices)}"
        if self.bounds:
            least, most = self.bounds
            is_number = re.fullmatch(r"[0-9]{1,15}", value) and least <= int(value) <= most
            return None if is_number else f"a whole number from {least} to {most}"
        return None if re.fullmatch(self.pattern, value) else self.accepted


@dataclass(frozen=True)
class Template:
    """What a template says of its parameters. groups: their names by the title of a group."""

    parameters: Mapping[str, Parameter]
    groups: Mapping[str, tuple[str, ...]]


def read_template(path: Path) -> Template:
    """Read the parameters of a template, and their groups in the CloudFormation console."""
    root: Any = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    # Only these sections are plain YAML: others contain tags such as !Ref.
    plain = {
        key.value: yaml.SafeLoader("").construct_document(value)
        for key, value in root.value
        if key.value in {"Metadata", "Parameters"}
    }
    interface = plain.get("Metadata", {}).get("AWS::CloudFormation::Interface", {})
    return Template(
        {name: _parameter(each) for name, each in plain.get("Parameters", {}).items()},
        {
            group["Label"]["default"]: tuple(group["Parameters"])
            for group in interface.get("ParameterGroups", ())
        },
    )


def _parameter(declared: Mapping[str, Any]) -> Parameter:
    bounds = (declared.get("MinValue", 0), declared.get("MaxValue", _LARGEST))
    pattern = declared.get("AllowedPattern", f"(?s:.{{{declared.get('MinLength', 0)},}})")
    return Parameter(
        default=str(declared.get("Default", "")),
        description=declared.get("Description", ""),
        choices=tuple(map(str, declared.get("AllowedValues", ()))),
        bounds=bounds if declared["Type"] == "Number" else None,
        pattern=pattern,
        accepted=declared.get(
            "ConstraintDescription", f"a text that matches {pattern}"
        ).removeprefix("must be "),
    )
