"""The numbers of a report: totals, the histogram of ages, and the order of its images."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from cli.report.document import AgeBin, Freshness, ReportedFinding, ReportedImage, Totals
from cli.report.images import by_severity
from registry.findings import SEVERITIES, severity_rank
from rescan_registry.policy import RescanPolicy

CRITICAL = SEVERITIES[0]
_BINS_INSIDE = 7
_DAY = timedelta(days=1)


def totals_of(images: Sequence[ReportedImage], repositories: int) -> Totals:
    """Count images and findings."""
    fresh = Counter(image.freshness for image in images)
    findings, images_with = Counter[str](), Counter[str]()
    for image in images:
        counts = open_counts(image)
        findings.update(counts)
        images_with.update(counts.keys())
    none = [image for image in images if image.freshness is Freshness.NONE]
    scannable = len(images) - len(none)
    ages = [age for age, _ in scan_ages(images)]
    return Totals(
        images=len(images),
        repositories=repositories,
        scannable=scannable,
        inside=fresh[Freshness.INSIDE],
        due=fresh[Freshness.DUE],
        overdue=fresh[Freshness.OVERDUE],
        waiting=fresh[Freshness.WAITING],
        never_scanned=scannable - len(ages),
        oldest_hours=max(ages, default=None),
        images_with=by_severity(images_with),
        findings=by_severity(findings),
        accepted=sum(sum(image.accepted_counts.values()) for image in images),
        not_scannable=dict(Counter(image.outcome or "" for image in none).most_common()),
        not_notified=sum(
            CRITICAL in open_counts(image) and not notified_of(image, CRITICAL) for image in images
        ),
    )


def share_inside(totals: Totals) -> str:
    """Return the share of the images that can be scanned that are inside, such as "40.0 %".

    It is rounded down: 100.0 % means all.
    """
    return f"{1_000 * totals.inside // totals.scannable / 10} %"


def open_counts(image: ReportedImage) -> dict[str, int]:
    """Return the findings by severity that are not accepted, without severities that have none."""
    return {severity: count for severity, count in image.open_counts().items() if count > 0}


def open_findings(image: ReportedImage, severity: str | None = None) -> list[ReportedFinding]:
    """Return the findings that are not accepted, of one severity or of the worst that is open."""
    wanted = severity or worst_severity(image)
    return [each for each in image.findings if not each.accepted and each.severity == wanted]


def worst_severity(image: ReportedImage) -> str | None:
    """Return the worst severity of which the image has findings that are not accepted."""
    return min(open_counts(image), key=severity_rank, default=None)


def notified_of(image: ReportedImage, severity: str) -> tuple[str, ...]:
    """Name the channels that were notified of a finding of a severity that is open.

    Where the findings are not known by name: those that were notified of the image.
    """
    if not image.is_named:
        return tuple(sorted(image.notified))
    found = open_findings(image, severity)
    return tuple(sorted({channel for finding in found for channel in finding.notified}))


def open_since(image: ReportedImage) -> date | None:
    """Return the day when the oldest of the worst findings was first seen, as far as known."""
    return min((finding.first_seen for finding in open_findings(image)), default=None)


def worst_first(images: Iterable[ReportedImage]) -> tuple[ReportedImage, ...]:
    """Sort images: by open findings, the worst severity first, then by date and name."""

    def badness(image: ReportedImage) -> tuple[object, ...]:
        counts = open_counts(image)
        return (
            *(-counts.get(severity, 0) for severity in SEVERITIES),
            open_since(image) or date.max,
            image.repository,
            image.image_digest,
        )

    return tuple(sorted(images, key=badness))


def oldest_first(images: Iterable[ReportedImage]) -> list[ReportedImage]:
    """Sort the images that can be scanned by the age of their last scan, the oldest first.

    Of an image that was never scanned, the push counts; one without a date comes last.
    """
    scannable = (image for image in images if image.freshness is not Freshness.NONE)
    return sorted(
        scannable,
        key=lambda image: (-(image.age_hours or 0), image.repository, image.image_digest),
    )


def scan_ages(images: Iterable[ReportedImage]) -> Iterator[tuple[float, ReportedImage]]:
    """Yield the age of the last scan in hours, of each image that can be scanned and has one."""
    for image in images:
        is_scanned = image.scanned_at is not None and image.freshness is not Freshness.NONE
        if is_scanned and image.age_hours is not None:
            yield image.age_hours, image


def histogram_of(
    images: Iterable[ReportedImage], policy: RescanPolicy, now: datetime
) -> tuple[AgeBin, ...]:
    """Count the last scans by age, with the limits of RescanAfter and overdue between bars."""
    inside, overdue = policy.rescan_after, policy.overdue_after
    ends = [inside * number / _BINS_INSIDE for number in range(1, _BINS_INSIDE + 1)]
    ends += [inside + policy.schedule_interval, overdue, overdue + inside]
    counts = Counter(
        bisect_left(ends, now - image.scanned_at)
        for image in images
        if image.scanned_at and image.freshness is not Freshness.NONE
    )
    begins = [timedelta(0), *ends]
    return tuple(
        AgeBin(
            from_days=round(begin / _DAY, 2),
            to_days=round(ends[number] / _DAY, 2) if number < len(ends) else None,
            images=counts[number],
            freshness=_freshness_after(begin, policy),
        )
        for number, begin in enumerate(begins)
    )


def _freshness_after(begin: timedelta, policy: RescanPolicy) -> Freshness:
    if begin >= policy.overdue_after:
        return Freshness.OVERDUE
    return Freshness.DUE if begin >= policy.rescan_after else Freshness.INSIDE
