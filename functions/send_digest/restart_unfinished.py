"""Start NotifyScan again for every execution that ended before it had delivered everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ledger.unfinished_executions import UnfinishedExecutions, unfinished_executions
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.log import logger
from send_digest.notify_scan_executions import (
    NotifyScanExecutions,
    NotifyScanNotStarted,
    notify_scan_executions,
)
from send_digest.settings import RestartUnfinishedSettings

RESTART_FOR = timedelta(seconds=240)  # of the 300 s of the function


@dataclass(frozen=True)
class RestartRequest:
    """The input of RestartUnfinished. execution: ARN of the execution of SendDigest."""

    execution: str


@dataclass(frozen=True)
class RestartedExecutions:
    """The output of RestartUnfinished.

    restarted: number of executions that were started again; each may send a message once more that
        was delivered and not marked. left: number of those for which there was no time.
    """

    restarted: int
    left: int


def restart_unfinished(
    unfinished: UnfinishedExecutions, executions: NotifyScanExecutions
) -> RestartedExecutions:
    """Start each again.

    Raises LedgerUnavailable, and NotifyScanNotStarted if one could not be started, after all others
    were; a retry restarts those that are left.
    """
    ended, refusals = restart_each(unfinished, executions)
    for name in unfinished.unreadable:
        logger.warning("unfinished execution unreadable", extra={"execution": name})
    if refusals:
        raise refusals[0]
    return ended


def restart_each(
    unfinished: UnfinishedExecutions, executions: NotifyScanExecutions
) -> tuple[RestartedExecutions, Sequence[NotifyScanNotStarted]]:
    """Start each again, and remove it only then, so that it cannot be lost.

    Return what was refused, too. Raises LedgerUnavailable.
    """
    now, restarted, left = clock.now(), 0, 0
    refusals = list[NotifyScanNotStarted]()
    for execution in unfinished.ended_early(now):
        if clock.now() - now >= RESTART_FOR:
            left += 1
            continue
        try:
            executions.start_again(execution, clock.now())
        except NotifyScanNotStarted as error:
            refusals.append(error)
            continue
        unfinished.forget(execution.name)
        restarted += 1
    return RestartedExecutions(restarted, left), refusals


@entrypoint(RestartRequest)
def handler(_request: RestartRequest) -> RestartedExecutions:
    """Run as RestartUnfinished, first state of SendDigest."""
    settings = RestartUnfinishedSettings.load()
    return restart_unfinished(
        unfinished_executions(settings.ledger_table),
        notify_scan_executions(settings.notify_scan_state_machine),
    )
