"""Find what is wrong with a deployment, what follows from it, and how to repair it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import ConnectionError, HTTPClientError, NoRegionError  # noqa: A004

from cli.aws_errors import in_a_sentence
from cli.call import Call
from cli.checks import account, alarms, channels, events, runs
from cli.checks.result import Result, State, fault, ok, unchecked
from cli.exits import CommandError, ExitCode
from cli.shown_commands import aws_of_profile, broken, own_at
from cli.stack import Stack
from registry.ecr import EcrRegistry
from reporting.text import visible
from runtime import clock
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

# In the order in which they are shown; `credentials` is before them.
CHECKS: Mapping[str, Callable[[Stack], list[Result]]] = {
    "stack": account.status,
    "scan type": account.scan_type,
    "filter": runs.patterns,
    "schedule": runs.schedule,
    "oldest scan": runs.oldest_scan,
    "secrets": channels.secrets,
    "email": channels.email,
    "rules": events.rules,
    "alarm topic": alarms.alarm_topic,
    "queues": events.queues,
    "concurrency": account.concurrency,
    "scan quota": account.scan_quota,
    "version": account.version,
}
_NEEDS_STACK = Result(State.UNCHECKED, "it needs the stack")
_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAULT: "red", State.UNCHECKED: "magenta"}


@dataclass(frozen=True)
class Diagnosis:
    """What all checks found: at least one result for each."""

    found: tuple[tuple[str, Result], ...]

    @property
    def exit_code(self) -> ExitCode:
        """Return BAD for a fault, else INCOMPLETE for what was not checked."""
        states = {result.state for _, result in self.found}
        if State.FAULT in states:
            return ExitCode.BAD
        return ExitCode.INCOMPLETE if State.UNCHECKED in states else ExitCode.DONE

    def document(self) -> Mapping[str, object]:
        """Return all of it, for JSON."""
        return {"checks": list(self.rows())}

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return one row for each result, for CSV."""
        return [{"name": name, **vars(result)} for name, result in self.found]

    def show(self, console: "Console") -> None:
        """Print it for a person: commands below the table, where no cell breaks them."""
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        for name in ("state", "name", "found"):
            table.add_column(overflow="fold", no_wrap=name != "found")
        for name, result in self.found:
            if result is not _NEEDS_STACK:
                state = Text(result.state, _STYLES[result.state])
                table.add_row(state, name, Text(visible(result.found)))
        console.print(table)
        for name, result in sorted(self.found, key=lambda each: each[1].state is State.WARN):
            if result.follows:
                console.print(Text(f"\n{result.state} {name}: {result.follows}"))
                for line in result.repair:
                    shown = broken(visible(line), console.width - 2).replace("\n", "\n  ")
                    console.print(Text(f"  {shown}"), soft_wrap=True)
        console.print(f"\n{self._summary()}")

    def _summary(self) -> str:
        states = Counter(result.state for _, result in self.found)
        parts = [
            counted(states[State.FAULT], "fault") if states[State.FAULT] else "no faults",
            *([counted(states[State.WARN], "warning")] if states[State.WARN] else []),
            *([f"{states[State.UNCHECKED]} not checked"] if states[State.UNCHECKED] else []),
        ]
        return f"{', '.join(parts)} in {len({name for name, _ in self.found})} checks.".capitalize()


def doctor(call: Call) -> ExitCode:
    """Run all checks, and show what they found."""
    header: dict[str, object] = {
        "stack": call.address.stack,
        "account": None,
        "region": None,
        "made_at": clock.now(),
    }
    profile = call.profile
    found: list[tuple[str, Result]] = []
    with call.output.waiting("checking the deployment"):
        try:
            with in_a_sentence(profile):
                header["region"] = call.account.region
                identity = call.account.identity
                header["account"] = identity["Account"]
                found.append(("credentials", ok(identity["Arn"])))
                stack = call.stack
        except CommandError as error:
            found += _without_stack(call, error, has_credentials=bool(found))
        else:
            found += _checked(stack, profile)
    diagnosis = Diagnosis(tuple(found))
    call.output.write(diagnosis, header)
    return diagnosis.exit_code


def _checked(stack: Stack, profile: str | None) -> Iterator[tuple[str, Result]]:
    """Run the checks of a stack concurrently, and return what they found in order."""

    def results(check: Callable[[Stack], list[Result]]) -> list[Result]:
        try:
            with in_a_sentence(profile):
                return check(stack)
        except CommandError as error:
            return [unchecked(error)]
        except Exception as error:  # noqa: BLE001 the other checks have to be answered
            # Its text can be a part of a secret.
            kind = type(error).__name__
            return [unchecked(f"the check itself failed with {kind}: please report this")]

    EcrRegistry(stack.client("ecr"))  # changes the client, which no two threads may do together
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        for name, found in zip(CHECKS, pool.map(results, CHECKS.values()), strict=True):
            yield from ((name, result) for result in found)


def _without_stack(
    call: Call, error: CommandError, *, has_credentials: bool
) -> Iterator[tuple[str, Result]]:
    """Say what is missing, and that the rest cannot be checked."""
    nothing = "nothing else can be checked."
    if not has_credentials:
        yield "credentials", fault(str(error), nothing, *_repair_of_credentials(call, error))
    elif error.__cause__:
        yield "stack", unchecked(error)
    else:
        address = replace(call.address, region=call.account.region)
        deploy = own_at(address, "deploy")
        yield (
            "stack",
            fault(str(error), nothing, "If it is not deployed yet, in a checkout:", deploy),
        )
    for name in CHECKS:
        if name != "stack" or not has_credentials:
            yield name, _NEEDS_STACK


def _repair_of_credentials(call: Call, error: CommandError) -> Iterator[str]:
    """Say what gives the command a Region, a connection, or credentials."""
    match error.__cause__:
        case NoRegionError():
            yield "Add --region, such as --region eu-west-1."
        case ConnectionError() | HTTPClientError():
            yield "Check the network, the proxy, and the name of the Region."
        case _:
            yield aws_of_profile(call.address.profile, "configure list")
