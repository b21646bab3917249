"""What a registry file lets go wrong in a run, and whether a run went so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.demo.run import RescanRun
from local.registry.simulated_registry import SimulatedRegistry

# What the state machine retries, and how often: fewer faults of this kind stop no repository.
RETRIED_ERRORS = {"ThrottlingException", "ServerException"}
RETRIES = 15
NAMED = 5


@dataclass(frozen=True)
class Script:
    """The repositories that are scripted to fail, and for each whether they always will.

    A fault of the whole registry stands under the name "".
    """

    lasting: Mapping[str, bool]

    @classmethod
    def of(cls, registry: SimulatedRegistry) -> "Script":
        """Read the script of a registry that nobody has called yet."""
        lasting = {
            repository.name: True
            for repository in registry.repositories.values()
            if repository.vanishes
        }
        for fault in registry.faults:
            if fault.code in RETRIED_ERRORS and fault.times is not None and fault.times <= RETRIES:
                continue
            name = fault.repository or ""
            lasting[name] = lasting.get(name, False) or fault.times is None
        return cls(lasting)

    def surprise(self, runs: Sequence[RescanRun]) -> str | None:
        """Say in one sentence what was not in the script: of a run, and of its rerun if any."""
        first, *reruns = runs
        if first.status == "SUCCEEDED":
            return None
        if not first.is_incomplete:
            return f"{first.name} ended {first.status} with {first.error}: {first.conclusion}"
        unscripted = {
            name: problem
            for name, problem in first.unfinished.items()
            if name not in self.lasting and "" not in self.lasting
        }
        if unscripted:
            return f"{first.name} failed where nothing was scripted to fail: {_named(unscripted)}"
        for rerun in reruns:
            if rerun.status != "SUCCEEDED" and not rerun.is_incomplete:
                return f"{rerun.name} ended {rerun.status} with {rerun.error}: {rerun.conclusion}"
            if set(rerun.repositories) != set(first.unfinished):
                return (
                    f"{rerun.name} took {len(rerun.repositories)} repositories, but "
                    f"{len(first.unfinished)} others did not finish in {first.name}."
                )
            unscripted = {
                name: problem
                for name, problem in rerun.unfinished.items()
                if not self.lasting.get(name) and not self.lasting.get("")
            }
            if unscripted:
                return f"{rerun.name} failed again, which was not scripted: {_named(unscripted)}"
        return None


def _named(problems: Mapping[str, str]) -> str:
    named = [f"{name} ({problem})" for name, problem in problems.items()]
    more = len(named) - NAMED
    return ", ".join(named[:NAMED]) + (f" and {more} more" if more > 0 else "")
