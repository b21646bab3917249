import io
import json
from datetime import timedelta
from threading import Barrier

import pytest

from ledger.image_records import Attempt, ImageRecord, RecordedScan
from rescan_registry import image_cache as module
from rescan_registry.image_cache import ImageCache, image_cache
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.settings import StartImageScansSettings
from runtime.settings import SettingsError
from tests.support.builders import any_digest
from tests.support.clock import NOW
from tests.support.fakes import FakeImageRecords
from tests.support.settings import settings_now

SCAN = RecordedScan(NOW, "COMPLETE", "BASIC", severities={"HIGH": 1})
KEPT_UNTIL = NOW + timedelta(days=180)


def cache_of(records: FakeImageRecords) -> ImageCache:
    return ImageCache(records, "team/api", kept_until=KEPT_UNTIL)


def test_recalls_the_images_asked_for_with_one_query() -> None:
    known, other, unknown = any_digest(), any_digest(), any_digest()
    records = FakeImageRecords(
        ("team/api", ImageRecord(known, last_scan=SCAN)),
        ("team/api", ImageRecord(other, last_scan=SCAN)),
        ("team/web", ImageRecord(unknown, last_scan=SCAN)),
    )
    recalled = cache_of(records).recall([known, unknown])
    assert recalled == {known: ImageRecord(known, last_scan=SCAN)}
    assert records.calls == {"records_of": 1}


def test_remembers_each_scan_until_the_record_expires() -> None:
    records, digests = FakeImageRecords(), [any_digest() for _ in range(50)]
    cache_of(records).note_scans(dict.fromkeys(digests, SCAN))
    assert records.kept == {
        "team/api": {digest: ImageRecord(digest, last_scan=SCAN) for digest in digests}
    }
    assert set(records.expiries.values()) == {int(KEPT_UNTIL.timestamp())}


def test_remembers_an_attempt_until_the_record_expires() -> None:
    records, digest = FakeImageRecords(), any_digest()
    cache_of(records).note_attempt(digest, Decision(Outcome.FAILED, "Odd"), at=NOW)
    attempt = Attempt(NOW, "FAILED", "Odd")
    assert records.kept == {"team/api": {digest: ImageRecord(digest, last_attempt=attempt)}}
    assert set(records.expiries.values()) == {int(KEPT_UNTIL.timestamp())}


def test_knows_what_a_run_has_started() -> None:
    ours, theirs, unknown = any_digest(), any_digest(), any_digest()
    cache = cache_of(FakeImageRecords())
    cache.note_started(ours, run="run-1", at=NOW)
    cache.note_started(theirs, run="run-2", at=NOW)
    assert cache.started_by("run-1", [ours, theirs, unknown]) == {ours}
    assert cache.started_by("run-1", [theirs]) == frozenset()


@pytest.mark.parametrize(
    "failing", ["records_of", "note_scan", "note_started", "note_attempt", "started_by"]
)
def test_warns_once_and_asks_no_more_when_the_ledger_does_not_answer(
    failing: str, log: io.StringIO
) -> None:
    records = FakeImageRecords(fails=[failing])
    cache = cache_of(records)
    assert cache.recall([any_digest()]) == {}
    cache.note_scans({any_digest(): SCAN for _ in range(100)})
    cache.note_started(any_digest(), run="run-1", at=NOW)
    cache.note_attempt(any_digest(), Decision(Outcome.FAILED, "Odd"), at=NOW)
    assert cache.started_by("run-1", [any_digest()]) == frozenset()
    assert cache.recall([any_digest()]) == {}
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"]) == ("WARNING", "ledger unavailable")
    assert line["repository"] == "team/api"
    assert 1 <= records.calls[failing] <= module.WRITES_AT_ONCE


class FailingTogether(FakeImageRecords):
    """Both writes are under way before either fails."""

    def __init__(self) -> None:
        super().__init__(fails=["note_scan"])
        self._both = Barrier(2, timeout=60)

    def note_scan(self, *image: object, **more: object) -> None:
        self._both.wait()
        super().note_scan(*image, **more)


def test_warns_once_though_many_writes_fail_at_once(log: io.StringIO) -> None:
    cache_of(FailingTogether()).note_scans({any_digest(): SCAN, any_digest(): SCAN})
    assert len(log.getvalue().splitlines()) == 1


def test_remembers_as_long_as_the_parameter_says(monkeypatch: pytest.MonkeyPatch) -> None:
    records, digest = FakeImageRecords(), any_digest()
    monkeypatch.setattr(module, "image_records", lambda table: records)
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    settings = settings_now(StartImageScansSettings)
    image_cache(settings, "team/api", NOW).note_started(digest, run="run-1", at=NOW)
    assert records.expiries == {("team/api", digest): int(KEPT_UNTIL.timestamp())}


@pytest.mark.parametrize("days", ["29", "3651"])
def test_refuses_a_retention_that_makes_no_sense(
    days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", days)
    with pytest.raises(SettingsError, match=r"ImageRecordRetentionDays must be .* 30 to 3650"):
        settings_now(StartImageScansSettings)
