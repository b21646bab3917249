import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from registry.images import LastScan
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import ARCHIVED, Decision, Outcome
from runtime.log import logger
from tests.support.builders import any_image, days_ago, scanned
from tests.support.clock import NOW
from tests.support.fakes import FakeBucket

FRESH = Decision(Outcome.FRESH, "scanned within RescanAfter")


def any_outcomes() -> ImageOutcomes:
    return ImageOutcomes("run-1", "team/api", NOW)


def line_of(**known: Any) -> dict[str, Any]:
    return {"repository": "team/api", **known}


def test_have_one_line_per_image_with_all_that_is_known() -> None:
    fresh = any_image(tags=("v1", "latest"), pushed_at=days_ago(90), pulled_at=days_ago(1))
    archived = any_image(tags=(), pushed_at=None)
    scan = LastScan("COMPLETE", days_ago(6.04), severities={"HIGH": 2})
    outcomes = any_outcomes()
    outcomes.note_images([fresh, archived])
    outcomes.note({archived.digest: ARCHIVED})
    outcomes.note_scans({fresh.digest: scan})
    outcomes.note({fresh.digest: FRESH})
    assert list(outcomes.lines()) == [
        line_of(
            image_digest=fresh.digest,
            image_tags=["v1", "latest"],
            pushed_at="2025-12-14T03:00:00+00:00",
            pulled_at="2026-03-13T03:00:00+00:00",
            last_scan_at=(NOW - timedelta(days=6.04)).isoformat(timespec="seconds"),
            age_days=6.0,
            severities={"HIGH": 2},
            outcome="FRESH",
            reason="scanned within RescanAfter",
        ),
        line_of(image_digest=archived.digest, image_tags=[], outcome="ARCHIVED", reason="archived"),
    ]


@pytest.mark.parametrize("scan", [None, scanned(None, "IN_PROGRESS")])
def test_have_no_date_where_none_is_known(scan: Any) -> None:
    due, outcomes = any_image(pushed_at=None), any_outcomes()
    outcomes.note_images([due])
    outcomes.note_scans({due.digest: scan})
    assert list(outcomes.lines()) == [line_of(image_digest=due.digest, image_tags=["v1"])]


def test_are_written_under_the_name_of_the_step() -> None:
    bucket, outcomes, image = FakeBucket(), any_outcomes(), any_image()
    outcomes.note({image.digest: FRESH})
    outcomes.write(bucket.as_bucket, "step-0001")
    assert bucket.outcomes == {("run-1", "team/api", "step-0001"): list(outcomes.lines())}


def test_are_not_written_when_there_are_none() -> None:
    bucket = FakeBucket()
    any_outcomes().write(bucket.as_bucket, "step-0001")
    assert bucket.outcomes == {}


def test_let_the_run_go_on_without_the_bucket_and_say_so(log: io.StringIO) -> None:
    outcomes = any_outcomes()
    outcomes.note_images([any_image()])
    outcomes.write(FakeBucket(fails=["write_image_outcomes"]).as_bucket, "step-0007")
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"]) == ("WARNING", "image outcomes not written")
    assert (line["run"], line["repository"]) == ("run-1", "team/api")
    assert (line["object"], line["problem"]) == ("step-0007", "no bucket today")


@pytest.fixture
def at_debug() -> Iterator[None]:
    level = logger.log_level
    logger.setLevel("DEBUG")
    yield
    logger.setLevel(level)


def test_are_logged_at_debug(at_debug: None, log: io.StringIO) -> None:
    image = any_image()
    any_outcomes().note({image.digest: FRESH})
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["image_digest"], line["outcome"], line["reason"]) == (
        image.digest,
        "FRESH",
        "scanned within RescanAfter",
    )
    assert (line["message"], line["run"], line["repository"]) == ("settled", "run-1", "team/api")


def test_are_not_logged_otherwise(log: io.StringIO) -> None:
    any_outcomes().note({any_image().digest: FRESH})
    assert log.getvalue() == ""
