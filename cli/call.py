"""One call of the command line: the stack that it is about, and where its answer goes."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cli.exits import Declined, UsageError
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

    @property
    def profile(self) -> str | None:
        """Return the profile whose credentials are used, if one is named."""
        return self.address.profile or os.environ.get("AWS_PROFILE")

    def say_where(self) -> None:
        """Name the stack, its Region and account, and whose credentials are used."""
        who = self.account.identity["Arn"]
        self.output.complain(f"The stack {self.address.stack} in {self.account.place}, as {who}")

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

    def confirm(self, question: str, declined: str = "Nothing was changed.") -> None:
        """Ask the operator, unless --yes was given; raise Declined for every answer but yes.

        Without a terminal, raise UsageError. declined: what is said then.
        """
        from rich.prompt import Confirm  # noqa: PLC0415

        ask = functools.partial(Confirm.ask, console=self.output.complaints, default=False)
        self._confirm(question, lambda: ask(question), declined)

    def confirm_by_name(self, question: str, name: str) -> None:
        """Let the operator type a name instead of yes."""
        from rich.prompt import Prompt  # noqa: PLC0415

        ask = functools.partial(
            Prompt.ask, console=self.output.complaints, default="", show_default=False
        )
        declined = "That is not the name. Nothing was changed."
        self._confirm(question, lambda: ask(question) == name, declined)

    def _confirm(self, question: str, is_yes: Callable[[], bool], declined: str) -> None:
        if self.is_confirmed:
            return
        if not self.output.complaints.is_terminal:
            raise UsageError(f"{question} Give --yes, because this is not a terminal.")
        try:
            is_wanted = is_yes()
        except EOFError:  # Ctrl-D
            self.output.complain("")
            is_wanted = False
        if not is_wanted:
            raise Declined(declined)
