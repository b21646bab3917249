"""A digest: which of its entries are reported, and how much of it a message holds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.changes import Change
from ledger.digest_entries import DigestEntry
from registry.findings import SEVERITIES
from reporting import console_links
from reporting.changes import Seen, compare, difference
from reporting.decision import NotifyOn
from reporting.reports import DigestedImage, DigestReport
from reporting.text import first
from reporting.thresholds import OTHER
from runtime.messages import encode, wire

MOST_IMAGES = 30  # listed in a message
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
    """The input of ComposeDigest.

    execution: ARN of the execution of SendDigest, whose name the digest gets.
    """

    execution: str

    @property
    def name(self) -> str:
        """Return the name of the digest, which is that of its execution."""
        return self.execution.rpartition(":")[2]

    @property
    def account(self) -> str:
        """Return the account that the digest is sent from."""
        return self.execution.split(":")[4]

    @property
    def region(self) -> str:
        """Return the Region that the digest is sent from."""
        return self.execution.split(":")[3]


@dataclass(frozen=True)
class UnfinishedDigest:
    """A digest that is composed but not finished, as the run bucket keeps it to resume it.

    images: number of images that it lists; the changes of the other entries cancelled out.
    messages: number of deliveries. deliveries: the input of NotifyScan.
    changes, entries: what is removed from the ledger once NotifyScan has the deliveries: sort keys
        of changes, and entries as version 0.3.0 has written them.
    """

    images: int
    messages: int
    deliveries: object
    entries: tuple[DigestEntry, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComposedDigest:
    """The output of ComposeDigest.

    mode: the digest in the ledger that its entries belong to.
    digest: its name; absent when there is no entry at all.
    images, messages, deliveries: as in UnfinishedDigest.
    is_resumed: another execution composed it and has not finished it.
    """

    mode: str
    digest: str | None = None
    images: int = 0
    messages: int = 0
    is_resumed: bool = False
    deliveries: object = ()

    @classmethod
    def of(
        cls, request: DigestRequest, mode: str, digest: str, content: UnfinishedDigest
    ) -> "ComposedDigest":
        """Return the output for a digest that this execution has composed or resumed."""
        return cls(
            mode=mode,
            digest=digest,
            images=content.images,
            messages=content.messages,
            is_resumed=digest != request.name,
            deliveries=content.deliveries,
        )


def images_to_list(
    entries: Iterable[DigestEntry], notify_on: frozenset[NotifyOn]
) -> tuple[DigestedImage, ...]:
    """Return the images to list in the digest, worst first.

    An image that returned to its earlier state is omitted, and so is one whose net change is not
    in NotifyOn.
    """
    listed = (_digested(entry) for entry in entries if _is_listed(entry, notify_on))
    return tuple(sorted(listed, key=_rank))


def report_of(
    images: Sequence[DigestedImage],
    request: DigestRequest,
    *,
    bucket: str,
    document: str,
    now: datetime,
) -> DigestReport:
    """Return the report on all images, which must be sorted worst first."""
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
    """Return the report with as many images as a message holds, and the number of the others."""
    images = first(report.images[:MOST_IMAGES], lambda it: len(wire(encode(it))), MOST_OF_IMAGES)
    return replace(report, images=images, images_omitted=len(report.images) - len(images))


def _is_listed(entry: DigestEntry, notify_on: frozenset[NotifyOn]) -> bool:
    """Return whether the image is listed: after a single event, as a reminder, or by NotifyOn."""
    if entry.first_event == entry.image.event_id:
        return True
    image_state = entry.image.image_state
    if entry.image.is_reminder and image_state.is_alarm:
        return True
    kind = compare(Seen(entry.before), Seen(image_state)).change
    return NotifyOn(kind) in notify_on and (image_state.is_alarm or kind is not Change.UNCHANGED)


def _digested(entry: DigestEntry) -> DigestedImage:
    image, image_state = entry.image, entry.image.image_state
    kind = compare(Seen(entry.before), Seen(image_state)).change
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
