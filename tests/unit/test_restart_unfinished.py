import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from ledger.unfinished_executions import (
    FINISHED_WITHIN,
    UnfinishedExecution,
    UnfinishedExecutions,
)
from reporting.channels.delivery import LEASE
from send_digest import restart_unfinished as module
from send_digest.notify_scan_executions import NotifyScanExecutions, NotifyScanNotStarted
from send_digest.restart_unfinished import RestartedExecutions, restart_unfinished
from tests.support.clock import NOW, Clock
from tests.support.definition import NOTIFY_SCAN
from tests.support.engine import any_lambda_context
from tests.support.template import ROOT

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:NotifyScan"
EVENT = {"source": "aws.ecr", "id": "event-1"}
DELIVERY = {"channel": "SLACK", "message_id": "m-1", "claims_before": "2026-03-13T00:00:00+00:00"}


class FakeUnfinished:
    """Some executions that ended early, and which were forgotten."""

    def __init__(self, *executions: UnfinishedExecution) -> None:
        self.executions = list(executions)
        self.forgotten: list[str] = []
        self.unreadable: list[str] = []

    def ended_early(self, now: datetime) -> Iterator[UnfinishedExecution]:
        yield from self.executions

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


class FakeStates:
    """Starts executions, each of which takes some seconds, or refuses to."""

    def __init__(self, clock: Clock, seconds: float = 0, *, refuses: str = "") -> None:
        self._clock, self._seconds, self._refuses = clock, seconds, refuses
        self.started: list[Any] = []

    def start_execution(self, *, stateMachineArn: str, input: str) -> None:  # noqa: A002, N803
        if self._refuses and self._refuses in input:
            refusal: Any = {"Error": {"Code": "StateMachineDeleting", "Message": "any"}}
            raise ClientError(refusal, "StartExecution")
        assert stateMachineArn == MACHINE
        self.started.append(json.loads(input))
        self._clock.sleep(self._seconds)


def unfinished(name: str, **given: Any) -> UnfinishedExecution:
    return UnfinishedExecution(name, NOW - timedelta(hours=1), **given)


def restarted(kept: FakeUnfinished, states: FakeStates) -> RestartedExecutions:
    executions = NotifyScanExecutions(cast("Any", states), MACHINE)
    return restart_unfinished(cast("UnfinishedExecutions", kept), executions)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clock.now", clock.now)
    return clock


def test_starts_an_event_again_as_it_came(clock: Clock) -> None:
    kept, states = FakeUnfinished(unfinished("a", event=EVENT)), FakeStates(clock)
    assert restarted(kept, states) == RestartedExecutions(restarted=1, left=0)
    assert (states.started, kept.forgotten) == ([EVENT], ["a"])


@pytest.mark.parametrize(
    "given",
    [
        {"event": EVENT, "deliveries": [DELIVERY]},
        {"event": {"deliveries": [DELIVERY], "started_by": "any"}},
    ],
    ids=["composed", "sent by SendDigest or ecr-rescan undelivered send"],
)
def test_takes_over_the_claims_of_messages(clock: Clock, given: dict[str, Any]) -> None:
    states = FakeStates(clock)
    restarted(FakeUnfinished(unfinished("a", **given)), states)
    (started,) = states.started
    before = (clock.now() - timedelta(minutes=6)).isoformat(timespec="seconds")
    assert started["deliveries"] == [{**DELIVERY, "claims_before": before}]
    assert started.get("started_by") == given["event"].get("started_by")


def test_forgets_nothing_that_it_could_not_start(clock: Clock) -> None:
    other = unfinished("b", event={"id": "event-2"})
    kept = FakeUnfinished(unfinished("a", event=EVENT), other)
    states = FakeStates(clock, refuses="event-1")
    with pytest.raises(NotifyScanNotStarted, match="StateMachineDeleting"):
        restarted(kept, states)
    assert (states.started, kept.forgotten) == ([other.event], ["b"])


def test_leaves_the_rest_to_the_next_digest_when_its_time_is_over(clock: Clock) -> None:
    kept = FakeUnfinished(*(unfinished(name, event=EVENT) for name in "abcd"))
    answer = restarted(kept, FakeStates(clock, seconds=120))
    assert answer == RestartedExecutions(restarted=2, left=2)
    assert kept.forgotten == ["a", "b"]


def test_refuses_deliveries_that_are_no_list(clock: Clock) -> None:
    with pytest.raises(TypeError, match="deliveries must be a list, not str"):
        restarted(FakeUnfinished(unfinished("a", deliveries="any")), FakeStates(clock))


def test_answers_the_state_machine_with_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    event: Any = json.loads((ROOT / "events/send_digest/restart_unfinished.json").read_text())
    monkeypatch.setenv("NOTIFY_SCAN_STATE_MACHINE", MACHINE)
    monkeypatch.setattr(module, "unfinished_executions", lambda table: FakeUnfinished())
    monkeypatch.setattr(module, "notify_scan_executions", lambda arn: None)
    assert module.handler(event, any_lambda_context()) == {"restarted": 0, "left": 0}


def test_every_claim_of_what_is_started_again_has_expired() -> None:
    life = timedelta(seconds=NOTIFY_SCAN.definition["TimeoutSeconds"])
    assert life + LEASE < FINISHED_WITHIN
    assert life < LEASE


def test_logs_what_cannot_be_read(clock: Clock, log: io.StringIO) -> None:
    kept = FakeUnfinished(unfinished("a", event=EVENT))
    kept.unreadable.append("damaged")
    assert restarted(kept, FakeStates(clock)) == RestartedExecutions(restarted=1, left=0)
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["message"], line["execution"]) == ("unfinished execution unreadable", "damaged")
