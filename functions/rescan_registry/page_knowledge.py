"""Last scans of a page of images: from the ledger, the listing, and ECR's answers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ledger.image_records import ImageRecord, RecordedScan
from own_events.scan_result_found import ScanResultFound
from registry.images import Image, LastScan
from rescan_registry.image_cache import ImageCache
from rescan_registry.last_scans import (
    known_scan,
    missing_since,
    newer,
    scan_dates,
    scan_to_store,
)
from rescan_registry.missing_results import MissingResult, UnnamedResult
from rescan_registry.outcomes import Decision
from rescan_registry.policy import RescanPolicy
from rescan_registry.scan_history import ScanAnswers
from rescan_registry.staleness import ScanDates, why_refused_before


@dataclass(frozen=True)
class PageKnowledge:
    """What is known of images before ECR is asked for their last scans.

    unknown: digests to ask ECR for, those with missing results first.
    dates: of every image that is evaluated, by digest.
    refused: decisions on images that ECR has refused to scan not long ago, by digest.
    scans: last scans by digest, of the images for which ECR need not be asked.
    hints: last scans that the listing shows, by digest.
    missing: results that should have arrived, by digest.
    unnamed: known scans whose findings ECR did not list, by digest.
    unreported: digests of other missing results, from an earlier step. Nothing is stored of them,
        so that the next run finds them missing again.
    """

    unknown: tuple[str, ...]
    dates: dict[str, ScanDates] = field(default_factory=dict)
    refused: dict[str, Decision] = field(default_factory=dict)
    scans: dict[str, LastScan] = field(default_factory=dict)
    hints: dict[str, LastScan] = field(default_factory=dict)
    missing: dict[str, MissingResult] = field(default_factory=dict)
    unnamed: dict[str, UnnamedResult] = field(default_factory=dict)
    unreported: frozenset[str] = frozenset()

    def misses(self, digest: str) -> bool:
        """Return whether the result of a started scan is missing."""
        return digest in self.missing or digest in self.unreported

    def scans_of(self, answers: ScanAnswers) -> dict[str, LastScan | None]:
        """Return the last scans from ECR's answers, or from the listing where ECR has none."""
        return {digest: scan or self.hints.get(digest) for digest, scan in answers.scans.items()}

    def results_found(self, repository: str, answers: ScanAnswers) -> tuple[ScanResultFound, ...]:
        """Return the missing results that ECR's answers contain."""
        found = (
            missing.found_in(answers.scans.get(digest), repository)
            for digest, missing in self.missing.items()
        )
        return tuple(result for result in found if result)

    def scan_to_store(
        self,
        answers: ScanAnswers,
        found: Collection[ScanResultFound],
        now: datetime,
    ) -> dict[str, RecordedScan]:
        """Return the scans to store in the ledger, without those that NotifyScan will record."""
        left_to_others = self.unreported | {result.image_digest for result in found}
        recorded = {
            digest: scan_to_store(scan, now)
            for digest, scan in answers.scans.items()
            if digest not in left_to_others
        }
        return {digest: scan for digest, scan in recorded.items() if scan}


def gather(
    images: Sequence[Image], cache: ImageCache, policy: RescanPolicy, now: datetime
) -> PageKnowledge:
    """Return what the ledger and the listing know of the images of a page."""
    records = cache.recall([image.digest for image in images]) if images else {}
    dates: dict[str, ScanDates] = {}
    refused: dict[str, Decision] = {}
    scans: dict[str, LastScan] = {}
    missing: dict[str, MissingResult] = {}
    unnamed: dict[str, UnnamedResult] = {}
    unknown: list[str] = []
    for image in images:
        record = records.get(image.digest, ImageRecord(image.digest)).without_future(now)
        dates[image.digest] = scan_dates(image, record)
        if decision := why_refused_before(dates[image.digest], policy, now):
            refused[image.digest] = decision
        elif since := missing_since(record, now):
            missing[image.digest] = MissingResult(image, since, record.started_by)
        elif last_scan := newer(known_scan(record, now), image.last_scan):
            scans[image.digest] = last_scan
            if record.names_missing and (recorded := _recorded(record, last_scan)):
                unnamed[image.digest] = UnnamedResult(image, recorded, record.started_by)
        else:
            unknown.append(image.digest)
    return PageKnowledge(
        unknown=(*missing, *unknown),
        dates=dates,
        refused=refused,
        scans=scans,
        hints={image.digest: image.last_scan for image in images if image.last_scan},
        missing=missing,
        unnamed=unnamed,
    )


def _recorded(record: ImageRecord, last_scan: LastScan) -> RecordedScan | None:
    """Return the recorded scan if it has completed and is the last one."""
    scan = record.last_scan
    is_last = scan and (scan.status, scan.scanned_at) == ("COMPLETE", last_scan.completed_at)
    return scan if is_last else None
