from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rescan_registry.outcomes import Decision, Outcome, Tally

decisions = st.builds(Decision, st.sampled_from(Outcome), st.sampled_from(["a", "b c", "d"]))


@given(st.lists(decisions), st.lists(decisions))
def test_counts_every_image_once(some: list[Decision], more: list[Decision]) -> None:
    tally = Tally().plus(*some).plus(*more)
    assert tally.images() == len(some) + len(more)
    assert tally.outcomes() == dict(Counter(each.outcome for each in some + more))
    for decision in some + more:
        assert tally.of_decision(decision) == (some + more).count(decision)


@given(st.lists(decisions), st.lists(decisions))
def test_adds_up_tallies_as_if_counted_together(some: list[Decision], more: list[Decision]) -> None:
    assert Tally().plus(*some).merged(Tally().plus(*more)) == Tally().plus(*some, *more)


@given(decisions, st.integers(0, 10))
def test_counts_many_images_alike(decision: Decision, images: int) -> None:
    assert Tally().plus_many(decision, images) == Tally().plus(*[decision] * images)


def test_leaves_out_what_nothing_came_to() -> None:
    assert Tally().plus_many(Decision(Outcome.GONE, "a"), 0).counts == {}
    assert Tally().of_decision(Decision(Outcome.GONE, "a")) == 0
