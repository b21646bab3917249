"""A scan that ECR is asked for, because an event says that there may be a new result."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.image_baselines import Baselines, StoredImage
from notify_scan.events.scans import MOST_TAGS, SILENT, severity_counts
from notify_scan.own_stack import OwnStack
from notify_scan.scan_details import EcrAnswer, is_retried
from registry.ecr import EcrRegistry
from registry.errors import (
    ImageArchived,
    ImageNotFound,
    ImageNotScannable,
    RepositoryNotFound,
    ScanNotFound,
)
from registry.images import Image, LastScan, unsupported_status
from reporting import console_links
from reporting.reports import FoundImage, Reason, ScanReport, ScanType
from reporting.text import first
from runtime.clock import is_future
from runtime.log import logger

_BASIC = frozenset({"COMPLETE", "FAILED"})
# Amazon Inspector monitors the image, or has stopped to.
_ENHANCED = frozenset({"ACTIVE", "SCAN_ELIGIBILITY_EXPIRED"})


# What was pushed in this time is news, no matter which event speaks of it first.
PUSHED_LATELY = timedelta(days=1)


@dataclass(frozen=True)
class FoundScan:
    """A scan that ECR has been asked for, with its answer, which is not asked for again.

    is_of_old_image: the image was pushed more than a day ago.
    """

    report: ScanReport
    answer: EcrAnswer
    is_of_old_image: bool = False


@dataclass(frozen=True)
class ScanLookup:
    """Where a scan is looked up. attempt: number of retries so far.

    Every method raises what ECR answers and what is no fact about the image: while there are
    retries, EcrThrottled and EcrUnavailable are retried, and then the event is kept.
    """

    registry: EcrRegistry
    baselines: Baselines
    stack: OwnStack
    now: datetime
    attempt: int

    def scan_of(self, image: FoundImage, *, by_name: bool) -> FoundScan | Reason:
        """Ask ECR for the scan, or return why the image has none to report.

        by_name: read the findings too, in the same calls.
        """
        try:
            answer = self._answer(image, by_name=by_name)
            if answer is None:
                return Reason.NO_RESULT
            if reason := _why_not(answer.scan):
                return reason
            scanned_at = self._scanned_at(image, answer.scan)
            if scanned_at is None:
                return Reason.NO_RESULT
            described = self._described(image)
            pushed_at = described.pushed_at if described else None
            return FoundScan(
                self._report(image, answer.scan, scanned_at, described),
                answer,
                is_of_old_image=pushed_at is not None and self.now - pushed_at > PUSHED_LATELY,
            )
        except (ImageNotFound, RepositoryNotFound):
            return Reason.GONE
        except ImageArchived:
            return Reason.ARCHIVED
        except ImageNotScannable:
            return Reason.UNSUPPORTED

    def _answer(self, image: FoundImage, *, by_name: bool) -> EcrAnswer | None:
        if not by_name:
            scan = self.registry.last_scan(image.repository, image.image_digest)
            return EcrAnswer(scan) if scan else None
        try:
            listed = self.registry.findings(image.repository, image.image_digest)
        except ScanNotFound:
            return None
        return EcrAnswer(listed.scan, listed) if listed.scan else None

    def _scanned_at(self, image: FoundImage, scan: LastScan) -> datetime | None:
        """Return when the scan ended: now, if Amazon Inspector scans the image all the time.

        A date in the future would be the newest for ever, and counts as none. A failure may have no
        date of its own, and gets that of its start.
        """
        if scan.status in _ENHANCED:
            return self.now
        if scan.completed_at and not is_future(scan.completed_at, self.now):
            return scan.completed_at
        return self._stored(image).record.started_at if scan.status == "FAILED" else None

    def _report(
        self, image: FoundImage, scan: LastScan, scanned_at: datetime, described: Image | None
    ) -> ScanReport:
        tags = described.tags if described else self._stored(image).tags
        shown = first(tags, len, MOST_TAGS)
        severities, other = severity_counts(scan.severities)
        account, region = self.stack.account, self.stack.region
        return ScanReport(
            account=account,
            region=region,
            repository=image.repository,
            scan_type=ScanType.ENHANCED if scan.status in _ENHANCED else ScanType.BASIC,
            status=scan.status,
            scanned_at=scanned_at,
            tagged_at=self.now if described else None,
            link=console_links.image_page(region, account, image.repository, image.image_digest),
            image_digest=image.image_digest,
            tags=shown,
            tags_omitted=len(tags) - len(shown),
            severities=severities,
            other=other,
        )

    def _described(self, image: FoundImage) -> Image | None:
        """Return the image with its tags; None if ECR does not answer to the last."""
        try:
            return self.registry.image(image.repository, image.image_digest)
        except (ImageNotFound, RepositoryNotFound):
            raise
        except Exception as error:
            if is_retried(error, self.attempt):
                raise
            logger.warning(
                "tags not read, those of the last scan used", extra={"error": str(error)}
            )
            return None

    def _stored(self, image: FoundImage) -> StoredImage:
        return self.baselines.recall(image.repository, image.image_digest, ()).image


def _why_not(scan: LastScan) -> Reason | None:
    """Return why the answer of ECR is no result that is reported."""
    if unsupported_status(scan):
        return Reason.UNSUPPORTED
    if scan.status in _BASIC | _ENHANCED:
        return None
    return SILENT.get(scan.status, Reason.NO_RESULT)
