"""The report: what it says of each image, each finding and each run. It decides nothing.

cli/report/read.py makes it, the command prints it, cli/report/page.py draws it. Its JSON form is
part of the public interface: docs/cli.md describes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum


class Freshness(StrEnum):
    """How the last scan of an image that ended relates to RescanAfter."""

    INSIDE = "inside"
    DUE = "due"  # older than RescanAfter, by at most two intervals of the schedule
    OVERDUE = "overdue"  # older: two runs have missed it
    WAITING = "waiting"  # never scanned, and pushed too lately to be overdue
    NONE = "none"  # cannot be scanned, or is excluded: in no share of scans


@dataclass(frozen=True)
class Acceptance:
    """What accepts a finding: an entry of accepted risks, or a rule of Amazon Inspector.

    until: the last day; absent for such a rule. by: who has accepted it.
    """

    until: date | None
    by: str
    reason: str


@dataclass(frozen=True)
class Notified:
    """When a channel was first and last notified. The first can be older than what is recorded."""

    first: datetime
    last: datetime


@dataclass(frozen=True)
class Details:
    """What only ECR knows of a finding. score: CVSS, with its version, such as "9.8 (3.1)"."""

    title: str = ""
    link: str = ""
    fixed_in: str = ""
    score: str = ""
    is_exploited: bool = False


@dataclass(frozen=True)
class ReportedFinding:
    """A finding of the last scan of an image.

    version: of the package, where the ledger names it.
    is_seen_later: it may be older than first_seen, the day of the first scan that was read.
    notified: by channel, when it was first notified of this finding; empty if no channel was.
    notified_before: channels that may have been notified earlier than that: "on or before".
    details: with --details only.
    """

    name: str
    package: str
    version: str
    severity: str
    first_seen: date
    is_seen_later: bool = False
    accepted: Acceptance | None = None
    notified: Mapping[str, datetime] = field(default_factory=dict)
    notified_before: frozenset[str] = frozenset()
    details: Details | None = None


@dataclass(frozen=True)
class ReportedImage:
    """One image of the registry.

    scanned_at: when its last scan ended that had a result; absent if there was none.
    outcome, reason: of the newest run that evaluated the image; absent if none has.
    counts: findings by severity, of the last scan that completed, the worst first.
    accepted_counts: how many of them are accepted.
    is_named: whether findings are known by name; else by their counts alone.
    findings: those of the severities that are reported, the worst first.
    notified: by channel, of the image as a whole.
    has_incident: an incident of the image is open in PagerDuty.
    """

    repository: str
    image_digest: str
    freshness: Freshness
    tags: tuple[str, ...] = ()
    platform: str | None = None
    pushed_at: datetime | None = None
    pulled_at: datetime | None = None
    scanned_at: datetime | None = None
    age_hours: float | None = None
    scan_type: str | None = None
    status: str | None = None
    outcome: str | None = None
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    accepted_counts: Mapping[str, int] = field(default_factory=dict)
    is_named: bool = False
    findings: tuple[ReportedFinding, ...] = ()
    notified: Mapping[str, Notified] = field(default_factory=dict)
    has_incident: bool = False

    def open_counts(self) -> dict[str, int]:
        """Return the findings by severity that are not accepted."""
        return {
            severity: count - self.accepted_counts.get(severity, 0)
            for severity, count in self.counts.items()
        }


@dataclass(frozen=True)
class ReportedRun:
    """A run that is kept, for the trend. Numbers that its version did not record are absent.

    repositories_not_done, repositories_deferred: that did not finish, that it has not reached.
    outcomes: images by outcome. scannable, overdue, oldest_hours: as the run found them.
    images_with, findings: by severity, as they were before the scans of the run.
    """

    run: str
    status: str
    is_dry_run: bool
    started_at: datetime
    ended_at: datetime
    repositories: int
    repositories_not_done: int
    outcomes: Mapping[str, int]
    repositories_deferred: int = 0
    is_whole: bool = True
    scannable: int | None = None
    overdue: int | None = None
    oldest_hours: float | None = None
    images_with: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """The numbers of a report. They count all images, regardless of those selected for the table.

    images: all. scannable: without those of Freshness.NONE, and all of inside, due, overdue and
        waiting. never_scanned: of them, those that wait, and those that are overdue without a scan.
    oldest_hours: age of the oldest of the last scans.
    images_with, findings: by severity, open ones. accepted: findings. not_scannable: by outcome.
    not_notified: images with open critical findings of which no channel was notified.
    """

    images: int
    repositories: int
    scannable: int
    inside: int
    due: int
    overdue: int
    waiting: int
    never_scanned: int
    oldest_hours: float | None
    images_with: Mapping[str, int]
    findings: Mapping[str, int]
    accepted: int
    not_scannable: Mapping[str, int]
    not_notified: int


@dataclass(frozen=True)
class AgeBin:
    """A bar of the histogram of ages: images whose last scan is younger than `to_days` days.

    to_days: absent for the last one. freshness: of the ages in it.
    """

    from_days: float
    to_days: float | None
    images: int
    freshness: Freshness


@dataclass(frozen=True)
class Report:
    """The state of the registry.

    scan_type: BASIC or ENHANCED. as_of_run: absent if ECR was asked for what exists now.
    interval: the longest time between two scheduled runs.
    lowest: the lowest severity whose findings are listed by name.
    images: the worst first. runs: newest first.
    subscribers: of the topic of notifications now, by protocol.
    missing: what could not be read, one sentence each. Empty if the report is complete.
    """

    stack: str
    account: str
    region: str
    made_at: datetime
    version: str
    scan_type: str
    rescan_after: timedelta
    interval: timedelta
    lowest: str
    as_of_run: str | None
    totals: Totals
    histogram: tuple[AgeBin, ...]
    images: tuple[ReportedImage, ...]
    runs: tuple[ReportedRun, ...]
    subscribers: Mapping[str, int] = field(default_factory=dict)
    read_units: float = 0.0
    missing: tuple[str, ...] = ()

    @property
    def last_run(self) -> ReportedRun | None:
        """Return the newest run over everything; if none is kept, the newest over a part.

        A dry run starts no scans: it is none of them.
        """
        real = [run for run in self.runs if not run.is_dry_run]
        return next((run for run in real if run.is_whole), next(iter(real), None))

    @property
    def last_part(self) -> ReportedRun | None:
        """Return the newest run over a part of the registry, if it is newer than the last run."""
        newest = next((run for run in self.runs if not run.is_dry_run), None)
        return newest if newest is not self.last_run else None
