"""How many calls of ECR an invocation makes is emitted, however it ends."""

import json

import pytest

from registry.errors import EcrThrottled
from rescan_registry.run_metrics import counted_calls
from tests.support.fakes import FakePace


@pytest.fixture(autouse=True)
def powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "any-stack")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "EcrRescan")


def test_counts_the_calls_of_an_invocation_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakePace()
    fake.calls_made, fake.calls_throttled = 11, 10
    with pytest.raises(EcrThrottled), counted_calls(fake.as_pace):
        raise EcrThrottled("any")
    emitted = json.loads(capsys.readouterr().out)
    assert (emitted["ecr_calls"], emitted["ecr_calls_throttled"]) == ([11], [10])
    (directive,) = emitted["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("EcrRescan", [["service"]])


def test_emits_nothing_without_a_call(capsys: pytest.CaptureFixture[str]) -> None:
    with counted_calls(FakePace().as_pace):
        pass
    assert capsys.readouterr().out == ""
