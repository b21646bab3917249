"""What is known of a page of images before ECR is asked, and what its answers add to that."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ledger.image_records import ImageRecord, RecordedScan
from registry.images import Image, LastScan
from registry.scan_history import ScanAnswers
from rescan_registry.image_cache import ImageMemory
from rescan_registry.last_scans import known_scan, missing_since, newer, worth_remembering
from rescan_registry.missing_results import FoundResult, MissingResult


@dataclass(frozen=True)
class Recollection:
    """What is known of images that are decided together.

    unknown: digests to ask ECR for, those with missing results first.
    scans: last scans by digest, of the images for which ECR need not be asked.
    hints: last scans that the listing shows, by digest.
    missing: results that should have arrived, by digest.
    unreported: digests of other missing results, of which no more is known any longer. Nothing is
        remembered of them, so that another run finds them missing again.
    """

    unknown: tuple[str, ...]
    scans: dict[str, LastScan] = field(default_factory=dict)
    hints: dict[str, LastScan] = field(default_factory=dict)
    missing: dict[str, MissingResult] = field(default_factory=dict)
    unreported: frozenset[str] = frozenset()

    def misses(self, digest: str) -> bool:
        """Tell whether the result of a started scan of an image is missing."""
        return digest in self.missing or digest in self.unreported

    def scans_with(self, answers: ScanAnswers) -> dict[str, LastScan | None]:
        """Tell all last scans, now that ECR has answered."""
        told = {digest: scan or self.hints.get(digest) for digest, scan in answers.scans.items()}
        return self.scans | told

    def results_found(self, repository: str, answers: ScanAnswers) -> tuple[FoundResult, ...]:
        """Pick the missing results that ECR has told after all."""
        found = (
            missing.found_in(answers.scans.get(digest), repository)
            for digest, missing in self.missing.items()
        )
        return tuple(result for result in found if result)

    def worth_remembering(
        self,
        answers: ScanAnswers,
        found: Collection[FoundResult],
        now: datetime,
    ) -> dict[str, RecordedScan]:
        """Choose what to write back of ECR's answers: not what NotifyScan is going to write."""
        left_to_others = self.unreported | {result.image_digest for result in found}
        recorded = {
            digest: worth_remembering(scan, now)
            for digest, scan in answers.scans.items()
            if digest not in left_to_others
        }
        return {digest: scan for digest, scan in recorded.items() if scan}


def recollect(images: Sequence[Image], memory: ImageMemory, now: datetime) -> Recollection:
    """Put together what the ledger and the listing know of a page."""
    records = memory.recall([image.digest for image in images]) if images else {}
    scans: dict[str, LastScan] = {}
    missing: dict[str, MissingResult] = {}
    unknown: list[str] = []
    for image in images:
        record = records.get(image.digest, ImageRecord(image.digest))
        if since := missing_since(record, now):
            missing[image.digest] = MissingResult(image, since, record.started_by)
        elif last_scan := newer(known_scan(record, now), image.last_scan):
            scans[image.digest] = last_scan
        else:
            unknown.append(image.digest)
    return Recollection(
        unknown=(*missing, *unknown),
        scans=scans,
        hints={image.digest: image.last_scan for image in images if image.last_scan},
        missing=missing,
    )
