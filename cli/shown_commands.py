"""Commands that are shown: each can be pasted, for the stack that the answer is about."""

import shlex

from cli.answers import toml_text
from cli.stack import Stack

_OWN = "ecr-rescan"  # the program, and the name that a stack has unless --stack is given


def aws(stack: Stack, command: str, **options: str) -> str:
    """Write a command of the AWS CLI. options: their names have underscores for hyphens."""
    named = [
        part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)
    ]
    return shlex.join(
        ["aws", *command.split(), *named, "--region", stack.account.region, *_profile(stack)]
    )


def own(stack: Stack, command: str) -> str:
    """Write a command of this command line."""
    address = stack.account.address
    where = [
        *(["--stack", stack.name] if stack.name != _OWN else []),
        *(["--region", address.region] if address.region else []),
        *_profile(stack),
    ]
    return shlex.join([_OWN, *command.split(), *where])


def parameter(name: str, value: str) -> str:
    """Say how a parameter is changed."""
    return f"Set {name} = {toml_text(value)} in ecr-rescan.toml, then: make deploy"


def broken(line: str, width: int) -> str:
    """Break a command that is wider than a terminal between options, so that it can be pasted."""
    if len(line) <= width or not line.startswith(("aws ", f"{_OWN} ")):
        return line
    parts: list[str] = []
    for word in shlex.split(line):
        if word.startswith("--") or not parts:
            parts.append(word)
        else:
            parts[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(parts)


def _profile(stack: Stack) -> list[str]:
    profile = stack.account.address.profile
    return ["--profile", profile] if profile else []
