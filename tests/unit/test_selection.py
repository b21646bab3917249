from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.images import HELM_CHART_TYPE
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.policy import ImageSelection
from rescan_registry.selection import excluded_tags, left_out, newest
from runtime import patterns
from runtime.settings import SettingsError
from tests.support.builders import any_image, any_policy, days_ago
from tests.support.cases import case
from tests.support.clock import NOW


def test_looks_at_every_image_by_default() -> None:
    for image in (any_image(), any_image(tags=()), any_image(pulled_at=days_ago(900))):
        assert left_out(image, any_policy(), NOW) is None


@pytest.mark.parametrize("status", ["ARCHIVED", "ACTIVATING"])
def test_leaves_out_what_is_archived_or_being_restored(status: str) -> None:
    decision = left_out(any_image(status=status), any_policy(), NOW)
    assert decision == Decision(Outcome.ARCHIVED, "archived")


def test_leaves_out_what_cannot_be_scanned() -> None:
    decision = left_out(any_image(artifact_type=HELM_CHART_TYPE), any_policy(), NOW)
    assert decision == Decision(Outcome.UNSCANNABLE, "Helm chart")


@pytest.mark.parametrize(
    ("selection", "tags", "reason"),
    [
        (ImageSelection.TAGGED, (), "untagged"),
        (ImageSelection.TAGGED, ("v1",), None),
        (ImageSelection.UNTAGGED, ("v1",), "tagged"),
        (ImageSelection.UNTAGGED, (), None),
    ],
)
def test_selects_by_tag_status(
    selection: ImageSelection, tags: tuple[str, ...], reason: str | None
) -> None:
    decision = left_out(any_image(tags=tags), any_policy(image_selection=selection), NOW)
    assert decision == (reason and Decision(Outcome.EXCLUDED, reason))


@pytest.mark.parametrize(
    ("pulled", "pushed", "selected"),
    [(29, 90, True), (30, 90, True), (31, 1, False), (None, 29, True), (None, 31, False)],
)
def test_goes_by_the_last_pull_or_else_by_the_push(
    pulled: int | None, pushed: int, selected: bool
) -> None:
    image = any_image(
        pushed_at=days_ago(pushed), pulled_at=days_ago(pulled) if pulled is not None else None
    )
    decision = left_out(image, any_policy(pulled_within=timedelta(days=30)), NOW)
    assert decision == (None if selected else Decision(Outcome.EXCLUDED, "not pulled lately"))


@pytest.mark.parametrize(
    ("tags", "excluded"),
    [
        (("cache-1",), True),
        (("cache-1", "cache-2"), True),
        (("cache-1", "v1"), False),
        (("my-cache-1",), False),
        ((), False),
    ],
)
def test_excludes_an_image_all_of_whose_tags_match_from_the_start(
    tags: tuple[str, ...], excluded: bool
) -> None:
    image, policy = any_image(tags=tags), any_policy(exclude_tag_pattern="cache-")
    decision = left_out(image, policy, NOW, excluded_tags([image], policy))
    assert decision == (Decision(Outcome.EXCLUDED, "tag excluded") if excluded else None)


@given(st.lists(st.integers(0, 50)), st.integers(1, 20))
def test_keeps_the_images_pushed_last(ages: list[int], most: int) -> None:
    images = [any_image(pushed_at=days_ago(age)) for age in ages]
    kept = newest(images, most)
    assert len(kept) == min(most, len(images))
    assert (
        sorted(NOW - image.pushed_at for image in kept)
        == sorted(NOW - image.pushed_at for image in images)[:most]
    )


def test_keeps_the_same_of_images_pushed_at_once_in_whatever_order_they_are_listed() -> None:
    images = [any_image(pushed_at=NOW) for _ in range(5)]
    assert newest(images, 2) == newest(reversed(images), 2)


def test_case_05_an_image_that_was_pushed_at_a_time_unknown_is_evaluated() -> None:
    odd = any_image(pushed_at=None)
    assert left_out(odd, any_policy(pulled_within=timedelta(days=30)), NOW) is None
    assert newest([any_image(pushed_at=NOW), odd, any_image(pushed_at=NOW)], 1) == [odd]


def test_looks_at_tags_only_for_a_pattern() -> None:
    assert excluded_tags([any_image(tags=("",))], any_policy()) == frozenset()


def test_case_10_names_a_pattern_of_tags_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.5)
    told = case("10-redos-exclude-tag-pattern.json")
    policy = any_policy(exclude_tag_pattern=told["parameter"]["ExcludeTagPattern"])
    with pytest.raises(SettingsError) as raised:
        excluded_tags([any_image(tags=tuple(told["tags"]))], policy)
    assert str(raised.value) == (
        "ExcludeTagPattern must be a regular expression that matches within seconds, such as one "
        r"without (a+)+, not '(\\w+[-.]?)+-SNAPSHOT'"
    )
