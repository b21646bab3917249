import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.run_records import Example
from rescan_registry.outcomes import Decision, Outcome, Tally
from rescan_registry.progress import (
    Batch,
    BatchOutcome,
    DueImage,
    Progress,
    StartedBatches,
    UndecidedImage,
)
from runtime.messages import decode, encode


class Kind(StrEnum):
    ONE = "ONE"


@dataclass(frozen=True)
class Inner:
    at: datetime
    after: timedelta


@dataclass(frozen=True)
class Message:
    name: str
    inner: Inner
    kinds: dict[Kind, int]
    maybe: str | None = None
    many: tuple[Inner, ...] = ()
    anything: object = None
    flag: bool = field(default=False)


ANY_INNER = Inner(at=datetime(2026, 3, 14, 3, tzinfo=UTC), after=timedelta(days=7))
ANY_MESSAGE = Message(
    name="a", inner=ANY_INNER, kinds={Kind.ONE: 1}, many=(ANY_INNER,), anything={"b": [1, 2.5]}
)


def test_writes_what_a_person_reads_in_the_history() -> None:
    assert encode(ANY_MESSAGE) == {
        "name": "a",
        "inner": {"at": "2026-03-14T03:00:00+00:00", "after": "P7D"},
        "kinds": {"ONE": 1},
        "maybe": None,
        "many": [{"at": "2026-03-14T03:00:00+00:00", "after": "P7D"}],
        "anything": {"b": [1, 2.5]},
        "flag": False,
    }


def test_reads_back_what_it_writes() -> None:
    assert decode(Message, json.loads(json.dumps(encode(ANY_MESSAGE)))) == ANY_MESSAGE


def test_leaves_unknown_fields_aside() -> None:
    assert decode(Decision, {"outcome": "GONE", "reason": "r", "more": 1}) == Decision(
        Outcome.GONE, "r"
    )


def test_names_what_is_missing() -> None:
    with pytest.raises(KeyError, match="Decision needs reason"):
        decode(Decision, {"outcome": "GONE"})


@pytest.mark.parametrize("wrong", [{"outcome": "GONE", "reason": 5}])
def test_refuses_a_value_of_another_type(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="expected str, got int"):
        decode(Decision, wrong)  # type: ignore[arg-type]


def test_refuses_to_write_what_has_no_json_form() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        encode({1, 2})


decisions = st.builds(Decision, st.sampled_from(Outcome), st.sampled_from(["a", "b c"]))
tallies = st.lists(decisions).map(lambda some: Tally().plus(*some))
moments = st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
numbers = st.integers(0, 20_000)
examples = st.dictionaries(st.text(), st.builds(Example, digests, st.text()), max_size=3)


def few[M](messages: st.SearchStrategy[M]) -> st.SearchStrategy[tuple[M, ...]]:
    return st.lists(messages, max_size=3).map(tuple)


batches = st.builds(Batch, numbers, st.none() | numbers, few(digests))
batch_outcomes = st.builds(
    BatchOutcome,
    tally=tallies,
    left=few(numbers),
    examples=examples,
    retries=numbers,
    error=st.none() | st.text(),
)


@given(
    st.builds(
        Progress,
        step=numbers,
        events=numbers,
        batches=few(batches),
        started=st.builds(StartedBatches, few(batch_outcomes), numbers),
        waiting=few(st.builds(DueImage, digests, moments, moments)),
        waiting_stored=numbers,
        undecided=few(st.builds(UndecidedImage, digests, moments, moments)),
        missing=numbers,
        cursor=st.none() | st.text(),
        listed=st.booleans(),
        relisted=st.booleans(),
        last_page=few(st.text()),
        batches_made=numbers,
        asked=numbers,
        wait_seconds=numbers,
        polls=numbers,
        results_missing=numbers,
        results_found=numbers,
        tally=tallies,
        examples=examples,
        finished=st.booleans(),
        repository_gone=st.booleans(),
        cut_short=st.booleans(),
    )
)
def test_carries_progress_through_the_state_machine(progress: Progress) -> None:
    assert decode(Progress, json.loads(json.dumps(encode(progress)))) == progress
