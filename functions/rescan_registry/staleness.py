"""Staleness: the rule that decides whether an image is due for a scan, and from when on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ledger.image_records import Attempt
from registry.images import ECR_DAY, LastScan, unsupported_status
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from rescan_registry.policy import RescanPolicy

_ROUNDING = timedelta(seconds=2)  # ECR's times have fractions of a second, those of states have not

_NO_DATE = datetime.min.replace(tzinfo=UTC)
_UNDER_WAY = frozenset({"IN_PROGRESS", "PENDING"})
UNSUPPORTED = {
    "UNSUPPORTED_IMAGE": "operating system",
    "IMAGE_SIZE_EXCEEDED": "image size",
}


@dataclass(frozen=True)
class ScanDates:
    """What is known of one image, apart from its last scan in ECR.

    since: the newest of its last scan, start of a scan, attempt, and push, as far as known. The
        image whose date is the oldest is the first to be scanned.
    accepted_at: when ECR last accepted or ended a scan, as far as known.
    last_attempt: the last attempt that ECR has refused.
    ended: the newest scan that has ended, with its date, as far as known.
    """

    since: datetime | None = None
    accepted_at: datetime | None = None
    last_attempt: Attempt | None = None
    pushed_at: datetime | None = None
    ended: LastScan | None = None

    @property
    def aged_from(self) -> datetime | None:
        """Return when the last scan ended or, of an image never scanned, its push, if known."""
        return self.ended.completed_at if self.ended else self.pushed_at

    def with_scan(self, last_scan: LastScan | None) -> "ScanDates":
        """Return the dates with those of a scan."""
        scanned_at = last_scan.completed_at if last_scan else None
        return ScanDates(
            since=newest(self.since, scanned_at),
            accepted_at=newest(self.accepted_at, scanned_at),
            last_attempt=self.last_attempt,
            pushed_at=self.pushed_at,
            ended=newest_ended(last_scan, self.ended),
        )

    def not_before(self, now: datetime) -> datetime | None:
        """Return when ECR accepts the next scan, or None if it does so now."""
        if self.accepted_at is None:
            return None
        free_at = self.accepted_at + ECR_DAY + _ROUNDING
        return free_at if free_at > now else None


def newest(*dates: datetime | None) -> datetime | None:
    """Return the newest of some dates, or None if none is known."""
    return max((date for date in dates if date), default=None)


def newest_ended(*scans: LastScan | None) -> LastScan | None:
    """Return the scan that ended last, or None if none has."""
    ended = [scan for scan in scans if scan and scan.completed_at]
    return max(ended, key=lambda scan: scan.completed_at or _NO_DATE, default=None)


def why_refused_before(dates: ScanDates, policy: RescanPolicy, now: datetime) -> Decision | None:
    """Return why ECR is not asked to scan an image that it has refused to scan."""
    attempt = dates.last_attempt
    if attempt is None or attempt.outcome != Outcome.UNSCANNABLE:
        return None
    if now - attempt.attempted_at >= policy.unsupported_retry_after:
        return None
    return Decision(Outcome(attempt.outcome), attempt.reason)


def why_not_due(
    last_scan: LastScan | None, dates: ScanDates, policy: RescanPolicy, now: datetime
) -> Decision | None:
    """Return why an image needs no scan now, or None if it is due.

    An image is due if its last scan would be older than RescanAfter at the next run of the
    schedule, if it was never scanned, if its last scan has no date, or if a scan has been under way
    for more than a day. It is not due while ECR refuses to scan it for longer than a run waits.

    dates: with those of the last scan.
    """
    if refused := why_refused_before(dates, policy, now):
        return refused
    if last_scan is not None and (decision := _why_not_renewed(last_scan, dates, policy, now)):
        return decision
    free_at = dates.not_before(now)
    if free_at and free_at - now > policy.longest_wait:
        return Decision(Outcome.FRESH, "scanned within 24 hours")
    return None


def can_be_scanned(last_scan: LastScan | None, dates: ScanDates, decision: Decision | None) -> bool:
    """Return whether the age of the last scan of an image counts, by the decision on it.

    An image that ECR could not scan the last time does not count, also while it is tried again.
    """
    if decision:
        return decision.outcome is Outcome.FRESH
    if dates.last_attempt and dates.last_attempt.outcome == Outcome.UNSCANNABLE:
        return False
    return not any(scan and unsupported_status(scan) for scan in (last_scan, dates.ended))


def is_overdue(aged_from: datetime | None, policy: RescanPolicy, now: datetime) -> bool:
    """Return whether two runs have missed an image that can be scanned.

    aged_from: as in ScanDates. A start or an attempt makes no image younger.
    """
    return aged_from is not None and now - aged_from > policy.overdue_after


def _why_not_renewed(
    last_scan: LastScan, dates: ScanDates, policy: RescanPolicy, now: datetime
) -> Decision | None:
    if last_scan.status in _UNDER_WAY:
        is_stuck = dates.since is None or dates.since + ECR_DAY - now <= policy.longest_wait
        return None if is_stuck else Decision(Outcome.FRESH, "scan under way")
    if last_scan.status == "IMAGE_ARCHIVED":
        return ARCHIVED
    scanned_at = last_scan.completed_at
    if unsupported := unsupported_status(last_scan):
        # Without a date, UnsupportedRetryAfter cannot be applied, and a daily attempt is a waste.
        retry = scanned_at is not None and now - scanned_at >= policy.unsupported_retry_after
        return None if retry else Decision(Outcome.UNSUPPORTED, UNSUPPORTED[unsupported])
    if scanned_at is None or now - scanned_at > policy.due_after:
        return None
    return Decision(Outcome.FRESH, "scanned within RescanAfter")
