"""What a demo should do, by its registry file, and where runs and messages differ from that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.demo.messages import CHANNELS, Decided, Notifications
from local.demo.run import RescanRun
from local.demo.weeks import Week
from local.registry.simulated_registry import SimulatedRegistry

# Errors that the state machine retries, and how often: fewer faults of this kind fail nothing.
RETRIED_ERRORS = {"ThrottlingException", "ServerException"}
RETRIES = 15
NAMED = 5


@dataclass(frozen=True)
class Script:
    """The repositories that are scripted to fail.

    lasting: by name, whether a rerun fails too; "" stands for the whole registry.
    """

    lasting: Mapping[str, bool]

    @classmethod
    def of(cls, registry: SimulatedRegistry) -> "Script":
        """Read the script of a registry, before any call has used up a fault."""
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

    def unexpected(self, runs: Sequence[RescanRun]) -> str | None:
        """Return what a run or its reruns did that was not scripted as one sentence, or None."""
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
            return f"{first.name}: unscripted failures of repositories: {_named(unscripted)}"
        for rerun in reruns:
            if rerun.status != "SUCCEEDED" and not rerun.is_incomplete:
                return f"{rerun.name} ended {rerun.status} with {rerun.error}: {rerun.conclusion}"
            if set(rerun.repositories) != set(first.unfinished):
                return (
                    f"{rerun.name} worked on {len(rerun.repositories)} repositories, not on the "
                    f"{len(first.unfinished)} that did not finish in {first.name}."
                )
            unscripted = {
                name: problem
                for name, problem in rerun.unfinished.items()
                if not self.lasting.get(name) and not self.lasting.get("")
            }
            if unscripted:
                return f"{rerun.name}: unscripted failures in a rerun: {_named(unscripted)}"
        return None


def unexpected_in_messages(seen: Notifications) -> str | None:
    """Return what went wrong with notifications as one sentence, or None."""
    if seen.events_sent != seen.scans_started:
        return f"{seen.scans_started} scans were started, but ECR sent {seen.events_sent} events."
    if seen.executions_failed:
        return f"{seen.executions_failed} of {seen.executions} executions of NotifyScan failed."
    if len(seen.decisions) != seen.executions:
        return (
            f"NotifyScan should have logged {seen.executions} decisions, but logged "
            f"{len(seen.decisions)}."
        )
    if seen.undelivered:
        return (
            f"The dead-letter queue Undelivered holds {len(seen.undelivered)} messages. The first: "
            f"{_error_in(seen.undelivered[0])}"
        )
    for channel, received in seen.received.items():
        if received != seen.expected(channel):
            return (
                f"{CHANNELS[channel]} received {received} messages instead of "
                f"{seen.expected(channel)}."
            )
    return None


def unexpected_in_week(
    week: Week, decisions: Sequence[Decided], *, is_in_digest: bool = False
) -> str | None:
    """Return which notification was wrong or is missing as one sentence, or None."""
    notified = [each.about for each in decisions if each.notify and each.is_of_a_scan]
    if notified and not week.changes:
        return (
            f"Nothing had changed, but notifications were sent for {len(notified)} scans, the "
            f"first for {notified[0]}."
        )
    if is_in_digest and not week.changes:
        return "Nothing had changed, but a digest was sent."
    if week.changes and not notified:
        return "Findings had changed, but no notification was sent."
    return None


def _named(problems: Mapping[str, str]) -> str:
    named = [f"{name} ({problem})" for name, problem in problems.items()]
    more = len(named) - NAMED
    return ", ".join(named[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _error_in(body: str) -> str:
    """Return the error in a message of the queue, or the whole message if EventBridge sent it."""
    try:
        kept = json.loads(body)
        return f"{kept['error']}: {kept['cause']}"
    except (ValueError, TypeError, KeyError):
        return body
