"""A digest: what SendDigest passes on, and how much of it a message holds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from ledger.bucket import RunBucket
from ledger.changes import Change
from ledger.deliveries import DeliveryKey
from ledger.digest_entries import DigestEntry
from registry.findings import severity_rank
from reporting import console_links
from reporting.channels.delivery import with_new_lease
from reporting.reports import (
    DigestedGroup,
    DigestedImage,
    DigestedVulnerability,
    DigestReport,
)
from reporting.text import first
from runtime.messages import Json, decode, encode, wire
from send_digest.contents import Contents, ReportedImage

MOST_BYTES = 12_000  # of the lists in a report: six channels of it fit a state of 256 KiB
MOST_VULNERABILITIES = 10  # of those that are new, in a message
MOST_FIXED = 5
MOST_IMAGES = 20
MOST_OF_A_GROUP = 5
MOST_EXAMPLES = 3  # images of each vulnerability
MOST_NAMED_IN_A_LINE = 5


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
    changes, entries: what is removed from the ledger once the deliveries are made: sort keys
        of changes, and entries as version 0.3.0 has written them.
    reported: the images that it lists.
    """

    images: int
    messages: int
    deliveries: object
    entries: tuple[DigestEntry, ...] = ()
    changes: tuple[str, ...] = ()
    reported: tuple[ReportedImage, ...] = ()

    @classmethod
    def of(cls, contents: Contents) -> "UnfinishedDigest":
        """Return what is removed from the ledger, without a message yet."""
        keys, reported = tuple(contents.keys), tuple(contents.reported)
        return cls(0, 0, (), contents.entries, keys, reported)

    @classmethod
    def resumed(cls, kept: Json, now: datetime) -> "UnfinishedDigest":
        """Read a digest that is sent again: claims without a mark are abandoned by now."""
        digest = decode(cls, kept)
        return replace(digest, deliveries=with_new_lease(encode(digest.deliveries), now))

    @property
    def claimed(self) -> tuple[DeliveryKey, ...]:
        """Return what NotifyScan claims of the deliveries."""
        made = self.deliveries if isinstance(self.deliveries, list) else []
        return tuple(decode(DeliveryKey, each) for each in made)


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


def report_of(
    contents: Contents, request: DigestRequest, bucket: RunBucket, now: datetime
) -> DigestReport:
    """Return the report on everything that a digest contains."""
    document = bucket.digest_key(request.name)
    vulnerabilities, images = contents.vulnerabilities, contents.listed(contents.images)
    baseline, reminders = contents.baseline_group(), contents.reminder_group()
    new: dict[str, str] = {}
    for each in vulnerabilities:
        new.setdefault(each.name, each.severity)
    counted = Counter(new.values())
    groups = [group.severities for group in (baseline, reminders) if group]
    found = [counted] if counted else [*(image.severities for image in images), *groups]
    return DigestReport(
        account=request.account,
        region=request.region,
        digest=request.name,
        reported_at=now,
        link=console_links.object_page(request.region, bucket.name, document),
        bucket=bucket.name,
        document=document,
        remind_after=contents.policy.remind_after,
        changes=contents.changes,
        vulnerabilities=vulnerabilities,
        fixed=contents.fixed,
        new={name: counted[name] for name in sorted(counted, key=severity_rank)},
        images_with_news=contents.images_with_news,
        images=images,
        baseline=baseline,
        reminders=reminders,
        thresholds=contents.thresholds,
        first_of_type=dict(contents.first_of_type),
        not_monitored=tuple(contents.not_monitored),
        unsupported=tuple(sorted(contents.unsupported)),
        images_cut=contents.images_cut,
        severity=min((name for each in found for name in each), key=severity_rank, default=None),
    )


def shortened(report: DigestReport) -> DigestReport:
    """Return the report with as much as a message holds, and the numbers of what it leaves out.

    Images whose vulnerabilities are named are left out first.
    """
    room = Room(MOST_BYTES)
    explained = [image for image in report.images if _is_explained(image)]
    others = [image for image in report.images if not _is_explained(image)]
    vulnerabilities = room.first(map(_few_examples, report.vulnerabilities), MOST_VULNERABILITIES)
    fixed = room.first(map(_few_examples, report.fixed), MOST_FIXED)
    baseline, reminders = _first_of(report.baseline, room), _first_of(report.reminders, room)
    images = room.first(others, MOST_IMAGES)
    not_monitored = room.first(report.not_monitored, MOST_NAMED_IN_A_LINE)
    unsupported = room.first(report.unsupported, MOST_NAMED_IN_A_LINE)
    return replace(
        report,
        vulnerabilities=vulnerabilities,
        fixed=fixed,
        images=images,
        baseline=baseline,
        reminders=reminders,
        not_monitored=not_monitored,
        unsupported=unsupported,
        vulnerabilities_omitted=len(report.vulnerabilities) - len(vulnerabilities),
        fixed_omitted=len(report.fixed) - len(fixed),
        images_omitted=len(others) - len(images),
        images_explained=len(explained),
        not_monitored_omitted=len(report.not_monitored) - len(not_monitored),
        unsupported_omitted=len(report.unsupported) - len(unsupported),
    )


class Room:
    """The bytes that the lists of a report in a message may still take."""

    def __init__(self, left: int) -> None:
        self._left = left

    def first[T](self, items: Iterable[T], most: int) -> tuple[T, ...]:
        """Return the first of some items: at most `most`, and as many as there is room for."""
        taken = first(tuple(islice(items, most)), _bytes, self._left)
        self._left -= sum(map(_bytes, taken))
        return taken


def _bytes(item: object) -> int:
    return len(wire(encode(item)))


def _is_explained(image: DigestedImage) -> bool:
    """Return whether the vulnerabilities of a digest say everything about an image."""
    is_named = image.is_by_name and not image.is_end_of_failure
    return is_named and image.change in (Change.NEW, Change.WORSE, Change.BETTER)


def _few_examples(vulnerability: DigestedVulnerability) -> DigestedVulnerability:
    return replace(vulnerability, examples=vulnerability.examples[:MOST_EXAMPLES])


def _first_of(group: DigestedGroup | None, room: Room) -> DigestedGroup | None:
    if group is None:
        return None
    vulnerabilities = map(_few_examples, group.vulnerabilities)
    oldest = [_few_examples(group.oldest)] if group.oldest else []
    return replace(
        group,
        oldest=next(iter(room.first(oldest, 1)), None),
        images=room.first(group.images, MOST_OF_A_GROUP),
        vulnerabilities=room.first(vulnerabilities, MOST_OF_A_GROUP),
    )
