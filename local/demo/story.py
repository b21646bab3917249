"""What comes of the runs of a demo, one after the other: scans, decisions, messages."""

from collections import Counter
from collections.abc import Sequence

from local.demo.demo_display import DemoDisplay
from local.demo.notifications import (
    Decided,
    Notifications,
    received_by_channel,
    refused_by_channel,
)
from local.demo.notify_watch import NotifyWatch, executions_caused
from local.demo.rescan_run import RescanRun
from local.demo.run_watch import RunWatch
from local.receivers.inbox import CHANNELS as CHANNELS_OF_THE_INBOX
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered, Subscribers


class Story:
    """Everything since the beginning; the logs and receivers that it reads forget nothing."""

    def __init__(
        self,
        watch: RunWatch,
        notify: NotifyWatch,
        subscribers: Subscribers,
        channels: Sequence[str],
        display: DemoDisplay,
    ) -> None:
        self._watch = watch
        self._notify = notify
        self._subscribers = subscribers
        self._channels = channels
        self._display = display
        self._scans_started = 0
        self._scan_events = Counter[str]()
        self._executions = 0
        self._failed = 0
        self._decisions: tuple[Decided, ...] = ()
        self.delivered = Delivered()

    def await_messages(self, runs: Sequence[RescanRun]) -> list[Decided]:
        """Wait until everybody has been told what came of some runs, and give what was decided."""
        of = runs[-1].name
        with self._display.step(f"wait for the scans of {of}"):
            scans = self._watch.scans_ended()
        self._scans_started += scans.started
        self._scan_events += scans.events
        self._executions += executions_caused(scans.events, runs)
        before = self._decisions
        with self._display.step(f"wait for the messages about {of}"):
            self._failed = self._notify.failed_executions(self._executions)
            self._decisions = self._notify.decisions(self._executions - self._failed)
            told = sum(each.tell for each in self._decisions)
            published = sum(channel not in CHANNELS_OF_THE_INBOX for channel in self._channels)
            self.delivered = self._subscribers.received(at_least=told * published)
        return list((Counter(self._decisions) - Counter(before)).elements())

    def notifications(self, requests: Sequence[Received]) -> Notifications:
        """Put it all together."""
        return Notifications(
            scans_started=self._scans_started,
            scan_events=self._scan_events,
            executions=self._executions,
            executions_failed=self._failed,
            decisions=self._decisions,
            received=received_by_channel(self._channels, requests, self.delivered),
            refused=refused_by_channel(requests),
            undelivered=self._notify.undelivered(),
        )
