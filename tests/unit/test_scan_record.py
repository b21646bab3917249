from datetime import timedelta
from typing import Any

import pytest

from ledger.image_records import RecordedScan, image_record
from ledger.table import plain
from notify_scan.scan_record import MOST_TAGS, ScanRecord, record_of
from runtime.clock import CLOCK_SKEW
from tests.support.clock import NOW
from tests.support.reports import DIGEST, any_scan_report

KEPT_FOR = timedelta(days=180)


def record(**given: Any) -> ScanRecord | None:
    report = any_scan_report(**given)
    return record_of(report, kept_for=KEPT_FOR, now=NOW)


def test_is_what_the_ledger_reads_back() -> None:
    asked: Any = record(severities={"CRITICAL": 2}, other=7)
    written = {"last_scan": asked.last_scan, "image_tags": asked.image_tags}
    read = image_record(plain({**asked.key, **written}))
    assert (read.image_digest, read.image_tags) == (DIGEST, ("v1",))
    assert read.last_scan == RecordedScan(NOW, "COMPLETE", "BASIC", {"CRITICAL": 2}, 7)
    assert asked.scanned_at == NOW.isoformat()
    assert asked.latest == (NOW + CLOCK_SKEW).isoformat()
    assert asked.expires_at == str(int((NOW + KEPT_FOR).timestamp()))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "team/api"),
        ({"is_elsewhere": True}, "123456789012:eu-central-1:team/api"),
    ],
)
def test_keeps_repositories_of_the_same_name_apart(given: dict[str, Any], name: str) -> None:
    asked = record(**given)
    assert asked is not None
    assert asked.repository == name
    assert asked.key == {"pk": {"S": f"repository#{name}"}, "sk": {"S": f"image#{DIGEST}"}}


@pytest.mark.parametrize(
    "given",
    [
        {"image_digest": None},
        {"image_digest": "sha256:"},
        {"image_digest": "sha256:" + "x" * 64},
        {"repository": "Team API"},
        {"repository": "a" * 257},
        {"repository": "team/api#image"},
    ],
)
def test_has_no_place_for_what_is_no_image(given: dict[str, Any]) -> None:
    assert record(**given) is None


def test_follows_the_tags_that_ecr_could_have() -> None:
    asked = record(tags=("v1", "", "<!channel>", "x" * 129, *(f"t{n}" for n in range(20))))
    assert asked is not None
    assert asked.tags == ("v1", *(f"t{n}" for n in range(MOST_TAGS - 1)))
