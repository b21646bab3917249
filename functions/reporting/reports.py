"""Reports on scans, runs, digests and notices: what notifications are made of.

They are also the JSON documents that the webhook, SNS and EventBridge get.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ledger.changes import Cause, Change, FindingsChange
from own_events.rescan_finished import Problem
from registry.findings import Finding
from registry.images import UNSUPPORTED_STATUSES


class ScanType(StrEnum):
    """The scanner: ECR itself, or Amazon Inspector."""

    BASIC = "BASIC"
    ENHANCED = "ENHANCED"


class Reason(StrEnum):
    """Why a notification is sent, or not: the only values of `reason` in the log."""

    # Sent.
    NEW = "above a threshold"
    WORSE = "worse than before"
    BETTER = "better than before"
    CLEARED = "no longer above a threshold"  # or the scan no longer fails
    FAILED = "scan failed"
    REMINDER = "unchanged for RemindAfter"
    DELETED = "image deleted"  # its incident is resolved
    RUN_FINISHED = "run finished"  # not sent where NotifyOnRun is INCOMPLETE
    TEST = "test of a channel"
    RUN_NOT_FINISHED = "run did not finish"  # or found nothing to rescan any more
    SCAN_TYPE_CHANGED = "scan type of the registry changed"
    # Sent only where NotifyOn has CLEAN, or UNCHANGED.
    NOTHING_ABOVE_THRESHOLD = "nothing above a threshold"
    UNCHANGED = "unchanged"
    # Not sent.
    NEW_EXCLUDED = "NotifyOn excludes NEW"
    WORSE_EXCLUDED = "NotifyOn excludes WORSE"
    BETTER_EXCLUDED = "NotifyOn excludes BETTER"
    CLEARED_EXCLUDED = "NotifyOn excludes CLEARED"
    FAILED_EXCLUDED = "NotifyOn excludes FAILED"
    RUNS_EXCLUDED = "NotifyOnRun is NEVER"
    STILL_ENHANCED = "enhanced scanning is already reported"
    THRESHOLD_MOVED = "only a threshold was moved"
    FIRST_OF_TYPE = "first scan of this type"
    NOT_MONITORED = "Amazon Inspector no longer monitors the image"
    UNSUPPORTED = "ECR cannot scan the image"
    DELETED_ELSEWHERE = "deleted in another account or Region"
    NO_INCIDENT = "the deleted image has no open incident"
    STILL_THERE = "the image still exists"
    OUTDATED = "a newer scan of the image is known"
    NOT_AN_IMAGE = "the scan is not of an image in ECR"
    NOT_ENDED = "the scan has not ended"
    NO_RESULT = "the scan has no result"
    GONE = "the image no longer exists"
    ARCHIVED = "the image is archived"
    DRY_RUN = "the run was a dry run"
    RUN_REPORTED_ALREADY = "the run itself has sent Rescan Finished"
    UNKNOWN_RUN = "no run of this name is known"
    OLD_RUN = "the run ended more than 15 days ago"
    CHANNEL_NOT_IN_USE = "the stack does not use the channel"


# Tags that move from image to image: another tag of the same image, if it has one, says more.
_MOVING_TAGS = {"latest", "stable", "main", "master", "prod", "dev"}
# ACTIVE: Amazon Inspector monitors the image, and ECR returns its findings.
COMPLETE = {"COMPLETE", "INITIAL_SCAN_COMPLETE", "ACTIVE"}


@dataclass(frozen=True)
class AcceptedFinding:
    """A finding of a vulnerability that is accepted until the end of a day, as YYYY-MM-DD."""

    name: str
    severity: str
    until: str
    accepted_by: str


@dataclass(frozen=True)
class ScanReport:
    """One scan of one image.

    image_digest: absent where the event has none.
    tags_omitted: number of tags that are not in `tags`, which holds at most about 2,000 characters.
    platform: such as linux/arm64, of an image that an index lists; its tags are those of the index.
    status: as the event has it: COMPLETE, FAILED, INITIAL_SCAN_COMPLETE, or of enhanced scanning
        ACTIVE or SCAN_ELIGIBILITY_EXPIRED. UNSUPPORTED_IMAGE if ECR states as the reason of a
        failure that it cannot scan the image.
    severities: findings by severity, the worst first. Names that AWS does not document are kept.
    other: findings that the event counts in its total and in no severity.
    worst_findings: only where findings are included.
    accepted: findings by severity that are accepted, and no longer in `severities`.
    accepted_findings: the first few of them.
    change, cause: compared with the scan before, where that is known.
    difference: how many findings of the severities above thresholds there are more or fewer.
    by_name: which findings have changed; absent where the scans are compared by number alone.
    open_now, open_before: findings by severity of those above their threshold, the worst first.
    open_since: the day, as YYYY-MM-DD, since when the first of what is gone was open.
    compared_with: the digest of the image that had the tag before, if it is compared with that.
    is_reminder: the same was reported before, at least RemindAfter ago.
    is_elsewhere: the registry is of another account or region than ours, and cannot be asked.
    tagged_at: when the image had its tags, if that was not when the scan ended.
    remarks: what is missing from this report, and why.
    """

    account: str
    region: str
    repository: str
    scan_type: ScanType
    status: str
    scanned_at: datetime
    link: str
    image_digest: str | None = None
    tags: tuple[str, ...] = ()
    tags_omitted: int = 0
    platform: str | None = None
    severities: dict[str, int] = field(default_factory=dict)
    other: int = 0
    failure: str | None = None
    worst_findings: tuple[Finding, ...] = ()
    accepted: dict[str, int] = field(default_factory=dict)
    accepted_findings: tuple[AcceptedFinding, ...] = ()
    remarks: tuple[str, ...] = ()
    change: Change | None = None
    cause: Cause | None = None
    difference: dict[str, int] = field(default_factory=dict)
    by_name: FindingsChange | None = None
    open_now: dict[str, int] = field(default_factory=dict)
    open_before: dict[str, int] = field(default_factory=dict)
    open_since: str | None = None
    compared_with: str | None = None
    is_reminder: bool = False
    is_elsewhere: bool = False
    tagged_at: datetime | None = None
    kind: str = "scan"

    @property
    def had_tags_at(self) -> datetime:
        """Return when the image had its tags."""
        return self.tagged_at or self.scanned_at

    @property
    def is_complete(self) -> bool:
        """Return whether the scan completed."""
        return self.status in COMPLETE

    @property
    def is_failed(self) -> bool:
        """Return whether the scan failed."""
        return self.status == "FAILED"

    @property
    def is_unsupported(self) -> bool:
        """Return whether the scan ended because ECR cannot scan the image."""
        return self.status in UNSUPPORTED_STATUSES

    @property
    def is_monitored(self) -> bool:
        """Return whether Amazon Inspector has not stopped to monitor the image."""
        return self.status != "SCAN_ELIGIBILITY_EXPIRED"

    @property
    def naming_tag(self) -> str | None:
        """Return the tag that names the image: one that stays with it, where there is one."""
        lasting = [tag for tag in self.tags if tag.lower() not in _MOVING_TAGS]
        return max(lasting, key=len, default=self.tags[0] if self.tags else None)

    @property
    def image(self) -> str:
        """Return the short name of the image, with a tag or the start of its digest."""
        platform = f" ({self.platform})" if self.platform else ""
        if self.naming_tag:
            return f"{self.repository}:{self.naming_tag}{platform}"
        if self.image_digest:
            return f"{self.repository}@{self.image_digest[:19]}{platform}"
        return self.repository

    @property
    def reported_at(self) -> datetime:
        """Return when the scan ended."""
        return self.scanned_at

    @property
    def subject(self) -> str:
        """Return what all reports on the same image have in common."""
        return (
            f"ecr/{self.account}/{self.region}/{self.repository}/{self.image_digest or 'unknown'}"
        )


@dataclass(frozen=True)
class RunReport:
    """One run of RescanRegistry.

    status: FINISHED, INCOMPLETE, or as Step Functions has it: FAILED, TIMED_OUT, ABORTED.
    images, reasons: images by outcome, and by outcome and reason; empty if the run ended early.
    problems: the first few repositories that did not finish.
    deferred: the first few repositories that the run has not reached.
    dry_run: false in everything that is sent, because no dry run is reported.
    rerun: the execution input that takes only these.
    error, cause: of a run that ended early.
    scan_type: BASIC or ENHANCED, where it is known.
    change: ENHANCED_SCANNING, BASIC_SCANNING, NO_REPOSITORIES or UNCHANGED, compared with the run
        before; absent for chosen repositories, and for a run that ended early.
    remark: what an operator must know about the run as a whole, such as why it rescanned nothing.
    """

    account: str
    region: str
    run: str
    execution_arn: str
    status: str
    link: str
    dry_run: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    repositories: int = 0
    repositories_gone: int = 0
    repositories_not_done: int = 0
    images: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    rerun: dict[str, object] | None = None
    error: str | None = None
    cause: str | None = None
    scan_type: str | None = None
    change: str | None = None
    remark: str | None = None
    repositories_deferred: int = 0
    deferred: tuple[str, ...] = ()
    kind: str = "run"

    @property
    def ended_early(self) -> bool:
        """Return whether the run ended before it could report on itself."""
        return self.status not in ("FINISHED", "INCOMPLETE")

    @property
    def reported_at(self) -> datetime | None:
        """Return when the run ended."""
        return self.ended_at

    @property
    def subject(self) -> str:
        """Return what the reports on all runs of a stack have in common."""
        machine = self.execution_arn.rpartition(":")[0].rpartition(":")[2]
        return f"ecr-rescan/{self.account}/{self.region}/{machine}"


class News(StrEnum):
    """What a digest says of a vulnerability."""

    NEW = "NEW"
    BACK = "BACK"  # had gone within 30 days
    RATED_HIGHER = "RATED_HIGHER"
    NO_LONGER_ACCEPTED = "NO_LONGER_ACCEPTED"
    FIXED = "FIXED"
    RATED_LOWER = "RATED_LOWER"
    ACCEPTED = "ACCEPTED"
    STILL_OPEN = "STILL_OPEN"  # in reminders


@dataclass(frozen=True)
class NamedImage:
    """An image as messages name it."""

    image: str
    link: str | None


@dataclass(frozen=True)
class DigestedVulnerability:
    """One vulnerability in a digest, in all images of which the same is to be said.

    severity: the worst that it has in any of them. was: the one before, if the rating has changed.
    packages: the packages that it is in, as in the first of the images; of a few images.
    version, fixed_in, score, uri, has_exploit: as in the first of the images.
    images, repositories: how many. examples: the first few of the images.
    first_seen: only of what is still open: the first day that it was seen in any of them, as
        YYYY-MM-DD. With is_seen_later, it may have been there before that day.
    """

    name: str
    news: News
    severity: str
    packages: tuple[str, ...]
    images: int
    repositories: int
    examples: tuple[NamedImage, ...]
    was: str = ""
    version: str = ""
    fixed_in: str = ""
    score: float = 0.0
    uri: str = ""
    has_exploit: bool = False
    first_seen: str = ""
    is_seen_later: bool = False


@dataclass(frozen=True)
class DigestedImage:
    """One image in a digest.

    change, difference: since the last digest that listed the image; UNCHANGED for an image that is
        listed for another reason, such as a reminder.
    severities: findings by severity of those above a threshold, the worst first.
    is_by_name: whether `vulnerabilities` and `fixed` of the digest name what has changed.
    is_first_sight: the first result that is known of the image, and no push.
    is_end_of_failure: the scan before had failed.
    is_accepted: nothing is open any more because all of it is accepted.
    replaced_by: the digest of the image that has its tag now, where that is in the same digest.
    """

    image: str
    account: str
    region: str
    repository: str
    image_digest: str
    link: str
    scanned_at: datetime
    change: Change
    severities: dict[str, int]
    difference: dict[str, int]
    is_by_name: bool = False
    is_reminder: bool = False
    is_first_sight: bool = False
    is_end_of_failure: bool = False
    is_accepted: bool = False
    replaced_by: str | None = None


@dataclass(frozen=True)
class DigestedGroup:
    """Images of which a digest says the same.

    severities: how many of them have findings of a severity above its threshold. failed: how many
        of them cannot be scanned.
    images: the worst first; of some of them. vulnerabilities: the most widespread of them.
    oldest: of reminders: of the vulnerabilities of the worst severity, the one that was seen first;
        counted in the images that have it among their 20 worst findings. Absent where none is
        known by name.
    """

    count: int
    repositories: int
    severities: dict[str, int]
    failed: int = 0
    images: tuple[DigestedImage, ...] = ()
    vulnerabilities: tuple[DigestedVulnerability, ...] = ()
    oldest: DigestedVulnerability | None = None


@dataclass(frozen=True)
class MovedThreshold:
    """A threshold of the stack that was moved.

    threshold: absent where it is off. above, below: images that exceed it now, and no longer.
    """

    parameter: str
    threshold: int | None
    above: int = 0
    below: int = 0


@dataclass(frozen=True)
class DigestReport:
    """What has changed in many images since the digest before.

    digest: its name. document: the key of the whole digest in the run bucket.
    changes: images by change, without those of `baseline` and `reminders`.
    vulnerabilities: what is new, back, rated higher or no longer accepted, the worst first.
    fixed: what is fixed, rated lower or accepted.
    new: vulnerabilities of the first kind by severity. images_with_news: the images that have any.
    images: the worst first. In a message, these lists are as long as it holds, and `*_omitted`
        count what is left out. images_explained: the images that are left out of a message because
        `vulnerabilities` and `fixed` say it all.
    baseline: images that a run has scanned for the first time.
    reminders: images in which nothing has changed for `remind_after`.
    first_of_type: images by the scan type that they have been scanned with for the first time.
    not_monitored: images that Amazon Inspector no longer scans.
    unsupported: the repositories of images that ECR cannot scan.
    images_cut: images with more changed findings than the ledger names.
    severity: the worst of what is new, or else above a threshold in any of the images.
    """

    account: str
    region: str
    digest: str
    reported_at: datetime
    link: str
    bucket: str
    document: str
    remind_after: timedelta
    changes: dict[Change, int]
    vulnerabilities: tuple[DigestedVulnerability, ...] = ()
    fixed: tuple[DigestedVulnerability, ...] = ()
    new: dict[str, int] = field(default_factory=dict)
    images_with_news: int = 0
    images: tuple[DigestedImage, ...] = ()
    baseline: DigestedGroup | None = None
    reminders: DigestedGroup | None = None
    thresholds: tuple[MovedThreshold, ...] = ()
    first_of_type: dict[str, int] = field(default_factory=dict)
    not_monitored: tuple[NamedImage, ...] = ()
    unsupported: tuple[str, ...] = ()
    images_cut: int = 0
    severity: str | None = None
    vulnerabilities_omitted: int = 0
    fixed_omitted: int = 0
    images_omitted: int = 0
    images_explained: int = 0
    not_monitored_omitted: int = 0
    unsupported_omitted: int = 0
    kind: str = "digest"

    @property
    def subject(self) -> str:
        """Name what all digests of a kind have in common."""
        return f"ecr-rescan/{self.account}/{self.region}/digest"


@dataclass(frozen=True)
class Acceptance:
    """An accepted risk: a vulnerability in some repositories, or all, until the end of a day.

    vulnerability, repositories, accepted_by: 40 characters at most. until: as YYYY-MM-DD.
    """

    vulnerability: str
    repositories: str | None
    until: str
    accepted_by: str


@dataclass(frozen=True)
class NoticeReport:
    """A problem in ecr-rescan's own configuration that operators must fix.

    topic: identifies the notice. title, about: what is wrong, and with what.
    problem: the reason, and what to do.
    acceptances: those that it is about, the first to expire first, and as many of them as a message
        holds; acceptances_omitted: the others.
    """

    account: str
    region: str
    topic: str
    title: str
    about: str
    problem: str
    reported_at: datetime
    link: str
    acceptances: tuple[Acceptance, ...] = ()
    acceptances_omitted: int = 0
    kind: str = "notice"

    @property
    def subject(self) -> str:
        """Return what all notices about the same problem have in common."""
        return f"ecr-rescan/{self.account}/{self.region}/{self.topic}"


type Report = ScanReport | RunReport | DigestReport | NoticeReport


@dataclass(frozen=True)
class Deletion:
    """An image that was deleted, or one of its tags: AWS documents no difference between the two.

    image_digest: in the form that ECR gives it. deleted_at: when the event was sent.
    is_elsewhere: the registry is of another account or region than ours.
    """

    account: str
    region: str
    repository: str
    image_digest: str
    deleted_at: datetime
    is_elsewhere: bool = False

    @property
    def subject(self) -> str:
        """Return what all reports on the same image have in common."""
        return f"ecr/{self.account}/{self.region}/{self.repository}/{self.image_digest}"


@dataclass(frozen=True)
class FoundImage:
    """An image of this registry for which ECR is asked, because it may have a new result."""

    repository: str
    image_digest: str


@dataclass(frozen=True)
class ChannelTest:
    """A message that an operator wants to see in a channel. by: the operator. id: of the test."""

    channel: str
    by: str
    id: str


@dataclass(frozen=True)
class Interpretation:
    """What an event says: a report, or what is to be looked at, or why there is nothing to report.

    finished_run: the name of a run whose summary is to be read.
    test: no event, but the test of a channel.
    """

    scan: ScanReport | None = None
    run: RunReport | None = None
    found_image: FoundImage | None = None
    finished_run: str | None = None
    deletion: Deletion | None = None
    silence: Reason | None = None
    test: ChannelTest | None = None
