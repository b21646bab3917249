"""One call of the command line: the stack that it is about, and where its answer goes."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from cli.exits import UsageError
from cli.output import Answer, Output
from cli.stack import Account, Address, Stack, open_stack
from runtime import clock


@dataclass(frozen=True)
class Call:
    """What every command is given. is_confirmed: --yes was given."""

    address: Address
    output: Output
    is_confirmed: bool = False

    @functools.cached_property
    def account(self) -> Account:
        """Return the account and Region, with the operator's credentials."""
        return Account(self.address)

    @functools.cached_property
    def stack(self) -> Stack:
        """Return the stack; raise CommandError if there is none."""
        is_seen = self.output.complaints.is_terminal
        return open_stack(self.account, self.address, looks_elsewhere=is_seen)

    def header(self) -> Mapping[str, object]:
        """Return what the JSON form of every answer begins with."""
        return {
            "stack": self.address.stack,
            "account": self.account.identity["Account"],
            "region": self.account.region,
            "made_at": clock.now(),
        }

    def answer(self, answer: Answer) -> None:
        """Write the answer about a stack."""
        self.output.write(answer, self.header())

    def confirm(self, question: str) -> bool:
        """Ask the operator; without a terminal, raise UsageError unless --yes was given."""
        if self.is_confirmed:
            return True
        if not self.output.complaints.is_terminal:
            raise UsageError(f"{question} Give --yes, because this is not a terminal.")
        from rich.prompt import Confirm  # noqa: PLC0415

        return Confirm.ask(question, console=self.output.complaints, default=False)
