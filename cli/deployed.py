"""What `ecr-rescan init`, `deploy` and `undeploy` answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.answers import Answers, toml_text
from cli.shown_commands import own
from cli.stack import Stack
from reporting.text import visible

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Written:
    """A file of answers was written."""

    file: Path
    answers: Answers

    def document(self) -> Mapping[str, object]:
        """Return the file, and the parameters that it names."""
        return {"file": str(self.file), "parameters": self.answers.parameters}

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per parameter."""
        for name, value in self.answers.parameters.items():
            yield {"parameter": name, "value": value}

    def show(self, console: "Console") -> None:
        """Print the file's name and its parameters."""
        _print(console, f"Wrote {self.file}, with the default of every other parameter:")
        for name, value in self.answers.parameters.items():
            _print(console, f"  {name} = {toml_text(value)}")


@dataclass(frozen=True)
class Deployed:
    """A stack was deployed, or is as it was."""

    stack: Stack
    region: str
    has_changed: bool
    is_new: bool

    def document(self) -> Mapping[str, object]:
        """Return the state of the stack, and its outputs."""
        return {
            "status": self.stack.status,
            "version": self.stack.version,
            "has_changed": self.has_changed,
            "outputs": self.stack.outputs,
            "next": self._next(),
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per output."""
        for name, value in self.stack.outputs.items():
            yield {"output": name, "value": value}

    def show(self, console: "Console") -> None:
        """Print the outputs, and what to do next."""
        stack = self.stack
        what = "" if self.has_changed else "; nothing was changed"
        _print(console, f"{stack.name} {stack.version} in {self.region}: {stack.status}{what}")
        _print(console, "")
        for name, value in stack.outputs.items():
            _print(console, f"{name:<25} {value}")
        _print(console, "")
        email, topic = (stack.parameters.get(name) for name in ("AlertEmail", "AlarmTopicArn"))
        if email and self.is_new:
            _print(console, f"AWS sends emails to {email}: confirm each subscription.")
        if not email and not topic:
            _print(console, "Alarms reach no one: set AlertEmail or AlarmTopicArn.")
        _print(
            console,
            "Next, see whether all is in place, and what a run would start; then start the first:"
            if self.is_new
            else "Next, see whether all is in place, and what a run would start now:",
        )
        for command in self._next():
            _print(console, f"  {command}")

    def _next(self) -> list[str]:
        commands = ("doctor", "plan", "run") if self.is_new else ("doctor", "plan")
        return [own(self.stack, command) for command in commands]


@dataclass(frozen=True)
class Undeployed:
    """A stack was deleted.

    finish: assignments for the commands that delete what is kept and should have been deleted.
    """

    deleted: Sequence[str]
    kept: Sequence[str]
    finish: Sequence[str] = ()

    def document(self) -> Mapping[str, object]:
        """Return what was deleted, and what was kept."""
        return {"deleted": self.deleted, "kept": self.kept, "finish": self.finish}

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per resource."""
        for state, names in (("deleted", self.deleted), ("kept", self.kept)):
            for name in names:
                yield {"resource": name, "state": state}

    def show(self, console: "Console") -> None:
        """Print what was deleted, and what was kept."""
        for name in self.deleted:
            _print(console, f"deleted  {name}")
        for name in self.kept:
            _print(console, f"kept     {name}")
        if self.finish:
            _print(console, "Not everything could be deleted. Repair what is said above, then run:")
            for command in self.finish:
                _print(console, f"  {command}")
            _print(console, "and the commands that delete data: docs/operations.md#uninstall")


def _print(console: "Console", line: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    console.print(Text(visible(line)), soft_wrap=True)
