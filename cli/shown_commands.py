"""Commands that are shown: each can be pasted, for the stack that the answer is about."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from cli.stack_command import DEFAULT_STACK

if TYPE_CHECKING:
    from cli.stack import Account, Address

_OWN = "ecr-rescan"


class _Addressed(Protocol):
    """A call or a stack."""

    @property
    def address(self) -> "Address":
        """Return which stack is meant."""
        ...


class _Located(Protocol):
    """A call or a stack."""

    @property
    def account(self) -> "Account":
        """Return the account and the Region of the stack."""
        ...


def aws(where: _Located, command: str, **options: str) -> str:
    """Write a command of the AWS CLI. options: their names have underscores for hyphens."""
    account = where.account
    given = {**options, "region": account.region, **_profile(account.address.profile)}
    return _line("aws", command, given)


def aws_of_profile(profile: str | None, command: str) -> str:
    """Write a command of the AWS CLI that is about a profile alone."""
    return _line("aws", command, _profile(profile))


def own(where: _Addressed, command: str, **options: str) -> str:
    """Write a command of this command line. options: beside those that lead to the stack."""
    return own_at(where.address, command, **options)


def own_at(address: "Address", command: str, **options: str) -> str:
    """Write a command of this command line, for a stack that is not at hand."""
    return _line(_OWN, command, {**options, **options_of(address)})


def make_deploy(where: _Addressed) -> str:
    """Write the command that deploys a stack from a checkout."""
    options = shlex.join(_words(options_of(where.address)))
    return f"make deploy ARGS={shlex.quote(options)}" if options else "make deploy"


def options_of(address: "Address") -> dict[str, str]:
    """Return the options that lead to a stack; none if the defaults do."""
    is_default = address.stack == DEFAULT_STACK and not address.is_named
    return {
        **({} if is_default else {"stack": address.stack}),
        **({"region": address.region} if address.region else {}),
        **_profile(address.profile),
    }


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


def _line(program: str, command: str, options: Mapping[str, str]) -> str:
    return shlex.join([program, *command.split(), *_words(options)])


def _words(options: Mapping[str, str]) -> list[str]:
    return [
        part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)
    ]


def _profile(profile: str | None) -> dict[str, str]:
    return {"profile": profile} if profile else {}
