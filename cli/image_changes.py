"""The last changes of an image, and who was notified of each, or why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cli.channels import USED_BY
from cli.exits import CommandError
from cli.stack import Stack
from ledger.changes import LISTS, Change
from ledger.image_baselines import StoredImage
from ledger.image_records import Note
from ledger.known_findings import NotedChange
from ledger.notified_images import NotifiedImage
from reporting.changes import Comparison
from reporting.channels.delivery import Channel
from reporting.decision import Decision, NotificationPolicy, NotifyOn, decide
from reporting.thresholds import Thresholds
from runtime import durations

NOT_DELIVERED = "not delivered"  # the dead-letter queue may keep it
_SHOWN = 3  # findings of a change


@dataclass(frozen=True)
class ChangeShown:
    """A change of an image.

    names: findings by list, such as new and gone. notified: when, by channel.
    not_notified: why, by channel; of all of them under "all".
    """

    at: datetime
    kind: Change
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notified: Mapping[str, datetime] = field(default_factory=dict)
    not_notified: Mapping[str, str] = field(default_factory=dict)

    def sentence(self) -> str:
        """Say what has changed."""
        kind = self.kind.lower()
        parts = [
            ("" if name == kind else f"{name} ")  # a change can be named as its list
            + ", ".join(names[:_SHOWN])
            + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            for name, names in self.names.items()
        ]
        return f"{kind}{': ' if parts else ''}{'; '.join(parts)}"

    def notified_or_why(self) -> str:
        """Say who was notified, and who was not and why."""
        made = [f"{channel} {at:%m-%d %H:%M}" for channel, at in self.notified.items()]
        why = [
            reason if channel == "all" else f"{channel}: {reason}"
            for channel, reason in self.not_notified.items()
        ]
        return "; ".join([*made, *why])


def changes_of(
    stack: Stack, stored: StoredImage, notified: NotifiedImage | None
) -> tuple[ChangeShown, ...]:
    """Return the changes that the ledger keeps of an image, newest first."""
    baseline = stored.record.baseline
    if baseline is None:
        return ()
    policy, used = _policy(stack), _channels(stack)
    return tuple(
        _shown(note, _change_of(stored, note), baseline.revision - age, policy, used, notified)
        for age, note in enumerate(baseline.notes)
    )


def _shown(
    note: Note,
    change: NotedChange | None,
    revision: int,
    policy: NotificationPolicy,
    used: Mapping[Channel, bool],
    notified: NotifiedImage | None,
) -> ChangeShown:
    made = dict(_deliveries(revision, notified))
    names = {
        name: tuple(each.name for each in getattr(change.by_name, name))
        for name in LISTS
        if change and getattr(change.by_name, name)
    }
    decision = _decision(note, change, policy)
    if decision and not decision.notify:
        why = {} if made else {"all": f"none: {decision.reason}"}
    else:
        why = {
            str(channel): _why_not(channel, note, has_digest=has_digest)
            for channel, has_digest in used.items()
            if channel not in made
        }
    kind = change.change if change else Change.UNCHANGED
    return ChangeShown(note.noted_at, kind, names, made, why)


def _why_not(channel: Channel, note: Note, *, has_digest: bool) -> str:
    """Say why no delivery is noted of a change that is to be sent."""
    if channel is Channel.PAGERDUTY and note.triggered is None and not note.resolved:
        return "opens and closes no incident"
    if has_digest and not note.is_immediate:
        return "in a digest"
    return NOT_DELIVERED


def _decision(
    note: Note, change: NotedChange | None, policy: NotificationPolicy
) -> Decision | None:
    """Decide again, as NotifyScan did, with the parameters of today; None if it is not known."""
    if change is None:
        return None
    comparison = Comparison(change=change.change, cause=change.cause)
    since_notified = note.noted_at - note.before_notified_at
    return decide(comparison, change.image_state, policy, note.before, since_notified)


def _change_of(stored: StoredImage, note: Note) -> NotedChange | None:
    return stored.findings.change_of(note.event_id) if stored.findings else None


def _deliveries(revision: int, notified: NotifiedImage | None) -> Iterator[tuple[str, datetime]]:
    for channel, deliveries in notified.channels.items() if notified else ():
        known = (deliveries.first, *deliveries.recent)
        if at := [each.delivered_at for each in known if each.revision == revision]:
            yield channel, min(at)


def _policy(stack: Stack) -> NotificationPolicy:
    """Return which reports are sent; thresholds are compared in the ledger already."""
    try:
        names = stack.parameter("NotifyOn").split(",")
        return NotificationPolicy(
            thresholds=Thresholds({}),
            notify_on=frozenset(NotifyOn(name.strip()) for name in names if name.strip() != "NONE"),
            remind_after=durations.parse(stack.parameter("RemindAfter")),
        )
    except ValueError as error:
        raise CommandError(
            f"A parameter of the stack {stack.name} cannot be used: {error}. Correct it, and "
            "deploy again."
        ) from error


def _channels(stack: Stack) -> dict[Channel, bool]:
    """Return the channels in use, and whether each gets a digest."""
    digest = stack.parameter("DigestChannels").split(",")
    return {
        channel: channel in digest
        for channel, (parameter, unused) in USED_BY.items()
        if stack.parameter(parameter) != unused
    }
