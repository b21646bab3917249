"""In memory: the registry, the pace of its calls, and what a run leaves behind."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from ledger.bucket import RunBucket
from ledger.errors import LedgerUnavailable
from ledger.image_records import Attempt, ImageRecord, RecordedScan
from ledger.run_records import RunRecord
from ledger.run_state import LastRun
from ledger.run_summaries import SummaryDocument, summary_key, summary_texts
from own_events.event_bus import OwnEvent
from registry.ecr import PAGE, ImagePage, RepositoryPage
from registry.errors import EcrThrottled, EcrUnavailable, RepositoryNotFound
from registry.images import Image, LastScan
from rescan_registry.paced_calls import Pace, PacedCalls, Turn
from runtime.messages import Json, decode

type Page = Sequence[Image] | Exception


class FakeRegistry:
    """A registry of one repository, whose pages are given; a page may be an error."""

    def __init__(
        self,
        *pages: Page,
        names: Sequence[str] = ("team/api",),
        scan_type: str = "BASIC",
        refusals: Mapping[str, Exception] | None = None,
    ) -> None:
        self.listed: list[str | None] = []
        self.throttled: list[Exception] = []
        self.started: list[tuple[str, str]] = []
        self._pages = pages or ((),)
        self._names = names
        self._scan_type = scan_type
        self._refusals = refusals or {}

    def scan_type(self) -> str:
        """Return the scan type that was given."""
        return self._scan_type

    def repositories(self, cursor: str | None = None) -> RepositoryPage:
        """List the names that were given, a thousand per page; a refusal may come first."""
        if self.throttled:
            raise self.throttled.pop(0)
        start = int(cursor or 0)
        names = tuple(self._names[start : start + PAGE])
        is_last = start + PAGE >= len(self._names)
        return RepositoryPage(names, None if is_last else str(start + PAGE))

    def confirm(self, names: Sequence[str]) -> None:
        """Refuse a name that was not given."""
        for name in names:
            if name not in self._names:
                raise RepositoryNotFound(f"DescribeRepositories of {name}: does not exist")

    def images(self, repository: str, cursor: str | None = None) -> ImagePage:
        """Turn to the next page of a repository that was given; the cursor is its number."""
        self.confirm([repository])
        self.listed.append(cursor)
        number = int(cursor or 0)
        page = self._pages[number]
        if isinstance(page, Exception):
            raise page
        is_last = number + 1 == len(self._pages)
        return ImagePage(images=tuple(page), cursor=None if is_last else str(number + 1))

    def start_scan(self, repository: str, digest: str) -> None:
        """Start a scan, unless a refusal was given for the image."""
        if refusal := self._refusals.get(digest):
            raise refusal
        self.started.append((repository, digest))


class AskedRegistry:
    """A registry that is only asked for last scans; `answer` gives them, or raises."""

    def __init__(self, answer: Callable[[str], LastScan | None]) -> None:
        self.asked: list[str] = []
        self.repositories: set[str] = set()
        self._answer = answer

    def last_scan(self, repository: str, digest: str) -> LastScan | None:
        """Note who is asked for, and answer."""
        self.asked.append(digest)
        self.repositories.add(repository)
        return self._answer(digest)


class FakePace:
    """The pace of one operation, whose turns are given; then, every call has the next number.

    most_answers: calls that an invocation makes before its time is over.
    """

    def __init__(self, *turns: Turn, most_answers: int = 1_000_000) -> None:
        self.draws: list[tuple[int, int]] = []  # how many were wanted, and after how many polls
        self.made: list[tuple[int | None, float]] = []  # first number and time of each invocation
        self.closed: datetime | None = None
        self.calls_made = self.calls_throttled = 0  # they are not counted here
        self._turns = list(turns)
        self._most_answers = most_answers
        self._issued = 1

    def draw(self, wanted: int, *, polls: int) -> Turn:
        """Return the next turn."""
        self.draws.append((wanted, polls))
        if self._turns:
            turn = self._turns.pop(0)
            return replace(turn, count=min(turn.count, wanted))
        first = self._issued
        self._issued += wanted
        return Turn(count=wanted, first=first)

    def draw_again(self, first: int | None, wanted: int, *, polls: int) -> Turn:
        """Return the next turn: all numbers of an attempt before are shown."""
        return self.draw(wanted, polls=polls)

    def closed_until(self) -> datetime | None:
        """Return what the last caller has said."""
        return self.closed

    def close(self, until: datetime) -> None:
        """Keep it."""
        self.closed = until

    def calls[T, A](
        self,
        items: Sequence[T],
        call: Callable[[T], A],
        *,
        first: int | None,
        seconds: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> PacedCalls[A]:
        """Make the calls one after the other. What ECR throttles is left, and ends the calls."""
        self.made.append((first, seconds))
        answers: dict[int, A] = {}
        refusal: Exception | None = None
        for place, item in enumerate(items[: self._most_answers]):
            try:
                answers[place] = call(item)
                if is_over():
                    break
            except EcrUnavailable as error:
                refusal = error
            except EcrThrottled as error:
                refusal = error
                break
        left = tuple(place for place in range(len(items)) if place not in answers)
        return PacedCalls(answers, left, refusal)

    @property
    def as_pace(self) -> Pace:
        """Stand in for the pace."""
        return cast("Pace", self)


class FakeBucket:
    """The documents of runs by key, and those of digests by the name of the digest.

    outcomes: lines by run, repository and name. fails: calls that the bucket does not answer.
    """

    name = "run-bucket"

    def __init__(self, *, fails: Sequence[str] = (), **lists: Sequence[str]) -> None:
        self.kept: dict[str, Json] = {}
        self.outcomes: dict[tuple[str, str, str], list[Any]] = {}
        self.waiting: dict[tuple[str, str, int], list[Json]] = {}
        self.fails = frozenset(fails)
        self.digests: dict[str, Any] = {}
        self.unfinished: dict[str, Json] = {}
        for run, names in lists.items():
            self.write_repositories(run, names)

    def write_repositories(self, run: str, names: Sequence[str]) -> str:
        """Keep a list."""
        return self._keep(f"runs/{run}/repositories.json", list(names))

    def repositories(self, run: str) -> Iterator[str] | None:
        """Read a list; none when it is not kept."""
        names: Any = self.kept.get(f"runs/{run}/repositories.json")
        return None if names is None else iter(names)

    def write_summary(
        self, run: str, document: SummaryDocument, lists: Mapping[str, Iterable[str]]
    ) -> str:
        """Keep a summary."""
        text = "".join(summary_texts(document, lists))
        return self._keep(summary_key(run), json.loads(text))

    def summary(self, run: str) -> SummaryDocument | None:
        """Read a summary."""
        self._answer("summary")
        document = self.kept.get(summary_key(run))
        return None if document is None else decode(SummaryDocument, document)

    def write_image_outcomes(
        self, run: str, repository: str, name: str, lines: Iterable[Json]
    ) -> None:
        """Keep the outcomes of images."""
        self._answer("write_image_outcomes")
        self.outcomes[run, repository, name] = list(lines)

    def write_waiting_images(
        self, run: str, repository: str, step: int, images: Sequence[Json]
    ) -> None:
        """Keep due images."""
        self._answer("write_waiting_images")
        self.waiting[run, repository, step] = list(images)

    def waiting_images(self, run: str, repository: str, step: int) -> list[Json]:
        """Read due images."""
        self._answer("waiting_images")
        if (run, repository, step) not in self.waiting:
            raise LedgerUnavailable("does not exist")
        return self.waiting[run, repository, step]

    def digest_key(self, name: str) -> str:
        """Return where a digest is."""
        return f"digests/{name}.json"

    def write_digest(self, name: str, digest: Json) -> None:
        """Keep a digest."""
        self.digests[name] = digest

    def write_unfinished_digest(self, name: str, unfinished: Json) -> None:
        """Keep what is left to do."""
        self.unfinished[name] = unfinished

    def unfinished_digest(self, name: str) -> Json:
        """Read what is left to do."""
        return self.unfinished.get(name)

    @property
    def as_bucket(self) -> RunBucket:
        """Stand in for the bucket."""
        return cast("RunBucket", self)

    def _keep(self, key: str, document: Json) -> str:
        self.kept[key] = document
        return key

    def _answer(self, call: str) -> None:
        if call in self.fails:
            raise LedgerUnavailable("no bucket today")


class FakeRecords:
    """The records of all runs."""

    def __init__(self, *records: RunRecord) -> None:
        self.kept = list(records)
        self.expiries: list[int] = []

    def put(self, record: RunRecord, *, expires_at: int) -> None:
        """Keep a record."""
        self.kept.append(record)
        self.expiries.append(expires_at)

    def for_run(self, run: str) -> Iterator[RunRecord]:
        """Read the records of a run."""
        return (record for record in self.kept if record.run == run)


class FakeRunState:
    """What runs leave for the next one."""

    def __init__(self, last: LastRun | None = None, *, first: str | None = None) -> None:
        self.noted: list[LastRun] = [last] if last else []
        self.first = first
        self.reads = 0

    def run_before(self, run: str) -> LastRun | None:
        """Read what the run before found."""
        self.reads += 1
        return next((each for each in reversed(self.noted) if each.run != run), None)

    def note(self, last: LastRun, *, before: LastRun | None) -> None:
        """Note what a run found. before: as the run has read it."""
        assert before == next((each for each in reversed(self.noted) if each.run != last.run), None)
        self.noted.append(last)

    def first_repository(self) -> str | None:
        """Read with which repository a run begins."""
        self.reads += 1
        return self.first

    def begin_with(self, repository: str) -> None:
        """Note with which repository a run begins."""
        self.first = repository


class FakeImageRecords:
    """The image records of all repositories; `fails` names calls that the table does not answer."""

    def __init__(self, *records: tuple[str, ImageRecord], fails: Sequence[str] = ()) -> None:
        self.kept: dict[str, dict[str, ImageRecord]] = {}
        for repository, record in records:
            self.kept.setdefault(repository, {})[record.image_digest] = record
        self.expiries: dict[tuple[str, str], int] = {}
        self.calls: Counter[str] = Counter()
        self.fails = frozenset(fails)
        self._lock = threading.Lock()

    def records_of(self, repository: str, among: Collection[str]) -> Iterator[ImageRecord]:
        """Read the records of some images of a repository."""
        self._count("records_of")
        kept = self.kept.get(repository, {})
        return (kept[digest] for digest in sorted(among) if digest in kept)

    def get(self, repository: str, digest: str) -> ImageRecord:
        """Read the record of one image."""
        self._count("get")
        return self._kept(repository, digest)

    def note_started(
        self, repository: str, digest: str, *, run: str, at: datetime, expires_at: int
    ) -> None:
        """Note a start, unless a later one is known."""
        self._count("note_started")
        known = self._kept(repository, digest)
        if known.started_at is None or known.started_at < at:
            started = replace(known, started_at=at, started_by=run, last_attempt=None)
            self._keep(repository, started, expires_at)

    def note_attempt(
        self, repository: str, digest: str, attempt: Attempt, *, expires_at: int
    ) -> None:
        """Note an attempt, unless a later one or a later start is known."""
        self._count("note_attempt")
        known = self._kept(repository, digest)
        before = known.last_attempt.attempted_at if known.last_attempt else None
        if all(not at or at < attempt.attempted_at for at in (before, known.started_at)):
            self._keep(repository, replace(known, last_attempt=attempt), expires_at)

    def started_by(self, run: str, repository: str, among: Sequence[str]) -> frozenset[str]:
        """Return which of some images a run has started last."""
        self._count("started_by")
        kept = (self._kept(repository, digest) for digest in among)
        return frozenset(record.image_digest for record in kept if record.started_by == run)

    def note_scan(
        self, repository: str, digest: str, scan: RecordedScan, *, expires_at: int
    ) -> None:
        """Note a scan, unless a newer one is known."""
        self._count("note_scan")
        known = self._kept(repository, digest)
        if known.last_scan is None or known.last_scan.scanned_at < scan.scanned_at:
            self._keep(repository, replace(known, last_scan=scan), expires_at)

    def _kept(self, repository: str, digest: str) -> ImageRecord:
        return self.kept.get(repository, {}).get(digest, ImageRecord(digest))

    def _keep(self, repository: str, record: ImageRecord, expires_at: int) -> None:
        with self._lock:
            self.kept.setdefault(repository, {})[record.image_digest] = record
            self.expiries[repository, record.image_digest] = expires_at

    def _count(self, call: str) -> None:
        with self._lock:
            self.calls[call] += 1
        if call in self.fails:
            raise LedgerUnavailable("no table today")


class FakeBus:
    """A bus that keeps its events, or refuses them."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.events: list[tuple[str, Json, list[str]]] = []
        self._refusal = refusal

    def put(self, events: Sequence[OwnEvent], *, resources: Sequence[str] = ()) -> None:
        """Keep events."""
        if self._refusal:
            raise self._refusal
        self.events += [(event.DETAIL_TYPE, event.detail(), list(resources)) for event in events]
