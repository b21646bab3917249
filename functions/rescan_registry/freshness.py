"""The freshness of images, by what is known of their last scans."""

import heapq
from collections import Counter
from collections.abc import Mapping

from ledger.run_records import MOST_OLDEST, Freshness, OldImage
from registry.findings import SEVERITIES
from rescan_registry.staleness import ScanDates


def freshness_of(repository: str, images: Mapping[str, ScanDates]) -> Freshness:
    """Count images that can be scanned, by digest; how many of them stay overdue is not known."""
    scans = [dates.ended for dates in images.values() if dates.ended]
    dated = (
        OldImage(repository, digest, at)
        for digest, dates in images.items()
        if dates.ended and (at := dates.ended.completed_at)
    )
    oldest = heapq.nsmallest(MOST_OLDEST, dated, key=lambda image: (image.at, image.image_digest))
    findings, images_with = Counter[str](), Counter[str]()
    for scan in scans:
        counts = {name: scan.severities.get(name, 0) for name in SEVERITIES}
        findings.update(counts)
        images_with.update(name for name, count in counts.items() if count)
    return Freshness(
        scannable=len(images),
        never=len(images) - len(scans),
        oldest_at=oldest[0].at if oldest else None,
        oldest=tuple(oldest),
        severities=dict(+findings),
        images_with=dict(images_with),
    )
