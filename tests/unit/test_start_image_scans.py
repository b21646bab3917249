import io
import json
from datetime import timedelta

import pytest

from ledger.image_records import ImageRecord
from registry import errors
from rescan_registry import start_image_scan as module
from rescan_registry.image_cache import ImageCache
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.start_image_scan import ImageInRun, start_image_scan
from tests.support.builders import any_digest
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeImageRecords, FakeRegistry

IMAGE = ImageInRun(run="run-1", repository="team/api", image_digest=any_digest())
KEPT_FOR = timedelta(days=180)


def start(registry: FakeRegistry, records: FakeImageRecords | None = None) -> Decision:
    cache = ImageCache(records or FakeImageRecords(), "team/api", kept_until=NOW + KEPT_FOR)
    return start_image_scan(IMAGE, registry=registry, cache=cache, now=NOW)


def test_starts_the_scan_of_one_image() -> None:
    registry = FakeRegistry()
    assert start(registry) == Decision(Outcome.STARTED, "accepted")
    assert registry.started == [("team/api", IMAGE.image_digest)]


def test_remembers_which_run_started_the_scan_and_when() -> None:
    records = FakeImageRecords()
    start(FakeRegistry(), records)
    started = ImageRecord(IMAGE.image_digest, started_at=NOW, started_by="run-1")
    assert records.kept == {"team/api": {IMAGE.image_digest: started}}
    expires_at = int((NOW + KEPT_FOR).timestamp())
    assert records.expiries == {("team/api", IMAGE.image_digest): expires_at}


def test_has_started_the_scan_though_the_ledger_does_not_answer(log: io.StringIO) -> None:
    registry = FakeRegistry()
    outcome = start(registry, FakeImageRecords(fails=["note_started"]))
    assert outcome == Decision(Outcome.STARTED, "accepted")
    assert registry.started == [("team/api", IMAGE.image_digest)]
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"]) == ("WARNING", "ledger unavailable")
    assert (line["repository"], line["problem"]) == ("team/api", "no table today")


@pytest.mark.parametrize(
    ("refusal", "outcome", "reason"),
    [
        (errors.ImageScannedRecently, Outcome.RECENT, "scanned within 24 hours"),
        (errors.ScanQuotaExhausted, Outcome.DEFERRED, "registry scan quota"),
        (errors.ImageNotScannable, Outcome.UNSCANNABLE, "refused by ECR"),
        (errors.ImageArchived, Outcome.ARCHIVED, "archived"),
        (errors.ImageNotFound, Outcome.GONE, "image deleted"),
        (errors.RepositoryNotFound, Outcome.GONE, "repository deleted"),
    ],
)
def test_comes_to_an_outcome_when_ecr_rightly_refuses(
    refusal: type[Exception], outcome: Outcome, reason: str
) -> None:
    registry, records = (
        FakeRegistry(refusals={IMAGE.image_digest: refusal("any")}),
        FakeImageRecords(),
    )
    assert start(registry, records) == Decision(outcome, reason)
    assert records.calls == {}


@pytest.mark.parametrize(
    "fault",
    [
        errors.EcrThrottled,
        errors.EcrUnavailable,
        errors.AccessDenied,
        errors.ManualScanningDisabled,
        errors.ScanNotFound,
        ValueError,
    ],
)
def test_raises_a_fault(fault: type[Exception]) -> None:
    registry = FakeRegistry(refusals={IMAGE.image_digest: fault("as it came")})
    with pytest.raises(fault, match="as it came"):
        start(registry)


def test_answers_the_state_machine_with_outcome_and_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ecr_registry", FakeRegistry)
    monkeypatch.setattr(
        "rescan_registry.image_cache.image_records", lambda table: FakeImageRecords()
    )
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    event = {"run": "run-1", "repository": "team/api", "image_digest": IMAGE.image_digest}
    assert module.handler(event, any_lambda_context()) == {
        "outcome": "STARTED",
        "reason": "accepted",
    }
