import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.image_records import Attempt, ImageRecord
from ledger.run_records import Example
from registry import errors
from rescan_registry import start_image_scans as module
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import SCAN_QUOTA, STARTED, Decision, Outcome, Tally
from rescan_registry.paced_calls import Turn
from rescan_registry.progress import BATCH, MOST_EXAMPLES, Batch, BatchOutcome
from rescan_registry.scan_starter import BatchInRun
from rescan_registry.start_image_scans import START_FOR_SECONDS, start_image_scans
from runtime.messages import encode
from tests.support.builders import any_cache, any_digest
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket, FakeImageRecords, FakePace, FakeRegistry
from tests.support.template import resources

RECENT = Decision(Outcome.RECENT, "scanned within 24 hours")
UNSCANNABLE = Decision(Outcome.UNSCANNABLE, "refused by ECR")
QUOTA = Decision(Outcome.DEFERRED, "registry scan quota")
EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)


def batch_of(images: int = 3, first: int | None = 100, retry: int = 0) -> BatchInRun:
    digests = tuple(any_digest() for _ in range(images))
    return BatchInRun("run-1", "team/api", Batch(1, first, digests), retry)


@dataclass
class Start:
    """One invocation, and what it leaves behind."""

    registry: FakeRegistry = field(default_factory=FakeRegistry)
    pace: FakePace = field(default_factory=FakePace)
    records: FakeImageRecords = field(default_factory=FakeImageRecords)
    noted: ImageOutcomes = field(default_factory=lambda: ImageOutcomes("run-1", "team/api", NOW))

    def of(self, work: BatchInRun) -> BatchOutcome:
        return start_image_scans(
            work,
            registry=self.registry,  # type: ignore[arg-type]
            pace=self.pace.as_pace,
            cache=any_cache(self.records),
            outcomes=self.noted,
        )

    @property
    def started(self) -> list[str]:
        return [digest for _, digest in self.registry.started]

    @property
    def attempts(self) -> dict[str, Attempt | None]:
        kept = self.records.kept.get("team/api", {})
        return {digest: record.last_attempt for digest, record in kept.items()}


def refusing(refusals: dict[str, Exception]) -> Start:
    return Start(registry=FakeRegistry(refusals=refusals))


# A batch


def test_starts_the_scan_of_each_image_in_its_turn() -> None:
    work, start = batch_of(BATCH), Start()
    assert start.of(work) == BatchOutcome(Tally().plus_many(STARTED, BATCH))
    assert start.registry.started == [("team/api", it) for it in work.batch.image_digests]
    assert start.pace.draws == []
    assert start.pace.made == [(100, START_FOR_SECONDS)]


def test_records_which_run_started_the_scan_and_when() -> None:
    work, start = batch_of(1), Start()
    (digest,) = work.batch.image_digests
    start.of(work)
    started = ImageRecord(digest, started_at=NOW, started_by="run-1")
    assert start.records.kept == {"team/api": {digest: started}}
    assert start.records.expiries == {("team/api", digest): EXPIRES_AT}


def test_notes_the_outcome_of_each_image() -> None:
    work = batch_of(2)
    one, other = work.batch.image_digests
    start = refusing({other: errors.ImageNotFound("any")})
    start.of(work)
    assert list(start.noted.lines()) == [
        {
            "repository": "team/api",
            "image_digest": one,
            "outcome": "STARTED",
            "reason": "accepted",
        },
        {
            "repository": "team/api",
            "image_digest": other,
            "outcome": "GONE",
            "reason": "image deleted",
        },
    ]


def test_has_started_the_scan_though_the_ledger_does_not_answer(log: io.StringIO) -> None:
    work, start = batch_of(), Start(records=FakeImageRecords(fails=["note_started"]))
    assert start.of(work).tally == Tally().plus_many(STARTED, 3)
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"]) == ("WARNING", "ledger unavailable")
    assert (line["repository"], line["problem"]) == ("team/api", "no table today")


def test_starts_scans_no_longer_than_the_function_has_time() -> None:
    """The ledger may take 22 s before and after: three attempts of 7 s, and backoff."""
    function = resources("AWS::Serverless::Function")["StartImageScansFunction"]
    assert function["Timeout"] - START_FOR_SECONDS >= 2 * 22


# What ECR refuses


@pytest.mark.parametrize(
    ("refusal", "outcome", "reason", "is_remembered"),
    [
        (errors.ImageScannedRecently, Outcome.RECENT, "scanned within 24 hours", True),
        (errors.ImageNotScannable, Outcome.UNSCANNABLE, "refused by ECR", True),
        (errors.ImageArchived, Outcome.ARCHIVED, "archived", False),
        (errors.ImageNotFound, Outcome.GONE, "image deleted", False),
        (errors.ScanNotFound, Outcome.FAILED, "ScanNotFound", True),
        (ValueError, Outcome.FAILED, "ValueError", True),
    ],
)
def test_has_an_outcome_for_an_image_that_ecr_refuses_and_goes_on(
    refusal: type[Exception], outcome: Outcome, reason: str, is_remembered: bool
) -> None:
    work = batch_of()
    _, refused, _ = work.batch.image_digests
    start = refusing({refused: refusal("as it came")})
    decision = Decision(outcome, reason)
    assert start.of(work).tally == Tally().plus(STARTED, decision, STARTED)
    assert len(start.started) == 2
    attempt = Attempt(NOW, outcome.value, reason) if is_remembered else None
    assert start.attempts.get(refused) == attempt
    if is_remembered:
        assert start.records.expiries["team/api", refused] == EXPIRES_AT


@pytest.mark.parametrize(
    ("refusal", "outcome", "reason"),
    [
        (errors.ScanQuotaExhausted, Outcome.DEFERRED, "registry scan quota"),
        (errors.RepositoryNotFound, Outcome.GONE, "repository deleted"),
        (errors.AccessDenied, Outcome.FAILED, "AccessDenied"),
        (errors.ManualScanningDisabled, Outcome.FAILED, "ManualScanningDisabled"),
    ],
)
def test_asks_no_more_when_ecr_would_refuse_every_other_image(
    refusal: type[Exception], outcome: Outcome, reason: str
) -> None:
    work = batch_of(10)
    first, second, *others = work.batch.image_digests
    start = refusing({digest: refusal("as it came") for digest in (second, *others)})
    answer = start.of(work)
    assert answer.tally == Tally().plus(STARTED).plus_many(Decision(outcome, reason), 9)
    assert answer.left == ()
    assert start.started == [first]
    assert start.attempts == {first: None}  # it is no fault of any image


@pytest.mark.parametrize(
    ("refusals", "asked", "closed"), [(2, 5, None), (3, 3, NOW + timedelta(hours=1))]
)
def test_closes_the_board_for_an_hour_when_the_daily_quota_is_certainly_used_up(
    refusals: int, asked: int, closed: object
) -> None:
    """One refusal could be that of a single image, in words that are not known yet."""
    work = batch_of(5)
    quota = dict.fromkeys(work.batch.image_digests[:refusals], errors.ScanQuotaExhausted("any"))
    start = refusing(quota)
    answer = start.of(work)
    assert start.pace.closed == closed
    deferred = 5 if closed else refusals
    expected = Tally().plus_many(SCAN_QUOTA, deferred).plus_many(STARTED, 5 - deferred)
    assert answer.tally == expected
    assert len(start.started) + refusals == asked


def test_closes_no_board_for_a_permission_that_is_missing() -> None:
    work = batch_of()
    start = refusing({work.batch.image_digests[0]: errors.AccessDenied("any")})
    start.of(work)
    assert start.pace.closed is None


def test_case_13_keeps_code_and_words_of_a_failure_and_one_image_per_reason() -> None:
    work = batch_of(4)
    one, another, third, _ = work.batch.image_digests
    odd = errors.EcrError.named("OddException", f"It\n\n went {'wrong ' * 50}", call="any")
    start = refusing({one: odd, another: odd, third: ValueError("other")})
    answer = start.of(work)
    assert answer.tally == Tally().plus(
        STARTED,
        Decision(Outcome.FAILED, "ValueError"),
        *[Decision(Outcome.FAILED, "OddException")] * 2,
    )
    assert answer.examples == {
        "OddException": Example(one, f"It went {'wrong ' * 50}"[:200]),
        "ValueError": Example(third, "other"),
    }


def test_keeps_examples_of_a_few_reasons_only() -> None:
    work = batch_of(MOST_EXAMPLES + 1)
    start = refusing(
        {
            digest: errors.EcrError.named(f"Odd{number}", "any", call="any")
            for number, digest in enumerate(work.batch.image_digests)
        }
    )
    answer = start.of(work)
    assert len(answer.tally.counts[Outcome.FAILED]) == MOST_EXAMPLES + 1
    assert list(answer.examples) == [f"Odd{number}" for number in range(MOST_EXAMPLES)]


# What is left for another batch


@pytest.mark.parametrize("refusal", [errors.EcrThrottled, errors.EcrUnavailable])
def test_leaves_images_without_an_answer_for_another_batch(refusal: type[Exception]) -> None:
    work = batch_of()
    *_, last = work.batch.image_digests
    start = refusing({last: refusal("any")})
    answer = start.of(work)
    assert answer == BatchOutcome(Tally().plus(STARTED, STARTED), left=(2,))
    assert last not in start.attempts
    assert len(list(start.noted.lines())) == 2


def test_leaves_all_images_when_the_time_is_over_before_their_turn() -> None:
    start = Start(pace=FakePace(most_answers=0))
    assert start.of(batch_of()) == BatchOutcome(left=(0, 1, 2))


@pytest.mark.parametrize("refusal", [errors.EcrThrottled, errors.EcrUnavailable])
@pytest.mark.parametrize("retry", [0, 4])
def test_leaves_a_batch_without_any_answer_to_the_state_machine(
    refusal: type[Exception], retry: int
) -> None:
    work = batch_of(retry=retry)
    start = refusing(dict.fromkeys(work.batch.image_digests, refusal("as it came")))
    with pytest.raises(refusal, match="as it came"):
        start.of(work)


# A batch that is repeated


def test_counts_as_started_what_the_attempt_before_has_started() -> None:
    work = batch_of(5, retry=2)
    first, second, *others = work.batch.image_digests
    start = Start()
    for digest, run in ((first, "run-1"), (second, "run-0")):
        start.records.note_started("team/api", digest, run=run, at=NOW, expires_at=EXPIRES_AT)
    answer = start.of(work)
    assert answer == BatchOutcome(Tally().plus_many(STARTED, 5), retries=2)
    assert start.started == [second, *others]


def test_draws_new_numbers_for_what_the_attempt_before_has_not_started() -> None:
    work = batch_of(5, retry=2)
    start = Start(pace=FakePace(Turn(count=3, first=700)))
    first, *_ = work.batch.image_digests
    start.records.note_started("team/api", first, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    answer = start.of(work)
    assert (start.pace.draws, start.pace.made) == ([(4, 2)], [(700, START_FOR_SECONDS)])
    assert answer.tally == Tally().plus_many(STARTED, 4)
    assert answer.left == (4,)


def test_draws_no_number_when_the_attempt_before_has_started_all() -> None:
    work, start = batch_of(retry=1), Start()
    for digest in work.batch.image_digests:
        start.records.note_started("team/api", digest, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    assert start.of(work) == BatchOutcome(Tally().plus_many(STARTED, 3), retries=1)
    assert (start.started, start.pace.draws) == ([], [])


def test_asks_the_ledger_nothing_in_the_first_attempt() -> None:
    start = Start()
    start.of(batch_of())
    assert start.records.calls == {"note_started": 3}


def test_is_tried_again_when_the_queue_is_long() -> None:
    start = Start(pace=FakePace(Turn(count=0, wait_seconds=9)))
    with pytest.raises(errors.EcrThrottled, match="take its whole rate"):
        start.of(batch_of(retry=1))
    assert start.pace.made == []


def test_answers_for_what_is_started_though_the_queue_is_long() -> None:
    """Tried again to the last, its images would be DEFERRED although ECR scans some of them."""
    work = batch_of(retry=1)
    start = Start(pace=FakePace(Turn(count=0, wait_seconds=9)))
    first, *_ = work.batch.image_digests
    start.records.note_started("team/api", first, run="run-1", at=NOW, expires_at=EXPIRES_AT)
    assert start.of(work) == BatchOutcome(Tally().plus(STARTED), left=(1, 2), retries=1)


class Crash(BaseException):
    """The function is killed."""


def crashing_after(calls: int) -> Callable[[str], Exception | None]:
    made = iter(range(calls))

    def answer(_: str) -> Exception | None:
        if next(made, None) is None:
            raise Crash
        return None

    return answer


class AnsweringRegistry:
    """ECR, which accepts one scan per image and refuses the next, and kills the function."""

    def __init__(self, answers: dict[str, Exception]) -> None:
        self.scans: list[str] = []
        self.answers = answers
        self.crash: Callable[[str], Exception | None] = lambda _: None

    def start_scan(self, repository: str, image_digest: str) -> None:
        self.crash(image_digest)
        if refusal := self.answers.get(image_digest):
            raise refusal
        if image_digest in self.scans:
            raise errors.ImageScannedRecently("any")
        self.scans.append(image_digest)


REFUSALS = [
    errors.ImageNotScannable("any"),
    errors.ImageNotFound("any"),
    errors.EcrUnavailable("any"),
    ValueError("any"),
]


@given(
    refused=st.lists(st.none() | st.sampled_from(REFUSALS), min_size=1, max_size=BATCH),
    crashes=st.lists(st.integers(0, BATCH - 1), max_size=3),
    count=st.integers(0, BATCH),
)
def test_a_batch_has_one_outcome_per_image_however_often_it_crashes(
    refused: Sequence[Exception | None], crashes: list[int], count: int
) -> None:
    work = batch_of(len(refused))
    digests = work.batch.image_digests
    registry = AnsweringRegistry({d: it for d, it in zip(digests, refused, strict=True) if it})
    records, retry = FakeImageRecords(), 0
    for crash in chain(crashes, [BATCH]):
        registry.crash = crashing_after(crash)
        turn = Turn(min(count, len(digests)), first=1, wait_seconds=0 if count else 9)
        start = Start(registry, FakePace(turn), records)  # type: ignore[arg-type]
        try:
            answer = start.of(BatchInRun("run-1", "team/api", work.batch, retry))
            break
        except Crash:
            retry += 1
        except (errors.EcrUnavailable, errors.EcrThrottled):
            assert not registry.scans  # ECR has taken nothing, or the outcome would say so
            return
    assert answer.tally.images() + len(answer.left) == len(digests)
    assert answer.tally.outcomes().get(Outcome.STARTED, 0) == len(registry.scans)
    assert RECENT.outcome not in answer.tally.counts
    assert not {digests[place] for place in answer.left} & set(registry.scans)


# The function


def test_returns_counts_and_positions_to_the_state_machine(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    work, records, bucket = batch_of(), FakeImageRecords(), FakeBucket()
    *_, last = work.batch.image_digests
    paces: list[tuple[str, str]] = []

    def pace(table: str, operation: str) -> FakePace:
        paces.append((table, operation))
        return FakePace()

    registry = FakeRegistry(refusals={last: errors.EcrUnavailable("any")})
    monkeypatch.setattr(module, "ecr_registry", lambda: registry)
    monkeypatch.setattr(module, "pace", pace)
    monkeypatch.setattr(module, "run_bucket", lambda name: bucket)
    monkeypatch.setattr("rescan_registry.image_cache.image_records", lambda table: records)
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    assert module.handler(encode(work), any_lambda_context()) == {  # type: ignore[arg-type]
        "tally": {"counts": {"STARTED": {"accepted": 2}}},
        "left": [2],
        "overdue": 0,
        "examples": {},
        "retries": 0,
        "error": None,
    }
    assert paces == [("ledger-table", "StartImageScan")]
    assert last not in log.getvalue()
    ((place, lines),) = bucket.outcomes.items()
    assert place == ("run-1", "team/api", "batch-0001")
    assert [line["outcome"] for line in lines] == ["STARTED", "STARTED"]
