"""Whatever order events come in, however often, and whatever breaks: people are told each change
once. A Hypothesis state machine on the ledger in memory.

It interleaves RecordScan and ComposeNotification of several events on the same images, delivers
events twice, late and never, lets executions and channels fail, sends kept things again, and sends
digests. What must hold is worked out here anew, from whole numbers: findings of one severity.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ledger.errors import BaselineMoved
from ledger.image_records import ImageState
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.known_image import MOST_NOTES
from reporting.channels.delivery import Channel, Delivery
from reporting.channels.in_use import ChannelsInUse
from tests.support.clock import NOW
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    any_composer,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)

IMAGES = 2
REMIND_AFTER = timedelta(days=30)
AT_ONCE, IN_DIGESTS = (Channel.EVENTBRIDGE, Channel.WEBHOOK), Channel.TEAMS
CHANNELS = ChannelsInUse(
    dict.fromkeys((*AT_ONCE, IN_DIGESTS)), digest_channels=frozenset({IN_DIGESTS})
)
POLICY = any_notification_policy(include_findings=False, remind_after=REMIND_AFTER)
FAILED = -1

picks = st.integers(0, 1_000_000)


@dataclass
class Known:
    """What people know of an image: the findings of its last scan that was noted, and when."""

    found: int = 0
    has_failed: bool = False
    notified_at: datetime | None = None

    def news(self, found: int, now: datetime) -> str | None:
        """Say what is new in a scan, in words of this test."""
        if found == FAILED:
            news = None if self.has_failed else "failed"
        elif found == 0:
            news = "over" if self.found or self.has_failed else None
        else:
            news = "more" if found > self.found else "less" if found < self.found else None
        is_bad = found == FAILED or found > 0
        if news is None and is_bad and self.notified_at and now - self.notified_at >= REMIND_AFTER:
            return "still"
        return news


@dataclass
class InFlight:
    """An execution that has recorded its scan and not yet composed its messages."""

    interpreted: InterpretedEvent
    found: int
    attempt: int = 0


@dataclass
class Told:
    """What has become of the messages about one event, by channel."""

    delivered: list[Channel] = field(default_factory=list)
    kept: list[Delivery] = field(default_factory=list)


class Sequences(RuleBasedStateMachine):
    """One stack, its images, and the people who read two channels at once and one in digests."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.ledger = LedgerInMemory()
        self.events: list[tuple[InterpretedEvent, int]] = []
        self.executions: list[InFlight] = []
        self.claims: set[tuple[str, Channel]] = set()
        self.known = {image: Known() for image in range(IMAGES)}
        self.in_digest: dict[int, Known] = {}
        self.told: dict[str, Told] = {}
        self.expected: set[str] = set()
        self.notes: dict[int, list[str]] = {image: [] for image in range(IMAGES)}

    @rule(image=st.integers(0, IMAGES - 1), found=st.integers(FAILED, 3), is_lost=st.booleans())
    def scan_ends(self, image: int, found: int, is_lost: bool) -> None:
        self.now += timedelta(hours=1)
        status = "FAILED" if found == FAILED else "COMPLETE"
        report = any_scan_report(
            image_digest=f"sha256:{image:064x}",
            tags=(),
            status=status,
            severities={} if found == FAILED else {"CRITICAL": found},
            scanned_at=self.now,
        )
        event = interpreted_of(report, f"event-{len(self.events)}")
        self.events.append((event, found))
        if not is_lost:
            self.begin(event, found)

    @precondition(lambda self: self.events)
    @rule(pick=picks)
    def event_comes_again_or_late(self, pick: int) -> None:
        self.begin(*self.events[pick % len(self.events)])

    def begin(self, event: InterpretedEvent, found: int) -> None:
        self.executions.append(InFlight(self.ledger.record_scan(event), found))

    @precondition(lambda self: self.executions)
    @rule(pick=picks, dies=st.sampled_from([False, False, False, True]), fails=picks)
    def execution_goes_on(self, pick: int, dies: bool, fails: int) -> None:
        execution = self.executions.pop(pick % len(self.executions))
        composer = any_composer(
            policy=POLICY,
            channels=CHANNELS,
            ledger=self.ledger.as_ledger,
            now=self.now,
            attempt=execution.attempt,
        )
        image = int(str(execution.interpreted.record.image_digest)[7:], 16)  # type: ignore[union-attr]
        noted_before = self.baseline(image)
        try:
            notification = composer.compose(execution.interpreted)
        except BaselineMoved:
            self.executions.append(replace(execution, attempt=execution.attempt + 1))
            return
        if self.baseline(image) is not noted_before:
            self.check_news(image, execution, is_told=notification.notify)
        elif notification.notify:
            assert execution.interpreted.event in self.expected
        if dies:  # after it has noted everything, before it has delivered anything
            self.executions.append(replace(execution, attempt=execution.attempt + 1))
            return
        for delivery in notification.deliveries:
            self.deliver(delivery, fails=fails % 3 == 0)

    def baseline(self, image: int) -> Any:
        record = self.ledger.kept.get(("team/api", f"sha256:{image:064x}"))
        return record.baseline if record else None

    def check_news(self, image: int, execution: InFlight, *, is_told: bool) -> None:
        known, found = self.known[image], execution.found
        self.notes[image].append(execution.interpreted.event)
        news = known.news(found, self.now)
        assert is_told == (news in ("more", "over", "failed", "still")), (news, known, found)
        if is_told:
            self.expected.add(execution.interpreted.event)
            self.in_digest.setdefault(image, replace(known))
        after = Known(
            found=known.found if found == FAILED else found,
            has_failed=found == FAILED,
            notified_at=self.now if is_told or known.notified_at is None else known.notified_at,
        )
        self.known[image] = after

    def deliver(self, delivery: Delivery, *, fails: bool) -> None:
        assert delivery.channel in AT_ONCE
        claim = (delivery.message_id, delivery.channel)
        if claim in self.claims:
            return
        self.claims.add(claim)
        told = self.told.setdefault(delivery.message_id.replace("again ", ""), Told())
        if fails:
            told.kept.append(delivery)
        else:
            told.delivered.append(delivery.channel)

    @property
    def forgotten(self) -> set[str]:
        """Name the events that came again only after more changes than are remembered."""
        return {event for notes in self.notes.values() for event in notes[:-MOST_NOTES]}

    @precondition(lambda self: any(told.kept for told in self.told.values()))
    @rule(fails=st.booleans())
    def what_is_kept_is_sent_again(self, fails: bool) -> None:
        for told in list(self.told.values()):
            kept, told.kept = told.kept, []
            for delivery in kept:
                again = replace(delivery, message_id=f"again {delivery.message_id}")
                self.deliver(again, fails=fails)

    @rule()
    def a_month_goes_by(self) -> None:
        self.now += REMIND_AFTER

    @rule()
    def digest_is_sent(self) -> None:
        for image, before in self.in_digest.items():
            entry = self.ledger.digests.pop(("DAILY", "team/api", f"sha256:{image:064x}"))
            assert in_short(entry.before) == (before.found, before.has_failed)
            known = self.known[image]
            assert in_short(entry.image.image_state) == (known.found, known.has_failed)
        assert self.ledger.digests == {}
        self.in_digest = {}

    def teardown(self) -> None:
        """Let everything come to its end, and look at what people know."""
        while self.executions:
            self.execution_goes_on(0, dies=False, fails=1)
        for event in self.expected - self.forgotten:
            told = self.told[event]
            reached = told.delivered + [each.channel for each in told.kept]
            assert sorted(reached) == sorted(AT_ONCE), (event, told)
        assert self.told.keys() - self.forgotten == self.expected - self.forgotten
        for image in range(IMAGES):
            record = self.ledger.kept.get(("team/api", f"sha256:{image:064x}"))
            if record and record.last_scan and record.last_scan.status == "COMPLETE":
                assert self.known[image].found == record.last_scan.severities["CRITICAL"]
        self.digest_is_sent()


def in_short(image_state: ImageState) -> tuple[int, bool]:
    return image_state.counts.get("CRITICAL", 0), image_state.failed


QUICK = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
    stateful_step_count=25,
)


@pytest.mark.no_cover
def test_each_change_is_told_once_in_a_hundred_sequences() -> None:
    run_state_machine_as_test(Sequences, settings=settings(QUICK, max_examples=100))


@pytest.mark.slow
def test_each_change_is_told_once_in_a_thousand_sequences() -> None:
    run_state_machine_as_test(Sequences, settings=settings(QUICK, max_examples=1_000))


@pytest.mark.scale  # 80 s each on a core that has nothing else to do
@pytest.mark.parametrize("half", [1, 2])
def test_each_change_is_told_once_in_ten_thousand_sequences(half: int) -> None:
    del half  # Hypothesis draws others for each
    run_state_machine_as_test(Sequences, settings=settings(QUICK, max_examples=5_000))
