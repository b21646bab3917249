import json
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.image_records import RecordedScan
from own_events.scan_result_found import MOST_TAGS, ScanResultFound
from registry.images import LastScan
from rescan_registry.missing_results import MissingResult, UnnamedResult
from runtime.clock import CLOCK_SKEW
from tests.support.builders import any_image, scanned
from tests.support.clock import NOW

SECOND = timedelta(seconds=1)
STARTED_AT = NOW - timedelta(hours=7)
IMAGE = any_image(tags=("v1", "latest"))
MISSING = MissingResult(IMAGE, STARTED_AT, "run-1")
COMPLETE = LastScan("COMPLETE", STARTED_AT + SECOND, severities={"HIGH": 2, "LOW": 1})


def found_in(scan: LastScan | None) -> ScanResultFound | None:
    return MISSING.found_in(scan, "team/api")


def test_finds_what_ecr_tells_of_the_scan_that_was_started() -> None:
    found = found_in(COMPLETE)
    assert found is not None
    assert found.detail() == {
        "repository-name": "team/api",
        "image-digest": IMAGE.digest,
        "image-tags": ["v1", "latest"],
        "scan-status": "COMPLETE",
        "finding-severity-counts": {"HIGH": 2, "LOW": 1},
        "scanned-at": "2026-03-13T20:00:01+00:00",
        "run": "run-1",
        "scan-type": "BASIC",
        "tagged-at": None,
    }


@example(-CLOCK_SKEW, "COMPLETE")
@given(st.timedeltas(-2 * CLOCK_SKEW, timedelta(days=30)), st.sampled_from(["COMPLETE", "FAILED"]))
def test_finds_no_scan_that_is_older_than_the_start(after: timedelta, status: str) -> None:
    found = found_in(LastScan(status, STARTED_AT + after))
    assert (found is not None) == (after >= -CLOCK_SKEW)
    assert found is None or found.scanned_at == STARTED_AT + after


def test_dates_a_failure_without_a_date_by_its_start() -> None:
    """Not by the clock: asked twice, it is the same result, and older than the next start."""
    found = found_in(LastScan("FAILED", description="It broke."))
    assert found is not None
    assert (found.scan_status, found.scanned_at) == ("FAILED", STARTED_AT)


@pytest.mark.parametrize(
    "scan",
    [
        None,
        scanned(None),
        scanned(None, "IN_PROGRESS"),
        scanned(NOW, "PENDING"),
        scanned(NOW, "UNSUPPORTED_IMAGE"),
        scanned(None, "FAILED", "UnsupportedImageError: The operating system …"),
        scanned(NOW, "FINDINGS_UNAVAILABLE"),
    ],
)
def test_finds_nothing_in_any_other_answer(scan: LastScan | None) -> None:
    assert found_in(scan) is None


def test_writes_the_time_in_utc_whatever_zone_boto3_reads_it_in() -> None:
    east = timezone(timedelta(hours=9))
    found = found_in(LastScan("COMPLETE", COMPLETE.completed_at.astimezone(east)))
    assert found is not None
    assert found.detail()["scanned-at"] == "2026-03-13T20:00:01+00:00"


def test_keeps_ten_events_within_what_one_call_takes() -> None:
    tags = tuple(f"{n:0128}" for n in range(1_000))
    found = replace(MISSING, image=any_image(tags=tags)).found_in(COMPLETE, "a" * 256)
    assert found is not None
    assert found.detail()["image-tags"] == list(tags[:MOST_TAGS])
    assert 10 * len(json.dumps(found.detail())) < 256 * 1024


def test_reports_a_scan_again_whose_findings_ecr_did_not_list() -> None:
    image = any_image(tags=tuple(f"v{n}" for n in range(MOST_TAGS + 1)))
    scan = RecordedScan(STARTED_AT, "COMPLETE", "ENHANCED", severities={"HIGH": 2})
    assert UnnamedResult(image, scan, "run-1").again("team/api") == ScanResultFound(
        repository="team/api",
        image_digest=image.digest,
        image_tags=image.tags[:MOST_TAGS],
        scan_status="COMPLETE",
        severities={"HIGH": 2},
        scanned_at=STARTED_AT,
        run="run-1",
        scan_type="ENHANCED",
    )
