"""Executions that fail and are killed by chance: nothing is lost, and what came twice is explained.

Each example is a life of a deployment: Hypothesis chooses what happens in it, and a seed decides
about every attempt of a task (tests/support/chaos.py).
"""

import io
import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.run_records import RunRecord
from ledger.unfinished_executions import FINISHED_WITHIN, unfinished_executions
from local.registry.registry_file import parse
from reporting.channels.delivery import Channel
from tests.support.chaos import About, Chaos, Tally, subject_of
from tests.support.clock import Clock
from tests.support.engine import Engine, engine
from tests.support.faults import mend
from tests.support.receivers import ALL_CHANNELS, SECRET_PARTS
from tests.support.template import ACCOUNT, REGION
from tests.workflow.conftest import Deploy

IMAGES = 40  # more than an example scans
# One channel of each transport.
SCANS = {
    "SlackWebhookSecretArn": "SLACK-secret",
    "ReportEventBusArn": ALL_CHANNELS["ReportEventBusArn"],
    "DigestChannels": "NONE",
}
DIGESTS = {
    "WebhookSecretArn": "WEBHOOK-secret",
    "ReportEventBusArn": ALL_CHANNELS["ReportEventBusArn"],
    "DigestChannels": "SNS,WEBHOOK",
    "ImmediateFrom": "NEVER",
}


def sizes(examples: int, steps: int) -> settings:
    """Set the number of lives, and of their steps: 10 at most, which one digest can name."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=[Phase.generate],  # the steps are few, and a smaller example takes minutes to find
        suppress_health_check=list(HealthCheck),
    )


def registry() -> dict[str, Any]:
    """Describe images with one vulnerability each, which no other image has."""
    images = [
        {
            "tags": f"v{number}",
            "scanned": "1d",
            "findings": {
                "cves": [
                    {
                        "name": f"CVE-2026-{number:04}",
                        "severity": "critical",
                        "package": "any",
                        "version": "1",
                    }
                ]
            },
        }
        for number in range(IMAGES)
    ]
    return {"repositories": [{"name": "team/api", "images": images}]}


class Life(RuleBasedStateMachine):
    """Scans end, digests are sent, messages are redelivered; each may fail, and be killed."""

    parameters = SCANS
    channels = frozenset({Channel.SNS, Channel.SLACK, Channel.EVENTBRIDGE})
    tally = Tally()

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._numbers = itertools.count()
        self._events: list[dict[str, Any]] = []
        self._texts = io.StringIO()

    @initialize(seed=st.integers(0, 2**32))
    def deploy(self, seed: int) -> None:
        clock = Clock()
        simulated = parse(json.dumps(registry()), now=clock.now)
        self.deployed: Engine = self._stack.enter_context(engine(simulated, clock, self.parameters))
        self.chaos = Chaos(self.deployed, seed, self.tally)
        self.chaos.begin()

    @rule()
    def end_scan(self) -> None:
        number = next(self._numbers)
        digest = list(self.deployed.registry.repositories["team/api"].images)[number]
        self._events.append(
            {
                "id": f"event-{number}",
                "detail-type": "ECR Image Scan",
                "source": "aws.ecr",
                "account": ACCOUNT,
                "time": self.deployed.clock.now().isoformat(),
                "region": REGION,
                "resources": [],
                "detail": {
                    "scan-status": "COMPLETE",
                    "repository-name": "team/api",
                    "image-digest": digest,
                    "image-tags": [f"v{number}"],
                    "finding-severity-counts": {"CRITICAL": 1},
                },
            }
        )
        self.deployed.notify(self._events[-1])

    @precondition(lambda self: self._events)
    @rule()
    def deliver_the_last_event_again(self) -> None:
        self.deployed.notify(self._events[-1])

    @rule()
    def send_digest(self) -> None:
        self.deployed.clock.move(FINISHED_WITHIN)
        self.deployed.send_digest()

    @rule()
    def redeliver(self) -> None:
        self.deployed.redeliver(self.deployed.undelivered())

    def recover(self) -> None:
        """Mend everything, let the digest of the next day be sent, and redeliver what is kept.

        What is redelivered after that digest, and only noted for a digest, is in the one after it.
        """
        mend(self.deployed)
        self.deployed.clock.move(timedelta(hours=24))
        assert self.deployed.send_digest().status == "SUCCEEDED"
        self.deployed.redeliver(self.deployed.undelivered())
        assert self.deployed.undelivered() == []
        if list(self.deployed.entries.changes_of("DAILY")):
            assert self.deployed.send_digest().status == "SUCCEEDED"
        left = unfinished_executions("LedgerTable")
        assert not list(left.ended_early(self.deployed.clock.now() + FINISHED_WITHIN))

    def got(self) -> Counter[About]:
        return Counter(
            (subject_of(each.content), each.channel) for each in self.deployed.receivers.received
        )

    def expected(self) -> set[About]:
        digests = [event["detail"]["image-digest"].partition(":")[2] for event in self._events]
        return {(digest, channel) for digest in digests for channel in self.channels}

    def teardown(self) -> None:
        if not hasattr(self, "deployed"):
            return
        try:
            self.recover()
            self.check()
        finally:
            self._stack.close()

    def check(self) -> None:
        got, expected = self.got(), self.expected()
        lost, again = expected - got.keys(), got - Counter(got.keys())
        self.tally.messages += len(expected)
        self.tally.lost += len(lost)
        self.tally.twice += again.total()
        assert not lost
        assert got.keys() == expected
        assert not again - self.chaos.excuses
        histories = json.dumps(
            [self.deployed.history(arn) for arn in self.deployed.notifications()], default=str
        )
        assert not [part for part in SECRET_PARTS if part in histories]


class LifeOfDigests(Life):
    """The same with changes that only digests report."""

    parameters = DIGESTS
    channels = frozenset({Channel.EVENTBRIDGE})
    channels_of_digests = frozenset({Channel.SNS, Channel.WEBHOOK})
    tally = Tally()

    def expected(self) -> set[About]:
        digests = {report["digest"] for report in self.reports()}
        of_digests = {(name, channel) for name in digests for channel in self.channels_of_digests}
        return super().expected() | of_digests

    def reports(self) -> list[Any]:
        contents = self.deployed.receivers.of(Channel.WEBHOOK)
        return list({each["report"]["digest"]: each["report"] for each in contents}.values())

    def check(self) -> None:
        super().check()
        named = [each["name"] for report in self.reports() for each in report["vulnerabilities"]]
        assert sorted(named) == [f"CVE-2026-{number:04}" for number in range(len(self._events))]


@pytest.fixture(autouse=True)
def _quiet_moto(log: io.StringIO) -> Iterator[None]:
    logging.getLogger("moto").setLevel(logging.CRITICAL)
    yield
    assert not [part for part in SECRET_PARTS if part in log.getvalue()]


MOST_ROUNDS = 5  # one is enough, unless lives happen to be short


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("size", "least"),
    [
        pytest.param(sizes(3, 10), 10, id="30 steps"),
        pytest.param(sizes(100, 10), 500, id="1,000 steps", marks=pytest.mark.scale),
    ],
)
@pytest.mark.parametrize("life", [Life, LifeOfDigests])
def test_no_message_is_lost(life: type[Life], size: settings, least: int) -> None:
    life.tally = Tally()
    for _ in range(MOST_ROUNDS):
        try:
            run_state_machine_as_test(life, settings=size)  # type: ignore[no-untyped-call]
        finally:
            print(life.__name__, life.tally)  # noqa: T201 # pytest shows it with -rP
        if life.tally.executions >= least and life.tally.kills:
            break
    assert life.tally.executions >= least
    assert life.tally.kills > 0


OLD = [{"tags": "v{n}", "count": 3, "scanned": "8d"}, {"tags": "fresh", "scanned": "1d"}]
REPOSITORIES = ("team/a", "team/b", "team/c")
DUE, SCANNABLE = 3, 4


def is_complete(record: RunRecord) -> bool:
    """Return whether every image has exactly one outcome."""
    return sum(sum(each.values()) for each in record.images.values()) == SCANNABLE


def run_by_chance(deployed: Engine, request: dict[str, Any]) -> dict[str, Any]:
    """Run, check what the run says about itself, and return what to run next."""
    run = deployed.run(request)
    records = deployed.records(run.name)
    done = {name for name, record in records.items() if record.is_done}
    assert all(is_complete(records[name]) for name in done)
    if run.error == "RescanIncomplete":
        assert run.cause
        rerun: dict[str, Any] = json.loads(run.cause[run.cause.index('{"rerun_of"') :])
        assert rerun == {"rerun_of": run.name}
        named = [name for name in REPOSITORIES if name in run.cause]
        assert set(named) == set(deployed.document(f"runs/{run.name}/repositories.json")) - done
        return rerun
    return {}


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "examples", [6, pytest.param(100, marks=pytest.mark.scale, id="100 examples")]
)
def test_runs_converge_and_count_every_scan_once(examples: int, deploy: Deploy) -> None:
    tally = Tally()
    for seed in range(examples):
        described = [{"name": name, "images": OLD} for name in REPOSITORIES]
        deployed = deploy({"repositories": described}, MaxConcurrency="2")
        Chaos(deployed, seed, tally).begin()
        request: dict[str, Any] = {}
        for _ in range(2):
            request = run_by_chance(deployed, request)
        mend(deployed)
        for _ in range(2):
            if (last := deployed.run(request)).status == "SUCCEEDED":
                break
            request = {}
        assert last.status == "SUCCEEDED", (seed, last.cause)
        assert len(deployed.registry.started) == DUE * len(REPOSITORIES)
        assert set(deployed.registry.started.values()) == {1}, seed
    print("runs", tally)  # noqa: T201 # pytest shows it with -rP
    assert tally.kills > 0
