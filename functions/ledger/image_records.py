"""What is known of each image: its newest scan, the run that started one, and its baseline.

Partition key ``repository#<name>``, sort key ``image#<image digest>``; ``tag#<tag>`` names the
image that had a tag last. The state machine NotifyScan writes scans itself (RecordScan), so its
definition shares the names of the attributes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from ledger.table import Key, Table, ledger_table, unless_later
from runtime import clock
from runtime.clock import is_future
from runtime.messages import decode, formerly
from runtime.settings import Limits

type RetentionDays = Annotated[int, Limits(30, 3_650)]  # after the last scan of an image

# What says when an image was scanned. Reading all attributes of a thousand images takes twice as
# long.
_SCANS = ("sk", "last_scan", "last_attempt", "started_at", "started_by", "names_missing")


@dataclass(frozen=True)
class RecordedScan:
    """The newest scan result of an image, from an event or from ECR's answer.

    scanned_at: when the scan ended; when ECR was asked, if ECR returned no time.
    status: as ECR or Amazon Inspector names it.
    severities: findings by severity. other: findings that are counted only in a total.
    """

    scanned_at: datetime
    status: str
    scan_type: str
    severities: dict[str, int] = field(default_factory=dict)
    other: int = 0


@dataclass(frozen=True)
class Attempt:
    """The last call that was to start a scan and that ECR has not accepted.

    outcome, reason: as the run counted the image.
    """

    attempted_at: datetime
    outcome: str
    reason: str


@dataclass(frozen=True)
class ImageState:
    """The state of an image: findings, thresholds exceeded, and whether its last scan failed.

    counts: findings by severity, of the last scan that completed.
    exceeded: the severities that were above their threshold.
    failed: whether the last scan failed.
    thresholds: the thresholds in effect then, of the severities that were on; absent in a record of
        version 0.3.0.
    scan_type: BASIC or ENHANCED, of the last scan that completed.
    is_unsupported: whether ECR cannot scan the image.
    is_monitored: whether Amazon Inspector scans the image, where it ever has.
    """

    counts: dict[str, int] = field(default_factory=dict)
    exceeded: tuple[str, ...] = ()
    failed: bool = False
    thresholds: dict[str, int] | None = None
    scan_type: str | None = None
    is_unsupported: bool = False
    is_monitored: bool = True

    @property
    def is_alarm(self) -> bool:
        """Return whether the image is above a threshold or its last scan failed."""
        return self.failed or bool(self.exceeded)


@dataclass(frozen=True)
class Note:
    """A change of an image that was recorded in its baseline.

    event_id: the event that reported it. When the same event is processed again, it is compared
        with the same `before` as the first time, which results in the same message.
    before, before_notified_at: what it was compared with, and `notified_at` of that.
    is_immediate: it was reported immediately in the channels with a digest, too.
    triggered, resolved: the keys of incidents that it opened or confirmed, and that it closed.
    """

    event_id: str
    noted_at: datetime
    before: ImageState | None
    before_notified_at: datetime = field(metadata=formerly("before_told_at"))
    is_immediate: bool = False
    triggered: str | None = None
    resolved: tuple[str, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """The image state last recorded, which the next scan is compared with.

    notified_at: when a notification was last sent, or the image was first seen.
    revision: the number of baselines that the image has had.
    notes: the last few changes, newest first.
    incident: the key of the image's open incident; empty where none is open, and absent in a record
        of version 0.3.0.
    was_tagged: whether any scan has seen the image with a tag.
    """

    image_state: ImageState = field(metadata=formerly("standing"))
    notified_at: datetime = field(metadata=formerly("told_at"))
    revision: int
    notes: tuple[Note, ...]
    incident: str | None = None
    was_tagged: bool = False


@dataclass(frozen=True)
class ImageRecord:
    """What the ledger knows of one image.

    started_at, started_by: when a run last started a scan, and the name of that run.
    last_attempt: absent when ECR has accepted a later one.
    names_missing: when the scan ended whose findings ECR did not list; absent when it did.
    """

    image_digest: str
    last_scan: RecordedScan | None = None
    last_attempt: Attempt | None = None
    image_tags: tuple[str, ...] = ()
    started_at: datetime | None = None
    started_by: str | None = None
    baseline: Baseline | None = None
    names_missing: datetime | None = None

    def without_future(self, now: datetime) -> "ImageRecord":
        """Return the record without scan, start and attempt of a date that cannot be true.

        Such a date would be the newest for ever. The image counts as one without them.
        """
        is_scanned = self.last_scan and not is_future(self.last_scan.scanned_at, now)
        is_tried = self.last_attempt and not is_future(self.last_attempt.attempted_at, now)
        is_started = self.started_at and not is_future(self.started_at, now)
        return replace(
            self,
            last_scan=self.last_scan if is_scanned else None,
            last_attempt=self.last_attempt if is_tried else None,
            started_at=self.started_at if is_started else None,
            started_by=self.started_by if is_started else None,
        )


class ImageRecords:
    """The image records of the ledger table.

    Every method raises LedgerUnavailable when the table does not answer. `repository` is the name
    of a repository of this registry, or account:region:name of one elsewhere. expires_at: seconds
    since 1970, when DynamoDB may delete the record. Every date is written over one in the future.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def records_of(self, repository: str, among: Collection[str]) -> Iterator[ImageRecord]:
        """Read when some images of a repository were scanned, and no other attributes.

        One query returns up to a megabyte; images beyond it are read by key, a hundred per call.
        So a page of a repository with many pages, or with many images deleted since, takes no more
        calls and time than any other page.
        """
        wanted = {f"image#{image_digest}": image_digest for image_digest in among}
        items, has_more = self._table.first_page(_partition(repository), "image#", _SCANS)
        for item in items:
            if wanted.pop(item["sk"], None):
                yield image_record(item)
        if has_more:
            keys = [image_key(repository, image_digest) for image_digest in wanted.values()]
            for item in self._table.get_many(keys):
                yield image_record({name: item[name] for name in _SCANS if name in item})

    def started_by(self, run: str, repository: str, among: Sequence[str]) -> frozenset[str]:
        """Return those of some images whose last scan was started by a run."""
        keys = [image_key(repository, image_digest) for image_digest in among]
        records = map(image_record, self._table.get_many(keys, consistent=True))
        return frozenset(each.image_digest for each in records if each.started_by == run)

    def note_started(
        self, repository: str, image_digest: str, *, run: str, at: datetime, expires_at: int
    ) -> None:
        """Record that a run has started a scan, unless a later start is known."""
        self._table.update(
            image_key(repository, image_digest),
            "SET started_at = :started_at, started_by = :run, expires_at = :expires_at "
            "REMOVE last_attempt",
            {
                ":started_at": at.astimezone(UTC),
                ":run": run,
                ":latest": clock.latest(),
                ":expires_at": expires_at,
            },
            when=unless_later("started_at", ":started_at"),
        )

    def note_attempt(
        self, repository: str, image_digest: str, attempt: Attempt, *, expires_at: int
    ) -> None:
        """Record that ECR has not accepted a scan, unless a later attempt is known."""
        attempt = replace(attempt, attempted_at=attempt.attempted_at.astimezone(UTC))
        self._table.update(
            image_key(repository, image_digest),
            "SET last_attempt = :attempt, expires_at = :expires_at",
            {
                ":attempt": attempt,
                ":attempted_at": attempt.attempted_at,
                ":latest": clock.latest(),
                ":expires_at": expires_at,
            },
            when=" AND ".join(
                unless_later(path, ":attempted_at")
                for path in ("last_attempt.attempted_at", "started_at")
            ),
        )

    def note_scan(
        self,
        repository: str,
        image_digest: str,
        scan: RecordedScan,
        *,
        expires_at: int,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Record what ECR has returned for an image, unless a newer scan is known.

        tags: of the image, where they are known.
        """
        scan = replace(scan, scanned_at=scan.scanned_at.astimezone(UTC))  # compared as text
        set_tags = "" if tags is None else ", image_tags = :tags"
        self._table.update(
            image_key(repository, image_digest),
            f"SET last_scan = :scan{set_tags}, expires_at = :expires_at",
            {
                ":scan": scan,
                ":tags": tags,
                ":scanned_at": scan.scanned_at,
                ":latest": clock.latest(),
                ":expires_at": expires_at,
            },
            when=unless_later("last_scan.scanned_at", ":scanned_at"),
        )


def image_records(table: str) -> ImageRecords:
    """Make the adapter of a table."""
    return ImageRecords(ledger_table(table))


def image_key(repository: str, image_digest: str) -> Key:
    """Return the key of the item of an image."""
    return _partition(repository), f"image#{image_digest}"


def image_record(item: Mapping[str, Any]) -> ImageRecord:
    """Read an item; an attribute that is absent is not known."""
    return decode(ImageRecord, {"image_digest": item["sk"].removeprefix("image#"), **item})


def _partition(repository: str) -> str:
    return f"repository#{repository}"
