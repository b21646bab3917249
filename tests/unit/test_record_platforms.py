import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from ledger.platforms import Platforms
from notify_scan import record_platforms as module
from notify_scan.events.fields import UnreadableScanEvent
from notify_scan.record_platforms import PushEvent, RecordedPlatforms, record_platforms
from registry.ecr import EcrRegistry
from registry.errors import EcrThrottled, ImageNotFound, RepositoryNotFound
from runtime.messages import decode
from tests.support.builders import any_digest
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.template import ROOT

EVENT = json.loads((ROOT / "events/notify_scan/record_platforms.json").read_text())
DIGEST = EVENT["detail"]["image-digest"]
PUSHED_AT = datetime(2026, 3, 14, 9, 1, 34, tzinfo=UTC)
CHILDREN = {any_digest(): "linux/amd64", any_digest(): "linux/arm64"}
DAY = timedelta(days=1)


@dataclass
class FakeIndexes:
    """ECR with one index, or an error."""

    answer: dict[str, str] | Exception = field(default_factory=lambda: CHILDREN)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def platforms(self, repository: str, digest: str) -> dict[str, str]:
        self.asked.append((repository, digest))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakePlatforms:
    """What was recorded."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, ...]] = []

    def record(self, repository: str, children: dict[str, str], **more: Any) -> None:
        self.recorded.append((repository, children, more))


def recorded(registry: FakeIndexes, known: FakePlatforms, **detail: object) -> RecordedPlatforms:
    event = decode(PushEvent, {**EVENT, "detail": EVENT["detail"] | detail})
    return record_platforms(
        event,
        cast("EcrRegistry", registry),
        cast("Platforms", known),
        kept_for=180 * DAY,
        now=PUSHED_AT,
    )


@pytest.mark.parametrize("tag", ["v1", None])
def test_records_the_images_of_an_index(tag: str | None) -> None:
    registry, known = FakeIndexes(), FakePlatforms()
    output = recorded(registry, known, **{"image-tag": tag})
    expires_at = int((PUSHED_AT + 180 * DAY).timestamp())
    more = {"tag": tag, "pushed_at": PUSHED_AT, "expires_at": expires_at}
    assert known.recorded == [("team/multi", CHILDREN, more)]
    assert registry.asked == [("team/multi", DIGEST)]
    assert output == RecordedPlatforms("team/multi", DIGEST, tag, platforms=2, is_gone=False)


@pytest.mark.parametrize("error", [ImageNotFound("any"), RepositoryNotFound("any")])
def test_records_nothing_of_an_index_that_is_gone(error: Exception) -> None:
    known = FakePlatforms()
    output = recorded(FakeIndexes(error), known)
    assert known.recorded == []
    assert output == RecordedPlatforms("team/multi", DIGEST, "v1", platforms=0, is_gone=True)


def test_is_called_again_where_ecr_throttles() -> None:
    with pytest.raises(EcrThrottled):
        recorded(FakeIndexes(EcrThrottled("any")), FakePlatforms())


@pytest.mark.parametrize(
    "detail",
    [
        {"repository-name": "Not A Name"},
        {"image-digest": "sha256:short"},
        {"image-tag": "v1#linux/arm64"},
        {"image-digest": None},
        {"image-tag": 7},
    ],
)
def test_refuses_names_that_ecr_does_not_have(detail: dict[str, object]) -> None:
    with pytest.raises(UnreadableScanEvent, match=r"the event\.detail"):
        recorded(FakeIndexes(), FakePlatforms(), **detail)


def test_refuses_a_push_of_the_future() -> None:
    event = PushEvent("2099-01-01T00:00:00Z", EVENT["detail"])
    with pytest.raises(UnreadableScanEvent, match="must not be in the future"):
        record_platforms(
            event,
            cast("EcrRegistry", FakeIndexes()),
            cast("Platforms", FakePlatforms()),
            kept_for=DAY,
            now=NOW,
        )


def test_answers_lambda_with_what_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    known, tables = FakePlatforms(), []

    def platforms(table: str) -> FakePlatforms:
        tables.append(table)
        return known

    monkeypatch.setattr(module, "platforms", platforms)
    monkeypatch.setattr(module, "ecr_registry", FakeIndexes)
    monkeypatch.setattr("runtime.clock.now", lambda: PUSHED_AT)
    monkeypatch.setenv("LEDGER_TABLE", "ledger-table")
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    answer = module.handler(EVENT, any_lambda_context())
    assert answer == {
        "repository": "team/multi",
        "image_digest": DIGEST,
        "tag": "v1",
        "platforms": 2,
        "is_gone": False,
    }
    assert tables == ["ledger-table"]
    assert known.recorded[0][2]["expires_at"] == int((PUSHED_AT + 180 * DAY).timestamp())
