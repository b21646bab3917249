"""Which release and platform an image belongs to, in the table that the template declares."""

from datetime import datetime, timedelta

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import LedgerUnavailable
from ledger.image_baselines import baselines
from ledger.platforms import Child, Platforms, child, child_key, platforms
from ledger.table import plain
from runtime.clock import CLOCK_SKEW
from tests.support.builders import any_digest
from tests.support.clock import NOW

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
HOUR = timedelta(hours=1)
TODAY = NOW + timedelta(days=1)
AMD, ARM, NEW_AMD, NEW_ARM = (any_digest() for _ in range(4))
INDEX = {AMD: "linux/amd64", ARM: "linux/arm64"}
REBUILT = {NEW_AMD: "linux/amd64", NEW_ARM: "linux/arm64"}


@pytest.fixture
def known(ledger_table: str, monkeypatch: pytest.MonkeyPatch) -> Platforms:
    monkeypatch.setattr("runtime.clock.now", lambda: TODAY)
    return platforms("ledger-table")


def record(
    known: Platforms,
    children: dict[str, str],
    tag: str | None = "latest",
    at: datetime = NOW,
    expires_at: int = EXPIRES_AT,
) -> None:
    known.record("team/multi", children, tag=tag, pushed_at=at, expires_at=expires_at)


def item(digest: str, repository: str = "team/multi") -> dict[str, object]:
    pk, sk = child_key(repository, digest)
    answer = boto3.client("dynamodb").get_item(
        TableName="ledger-table", Key={"pk": {"S": pk}, "sk": {"S": sk}}
    )
    return plain(answer.get("Item", {}))


def of(digest: str) -> Child:
    return child(item(digest))


def test_knows_the_release_and_the_platform_of_each_image(known: Platforms) -> None:
    record(known, INDEX, "v1")
    record(known, INDEX, "latest")
    assert of(AMD) == Child(AMD, "linux/amd64", ("latest", "v1"), EXPIRES_AT)
    assert of(ARM) == Child(ARM, "linux/arm64", ("latest", "v1"), EXPIRES_AT)
    assert item(ARM, "team/api") == {}


def test_moves_a_tag_to_the_images_of_the_index_pushed_last(known: Platforms) -> None:
    record(known, INDEX, "v1")
    record(known, INDEX)
    record(known, REBUILT, at=NOW + HOUR)
    assert [of(digest).tags for digest in (AMD, ARM)] == [("v1",), ("v1",)]
    assert [of(digest).tags for digest in (NEW_AMD, NEW_ARM)] == [("latest",), ("latest",)]


def test_keeps_the_tag_of_an_image_that_the_new_index_lists_too(known: Platforms) -> None:
    record(known, INDEX)
    record(known, {AMD: "linux/amd64", NEW_ARM: "linux/arm64"}, at=NOW + HOUR)
    assert [of(digest).tags for digest in (AMD, ARM, NEW_ARM)] == [("latest",), (), ("latest",)]


def test_gives_no_tag_to_the_images_of_an_index_whose_event_comes_late(known: Platforms) -> None:
    record(known, REBUILT, at=NOW + HOUR)
    record(known, INDEX)
    assert of(AMD) == Child(AMD, "linux/amd64", expires_at=EXPIRES_AT)
    assert of(NEW_AMD).tags == ("latest",)


def test_knows_the_platform_of_an_index_without_a_tag(known: Platforms) -> None:
    record(known, INDEX, None)
    assert of(ARM) == Child(ARM, "linux/arm64", expires_at=EXPIRES_AT)


def test_an_index_pushed_meanwhile_with_the_same_tag_wins(
    known: Platforms, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = Platforms._release
    reads = iter([lambda: None])

    def read_before_the_other(self: Platforms, repository: str, tag: str) -> object:
        return next(reads, lambda: release(self, repository, tag))()

    record(known, REBUILT, at=NOW + HOUR)
    monkeypatch.setattr(Platforms, "_release", read_before_the_other)
    record(known, {**INDEX, NEW_ARM: "linux/arm64"})
    tags = {digest: of(digest).tags for digest in (*INDEX, *REBUILT)}
    assert tags == {AMD: (), ARM: (), NEW_AMD: ("latest",), NEW_ARM: ("latest",)}


@pytest.mark.parametrize(
    ("ahead", "is_moved"), [(CLOCK_SKEW, False), (CLOCK_SKEW + timedelta(seconds=1), True)]
)
def test_takes_a_tag_from_a_push_in_the_future(
    known: Platforms, ahead: timedelta, is_moved: bool
) -> None:
    record(known, INDEX, at=TODAY + ahead)
    record(known, REBUILT, at=TODAY)
    assert (of(NEW_AMD).tags == ("latest",)) == is_moved
    assert (of(AMD).tags == ()) == is_moved


@given(st.permutations([(INDEX, 0), (REBUILT, 1), (INDEX, 2)]), st.sets(st.sampled_from([0, 1, 2])))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_the_images_of_the_newest_push_in_any_order(
    known: Platforms, pushes: list[tuple[dict[str, str], int]], repeated: set[int]
) -> None:
    tag = f"v{any_digest()[-8:]}"
    for children, hours in pushes + [push for push in pushes if push[1] in repeated]:
        record(known, children, tag, NOW + hours * HOUR)
    assert all(tag in of(digest).tags for digest in INDEX)
    assert all(tag not in of(digest).tags for digest in REBUILT)


def test_keeps_an_image_for_longer(known: Platforms) -> None:
    record(known, INDEX)
    stored = baselines("ledger-table")
    stored.keep_child("team/multi", AMD, expires_at=EXPIRES_AT + 5)
    stored.keep_child("team/multi", NEW_AMD, expires_at=EXPIRES_AT)
    assert of(AMD) == Child(AMD, "linux/amd64", ("latest",), expires_at=EXPIRES_AT + 5)
    assert item(NEW_AMD) == {}


def test_says_that_the_table_does_not_answer(ledger_table: str) -> None:
    with pytest.raises(LedgerUnavailable):
        record(platforms("no-such-table"), INDEX)
