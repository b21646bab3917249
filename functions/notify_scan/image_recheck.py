"""Ask ECR for the results of images in which Amazon Inspector has changed findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notify_scan.events.findings import ChangedImage
from own_events.scan_result_found import MOST_TAGS, ScanResultFound
from registry.ecr import EcrRegistry
from registry.errors import (
    AccessDenied,
    EcrError,
    EcrThrottled,
    EcrUnavailable,
    ImageArchived,
    ImageNotFound,
    ImageNotScannable,
    RepositoryNotFound,
)
from registry.images import LastScan
from runtime import clock

# The statuses of an image that Amazon Inspector has scanned: it monitors the image, or has stopped
# to. With any other one, there is no result of enhanced scanning.
_SCANNED = frozenset({"ACTIVE", "SCAN_ELIGIBILITY_EXPIRED"})


@dataclass(frozen=True)
class Results:
    """What ECR has answered.

    found: the results. dropped: images that are gone or archived, or that Inspector has not
        scanned.
    unanswered: images to ask for again. problem: why, of the first one; absent if the time is over.
    """

    found: tuple[ScanResultFound, ...] = ()
    dropped: int = 0
    unanswered: tuple[ChangedImage, ...] = ()
    problem: str | None = None


def ask(images: Sequence[ChangedImage], registry: EcrRegistry, *, until: datetime) -> Results:
    """Ask ECR once per image, one after the other, until it throttles or the time is over."""
    found: list[ScanResultFound] = []
    unanswered: list[ChangedImage] = []
    dropped, problems = 0, list[str]()
    for position, image in enumerate(images):
        now = clock.now()
        if now >= until:
            unanswered += images[position:]
            break
        try:
            scan = registry.last_scan(image.repository, image.image_digest)
        except (ImageNotFound, RepositoryNotFound, ImageArchived, ImageNotScannable):
            dropped += 1
        except (EcrThrottled, EcrUnavailable, AccessDenied, EcrError) as error:
            problems.append(f"{type(error).__name__}: {error}")
            if isinstance(error, EcrThrottled):
                unanswered += images[position:]
                break
            unanswered.append(image)
        else:
            if scan and scan.status in _SCANNED:
                found.append(_result(image, scan, now))
            else:
                dropped += 1
    return Results(tuple(found), dropped, tuple(unanswered), next(iter(problems), None))


def _result(image: ChangedImage, scan: LastScan, now: datetime) -> ScanResultFound:
    return ScanResultFound(
        repository=image.repository,
        image_digest=image.image_digest,
        image_tags=image.image_tags[:MOST_TAGS],
        scan_status=scan.status,
        severities=scan.severities,
        scanned_at=now,
        scan_type="ENHANCED",
        tagged_at=image.sent_at,
    )
