"""A digest: what is told of its entries, what is only forgotten, and what a message holds of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.digest_entries import DigestEntry
from registry.findings import SEVERITIES
from reporting import console_links
from reporting.changes import change, difference
from reporting.decision import NotifyOn
from reporting.reports import Change, DigestedImage, DigestReport
from reporting.text import first
from reporting.thresholds import OTHER
from runtime.messages import encode, wire

MOST_IMAGES = 30  # that a message names
MOST_OF_IMAGES = 12_000  # bytes of all in the report: six channels of it fit a state of 256 KiB
_RANKS = (*SEVERITIES, OTHER)
_ORDER = (
    Change.NEW,
    Change.WORSE,
    Change.FAILED,
    Change.BETTER,
    Change.UNCHANGED,
    Change.CLEARED,
)


@dataclass(frozen=True)
class DigestRequest:
    """What an execution is to send.

    execution: its ARN, which the digest is named for.
    """

    execution: str

    @property
    def name(self) -> str:
        """Name the digest for its execution."""
        return self.execution.rpartition(":")[2]

    @property
    def account(self) -> str:
        """Name the account that the digest is sent from."""
        return self.execution.split(":")[4]

    @property
    def region(self) -> str:
        """Name the region that the digest is sent from."""
        return self.execution.split(":")[3]


@dataclass(frozen=True)
class Told:
    """A digest that is composed: the messages, and the entries that are to be forgotten.

    images: how many are told; the other entries cancel out. messages: how many deliveries.
    deliveries: as they are handed to NotifyScan.
    """

    images: int
    messages: int
    deliveries: object
    entries: tuple[DigestEntry, ...]


@dataclass(frozen=True)
class ComposedDigest:
    """What is to be sent, if anything.

    mode: the digest in the ledger that its entries are in.
    digest: its name; absent when there is nothing to forget either. images: how many are told.
    is_taken_up: another execution has composed it, and has not come to its end.
    """

    mode: str
    digest: str | None = None
    images: int = 0
    messages: int = 0
    is_taken_up: bool = False
    deliveries: object = ()


def images_to_tell(
    entries: Iterable[DigestEntry], notify_on: frozenset[NotifyOn]
) -> tuple[DigestedImage, ...]:
    """Pick what people do not know and want to be told of, the worst first.

    What has gone back to what it was is left, and what several changes together have come to
    where NotifyOn leaves that out.
    """
    told = (_digested(entry) for entry in entries if _is_to_tell(entry, notify_on))
    return tuple(sorted(told, key=_rank))


def report_of(
    images: Sequence[DigestedImage],
    request: DigestRequest,
    *,
    bucket: str,
    document: str,
    now: datetime,
) -> DigestReport:
    """Report on all images."""
    counted = Counter(image.change for image in images)
    worst = next((name for image in images[:1] for name in image.severities), None)
    return DigestReport(
        account=request.account,
        region=request.region,
        digest=request.name,
        reported_at=now,
        link=console_links.object_page(request.region, bucket, document),
        bucket=bucket,
        document=document,
        changes={kind: counted[kind] for kind in _ORDER if counted[kind]},
        images=tuple(images),
        severity=worst,
    )


def shortened(report: DigestReport) -> DigestReport:
    """Take as many images as a message holds, and count the others."""
    images = first(report.images[:MOST_IMAGES], lambda it: len(wire(encode(it))), MOST_OF_IMAGES)
    return replace(report, images=images, images_omitted=len(report.images) - len(images))


def _is_to_tell(entry: DigestEntry, notify_on: frozenset[NotifyOn]) -> bool:
    """Tell what one event has put here, a reminder, and what NotifyOn has of the others."""
    if entry.first_event == entry.image.event_id:
        return True
    image_state = entry.image.image_state
    if entry.image.is_reminder and image_state.is_alarm:
        return True
    kind = change(entry.before, image_state)
    return NotifyOn(kind) in notify_on and (image_state.is_alarm or kind is not Change.UNCHANGED)


def _digested(entry: DigestEntry) -> DigestedImage:
    image, image_state = entry.image, entry.image.image_state
    kind = change(entry.before, image_state)
    exceeded = () if kind is Change.FAILED else image_state.exceeded
    return DigestedImage(
        image=image.image,
        account=image.account,
        region=image.region,
        repository=image.repository,
        image_digest=image.image_digest,
        link=image.link,
        scanned_at=image.scanned_at,
        change=kind,
        severities={name: image_state.counts.get(name, 0) for name in exceeded},
        difference={} if kind is Change.NEW else difference(entry.before, image_state),
    )


def _rank(image: DigestedImage) -> tuple[int, int, int, str]:
    worst = next(iter(image.severities), None)
    rank = _RANKS.index(worst) if worst in _RANKS else len(_RANKS)
    return rank, _ORDER.index(image.change), -image.severities.get(worst or "", 0), image.image
