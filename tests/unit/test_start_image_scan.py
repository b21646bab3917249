import pytest

from registry import errors
from rescan_registry import start_image_scan as module
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.start_image_scan import ImageInRun, start_image_scan
from tests.support.builders import any_digest
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeRegistry

IMAGE = ImageInRun(run="run-1", repository="team/api", digest=any_digest())


def test_starts_the_scan_of_one_image() -> None:
    registry = FakeRegistry()
    assert start_image_scan(IMAGE, registry=registry) == Decision(Outcome.STARTED, "accepted")
    assert registry.started == [("team/api", IMAGE.digest)]


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
    registry = FakeRegistry(refusals={IMAGE.digest: refusal("any")})
    assert start_image_scan(IMAGE, registry=registry) == Decision(outcome, reason)


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
    registry = FakeRegistry(refusals={IMAGE.digest: fault("as it came")})
    with pytest.raises(fault, match="as it came"):
        start_image_scan(IMAGE, registry=registry)


def test_answers_the_state_machine_with_outcome_and_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ecr_registry", FakeRegistry)
    event = {"run": "run-1", "repository": "team/api", "digest": IMAGE.digest}
    assert module.handler(event, any_lambda_context()) == {
        "outcome": "STARTED",
        "reason": "accepted",
    }
