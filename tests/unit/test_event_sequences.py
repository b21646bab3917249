"""Whatever order events come in, however often, and whatever breaks: a vulnerability is named once.

A Hypothesis state machine on the ledger in memory. It interleaves RecordScan and
ComposeNotification of several events on the same images, delivers events twice, late and never,
lets ECR throttle, and executions and channels fail, sends kept messages again, and sends digests.
What must hold is found here anew, from sets of names:

- a vulnerability that a scan read by name has shown, and the last such scan had not, is named in
  exactly one message of a channel without a digest;
- in a channel with a digest, it is named in an immediate message or in the next digest, unless it
  has gone by then, and never in both.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ledger.digest_entries import DigestChange
from ledger.errors import BaselineMoved, LedgerUnavailable
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.new_baseline import MOST_NOTES
from notify_scan.scan_details import RETRIES
from registry.errors import EcrThrottled
from registry.findings import Finding
from registry.images import LastScan
from reporting.channels.delivery import Channel, Delivery
from reporting.channels.in_use import ChannelsInUse, ImmediateFrom
from reporting.net_change import net_change
from tests.support.clock import NOW
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    FakeScans,
    any_composer,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)

IMAGES = 2
REMIND_AFTER = timedelta(days=30)
AT_ONCE, IN_DIGESTS = Channel.WEBHOOK, Channel.EVENTBRIDGE
CHANNELS = ChannelsInUse(
    {AT_ONCE: None, IN_DIGESTS: "arn:aws:events:eu-central-1:123456789012:event-bus/reports"},
    digest_channels=frozenset({IN_DIGESTS}),
    immediate_from=ImmediateFrom.CRITICAL,
)
POLICY = any_notification_policy(remind_after=REMIND_AFTER)
SEVERITIES = {"CVE-1": "CRITICAL", "CVE-2": "CRITICAL", "CVE-3": "HIGH", "CVE-4": "LOW"}
NAMED_AS_NEW = ("new", "back")

type Names = frozenset[str]

picks = st.integers(0, 1_000_000)
found_names = st.frozensets(st.sampled_from(sorted(SEVERITIES)))


@dataclass
class InFlight:
    """An execution that has recorded its scan and not yet composed its messages."""

    interpreted: InterpretedEvent
    attempt: int = 0

    @property
    def image(self) -> int:
        assert self.interpreted.record
        return int(self.interpreted.record.image_digest[7:], 16)


@dataclass
class Told:
    """What has become of the messages about one event."""

    delivered: list[Delivery] = field(default_factory=list)
    kept: list[Delivery] = field(default_factory=list)


class Sequences(RuleBasedStateMachine):
    """One stack, its images, and the readers of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.ledger = LedgerInMemory()
        self.truth: dict[int, Names] = dict.fromkeys(range(IMAGES), frozenset())
        self.events: list[InterpretedEvent] = []
        self.executions: list[InFlight] = []
        self.claims: set[tuple[str, Channel]] = set()
        self.told: dict[str, Told] = {}
        self.read: dict[int, Names] = dict.fromkeys(range(IMAGES), frozenset())
        self.is_known_by_number = dict.fromkeys(range(IMAGES), False)
        self.expected: dict[str, Names] = {}
        self.known_to_readers: dict[int, Names] = dict.fromkeys(range(IMAGES), frozenset())
        self.notes: dict[int, list[str]] = {image: [] for image in range(IMAGES)}

    @rule(image=st.integers(0, IMAGES - 1), found=found_names, kind=picks)
    def scan_ends(self, image: int, found: Names, kind: int) -> None:
        self.now += timedelta(hours=1)
        is_failed, is_lost = kind % 5 == 0, kind % 7 == 0
        if not is_failed:
            self.truth[image] = found
        listed = [SEVERITIES[name] for name in found]
        report = any_scan_report(
            image_digest=f"sha256:{image:064x}",
            tags=(),
            status="FAILED" if is_failed else "COMPLETE",
            severities={} if is_failed else {name: listed.count(name) for name in set(listed)},
            scanned_at=self.now,
        )
        self.events.append(interpreted_of(report, f"event-{len(self.events)}"))
        if not is_lost:
            self.begin(self.events[-1])

    @precondition(lambda self: self.events)
    @rule(pick=picks)
    def event_comes_again_or_late(self, pick: int) -> None:
        self.begin(self.events[pick % len(self.events)])

    def begin(self, event: InterpretedEvent) -> None:
        self.executions.append(InFlight(self.ledger.record_scan(event)))

    @precondition(lambda self: self.executions)
    @rule(pick=picks, fault=picks, fails=picks)
    def execution_goes_on(self, pick: int, fault: int, fails: int) -> None:
        execution = self.executions.pop(pick % len(self.executions))
        self.compose(
            execution,
            is_throttled=fault % 6 == 0,
            is_refused=fault % 11 == 0,
            dies=fault % 5 == 0,
            fails=fails % 3 == 0,
        )

    def compose(
        self, execution: InFlight, *, is_throttled: bool, is_refused: bool, dies: bool, fails: bool
    ) -> None:
        image = execution.image
        scans = self.registry(image, is_throttled=is_throttled)
        is_last = is_throttled and not is_refused
        composer = any_composer(
            policy=POLICY,
            channels=CHANNELS,
            registry=scans.as_registry,
            ledger=self.ledger.as_ledger,
            now=self.now,
            attempt=RETRIES if is_last else 0,
        )
        before = self.baseline(image)
        self.ledger.refused = {"note"} if is_refused else set()
        try:
            notification = composer.compose(execution.interpreted)
        except (BaselineMoved, LedgerUnavailable, EcrThrottled):
            assert self.baseline(image) is before
            self.executions.append(replace(execution, attempt=execution.attempt + 1))
            return
        finally:
            self.ledger.refused = set()
        event = execution.interpreted.event
        if self.baseline(image) is not before:
            self.notes[image].append(event)
            self.note(execution, is_throttled=is_throttled)
            if is_immediate(notification.deliveries):
                self.readers_learn(image, event)
        if dies:  # after it has stored everything, before it has delivered anything
            self.executions.append(replace(execution, attempt=execution.attempt + 1))
            return
        for delivery in notification.deliveries:
            self.deliver(delivery, fails=fails)

    def registry(self, image: int, *, is_throttled: bool) -> FakeScans:
        failure = LastScan("FAILED", None, "any reason")
        if is_throttled:
            return FakeScans(EcrThrottled("Rate exceeded"), failure)
        names = sorted(self.truth[image])
        findings = [Finding(name, SEVERITIES[name], "openssl") for name in names]
        return FakeScans(findings, failure)

    def note(self, execution: InFlight, *, is_throttled: bool) -> None:
        """Work out which names are new in what the execution has read."""
        scan = execution.interpreted.interpretation.scan
        assert scan
        image = execution.image
        if scan.status == "FAILED":
            return
        if is_throttled and any(scan.severities.values()):
            self.is_known_by_number[image] |= len(self.notes[image]) == 1
            # Of a severity without findings, none can be left.
            left = {name for name in self.read[image] if scan.severities.get(SEVERITIES[name])}
            self.known_to_readers[image] -= self.read[image] - left
            self.read[image] = frozenset(left)
            return
        found = self.truth[image] if any(scan.severities.values()) else frozenset()
        if self.is_known_by_number[image]:
            # Numbers were all that was known of the image: its first names are stored silently.
            self.is_known_by_number[image] = False
            self.read[image] = self.known_to_readers[image] = found
            return
        new = found - self.read[image]
        self.read[image] = found
        if new:
            self.expected[execution.interpreted.event] = new

    def readers_learn(self, image: int, event: str) -> None:
        """Let the readers of the channel with a digest read an immediate message.

        What it names may be known to them, if they have not read yet that it had gone.
        """
        (change,) = (each for each in self.ledger.digest if each.image.event_id == event)
        assert change.is_told
        gone = {each.name for each in change.by_name.gone} if change.by_name else set()
        known = self.known_to_readers[image] - gone
        self.known_to_readers[image] = known | self.expected.get(event, frozenset())

    def baseline(self, image: int) -> Any:
        record = self.ledger.kept.get(("team/api", f"sha256:{image:064x}"))
        return record.baseline if record else None

    def deliver(self, delivery: Delivery, *, fails: bool) -> None:
        claim = (delivery.message_id, delivery.channel)
        if claim in self.claims:
            return
        self.claims.add(claim)
        told = self.told.setdefault(delivery.message_id.replace("again ", ""), Told())
        (told.kept if fails else told.delivered).append(delivery)

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
        entries, self.ledger.digest = self.ledger.digest, []
        for image in range(IMAGES):
            digest = f"sha256:{image:064x}"
            changes = [each for each in entries if each.image.image_digest == digest]
            expected = self.read[image] - self.known_to_readers[image]
            assert named_in_digest(changes) == expected, (image, changes)
            self.known_to_readers[image] = self.read[image]

    def teardown(self) -> None:
        """Let everything come to its end, and look at what was named."""
        while self.executions:
            execution = self.executions.pop(0)
            self.compose(execution, is_throttled=False, is_refused=False, dies=False, fails=False)
        forgotten = {event for notes in self.notes.values() for event in notes[:-MOST_NOTES]}
        for event, new in self.expected.items():
            told = self.told.get(event)
            if event in forgotten and told is None:
                continue  # died, and came again only after more changes than are remembered
            assert told, (event, new)
            (message,) = (each for each in told.delivered + told.kept if each.channel is AT_ONCE)
            assert names_in(message, NAMED_AS_NEW) == new, event
        for event, told in self.told.items():
            for each in told.delivered + told.kept:
                new = self.expected.get(event, frozenset())
                assert names_in(each, NAMED_AS_NEW) == new, event
        self.digest_is_sent()


def is_immediate(deliveries: tuple[Delivery, ...]) -> bool:
    return any(each.channel is IN_DIGESTS for each in deliveries)


def names_in(delivery: Delivery, lists: tuple[str, ...]) -> Names:
    content: Any = delivery.content
    report = (content["detail"] if delivery.channel is IN_DIGESTS else content)["report"]
    by_name = report["by_name"] or {}
    return frozenset(each["name"] for name in lists for each in by_name.get(name, ()))


def named_in_digest(changes: list[DigestChange]) -> Names:
    net = net_change(changes) if changes else None
    if net is None or net.by_name is None:
        return frozenset()
    return frozenset(each.name for name in NAMED_AS_NEW for each in getattr(net.by_name, name))


QUICK = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
    stateful_step_count=25,
)


@pytest.mark.no_cover
def test_each_vulnerability_is_named_once_in_a_hundred_sequences() -> None:
    run_state_machine_as_test(Sequences, settings=settings(QUICK, max_examples=100))


@pytest.mark.slow
def test_each_vulnerability_is_named_once_in_a_thousand_sequences() -> None:
    run_state_machine_as_test(Sequences, settings=settings(QUICK, max_examples=1_000))


@pytest.mark.scale
@pytest.mark.parametrize("part", [1, 2])
def test_each_vulnerability_is_named_once_in_ten_thousand_sequences(part: int) -> None:
    del part  # Hypothesis draws others for each
    run_state_machine_as_test(Sequences, settings=settings(QUICK, max_examples=5_000))
