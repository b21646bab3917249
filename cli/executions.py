"""The executions of RescanRegistry, as Step Functions keeps them for 90 days."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from cli.exits import CommandError, ExitCode, UsageError
from cli.output import age
from cli.shown_commands import own
from cli.stack import Stack
from runtime import clock
from runtime.causes import reason

LOOKED_AT = 1_000  # the newest ones, where one of some kind is looked for: 2 minutes at most
REDRIVABLE_FOR = timedelta(days=14)  # after the end
SUCCEEDED, RUNNING = "SUCCEEDED", "RUNNING"
_UNDER_WAY = (RUNNING, "PENDING_REDRIVE")
_MAP_STOPPED = "States.ExceedToleratedFailureThreshold"


class SearchCut(CommandError):
    """An execution was not found among the newest, and there are more."""

    code = ExitCode.INCOMPLETE

    def __init__(self) -> None:
        super().__init__(
            f"Only the newest {LOOKED_AT:,} executions of RescanRegistry were searched, most of "
            "them dry runs: what is before them is not known."
        )


@dataclass(frozen=True)
class Execution:
    """An execution. What only DescribeExecution says is absent in a list.

    run_input: as it was started. redrive: whether AWS can redrive it, or why not.
    """

    name: str
    arn: str
    status: str
    started_at: datetime
    ended_at: datetime | None = None
    run_input: str = "{}"
    error: str = ""
    cause: str = ""
    is_redrivable: bool = False
    not_redrivable_because: str = ""

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self.status in _UNDER_WAY

    @property
    def has_failed(self) -> bool:
        """Return whether it has ended, and not well."""
        return not self.is_running and self.status != SUCCEEDED

    @property
    def was_stopped(self) -> bool:
        """Return whether its tolerance, its time or an operator ended it before its last state."""
        return self.has_failed and (self.error == _MAP_STOPPED or self.status != "FAILED")

    @property
    def reason(self) -> str:
        """Return why it has not succeeded, in one line: its error or its status."""
        return reason(self.error, self.cause) or self.status

    @property
    def given(self) -> dict[str, object]:
        """Return its input; empty if no run accepts it."""
        document = json.loads(self.run_input)
        return document if isinstance(document, dict) else {}

    @property
    def is_dry_run(self) -> bool:
        """Return whether it starts no scan. Only for an execution that was described."""
        return self.given.get("dry_run") is True

    @property
    def is_whole(self) -> bool:
        """Return whether it is over the whole registry. Only for one that was described."""
        return not self.given.keys() & {"repositories", "repository_filter", "rerun_of"}

    @property
    def rerun_of(self) -> str | None:
        """Return the run whose rest it does. Only for an execution that was described."""
        run = self.given.get("rerun_of")
        return run if isinstance(run, str) else None


@dataclass(frozen=True)
class MapProgress:
    """How many repositories of a run have ended, and how many of these did not succeed."""

    repositories: int
    ended: int
    failed: int


class Executions:
    """The executions of the state machine RescanRegistry of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._client: Any = stack.client("stepfunctions")
        self.machine = stack.output("RescanRegistryArn")

    def arn(self, run: str) -> str:
        """Return the ARN of an execution by its name."""
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{run}"

    def start(self, kind: str, run_input: object) -> str:
        """Start an execution, and return its name. kind: what the name begins with."""
        name = f"{kind}-{clock.now():%Y%m%dT%H%M%SZ}"
        self._client.start_execution(
            stateMachineArn=self.machine, name=name, input=json.dumps(run_input)
        )
        return name

    def find(self, run: str) -> Execution | None:
        """Describe an execution; None when there is none of this name."""
        try:
            found = self._client.describe_execution(executionArn=self.arn(run))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
                return None
            raise
        return Execution(
            name=run,
            arn=found["executionArn"],
            status=found["status"],
            started_at=found["startDate"],
            ended_at=found.get("stopDate"),
            run_input=found.get("input", "{}"),
            error=found.get("error", ""),
            cause=found.get("cause", ""),
            is_redrivable=found.get("redriveStatus") == "REDRIVABLE",
            not_redrivable_because=found.get("redriveStatusReason", ""),
        )

    def ended(
        self, run: str, *, every: float, show: Callable[[Execution], None] | None = None
    ) -> Execution:
        """Wait for the end of an execution, and describe it.

        every: seconds between two looks. show: is given the execution at each look before its end.
        """
        while (found := self.find(run)) is None or found.is_running:
            if found and show:
                show(found)
            clock.sleep(every)
        return found

    def newest(self, most: int) -> list[Execution]:
        """List the executions that were started last, newest first."""
        return list(islice(self._all(), most))

    def newest_real(self) -> Iterator[Execution]:
        """Describe those that have ended and were no dry run, newest first.

        Raises SearchCut after LOOKED_AT executions of any kind.
        """
        for number, each in enumerate(self._all()):
            if number == LOOKED_AT:
                raise SearchCut
            found = None if each.is_running else self.find(each.name)
            if found and not found.is_dry_run:
                yield found

    def under_way(self) -> Iterator[Execution]:
        """Describe the executions that are in progress and no dry runs, newest first."""
        for each in self._all(statusFilter=RUNNING):
            found = self.find(each.name)
            if found and found.is_running and not found.is_dry_run:
                yield found

    def progress(self, run: str) -> MapProgress | None:
        """Count the repositories of a run; None before its Map has begun."""
        maps = self._client.list_map_runs(executionArn=self.arn(run))["mapRuns"]
        if not maps:
            return None
        counts = self._client.describe_map_run(mapRunArn=maps[0]["mapRunArn"])["itemCounts"]
        failed = counts["failed"] + counts["timedOut"] + counts["aborted"]
        return MapProgress(counts["total"], counts["succeeded"] + failed, failed)

    def redrive(self, execution: Execution) -> None:
        """Continue an execution where it has ended."""
        self._client.redrive_execution(executionArn=execution.arn)

    def _all(self, **only: str) -> Iterator[Execution]:
        pages = self._client.get_paginator("list_executions")
        for page in pages.paginate(stateMachineArn=self.machine, **only):
            for each in page["executions"]:
                yield Execution(
                    name=each["name"],
                    arn=each["executionArn"],
                    status=each["status"],
                    started_at=each["startDate"],
                    ended_at=each.get("stopDate"),
                )


def running(stack: Stack, other: Execution) -> UsageError:
    """Make the error of a command that starts nothing beside an execution in progress."""
    return UsageError(
        f"{other.name} has been running for {age(other.started_at, clock.now())}: "
        f"{own(stack, 'status --follow')} shows when it has ended."
    )
