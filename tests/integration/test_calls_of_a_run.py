"""What a run costs: calls of ECR for a thousand repositories, calls of DynamoDB for a few."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from math import ceil

import boto3
import pytest

from ledger.image_records import ImageRecords, RecordedScan, image_records
from ledger.run_records import run_records
from registry.images import Image, LastScan
from rescan_registry.find_stale_images import find_stale_images
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import Outcome, Tally
from rescan_registry.progress import Progress, StartedBatches
from rescan_registry.record_repository import WorkedRepository, record_repository
from rescan_registry.scan_starter import BatchInRun
from rescan_registry.start_image_scans import start_image_scans
from tests.support.builders import (
    FakeHistory,
    any_cache,
    any_image,
    any_surroundings,
    any_work,
    days_ago,
    scanned,
)
from tests.support.clock import NOW, Clock
from tests.support.fakes import FakeBus, FakeImageRecords, FakePace, FakeRegistry

PAGE = 1_000  # repositories or images that ECR lists in a call
FRESH, STARTED = Outcome.FRESH, Outcome.STARTED
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class Fleet:
    """Repositories alike, worked on as the state machine does.

    today, tomorrow: images that are due in a run of today and in one of tomorrow.
    """

    def __init__(self, repositories: int, *, today: int, tomorrow: int, fresh: int) -> None:
        self.clock = Clock()
        self.bus = FakeBus()
        self.calls: Counter[str] = Counter()
        ages = [8.0] * today + [5.5] * tomorrow + [1.0] * fresh
        self._images: dict[str, list[Image]] = {}
        self._scans: dict[str, LastScan] = {}
        self._started: list[tuple[str, str]] = []
        for number in range(repositories):
            images = [any_image() for _ in ages]
            self._images[f"team/{number}"] = images
            self._scans |= {
                image.digest: scanned(days_ago(age))
                for image, age in zip(images, ages, strict=True)
            }

    def run(self, records: FakeImageRecords | ImageRecords) -> Tally:
        """Work on every repository to its end, and count the calls of ECR."""
        self.calls = Counter(DescribeRepositories=ceil(len(self._images) / PAGE))
        tally = Tally()
        for repository in self._images:
            progress = self._work(repository, records)
            tally = tally.merged(progress.folded().tally)
        return tally

    def let_results_arrive(self, records: FakeImageRecords | ImageRecords) -> None:
        """End the scans that were started, and record them as NotifyScan does."""
        ended_at = self.clock.now() + MINUTE
        for repository, digest in self._started:
            self._scans[digest] = scanned(ended_at)
            scan = RecordedScan(ended_at, "COMPLETE", "BASIC")
            records.note_scan(repository, digest, scan, expires_at=4_000_000_000)
        self._started.clear()

    def _work(self, repository: str, records: FakeImageRecords | ImageRecords) -> Progress:
        registry, history = (
            FakeRegistry(self._images[repository], names=[repository]),
            FakeHistory(self._scans),
        )
        progress, now, pace = Progress(), self.clock.now(), FakePace().as_pace
        cache = any_cache(records, repository)
        around = any_surroundings(registry, history, cache=cache, bus=self.bus, starts=pace)
        while not progress.finished:
            work = replace(any_work(progress), repository=repository)
            progress = find_stale_images(work, around, now=now)
            outcomes = [
                start_image_scans(
                    BatchInRun("run-1", repository, batch, retry=0),
                    registry=registry,  # type: ignore[arg-type]
                    pace=pace,
                    cache=cache,
                    outcomes=ImageOutcomes("run-1", repository, now),
                )
                for batch in progress.batches
            ]
            progress = replace(progress, started=StartedBatches(tuple(outcomes)))
        self.calls += Counter(
            DescribeImages=len(registry.listed),
            DescribeImageScanFindings=len(history.asked),
            StartImageScan=len(registry.started),
        )
        self._started += registry.started
        return progress


@pytest.mark.parametrize(
    "repositories", [30, pytest.param(1_000, marks=pytest.mark.scale, id="an account")]
)
def test_asks_ecr_for_little_more_than_it_must_once_the_ledger_is_warm(repositories: int) -> None:
    images, due = 100, 10
    fleet = Fleet(repositories, today=due, tomorrow=due, fresh=images - 2 * due)
    records = FakeImageRecords()
    listing = ceil(repositories / PAGE) + repositories * ceil(images / PAGE)
    outcomes = {FRESH: repositories * (images - due), STARTED: repositories * due}

    # Cold: one call more for each image, once.
    assert fleet.run(records).outcomes() == outcomes
    assert fleet.calls["DescribeImageScanFindings"] == repositories * images
    assert fleet.calls.total() == listing + repositories * images + repositories * due

    fleet.let_results_arrive(records)
    fleet.clock.move(DAY)
    assert fleet.run(records).outcomes() == outcomes
    assert fleet.calls["DescribeImageScanFindings"] == 0
    assert fleet.calls.total() <= 1.02 * (listing + repositories * due)
    assert fleet.bus.events == []


@pytest.mark.parametrize("repositories", [1, 3])
def test_calls_the_ledger_once_a_page_and_once_an_image_asked_or_started(
    repositories: int, ledger_table: str
) -> None:
    fleet = Fleet(repositories, today=4, tomorrow=3, fresh=13)
    records, client = image_records("ledger-table"), boto3.client("dynamodb")
    calls: Counter[str] = Counter()
    records._table._client.meta.events.register(
        "provide-client-params.dynamodb.*", lambda model, **_: calls.update([model.name])
    )
    asked, started = 20 * repositories, 4 * repositories

    fleet.run(records)
    assert calls == {"Query": repositories, "UpdateItem": asked + started}

    fleet.let_results_arrive(records)
    fleet.clock.move(DAY)
    calls.clear()
    fleet.run(records)
    assert calls == {"Query": repositories, "UpdateItem": 3 * repositories}
    assert client.scan(TableName=ledger_table)["Count"] == 20 * repositories


def test_records_a_repository_with_one_call(ledger_table: str) -> None:
    records = run_records("ledger-table")
    calls: Counter[str] = Counter()
    records._table._client.meta.events.register(
        "provide-client-params.dynamodb.*", lambda model, **_: calls.update([model.name])
    )
    record_repository(
        WorkedRepository("run-1", "team/api", NOW, "4000000000", Progress(finished=True)),
        records=records,
        now=NOW,
    )
    assert calls == {"PutItem": 1}
