"""Executions of the state machine NotifyScan, started again."""

import functools
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ledger.unfinished_executions import UnfinishedExecution
from reporting.channels.delivery import with_new_lease
from runtime.messages import Json, wire

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class NotifyScanNotStarted(Exception):
    """Step Functions did not start an execution of NotifyScan. The state machine retries."""


class NotifyScanExecutions:
    """Starts executions of a state machine."""

    def __init__(self, client: "SFNClient", state_machine: str) -> None:
        self._client = client
        self._state_machine = state_machine

    def start_again(self, unfinished: UnfinishedExecution, now: datetime) -> None:
        """Start an execution with what another one has left; raise NotifyScanNotStarted."""
        if unfinished.deliveries is None:
            self.start(unfinished.event, now)
        else:
            self.start({"deliveries": unfinished.deliveries}, now)

    def start(self, started_with: Json, now: datetime) -> None:
        """Start an execution with an event, or with deliveries, whose lease begins now.

        Raises NotifyScanNotStarted.
        """
        if isinstance(started_with, dict) and "deliveries" in started_with:
            leased = with_new_lease(started_with["deliveries"], now)
            started_with = {**started_with, "deliveries": leased}
        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine, input=wire(started_with).decode()
            )
        except (ClientError, BotoCoreError) as error:
            raise NotifyScanNotStarted(str(error)) from error


@functools.cache
def notify_scan_executions(state_machine: str) -> NotifyScanExecutions:
    """Make the adapter of a state machine."""
    return NotifyScanExecutions(boto3.client("stepfunctions"), state_machine)
