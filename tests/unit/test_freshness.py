"""The freshness of images: which count, how old their last scans are, and what these have found."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger.image_records import Attempt, ImageRecord, RecordedScan
from ledger.run_records import MOST_OLDEST, Freshness, OldImage, RecordStatus
from registry.images import Image, LastScan
from rescan_registry.find_stale_images import find_stale_images
from rescan_registry.freshness import freshness_of
from rescan_registry.run_summary import summary_of
from rescan_registry.staleness import ScanDates
from tests.support.builders import (
    FakeHistory,
    any_digest,
    any_facts,
    any_image,
    any_record,
    any_surroundings,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket, FakeImageRecords, FakeRegistry

HOUR = timedelta(hours=1)


def found_with(records: FakeImageRecords, *images: Image, **scans: LastScan) -> Freshness:
    """Evaluate a page. scans: of ECR's answers, by image digest."""
    around = any_surroundings(FakeRegistry(list(images)), FakeHistory(scans), records)
    return find_stale_images(any_work(), around, now=NOW).freshness


def found(*images: Image, **scans: LastScan) -> Freshness:
    return found_with(FakeImageRecords(), *images, **scans)


def recorded(image: Image, **known: Any) -> FakeImageRecords:
    return FakeImageRecords(("team/api", ImageRecord(image.digest, **known)))


def old(image: Image, at: datetime | None) -> OldImage:
    assert at
    return OldImage("team/api", image.digest, at)


def test_counts_findings_and_images_by_severity() -> None:
    bad = LastScan("COMPLETE", days_ago(8), severities={"CRITICAL": 2, "HIGH": 1, "OTHER": 5})
    fine = LastScan("COMPLETE", days_ago(1), severities={"HIGH": 3, "LOW": 0})
    images = [any_image(last_scan=bad), any_image(last_scan=fine), any_image(pushed_at=days_ago(4))]
    assert found(*images) == Freshness(
        scannable=3,
        never=1,
        oldest_at=days_ago(8),
        oldest=(old(images[0], days_ago(8)), old(images[1], days_ago(1))),
        severities={"CRITICAL": 2, "HIGH": 4},
        images_with={"CRITICAL": 1, "HIGH": 2},
    )


@pytest.mark.parametrize(
    "image",
    [
        any_image(status="ARCHIVED"),
        any_image(media_type="application/vnd.oci.image.index.v1+json"),
        any_image(last_scan=scanned(days_ago(3), "UNSUPPORTED_IMAGE")),
        any_image(last_scan=scanned(days_ago(90), "UNSUPPORTED_IMAGE")),  # it is tried again
        any_image(last_scan=scanned(days_ago(90), "FAILED", "UnsupportedImageError: no")),
    ],
)
def test_leaves_out_what_cannot_be_scanned(image: Image) -> None:
    assert found(image) == Freshness()


@pytest.mark.parametrize("age", [3, 90])
def test_leaves_out_what_ecr_refused_to_scan_also_when_it_is_tried_again(age: int) -> None:
    image = any_image()
    records = recorded(image, last_attempt=Attempt(days_ago(age), "UNSCANNABLE", "refused by ECR"))
    assert found_with(records, image) == Freshness()


def test_goes_by_the_scan_before_while_another_is_under_way() -> None:
    image = any_image()
    before = RecordedScan(days_ago(8), "COMPLETE", "BASIC", severities={"HIGH": 1})
    records = recorded(image, last_scan=before, started_at=NOW - HOUR, started_by="run-0")
    assert found_with(records, image) == Freshness(
        scannable=1,
        oldest_at=days_ago(8),
        oldest=(old(image, days_ago(8)),),
        severities={"HIGH": 1},
        images_with={"HIGH": 1},
    )


def test_goes_by_the_scan_that_ecr_knows_and_the_ledger_does_not() -> None:
    image = any_image()
    fresh = found(image, **{image.digest: scanned(days_ago(3))})
    assert (fresh.scannable, fresh.never, fresh.oldest_at) == (1, 0, days_ago(3))


def test_an_image_that_was_never_scanned_has_no_oldest_scan() -> None:
    image = any_image(pushed_at=days_ago(90))
    records = recorded(image, last_attempt=Attempt(days_ago(1), "FAILED", "KmsException"))
    fresh = found_with(records, image)
    assert (fresh.scannable, fresh.never, fresh.oldest_at, fresh.oldest) == (1, 1, None, ())


def test_begins_again_when_the_listing_does() -> None:
    """Images of pages that are listed twice count once."""
    progress = find_stale_images(
        any_work(),
        any_surroundings(FakeRegistry([any_image()], [any_image()])),
        now=NOW,
    )
    assert progress.freshness.scannable == 1
    both = find_stale_images(
        any_work(progress), any_surroundings(FakeRegistry([any_image()], [any_image()])), now=NOW
    )
    assert both.freshness.scannable == 2


def test_names_the_oldest_images_of_all() -> None:
    ages = {any_digest(): days_ago(age) for age in range(25)}
    dates = {digest: ScanDates(ended=scanned(at)) for digest, at in ages.items()}
    whole = freshness_of("team/api", dates)
    assert [each.at for each in whole.oldest] == [days_ago(24 - n) for n in range(MOST_OLDEST)]
    parts = [freshness_of("team/api", dict(list(dates.items())[start::3])) for start in range(3)]
    assert parts[2].merged(parts[0]).merged(parts[1]) == whole
    assert whole.merged(Freshness()) == Freshness().merged(whole) == whole


def test_a_run_adds_up_its_repositories_and_names_those_it_does_not_know() -> None:
    api = Freshness(scannable=2, severities={"HIGH": 1})
    web = Freshness(scannable=3, severities={"HIGH": 2, "LOW": 1})
    records = [
        any_record("team/api", freshness=api),
        any_record("team/cut", status=RecordStatus.DEFERRED, freshness=web),  # not all images
        any_record("team/old", status=RecordStatus.GONE, freshness=None),
        any_record("team/red", status=RecordStatus.FAILED, freshness=None),
        any_record("team/some", status=RecordStatus.FAILED, freshness=Freshness(scannable=1)),
    ]
    names = [*(record.repository for record in records), "team/unreached"]
    summary = summary_of(any_facts(), names, records)
    assert summary.freshness == Freshness(scannable=6, severities={"HIGH": 3, "LOW": 1})
    assert summary.repositories_unknown == 3


def test_a_line_has_the_scan_before_the_one_under_way() -> None:
    image, bucket = any_image(), FakeBucket()
    before = RecordedScan(days_ago(8), "COMPLETE", "BASIC", severities={"HIGH": 1})
    records = recorded(image, last_scan=before, started_at=NOW - HOUR, started_by="run-0")
    around = any_surroundings(FakeRegistry([image]), records=records, bucket=bucket.as_bucket)
    find_stale_images(any_work(), around, now=NOW)
    ((line,),) = bucket.outcomes.values()
    assert (line["age_days"], line["severities"]) == (8.0, {"HIGH": 1})
    assert line["reason"] == "scan under way"
