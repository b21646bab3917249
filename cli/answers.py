"""The file of answers: which stack, where, and its parameters, as SAM reads them, too."""

import difflib
import json
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cli.call import Call
from cli.exits import UsageError
from cli.shown_commands import make_deploy, options_of
from cli.stack import Stack
from cli.template_parameters import Parameter, Template
from reporting.text import visible

WIDTH = 100
FILE = Path("ecr-rescan.toml")
PARAMETERS = "[default.deploy.parameters.parameter_overrides]"
# What SAM takes for its own notation of a parameter (samcli/cli/types.py).
_WRAPPED = re.compile(r"""(?s:"|'|".*"|'.*')""")
_ESCAPED = re.compile(r"""\\[ "']""")
_HEAD = f"""\
# The answers of ecr-rescan deploy: which stack, in which Region, with which parameters.
# A parameter that is not named keeps its value in the stack; of a new stack, its default.
# docs/parameters.md explains each. No secret belongs here: only the ARNs of secrets.
version = 0.1

[default.global.parameters]
stack_name = {{stack}}
{{region}}

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
confirm_changeset = true
resolve_s3 = true
# tags = "application=ecr-rescan team=platform"

{PARAMETERS}
"""


@dataclass(frozen=True)
class Answers:
    """What a file says. region, profile: absent means those of the operator."""

    stack: str
    region: str | None
    parameters: Mapping[str, str]
    profile: str | None = None


def read_answers(file: Path) -> Answers:
    """Read a file of answers; raise UsageError if SAM could not, or would take it for another."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {visible(str(error))}") from error
    settings = {
        **_table(file, document, "default", "global", "parameters"),
        **_table(file, document, "default", "deploy", "parameters"),
    }
    given = _table(file, document, "default", "deploy", "parameters", "parameter_overrides")
    optional = {
        name: _text(file, name, settings[name]) if name in settings else None
        for name in ("region", "profile")
    }
    # SAM ends with a traceback.
    if not isinstance(settings.get("tags", ""), str):
        raise UsageError(f'{file}: tags must be text, such as tags = "team=platform cost=1234"')
    return Answers(
        stack=_text(file, "stack_name", settings.get("stack_name", "ecr-rescan")),
        parameters={name: _text(file, name, value) for name, value in given.items()},
        **optional,
    )


def about(call: Call, answers: Answers, file: Path) -> Call:
    """Return the call about the stack in the file; raise UsageError if options name another.

    SAM takes the profile from the file, too: the checks are of the account that it deploys to.
    """
    given = call.address
    if given.is_named and given.stack != answers.stack:
        raise UsageError(f"{file} is of the stack {answers.stack}, and --stack is {given.stack}.")
    if answers.region and given.region not in {None, answers.region}:
        raise UsageError(f"{file} is of {answers.region}, and --region is {given.region}.")
    if answers.profile and given.profile not in {None, answers.profile}:
        raise UsageError(
            f"{file} is of the profile {answers.profile}, and --profile is {given.profile}."
        )
    address = replace(
        given,
        stack=answers.stack,
        region=answers.region or given.region,
        profile=answers.profile or given.profile,
    )
    return replace(call, address=address)


def answers_text(answers: Answers, template: Template) -> str:
    """Write a file of answers: what is given, and everything else as a comment."""
    region = '# region = "eu-central-1"'
    if answers.region:
        region = f"region = {toml_text(answers.region)}"
    grouped = {name for names in template.groups.values() for name in names}
    others = tuple(name for name in template.parameters if name not in grouped)
    groups = {**template.groups, **({"Others": others} if others else {})}
    parts = [_HEAD.format(stack=toml_text(answers.stack), region=region)]
    for title, names in groups.items():
        parts.append(f"# ---- {title} {'-' * (WIDTH - 8 - len(title))}\n")
        parts += (
            _entry(name, template.parameters[name], answers.parameters.get(name)) for name in names
        )
    return "\n".join(parts)


def toml_text(value: str) -> str:
    """Write a text as a basic string of TOML, which has the escapes of JSON, and more.

    The result is one line, without invisible characters: it can be copied from a terminal.
    """
    return "".join(
        each if visible(each) == each else f"\\U{ord(each):08x}"
        for each in json.dumps(value, ensure_ascii=False)
    )


def set_parameter(stack: Stack, name: str, value: str) -> str:
    """Say how a parameter is changed."""
    return f"Set {name} = {toml_text(value)} in {file_of(stack)}, then: {make_deploy(stack)}"


def file_of(stack: Stack) -> str:
    """Name the file of answers of a stack, whose name is known only of the default one."""
    return "its file of answers" if options_of(stack.address) else str(FILE)


def check_parameters(file: Path, answers: Answers, template: Template) -> None:
    """Raise UsageError for parameters that SAM would ignore, and values AWS would refuse."""
    refused = [*_refusals(answers.parameters, template)]
    if refused:
        raise UsageError(f"{file} has {len(refused)} wrong:\n" + "\n".join(refused))


def _refusals(given: Mapping[str, str], template: Template) -> Iterator[str]:
    for name, value in given.items():
        shown = f"{visible(name)} = {toml_text(value)}"
        if name not in template.parameters:
            close = difflib.get_close_matches(name, template.parameters, n=1)
            meant = f"did you mean {close[0]}?" if close else "docs/parameters.md lists all."
            yield f"  {shown}: there is no such parameter; {meant}"
        elif accepted := template.parameters[name].refusal(value):
            yield f"  {shown}: must be {accepted}"
        elif _WRAPPED.fullmatch(value) or _ESCAPED.search(value):
            yield f"  {shown}: SAM would take quotes or backslashes out of it"


def _entry(name: str, parameter: Parameter, value: str | None) -> str:
    lines = textwrap.wrap(parameter.description, WIDTH - 2)
    comment = "".join(f"# {line}\n" for line in lines)
    if value is None:
        return f"{comment}# {name} = {toml_text(parameter.default)}\n"
    return f"{comment}{name} = {toml_text(value)}\n"


def _table(file: Path, document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document
    for key in path:
        found = found.get(key, {})
        if not isinstance(found, dict):
            raise UsageError(f"{file}: {'.'.join(path)} must be a table, begun by {PARAMETERS}")
    return found


def _text(file: Path, name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f'{file}: {name} must be text in quotes, such as {name} = "…"')
    return str(value)
