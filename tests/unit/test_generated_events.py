"""Whatever arrives ends in a report, a silence with its reason, or UnreadableScanEvent."""

import json
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from notify_scan.events.fields import UnreadableScanEvent
from notify_scan.interpret_event import ReceivedEvent, interpret_event
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.notification import Notification
from notify_scan.scan_details import RETRIES
from registry.errors import EcrThrottled
from registry.images import LastScan
from reporting.decision import NotifyOn, NotifyOnRun
from reporting.text import visible
from reporting.thresholds import Thresholds
from runtime.messages import decode, encode
from tests.support.clock import LATER
from tests.support.events import HOSTILE, LONG, UNSENDABLE, Batch, batches
from tests.support.reports import (
    DEFAULT_NOTIFY_ON,
    FakeScans,
    any_composer,
    any_finding,
    any_notification_policy,
    complaints_about,
)

KEPT_FOR = timedelta(days=180)
STATE = 262_144  # bytes that a state machine passes on
EVENTS_A_BATCH = 100
ENDS = {
    "scan told",
    "scan not told",
    "run told",
    "run not told",
    "silence",
    "hint",
    "unreadable",
}
NASTY = (*HOSTILE, *UNSENDABLE, *LONG, "CVE-2026-1")

POLICIES = (
    any_notification_policy(),
    any_notification_policy(notify_on=DEFAULT_NOTIFY_ON | {NotifyOn.CLEAN}),
    any_notification_policy(notify_on=frozenset(), on_run=NotifyOnRun.INCOMPLETE),
    any_notification_policy(
        thresholds=Thresholds({"CRITICAL": 3, "OTHER": 0, "LOW": None}), include_findings=False
    ),
    any_notification_policy(on_run=NotifyOnRun.NEVER),
)
# Wording a message for every channel takes ten times as long as reading an event.
QUIET = any_notification_policy(
    thresholds=Thresholds({}), notify_on=frozenset(), on_run=NotifyOnRun.NEVER
)
REGISTRIES = (
    FakeScans(
        [
            any_finding(name, "CRITICAL", package=name, version=name, uri=f"https://x.example/{n}")
            for n, name in enumerate(NASTY)
        ],
        LastScan(status="FAILED", description="".join(NASTY)),
    ),
    FakeScans([any_finding(uri=name) for name in NASTY[::3]]),
    FakeScans(EcrThrottled("any"), EcrThrottled("any")),
)


class Passage:
    """Generated events on their way through both functions, counted by what became of them."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        self.distinct: set[int] = set()

    def of(self, event: Any, chance: random.Random) -> Notification | None:
        written = json.dumps(event)
        self.distinct.add(hash(written))
        kind, notification = outcome_of(json.loads(written), chance)
        self.came[kind] += 1
        return notification


def outcome_of(event: Any, chance: random.Random) -> tuple[str, Notification | None]:
    try:
        interpreted = interpret_event(
            ReceivedEvent(event),
            account="123456789012",
            region="eu-west-1",
            kept_for=KEPT_FOR,
            now=LATER,
        )
    except UnreadableScanEvent as unreadable:
        told = str(unreadable)
    else:
        return passed(interpreted, chance)
    assert told == visible(told)
    assert len(told) < 1_000
    return "unreadable", None


def passed(interpreted: InterpretedEvent, chance: random.Random) -> tuple[str, Notification | None]:
    interpretation = interpreted.interpretation
    if interpretation.finished_run or interpretation.found_image:
        assert interpreted.record is None
        passed_on(interpreted)
        return "hint", None
    report = interpretation.scan or interpretation.run
    assert (report is None) == bool(interpretation.silence)
    composer = any_composer(
        policy=chance.choice(POLICIES) if chance.random() < 0.15 else QUIET,
        registry=chance.choice(REGISTRIES).as_registry,
        attempt=RETRIES,
    )
    notification = composer.compose(decode(InterpretedEvent, json.loads(passed_on(interpreted))))
    passed_on(notification)
    assert notification.reason
    if report is None:
        assert not notification.deliveries
        return "silence", notification
    # PagerDuty also hears of silent scans that are well, and no channel hears of a dry run.
    assert len(notification.deliveries) in ((6, 7) if notification.notify else (0, 1))
    return f"{report.kind} {'told' if notification.notify else 'not told'}", notification


def passed_on(message: object) -> str:
    """Write a message as a state passes it on."""
    written = json.dumps(encode(message))
    assert len(written) < STATE
    return written


@settings(max_examples=20)
@given(batches)
def test_the_messages_about_generated_events_please_their_receivers(batch: Batch) -> None:
    passage = Passage()
    for event in batch.events(10):
        notification = passage.of(event, batch.chance)
        for delivery in notification.deliveries if notification else ():
            assert complaints_about(delivery) == []


@pytest.mark.no_cover
def test_two_thousand_generated_events_end_in_one_of_three_ways() -> None:
    passage = Passage()
    run_through(passage, batches_of_events=22)
    assert len(passage.distinct) >= 2_000
    assert passage.came.keys() == ENDS


@pytest.mark.slow
def test_ten_thousand_generated_events_end_in_one_of_three_ways() -> None:
    passage = Passage()
    run_through(passage, batches_of_events=110)
    assert len(passage.distinct) >= 10_000
    assert passage.came.keys() == ENDS


@pytest.mark.scale  # 45 s each on a core that has nothing else to do
@pytest.mark.parametrize("half", [1, 2])
def test_a_hundred_thousand_generated_events_end_in_one_of_three_ways(half: int) -> None:
    passage = Passage()
    run_through(passage, batches_of_events=510, seed=half)
    assert len(passage.distinct) >= 50_000
    assert passage.came.keys() == ENDS
    assert min(passage.came.values()) >= 1_000


def run_through(passage: Passage, *, batches_of_events: int, seed: int = 0) -> None:
    @settings(
        max_examples=batches_of_events,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a failing event says enough; a hundred around it take long
        suppress_health_check=[*HealthCheck],
    )
    @given(batches)
    def run(batch: Batch) -> None:
        # Hypothesis likes the same seed again, and would give both halves the same ones.
        batch.chance.seed(f"{seed} {passage.came.total()}")
        for event in batch.events(EVENTS_A_BATCH):
            passage.of(event, batch.chance)

    run()
